"""API tokens by name. Only the hash of a token is stored."""

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from balancebot.domain.user import ApiToken
from balancebot.store.tables import tokens
from balancebot.store.types import columns_of

_COLUMNS = columns_of(tokens, ApiToken)


def add(conn: Connection, token: ApiToken, token_hash: str) -> bool:
    """Add a token; False if the name is taken."""
    row = {
        "name": token.name,
        "role": token.role,
        "created_at": token.created_at,
        "created_by": token.created_by,
        "expires_at": token.expires_at,
    }
    try:
        with conn.begin_nested():
            conn.execute(insert(tokens).values(token_hash=token_hash, **row))
    except IntegrityError:
        return False
    return True


def find(conn: Connection, name: str) -> ApiToken | None:
    """Return the token of a name."""
    row = conn.execute(select(*_COLUMNS).where(tokens.c.name == name)).one_or_none()
    return None if row is None else ApiToken(**row._mapping)


def of_hash(conn: Connection, token_hash: str) -> ApiToken | None:
    """Return the token with this hash, even if it has expired."""
    row = conn.execute(select(*_COLUMNS).where(tokens.c.token_hash == token_hash)).one_or_none()
    return None if row is None else ApiToken(**row._mapping)


def everything(conn: Connection) -> tuple[ApiToken, ...]:
    """Return all tokens by name."""
    return tuple(ApiToken(**row._mapping) for row in conn.execute(select(*_COLUMNS).order_by(tokens.c.name)))


def touch(conn: Connection, name: str, *, used_at: datetime) -> None:
    """Record when a token was last used."""
    conn.execute(update(tokens).where(tokens.c.name == name).values(used_at=used_at))


def remove(conn: Connection, name: str) -> None:
    """Remove a token, which is no longer valid from now on."""
    conn.execute(delete(tokens).where(tokens.c.name == name))

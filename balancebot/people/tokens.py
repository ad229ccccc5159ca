"""API tokens: created, shown once, recognised by their hash. Changes are in the audit log, tokens are not."""

import hashlib
import secrets
from datetime import datetime, timedelta
from enum import StrEnum

from balancebot.config import Secret
from balancebot.domain.audit import Act, Actor
from balancebot.domain.sentence import sentence
from balancebot.domain.user import ApiToken, Role, user_name_fault
from balancebot.store import audit
from balancebot.store import tokens as store
from balancebot.store.database import Database

PREFIX = "balancebot_"
"""The prefix of every token, by which scanners for leaked secrets find it."""
ROLES = (Role.VIEWER, Role.FINANCE)
_TOUCH_EVERY = timedelta(minutes=5)
_MAX_LENGTH = 200


class TokenFault(StrEnum):
    """Why a token can't be created or removed, as the id of a sentence."""

    BAD_NAME = sentence("A name has 1 to 64 printable characters, without spaces at its ends.").id
    BAD_ROLE = sentence("A token is for viewer or finance.").id
    TAKEN = sentence("A token of this name already exists.").id
    NOBODY = sentence("No token has this name.").id


def add_token(
    database: Database, *, name: str, role: Role, expires_at: datetime | None, by: Actor, now: datetime
) -> Secret | TokenFault:
    """Create a token and return it, which is the only time that it can be read; or return why not."""
    if user_name_fault(name):
        return TokenFault.BAD_NAME
    if role not in ROLES:
        return TokenFault.BAD_ROLE
    token = Secret(PREFIX + secrets.token_urlsafe(32))
    made = ApiToken(name=name, role=role, created_at=now, created_by=by.name, expires_at=expires_at)
    with database.write() as conn:
        if not store.add(conn, made, _hash(token)):
            return TokenFault.TAKEN
        audit.record_change(conn, by, Act.ADD_TOKEN, name, after=_picture(made), now=now)
    return token


def remove_token(database: Database, *, name: str, by: Actor, now: datetime) -> TokenFault | None:
    """Remove a token: it is refused from now on."""
    with database.write() as conn:
        found = store.find(conn, name)
        if found is None:
            return TokenFault.NOBODY
        store.remove(conn, name)
        audit.record_change(conn, by, Act.REMOVE_TOKEN, name, before=_picture(found), now=now)
    return None


def list_tokens(database: Database) -> tuple[ApiToken, ...]:
    """Return all tokens by name, including those that have expired."""
    with database.read() as conn:
        return store.everything(conn)


def holder(database: Database, token: Secret, *, now: datetime) -> ApiToken | None:
    """Return the entry of a token; None if it is unknown or has expired."""
    if not token.reveal().startswith(PREFIX) or len(token.reveal()) > _MAX_LENGTH:
        return None
    with database.read() as conn:
        found = store.of_hash(conn, _hash(token))
    if found is None or not found.holds(now):
        return None
    if found.used_at is None or now - found.used_at >= _TOUCH_EVERY:
        with database.write() as conn:
            store.touch(conn, found.name, used_at=now)
    return found


def _hash(token: Secret) -> str:
    """Return the hash for storage: a token is 256 random bits, so it needs no slow hash and no salt."""
    return hashlib.sha256(token.reveal().encode()).hexdigest()


def _picture(token: ApiToken) -> dict[str, str | int | float | bool | None]:
    return {
        "role": token.role.value,
        "expires_at": None if token.expires_at is None else token.expires_at.isoformat(),
    }

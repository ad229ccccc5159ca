"""Users, their sessions and their failed log-ins. Only hashes of passwords and session tokens are stored."""

from dataclasses import fields
from datetime import datetime

from sqlalchemy import (
    LABEL_STYLE_TABLENAME_PLUS_COL,
    Connection,
    Row,
    delete,
    insert,
    not_,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError

from balancebot.domain.user import Role, Session, User
from balancebot.store.tables import login_failures, sessions, users


def add(conn: Connection, user: User, password_hash: str) -> bool:
    """Add a user; False if the name is taken."""
    try:
        with conn.begin_nested():
            conn.execute(
                insert(users).values(
                    name=user.name,
                    role=user.role,
                    created_at=user.created_at,
                    vouched=user.vouched,
                    password_hash=password_hash,
                )
            )
    except IntegrityError:
        return False
    return True


def find(conn: Connection, name: str) -> tuple[User, str] | None:
    """Return a user and the hash of the password."""
    row = conn.execute(select(users).where(users.c.name == name)).one_or_none()
    return None if row is None else (_user(row), row.password_hash)


def everyone(conn: Connection) -> tuple[User, ...]:
    """Return all users by name."""
    return tuple(_user(row) for row in conn.execute(select(users).order_by(users.c.name)))


def set_password_hash(conn: Connection, name: str, password_hash: str) -> None:
    """Replace a user's password."""
    conn.execute(update(users).where(users.c.name == name).values(password_hash=password_hash))


def set_role(conn: Connection, name: str, role: Role) -> None:
    """Give a user another role; it applies from the next request on."""
    conn.execute(update(users).where(users.c.name == name).values(role=role))


def keep_role(conn: Connection, name: str, role: Role) -> None:
    """Set a user's role here, so that the role from a proxy or OpenID Connect no longer counts."""
    conn.execute(update(users).where(users.c.name == name).values(role=role, vouched=False))


def keep(conn: Connection, name: str, role: Role, password_hash: str) -> None:
    """Set a user's role and password. A user who was vouched for is an ordinary one from now on."""
    values = {"role": role, "password_hash": password_hash, "vouched": False}
    conn.execute(update(users).where(users.c.name == name).values(values))


def set_preferences(conn: Connection, name: str, *, language: str, time_zone: str) -> None:
    """Store what a user chose for the pages; '' = as configured."""
    conn.execute(update(users).where(users.c.name == name).values(language=language, time_zone=time_zone))


def is_anybody_kept(conn: Connection) -> bool:
    """Return whether there is any user who isn't only vouched for by a proxy or OpenID Connect."""
    return conn.execute(select(users.c.name).where(not_(users.c.vouched)).limit(1)).first() is not None


def remove_vouched(conn: Connection, name: str) -> None:
    """Remove a user with all sessions if the user is only vouched for."""
    conn.execute(delete(users).where(users.c.name == name, users.c.vouched))


def remove(conn: Connection, name: str) -> None:
    """Remove a user, with all sessions."""
    conn.execute(delete(users).where(users.c.name == name))


def start_session(
    conn: Connection, token_hash: str, user_name: str, *, now: datetime, expires_at: datetime
) -> None:
    """Store a new session, and delete expired ones."""
    drop_ended_sessions(conn, now=now)
    conn.execute(
        insert(sessions).values(
            token_hash=token_hash, user_name=user_name, created_at=now, seen_at=now, expires_at=expires_at
        )
    )


def find_session(conn: Connection, token_hash: str, *, now: datetime) -> Session | None:
    """Return the session of a token if it hasn't expired, with the present data of its user."""
    row = conn.execute(
        select(sessions, users)
        .join(users, users.c.name == sessions.c.user_name)
        .where(sessions.c.token_hash == token_hash, sessions.c.expires_at > now)
        .set_label_style(LABEL_STYLE_TABLENAME_PLUS_COL)
    ).one_or_none()
    return None if row is None else _session(row)


def sessions_of(conn: Connection, user_name: str, *, now: datetime) -> tuple[Session, ...]:
    """Return a user's sessions, the last used first."""
    rows = conn.execute(
        select(sessions, users)
        .join(users, users.c.name == sessions.c.user_name)
        .where(sessions.c.user_name == user_name, sessions.c.expires_at > now)
        .order_by(sessions.c.seen_at.desc())
        .set_label_style(LABEL_STYLE_TABLENAME_PLUS_COL)
    )
    return tuple(_session(row) for row in rows)


def touch_session(conn: Connection, token_hash: str, *, seen_at: datetime, expires_at: datetime) -> None:
    """Store when a session was last used."""
    conn.execute(
        update(sessions)
        .where(sessions.c.token_hash == token_hash)
        .values(seen_at=seen_at, expires_at=expires_at)
    )


def end_session(conn: Connection, token_hash: str) -> None:
    """End one session."""
    conn.execute(delete(sessions).where(sessions.c.token_hash == token_hash))


def end_sessions_of(conn: Connection, user_name: str, *, but: str = "") -> int:
    """End all sessions of a user, except the one with token hash `but`; return how many."""
    return conn.execute(
        delete(sessions).where(sessions.c.user_name == user_name, sessions.c.token_hash != but)
    ).rowcount


def drop_ended_sessions(conn: Connection, *, now: datetime) -> int:
    """Remove the sessions that have expired; return how many."""
    return conn.execute(delete(sessions).where(sessions.c.expires_at <= now)).rowcount


def failures(conn: Connection, name: str, address: str, *, since: datetime) -> tuple[list[datetime], ...]:
    """Return the times of failed log-ins: for this name from this address, from this address, for this name.

    The table is locked until the transaction ends, so that concurrent attempts are counted one after another.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(text("LOCK TABLE login_failures IN SHARE ROW EXCLUSIVE MODE"))
    rows = conn.execute(
        select(login_failures.c.at, login_failures.c.name, login_failures.c.address)
        .where(
            login_failures.c.at > since,
            or_(login_failures.c.name == name, login_failures.c.address == address),
        )
        .order_by(login_failures.c.at)
    ).all()
    return (
        [row.at for row in rows if row.name == name and row.address == address],
        [row.at for row in rows if row.address == address],
        [row.at for row in rows if row.name == name],
    )


def note_failure(conn: Connection, name: str, address: str, *, at: datetime, forget: datetime) -> None:
    """Store a failed log-in, and delete those before `forget`."""
    conn.execute(delete(login_failures).where(login_failures.c.at <= forget))
    conn.execute(insert(login_failures).values(at=at, name=name, address=address))


def drop_failures(conn: Connection, *, before: datetime) -> int:
    """Remove the failed log-ins from before an instant; return how many."""
    return conn.execute(delete(login_failures).where(login_failures.c.at < before)).rowcount


def forget_failures(conn: Connection, name: str, address: str) -> None:
    """Delete the failures of a name from one address, because the user has logged in."""
    conn.execute(
        delete(login_failures).where(login_failures.c.name == name, login_failures.c.address == address)
    )


def _user(row: Row[tuple[object, ...]], prefix: str = "") -> User:
    return User(**{field.name: row._mapping[prefix + field.name] for field in fields(User)})


def _session(row: Row[tuple[object, ...]]) -> Session:
    return Session(
        id=row.sessions_token_hash,
        user=_user(row, "users_"),
        created_at=row.sessions_created_at,
        seen_at=row.sessions_seen_at,
        expires_at=row.sessions_expires_at,
    )

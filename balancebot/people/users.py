"""Keeping the users of the web pages. Every change stands in the audit log; no password does, not even its hash."""

from datetime import datetime
from enum import StrEnum

from balancebot.domain.audit import Act, Actor, AuditEntry, Way
from balancebot.domain.sentence import sentence
from balancebot.domain.user import Role, Session, User, user_name_fault
from balancebot.people import log_in
from balancebot.store import audit
from balancebot.store import users as store
from balancebot.store.database import Database


class UserFault(StrEnum):
    """Why a change of users is refused, as the id of a sentence."""

    BAD_NAME = sentence("A name has 1 to 64 printable characters, without spaces at its ends.").id
    TAKEN = sentence("A user of this name already exists.").id
    NOBODY = sentence("No user has this name.").id
    SHORT_PASSWORD = sentence("A password has at least 8 characters.").id
    LONG_PASSWORD = sentence("A password has at most 1024 characters.").id
    YOURSELF = sentence(
        "You can't remove yourself or change your own role: ask another admin, or use the command line."
    ).id


def add_user(
    database: Database, *, name: str, role: Role, password: str, by: Actor, now: datetime
) -> UserFault | None:
    """Add a user; return why not."""
    if user_name_fault(name):
        return UserFault.BAD_NAME
    if fault := _password_fault(password):
        return fault
    password_hash = log_in.hash_password(password)
    with database.write() as conn:
        if not store.add(conn, User(name=name, role=role, created_at=now), password_hash):
            return UserFault.TAKEN
        audit.record(conn, _entry(Act.ADD_USER, name, by, now, after=role))
    return None


def set_password(
    database: Database, *, name: str, password: str, by: Actor, now: datetime, keep_session: str = ""
) -> UserFault | None:
    """Give a user a new password and end the user's sessions, all but the one with id `keep_session`."""
    if fault := _password_fault(password):
        return fault
    password_hash = log_in.hash_password(password)
    with database.write() as conn:
        if store.find(conn, name) is None:
            return UserFault.NOBODY
        store.set_password_hash(conn, name, password_hash)
        store.end_sessions_of(conn, name, but=keep_session)
        audit.record(conn, _entry(Act.SET_PASSWORD, name, by, now))
    return None


def set_role(database: Database, *, name: str, role: Role, by: Actor, now: datetime) -> UserFault | None:
    """Give a user another role; it holds at the user's next request."""
    with database.write() as conn:
        found = store.find(conn, name)
        if found is None:
            return UserFault.NOBODY
        if _is_self(by, name):
            return UserFault.YOURSELF
        if found[0].role is not role:
            store.set_role(conn, name, role)
            audit.record(conn, _entry(Act.SET_ROLE, name, by, now, before=found[0].role, after=role))
    return None


def remove_user(database: Database, *, name: str, by: Actor, now: datetime) -> UserFault | None:
    """Remove a user and end the user's sessions."""
    with database.write() as conn:
        found = store.find(conn, name)
        if found is None:
            return UserFault.NOBODY
        if _is_self(by, name):
            return UserFault.YOURSELF
        store.remove(conn, name)
        audit.record(conn, _entry(Act.REMOVE_USER, name, by, now, before=found[0].role))
    return None


def end_sessions(
    database: Database, *, name: str, by: Actor, now: datetime, but: str = ""
) -> UserFault | None:
    """Log a user out everywhere, except in the session with id `but`."""
    with database.write() as conn:
        if store.find(conn, name) is None:
            return UserFault.NOBODY
        if store.end_sessions_of(conn, name, but=but):
            audit.record(conn, _entry(Act.END_SESSIONS, name, by, now))
    return None


def is_password(database: Database, *, name: str, password: str) -> bool:
    """Tell whether a password is the user's."""
    with database.read() as conn:
        found = store.find(conn, name)
    return log_in.matches(password, None if found is None else found[1])


def list_users(database: Database) -> tuple[User, ...]:
    """Return all users by name."""
    with database.read() as conn:
        return store.everyone(conn)


def sessions_of(database: Database, *, name: str, now: datetime) -> tuple[Session, ...]:
    """Return where a user is logged in, the latest used first."""
    with database.read() as conn:
        return store.sessions_of(conn, name, now=now)


def _password_fault(password: str) -> UserFault | None:
    if len(password) < log_in.MIN_LENGTH:
        return UserFault.SHORT_PASSWORD
    return UserFault.LONG_PASSWORD if len(password) > log_in.MAX_LENGTH else None


def _is_self(by: Actor, name: str) -> bool:
    """Tell whether somebody on the pages would lock themselves out: so there is always an admin left."""
    return by.way is Way.PAGE and by.who == name


def _entry(
    act: Act, name: str, by: Actor, now: datetime, *, before: Role | None = None, after: Role | None = None
) -> AuditEntry:
    return AuditEntry(
        at=now,
        who=by.who,
        way=by.way,
        act=act,
        subject=name,
        before=None if before is None else {"role": before.value},
        after=None if after is None else {"role": after.value},
    )

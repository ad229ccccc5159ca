"""Manages the users of the web pages. Changes are in the audit log; passwords and their hashes are not."""

from datetime import datetime
from enum import StrEnum
from functools import cache
from zoneinfo import available_timezones

from sqlalchemy import Connection

from balancebot.config import LANGUAGES
from balancebot.domain.audit import Act, Actor, Picture, Via
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
    if fault := password_fault(password):
        return fault
    password_hash = log_in.hash_password(password)
    with database.write() as conn:
        if not add_or_keep(conn, User(name=name, role=role, created_at=now), password_hash):
            return UserFault.TAKEN
        audit.record_change(conn, by, Act.ADD_USER, name, after=_role(role), now=now)
    return None


def add_or_keep(conn: Connection, user: User, password_hash: str) -> bool:
    """Add a user with a password, or give one to a user without a password; return False if the name is taken."""
    found = store.find(conn, user.name)
    if found is None:
        return store.add(conn, user, password_hash)
    if found[0].vouched:
        store.keep(conn, user.name, user.role, password_hash)
    return found[0].vouched


def set_preferences(database: Database, *, name: str, language: str, time_zone: str) -> None:
    """Store the user's language and time zone for the pages; '' and unknown values = as configured."""
    with database.write() as conn:
        store.set_preferences(
            conn,
            name,
            language=language if language in LANGUAGES else "",
            time_zone=time_zone if time_zone in time_zones() else "",
        )


@cache
def time_zones() -> tuple[str, ...]:
    """Return the time zones to choose from: those named after places, and UTC."""
    named = sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/"))
    return ("UTC", *named)


def set_password(
    database: Database, *, name: str, password: str, by: Actor, now: datetime, keep_session: str = ""
) -> UserFault | None:
    """Set a user's password and end the user's sessions, except the one with id `keep_session`."""
    if fault := password_fault(password):
        return fault
    password_hash = log_in.hash_password(password)
    with database.write() as conn:
        found = store.find(conn, name)
        if found is None:
            return UserFault.NOBODY
        store.keep(conn, name, found[0].role, password_hash)
        store.end_sessions_of(conn, name, but=keep_session)
        audit.record_change(conn, by, Act.SET_PASSWORD, name, now=now)
    return None


def set_role(database: Database, *, name: str, role: Role, by: Actor, now: datetime) -> UserFault | None:
    """Set a user's role; it applies from the user's next request on."""
    with database.write() as conn:
        found = store.find(conn, name)
        if found is None:
            return UserFault.NOBODY
        if _is_self(by, name):
            return UserFault.YOURSELF
        if found[0].role is not role:
            store.keep_role(conn, name, role)
            audit.record_change(
                conn, by, Act.SET_ROLE, name, before=_role(found[0].role), after=_role(role), now=now
            )
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
        audit.record_change(conn, by, Act.REMOVE_USER, name, before=_role(found[0].role), now=now)
    return None


def end_sessions(
    database: Database, *, name: str, by: Actor, now: datetime, but: str = ""
) -> UserFault | None:
    """Log a user out everywhere, except in the session with id `but`."""
    with database.write() as conn:
        if store.find(conn, name) is None:
            return UserFault.NOBODY
        if store.end_sessions_of(conn, name, but=but):
            audit.record_change(conn, by, Act.END_SESSIONS, name, now=now)
    return None


def list_users(database: Database) -> tuple[User, ...]:
    """Return all users by name."""
    with database.read() as conn:
        return store.everyone(conn)


def sessions_of(database: Database, *, name: str, now: datetime) -> tuple[Session, ...]:
    """Return the sessions of a user, the latest used first."""
    with database.read() as conn:
        return store.sessions_of(conn, name, now=now)


def password_fault(password: str) -> UserFault | None:
    """Return why a password is refused; None = it is accepted."""
    if len(password) < log_in.MIN_LENGTH:
        return UserFault.SHORT_PASSWORD
    return UserFault.LONG_PASSWORD if len(password) > log_in.MAX_LENGTH else None


def _is_self(by: Actor, name: str) -> bool:
    """Return whether users would lock themselves out: so there is always an admin left."""
    return by.via is Via.PAGE and by.name == name


def _role(role: Role) -> Picture:
    return {"role": role.value}

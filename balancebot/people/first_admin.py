"""The first log-in: while there is no user, a link creates the first admin. It works once, for an hour.

Anybody who can read the output of `run` may become the first admin. Each process makes its own link; the first one that
is used invalidates all. Only a hash of a link's token is stored.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection

from balancebot.config import Secret
from balancebot.domain.audit import Act, Actor, Via
from balancebot.domain.sentence import sentence
from balancebot.domain.user import Role, User, user_name_fault
from balancebot.people import log_in, users
from balancebot.people.users import UserFault
from balancebot.store import audit, installation
from balancebot.store import users as store
from balancebot.store.database import Database

LASTS = timedelta(hours=1)
_SETUP = "setup:"


class SetupFault(StrEnum):
    """Why a link creates no admin, as the id of a sentence."""

    STALE = sentence("This link isn't valid any more: it can be used once, and for an hour.").id


def nobody_yet(database: Database) -> bool:
    """Return whether there is no user yet."""
    with database.read() as conn:
        return not store.is_anybody_kept(conn)


def make_link_token(database: Database, *, now: datetime) -> Secret | None:
    """Return the token for a new link; None if there is a user already."""
    if not nobody_yet(database):
        return None
    token = Secret(secrets.token_urlsafe(24))
    with database.write() as conn:
        installation.forget_all(conn, _SETUP, before=now - LASTS)
        installation.note(conn, _key(token), "", now=now)
    return token


def is_good(database: Database, token: Secret, *, now: datetime) -> bool:
    """Return whether a link with this token would create an admin."""
    with database.read() as conn:
        return _is_good(conn, token, now)


def make_first_admin(
    database: Database, *, token: Secret, name: str, password: str, now: datetime
) -> UserFault | SetupFault | None:
    """Create the first admin, once; return why not."""
    if not is_good(database, token, now=now):
        return SetupFault.STALE
    if user_name_fault(name):
        return UserFault.BAD_NAME
    if fault := users.password_fault(password):
        return fault
    password_hash = log_in.hash_password(password)
    with database.write() as conn:
        # if several links are used at the same time, only one finds rows to delete
        if not _is_good(conn, token, now) or not installation.forget_all(conn, _SETUP):
            return SetupFault.STALE
        users.add_or_keep(conn, User(name=name, role=Role.ADMIN, created_at=now), password_hash)
        by = Actor(name=name, via=Via.PAGE)
        audit.record_change(conn, by, Act.ADD_USER, name, after={"role": Role.ADMIN.value}, now=now)
    return None


def _is_good(conn: Connection, token: Secret, now: datetime) -> bool:
    kept = installation.find(conn, _key(token))
    return kept is not None and kept.at <= now < kept.at + LASTS and not store.is_anybody_kept(conn)


def _key(token: Secret) -> str:
    return _SETUP + hashlib.sha256(token.reveal().encode()).hexdigest()

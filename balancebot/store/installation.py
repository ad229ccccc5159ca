"""Facts about the installation, stored by name: the end of the last cycle, failures of channels."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from balancebot.domain.delivery import DeliveryState
from balancebot.store.tables import alerts, deliveries, facts, wallets, workers
from balancebot.store.types import insert_into

LAST_CYCLE = "last_cycle"
"""The fact with the end of the last complete poll cycle."""
FILE_DAMAGE = "file_damage"
"""The fact with what the last check has found wrong with the file of a SQLite database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallationFact:
    """The last value of a fact, and when it was stored."""

    key: str
    value: str
    at: datetime


def note(conn: Connection, key: str, value: str, *, now: datetime) -> None:
    """Store a fact; it replaces the one with the same name."""
    row = {"key": key, "value": value, "at": now}
    conn.execute(insert_into(conn, facts).values(row).on_conflict_do_update(index_elements=["key"], set_=row))


def find(conn: Connection, key: str) -> InstallationFact | None:
    """Return one fact."""
    row = conn.execute(select(facts).where(facts.c.key == key)).one_or_none()
    return None if row is None else InstallationFact(key=row.key, value=row.value, at=row.at)


def forget(conn: Connection, key: str) -> None:
    """Delete a fact."""
    conn.execute(delete(facts).where(facts.c.key == key))


def forget_all(conn: Connection, prefix: str, *, before: datetime | None = None) -> int:
    """Delete the facts whose names have this prefix, or only those from before an instant; return how many."""
    statement = delete(facts).where(facts.c.key.startswith(prefix, autoescape=True))
    if before is not None:
        statement = statement.where(facts.c.at < before)
    return conn.execute(statement).rowcount


_SESSION_KEY = "session_key"


def session_key(conn: Connection, *, now: datetime) -> str:
    """Return the random key for log-in sessions, which is stored in this database and made when it is first needed."""
    row = {"key": _SESSION_KEY, "value": secrets.token_hex(32), "at": now}
    conn.execute(insert_into(conn, facts).values(row).on_conflict_do_nothing(index_elements=["key"]))
    kept: str = conn.execute(select(facts.c.value).where(facts.c.key == _SESSION_KEY)).scalar_one()
    return kept


DIGEST_KNOWN = "digest:"
"""The prefix of a digest's name, for the fact since when its slots count."""
RESTORED = "restored"
"""The fact when a backup was restored, or first opened as a database."""


def settle_restored(conn: Connection, *, now: datetime) -> None:
    """Make a restored database continue from now, because what waited in the backup is outdated.

    Waiting deliveries are settled, reminders and digests count from now, and all claims are released.
    """
    conn.execute(
        update(deliveries)
        .where(deliveries.c.settled_at.is_(None))
        .values(state=DeliveryState.SUPERSEDED.value, settled_at=now, in_doubt=False, claimed_by=None)
    )
    conn.execute(update(alerts).where(alerts.c.closed_at.is_(None)).values(told_at=now))
    conn.execute(update(wallets).values(claimed_by=None))
    conn.execute(delete(workers))
    conn.execute(update(facts).where(facts.c.key.startswith(DIGEST_KNOWN)).values(at=now))
    note(conn, RESTORED, "", now=now)

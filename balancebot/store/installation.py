"""Single facts about the installation, by name: the end of the last cycle, a channel that refuses for good."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select

from balancebot.store.tables import facts
from balancebot.store.types import insert_into


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallationFact:
    """What was last noted under a name, and when."""

    key: str
    value: str
    at: datetime


def note(conn: Connection, key: str, value: str, *, now: datetime) -> None:
    """Keep a fact in place of what stood under its name."""
    row = {"key": key, "value": value, "at": now}
    conn.execute(insert_into(conn, facts).values(row).on_conflict_do_update(index_elements=["key"], set_=row))


def find(conn: Connection, key: str) -> InstallationFact | None:
    """Return one fact."""
    row = conn.execute(select(facts).where(facts.c.key == key)).one_or_none()
    return None if row is None else InstallationFact(key=row.key, value=row.value, at=row.at)


def forget(conn: Connection, key: str) -> None:
    """Drop a fact that no longer holds."""
    conn.execute(delete(facts).where(facts.c.key == key))

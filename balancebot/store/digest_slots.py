"""The digests that were made: at most one per name and slot, even if several processes try."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select

from balancebot.store.tables import digest_slots
from balancebot.store.types import insert_into


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeDigest:
    """One digest that was made."""

    name: str
    slot: str
    """The local date and time it was due, `2026-11-23T09:00`."""
    made_at: datetime
    summary: str
    """JSON: the severities at that time, for "what changed" in the next digest."""


def claim(conn: Connection, digest: MadeDigest) -> bool:
    """Claim a slot, in the transaction that enqueues its digest; False if it is already taken."""
    row = {"name": digest.name, "slot": digest.slot, "made_at": digest.made_at, "summary": digest.summary}
    taken = (
        insert_into(conn, digest_slots).values(row).on_conflict_do_nothing().returning(digest_slots.c.slot)
    )
    return conn.execute(taken).first() is not None


def is_taken(conn: Connection, name: str, slot: str) -> bool:
    """Return whether the digest of a slot was made."""
    wanted = select(digest_slots.c.slot).where(digest_slots.c.name == name, digest_slots.c.slot == slot)
    return conn.execute(wanted).first() is not None


def latest(conn: Connection, name: str) -> MadeDigest | None:
    """Return the last digest of this name; None if there was none."""
    row = conn.execute(
        select(digest_slots)
        .where(digest_slots.c.name == name)
        .order_by(digest_slots.c.made_at.desc(), digest_slots.c.slot.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    return MadeDigest(name=row.name, slot=row.slot, made_at=row.made_at, summary=row.summary)


def prune(conn: Connection, *, before: datetime) -> int:
    """Remove the slots of digests made before an instant, except the latest of each name; return how many."""
    later = digest_slots.alias()
    superseded = (
        select(later.c.slot)
        .where(later.c.name == digest_slots.c.name, later.c.made_at > digest_slots.c.made_at)
        .exists()
    )
    return conn.execute(delete(digest_slots).where(digest_slots.c.made_at < before, superseded)).rowcount

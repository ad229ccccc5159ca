"""Silences: active ones and ended ones."""

from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from balancebot.domain.silence import Silence
from balancebot.store.set_aside import whole
from balancebot.store.tables import silences


def add(conn: Connection, silence: Silence) -> int:
    """Store a new silence and return its id."""
    row = conn.execute(
        insert(silences)
        .values(
            pattern=silence.pattern,
            begins_at=silence.begins_at,
            until=silence.until,
            reason=silence.reason,
            created_by=silence.created_by,
        )
        .returning(silences.c.id)
    ).one()
    return int(row.id)


def get(conn: Connection, silence_id: int) -> Silence | None:
    """Return one silence, or None if there is none of this id."""
    row = conn.execute(select(silences).where(silences.c.id == silence_id)).one_or_none()
    return None if row is None else Silence(**row._mapping)


def end(conn: Connection, silence_id: int, *, by: str, now: datetime) -> bool:
    """End a silence; False if no silence with this id is active."""
    result = conn.execute(
        update(silences)
        .where(silences.c.id == silence_id, silences.c.ended_at.is_(None), silences.c.until > now)
        .values(ended_at=now, ended_by=by)
    )
    return result.rowcount == 1


def note_announced(conn: Connection, silence_id: int, now: datetime) -> None:
    """Record that a broad silence was announced."""
    conn.execute(update(silences).where(silences.c.id == silence_id).values(announced_at=now))


def restart(conn: Connection, silence: Silence, now: datetime) -> None:
    """Let a silence that was made while the clock was ahead begin `now`, with the intended duration."""
    until = now + (silence.until - silence.begins_at)
    conn.execute(update(silences).where(silences.c.id == silence.id).values(begins_at=now, until=until))


def active(conn: Connection, now: datetime) -> tuple[Silence, ...]:
    """Return the silences that are active at `now`, the oldest first."""
    rows = conn.execute(
        select(silences)
        .where(silences.c.ended_at.is_(None), silences.c.until > now, *whole(conn, silences))
        .order_by(silences.c.id)
    )
    return tuple(Silence(**row._mapping) for row in rows)


def latest(conn: Connection, *, before: int | None = None, limit: int = 500) -> tuple[Silence, ...]:
    """Return the latest silences, active or not, newest first; `before` is the last id of the previous page."""
    query = select(silences).order_by(silences.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(silences.c.id < before)
    return tuple(Silence(**row._mapping) for row in conn.execute(query))

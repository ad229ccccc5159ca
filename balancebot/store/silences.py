"""Silences, those that hold and those that are over."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from balancebot.domain.pattern import Pattern, Patterns
from balancebot.domain.sentence import Sentence
from balancebot.domain.silence import Silence
from balancebot.store.tables import silences

_BETWEEN = ", "
"""Parts several patterns of one silence: no name holds a comma."""


def add(conn: Connection, silence: Silence) -> int:
    """Store a new silence and return its id."""
    row = conn.execute(
        insert(silences)
        .values(
            pattern=_written(silence.pattern),
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
    return None if row is None else _silence(row)


def end(conn: Connection, silence_id: int, *, by: str, now: datetime) -> bool:
    """End a silence that holds; False if there is none of this id that does."""
    result = conn.execute(
        update(silences)
        .where(silences.c.id == silence_id, silences.c.ended_at.is_(None), silences.c.until > now)
        .values(ended_at=now, ended_by=by)
    )
    return result.rowcount == 1


def holding(conn: Connection, now: datetime) -> tuple[Silence, ...]:
    """Return the silences that hold at `now`, in the order in which they were made."""
    rows = conn.execute(
        select(silences)
        .where(silences.c.ended_at.is_(None), silences.c.begins_at <= now, silences.c.until > now)
        .order_by(silences.c.id)
    )
    return tuple(_silence(row) for row in rows)


def all_of_them(conn: Connection, *, limit: int = 500) -> tuple[Silence, ...]:
    """Return the latest silences, newest first, over or not."""
    return tuple(
        _silence(row) for row in conn.execute(select(silences).order_by(silences.c.id.desc()).limit(limit))
    )


def _silence(row: Any) -> Silence:
    return Silence(
        id=row.id,
        pattern=_read(row.pattern),
        begins_at=row.begins_at,
        until=row.until,
        reason=row.reason,
        created_by=row.created_by,
        ended_at=row.ended_at,
        ended_by=row.ended_by or "",
    )


def _written(pattern: Pattern | Patterns) -> str:
    parts = pattern.parts if isinstance(pattern, Patterns) else (pattern,)
    return _BETWEEN.join(part.text for part in parts)


def _read(text: str) -> Pattern | Patterns:
    parts = tuple(map(_parsed, text.split(_BETWEEN)))
    return parts[0] if len(parts) == 1 else Patterns(parts=parts)


def _parsed(text: str) -> Pattern:
    pattern = Pattern.parse(text)
    if isinstance(pattern, Sentence):  # was checked when it was made
        raise TypeError(f"a silence of {text}: the pattern {pattern}")
    return pattern

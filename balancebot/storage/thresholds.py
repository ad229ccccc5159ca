"""Threshold rows as people set them: one a scope. An edition names a set of rows, so that nobody reads it twice."""

from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Connection, delete, func, insert, select, update

from balancebot.domain.balance import Category
from balancebot.domain.threshold import OFF, Off, Scope, ThresholdRow
from balancebot.storage.tables import thresholds

Edition: TypeAlias = tuple[object, ...]
"""Equal as long as no row was added, changed or removed."""

_OFF = -1
_EVERY = "*"


def load(conn: Connection) -> tuple[ThresholdRow, ...]:
    """Return every row, in the order of scopes."""
    rows = conn.execute(select(thresholds).order_by(thresholds.c.wallet, thresholds.c.category))
    return tuple(_row(row) for row in rows)


def edition(conn: Connection) -> Edition:
    """Return which rows stand now, without reading them."""
    figures = select(
        func.count(),
        func.max(thresholds.c.id),
        func.sum(thresholds.c.version),
        func.max(thresholds.c.updated_at),
    )
    return tuple(conn.execute(figures.select_from(thresholds)).one())


def put(conn: Connection, row: ThresholdRow, *, by: str, now: datetime) -> None:
    """Replace the row of the same scope whole, or add it."""
    values = {
        "warning_below": _encode(row.warning_below),
        "critical_below": _encode(row.critical_below),
        "warning_days": _encode(row.warning_days),
        "critical_days": _encode(row.critical_days),
        "lead_time_days": row.lead_time_days,
        "note": row.note,
        "updated_at": now,
        "updated_by": by,
    }
    replaced = conn.execute(
        update(thresholds).where(_is(row.scope)).values(version=thresholds.c.version + 1, **values)
    )
    if replaced.rowcount == 0:
        conn.execute(insert(thresholds).values(wallet=row.wallet, category=_word(row.category), **values))


def remove(conn: Connection, scope: Scope) -> None:
    """Remove the row of `scope`, if there is one."""
    conn.execute(delete(thresholds).where(_is(scope)))


def _is(scope: Scope) -> Any:
    return (thresholds.c.wallet == scope.wallet) & (thresholds.c.category == _word(scope.category))


def _word(category: Category | None) -> str:
    return _EVERY if category is None else category.value


def _encode(limit: float | Off | None) -> float | None:
    return _OFF if isinstance(limit, Off) else limit


def _row(row: Any) -> ThresholdRow:
    return ThresholdRow(
        wallet=row.wallet,
        category=None if row.category == _EVERY else Category(row.category),
        warning_below=_decode(row.warning_below),
        critical_below=_decode(row.critical_below),
        warning_days=_decode(row.warning_days),
        critical_days=_decode(row.critical_days),
        lead_time_days=row.lead_time_days,
        note=row.note,
        updated_at=row.updated_at,
        updated_by=row.updated_by,
    )


def _decode(limit: Any) -> Any:
    return OFF if limit == _OFF else limit

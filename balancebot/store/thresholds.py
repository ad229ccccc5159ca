"""Threshold rows as people set them: one a scope. An edition names a set of rows, so that nobody reads it twice."""

import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Connection, bindparam, delete, func, select

from balancebot.domain.balance import Category
from balancebot.domain.threshold import OFF, Off, Scope, ThresholdBook, ThresholdRow
from balancebot.store.tables import thresholds
from balancebot.store.types import insert_into

Edition: TypeAlias = tuple[object, ...]
"""Equal as long as no row was added, changed or removed."""

_OFF = -1
_EVERY = "*"
_WRITTEN = (
    "warning_below",
    "critical_below",
    "warning_days",
    "critical_days",
    "lead_time_days",
    "note",
    "updated_at",
    "updated_by",
)


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


def put(conn: Connection, rows: Sequence[ThresholdRow], *, by: str, now: datetime) -> None:
    """Replace the rows of the same scopes whole, or add them."""
    if rows:
        statement = insert_into(conn, thresholds)
        conn.execute(
            statement.on_conflict_do_update(
                index_elements=["wallet", "category"],
                set_={
                    "version": thresholds.c.version + 1,
                    **{name: statement.excluded[name] for name in _WRITTEN},
                },
            ),
            [
                {
                    "wallet": row.wallet,
                    "category": _word(row.category),
                    "warning_below": _encode(row.warning_below),
                    "critical_below": _encode(row.critical_below),
                    "warning_days": _encode(row.warning_days),
                    "critical_days": _encode(row.critical_days),
                    "lead_time_days": row.lead_time_days,
                    "note": row.note,
                    "updated_at": now,
                    "updated_by": by,
                }
                for row in rows
            ],
        )


def remove(conn: Connection, scopes: Sequence[Scope]) -> None:
    """Remove the rows of `scopes`, those that there are."""
    if scopes:
        conn.execute(
            delete(thresholds).where(
                thresholds.c.wallet == bindparam("of_wallet"),
                thresholds.c.category == bindparam("of_category"),
            ),
            [{"of_wallet": scope.wallet, "of_category": _word(scope.category)} for scope in scopes],
        )


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


class ThresholdCache:
    """Keeps the book of the rows that stand, for a process that judges again and again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._edition: object = None
        self._book = ThresholdBook(())

    def book(self, conn: Connection) -> ThresholdBook:
        """Return the book of the rows as `conn` sees them."""
        current = edition(conn)
        with self._lock:
            if current != self._edition:
                self._book = ThresholdBook(load(conn))
                self._edition = current
            return self._book

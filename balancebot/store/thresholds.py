"""Threshold rows as people set them, one per scope. A version shows whether any row has changed since it was read."""

import threading
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import Connection, bindparam, delete, func, select

from balancebot.domain.threshold import Scope, ThresholdBook, ThresholdRow
from balancebot.store import set_aside
from balancebot.store.set_aside import whole
from balancebot.store.tables import thresholds
from balancebot.store.types import columns_of, insert_into

RowsVersion: TypeAlias = tuple[object, ...]
"""It stays equal as long as no row is added, changed or removed."""

_WRITTEN = tuple(field.name for field in fields(ThresholdRow) if field.name not in {"wallet", "category"})


def load(conn: Connection) -> tuple[ThresholdRow, ...]:
    """Return all rows, ordered by scope."""
    wanted = (
        select(*columns_of(thresholds, ThresholdRow))
        .where(*whole(conn, thresholds))
        .order_by(thresholds.c.wallet, thresholds.c.category)
    )
    return tuple(ThresholdRow(**row._mapping) for row in conn.execute(wanted))


def version(conn: Connection) -> RowsVersion:
    """Return the version of the rows without reading them."""
    figures = select(
        func.count(),
        func.max(thresholds.c.id),
        func.sum(thresholds.c.version),
        func.max(thresholds.c.updated_at),
    )
    return tuple(conn.execute(figures.select_from(thresholds).where(*whole(conn, thresholds))).one())


def put(conn: Connection, rows: Sequence[ThresholdRow], *, by: str, now: datetime) -> None:
    """Add rows, or replace all columns of the rows with the same scopes."""
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
                    **{field.name: getattr(row, field.name) for field in fields(row)},
                    "updated_at": now,
                    "updated_by": by,
                }
                for row in rows
            ],
        )


def remove(conn: Connection, scopes: Sequence[Scope]) -> None:
    """Delete the rows of `scopes` that exist."""
    if scopes:
        conn.execute(
            delete(thresholds).where(
                thresholds.c.wallet == bindparam("of_wallet"),
                thresholds.c.category == bindparam("of_category"),
            ),
            [{"of_wallet": scope.wallet, "of_category": scope.category} for scope in scopes],
        )


class ThresholdCache:
    """Caches the threshold book, which is read again only if a row has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version: object = None
        self._book = ThresholdBook(())

    def book(self, conn: Connection) -> ThresholdBook:
        """Return the book of the rows as `conn` sees them."""
        current = (version(conn), set_aside.of(conn))
        with self._lock:
            if current != self._version:
                self._book = ThresholdBook(load(conn))
                self._version = current
            return self._book

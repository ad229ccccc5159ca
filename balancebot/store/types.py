"""Column types and small SQL helpers: instants, readings, chunks of long lists, upserts, locks."""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import BigInteger, Connection, DateTime, Dialect, Table, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeDecorator

from balancebot.domain.balance import Absent, Reading

_UNALLOCATED = -1


class UtcDateTime(TypeDecorator[datetime]):
    """An instant. Refuses naive values, stores UTC, returns aware values.

    SQLite drops an offset without converting, which would move the instant by hours; so it never sees one. There an
    instant is `2026-11-24 09:00:00.000000`, which sorts as it should.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], object]:
        """Return what makes a column's value of an instant."""
        return _to_text if dialect.name == "sqlite" else _to_utc

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:  # noqa: ARG002
        """Return what makes an instant of a column's value."""
        return _from_text if dialect.name == "sqlite" else _to_utc


class ReadingColumn(TypeDecorator[Reading]):
    """A reading in one integer: the balance, -1 for unallocated, NULL for unread."""

    impl = BigInteger
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Reading | None], int | None]:  # noqa: ARG002
        """Return what makes a column's value of a reading; None is taken as unread."""
        return _to_integer

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[int | None], Reading]:  # noqa: ARG002
        """Return what makes a reading of a column's value."""
        return _from_integer


def _to_utc(value: datetime | None) -> datetime | None:
    if value is None or value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        raise ValueError("an instant without a time zone cannot be stored")
    return value.astimezone(UTC)


def _to_text(value: datetime | None) -> str | None:
    value = _to_utc(value)
    return None if value is None else value.isoformat(" ", "microseconds")[:26]


def _from_text(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value + "+00:00")


def _to_integer(value: Reading | None) -> int | None:
    if isinstance(value, int):
        return value
    return _UNALLOCATED if value is Absent.UNALLOCATED else None


def _from_integer(value: int | None) -> Reading:
    if value is None:
        return Absent.UNREAD
    return Absent.UNALLOCATED if value == _UNALLOCATED else value


T = TypeVar("T")

_SIZE = 5_000


def chunked(values: Collection[T], size: int = _SIZE) -> Iterator[Sequence[T]]:
    """Yield `values` in pieces that one `IN (…)` can hold; nothing for none."""
    iterator = iter(values)
    while chunk := list(islice(iterator, size)):
        yield chunk


def insert_into(conn: Connection, table: Table) -> sqlite.Insert:
    """Return an insert that knows `on_conflict_do_update` and `on_conflict_do_nothing`.

    The type is SQLite's; PostgreSQL's has the same methods.
    """
    if conn.dialect.name == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # lazy: half of all installations have SQLite alone

    return postgresql.insert(table)  # type: ignore[return-value]


ALERTS = 1
"""Judging and what changes alerts."""
BOOKING = 2
"""Booking use into the roll-up."""
THRESHOLDS = 3
"""Changing thresholds: what was looked at must be what is changed."""
_SPACE = 0x62616C  # our advisory locks among those of others in the same database


def take_lock(conn: Connection, turn: int) -> None:
    """Wait for the turn and keep it to the end of the transaction; DatabaseError LOCKED if it takes too long."""
    if conn.dialect.name == "postgresql":
        conn.execute(text("SELECT pg_advisory_xact_lock(:space, :turn)"), {"space": _SPACE, "turn": turn})

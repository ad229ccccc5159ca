"""A packed day: the rows of one wallet and day as one compressed value, by columns."""

import zlib
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, repeat
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, ColumnElement, Table, type_coerce

from balancebot.store.types import ReadingColumn

Row = tuple[Any, ...]
"""Time, wallet id, then the columns as the database has them: a reading is a number, -1 or None."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A table of rows by time and wallet, and the table of its packed days."""

    rows: Table
    days: Table
    per_day: int
    """A day in the unit of the rows' time: seconds or hours."""
    columns: tuple[Column[Any], ...]
    """Time and wallet id first; the order is part of what is stored."""
    of_readings: tuple[int, ...] = field(init=False)
    """The positions of the columns of readings among those after time and wallet id."""

    def __post_init__(self) -> None:
        """Find the columns of readings once: this takes longer than unpacking a day."""
        after = enumerate(self.columns[2:])
        found = tuple(index for index, column in after if isinstance(column.type, ReadingColumn))
        object.__setattr__(self, "of_readings", found)

    @property
    def time(self) -> Column[Any]:
        """The column of the time."""
        return self.columns[0]


def raw(column: Column[Any]) -> ColumnElement[Any]:
    """Return a column whose readings come as they are stored."""
    if isinstance(column.type, ReadingColumn):
        return type_coerce(column, BigInteger).label(column.name)
    return column


@dataclass(frozen=True, slots=True)
class WalletDay:
    """The requested part of a packed day, by columns."""

    wallet_id: int
    times: Sequence[int]
    columns: Sequence[Sequence[int | None] | None]
    """After time and wallet id; None for a column that is empty."""

    def rows(self) -> Iterator[Row]:
        """Yield them row by row, oldest first."""
        columns = (repeat(None) if column is None else column for column in self.columns)
        return zip(self.times, repeat(self.wallet_id), *columns)


def encode(packed: Packed, day: int, rows: Sequence[Row]) -> bytes:
    """Return the encoded rows of one wallet and day, which must be in order of time.

    Times and readings are stored as differences: most are small and similar, so they compress well.
    """
    times, _, *values = zip(*rows, strict=True)
    columns: list[list[int | None] | None] = [list(_steps(times, day * packed.per_day))]
    for column, kept in zip(packed.columns[2:], values, strict=True):
        if kept.count(None) == len(kept):
            columns.append(None)
        elif isinstance(column.type, ReadingColumn):
            columns.append(list(_steps(kept, 0)))
        else:
            columns.append(list(kept))
    return zlib.compress(msgspec.msgpack.encode(columns), 9)


def decode(packed: Packed, day: int, wallet_id: int, data: bytes) -> WalletDay:
    """Return the day of a wallet that `encode` returned as `data`; ValueError or msgspec's error if it is damaged."""
    try:
        steps, *columns = _DECODER.decode(zlib.decompress(data))
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if len(columns) != len(packed.columns) - 2:
        raise ValueError(f"{len(columns)} columns instead of {len(packed.columns) - 2}")
    for index in packed.of_readings:
        if changes := columns[index]:
            columns[index] = _sums(changes, 0)
    return WalletDay(wallet_id, _sums(steps or [], day * packed.per_day), columns)


_DECODER = msgspec.msgpack.Decoder(list[list[int | None] | None])


def _steps(values: Iterable[int | None], last: int) -> Iterator[int | None]:
    for value in values:
        if value is None:
            yield None
        else:
            yield value - last
            last = value


def _sums(steps: Sequence[int | None], before: int) -> list[Any]:
    """Return the values of which `steps` are the differences; None stays None."""
    if None not in steps:  # almost always, and quick
        return list(accumulate(steps, initial=before))[1:]
    values = accumulate((step for step in steps if step is not None), initial=before)
    next(values)
    return [None if step is None else next(values) for step in steps]


def without(found: WalletDay, keys: Collection[tuple[int, int]]) -> WalletDay:
    """Return a day without the rows of these keys (time, wallet id)."""
    kept = [index for index, time in enumerate(found.times) if (time, found.wallet_id) not in keys]
    return WalletDay(
        found.wallet_id,
        [found.times[index] for index in kept],
        [None if column is None else [column[index] for index in kept] for column in found.columns],
    )


def within(found: WalletDay, span: range) -> WalletDay:
    """Return the part of a day that is within a span of time."""
    first, last = (bisect_left(found.times, edge) for edge in (span.start, span.stop))
    return WalletDay(
        found.wallet_id,
        found.times[first:last],
        [None if column is None else column[first:last] for column in found.columns],
    )

"""The roll-up: usage, top-ups, transfers and the last reading by clock hour, and later by day, for charts and estimates.

Hours and days are counted from 1970 in UTC. Booking adds to the stored hours; an import writes hours again from all
their readings; old hours are merged into days.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import sqlite

from balancebot.domain.balance import MAX_BALANCE, NEVER_READ, Absent, Category, Readings, WalletName
from balancebot.domain.usage import SECONDS_PER_HOUR, Booked, Hour, Seen
from balancebot.store.tables import daily_use, hourly_use
from balancebot.store.types import chunked, insert_in, insert_into

HOURS_PER_DAY = 24
_HALF = 2**31
# literals, because each bound value takes time for every row
_ZERO: ColumnElement[int] = literal_column("0", BigInteger)
_MOST: ColumnElement[int] = literal_column(str(MAX_BALANCE), BigInteger)
_LEAST: ColumnElement[int] = literal_column(str(-MAX_BALANCE), BigInteger)


class Used(NamedTuple):
    """The totals of one balance in one hour or day, in messages. (A named tuple, because there are thousands.)"""

    use: int = 0
    exposure: int = 0
    """Seconds in which usage was visible."""
    topped_up: int = 0
    transferred: int = 0
    """Moved in minus moved out."""
    refunded: int = 0
    moved_out: int = 0
    """The part of `transferred` that was moved out."""
    after: int = 0
    """The change of the balance after the last reading."""

    @property
    def net(self) -> int:
        """The resulting change of the balance."""
        return self.topped_up + self.transferred + self.refunded - self.use


class UseRow(NamedTuple):
    """One wallet in one hour or day."""

    at: int
    """Hours (or days) since 1970."""
    wallet_id: int
    readings: Readings
    """The last readings of the span."""
    used: tuple[Used, Used, Used, Used]
    """In the order of `Category`."""

    def of(self, category: Category) -> Used:
        """Return the totals of `category`."""
        return self.used[_INDEX[category]]


_INDEX = {category: index for index, category in enumerate(Category)}
_COLUMNS = ("used", "exposure", "topped_up", "transferred", "refunded", "moved_out", "after")
_NAMES = {category: tuple(f"{category.value}_{column}" for column in _COLUMNS) for category in Category}
_ADDED = tuple(name for names in _NAMES.values() for name in names)
_BLANK: dict[str, object] = {**NEVER_READ._asdict(), **dict.fromkeys(_ADDED)}


def add(
    conn: Connection,
    ids: Mapping[WalletName, int],
    booked: Mapping[Hour, Booked],
    last_seen: Mapping[WalletName, Seen],
) -> None:
    """Add what was booked to the stored hours, and store the last reading of each hour of `last_seen`."""
    rows: dict[tuple[int, int], dict[str, object]] = {}
    for wallet, seen in last_seen.items():
        key = (int(seen.at // SECONDS_PER_HOUR), ids[wallet])
        rows[key] = {"hour": key[0], "wallet_id": key[1], **seen.readings._asdict()}
    for (hour, (wallet, category)), part in booked.items():
        key = (hour, ids[wallet])
        values = rows.get(key)
        if values is None:
            values = rows[key] = {"hour": key[0], "wallet_id": key[1]}
        use, exposure, topped_up, transferred, refunded, moved_out, after = _NAMES[category]
        values[use] = part.use or None
        values[exposure] = round(part.exposure) or None
        values[topped_up] = part.topped_up or None
        values[transferred] = part.transferred_in - part.transferred_out or None
        values[refunded] = part.refunded or None
        if part.transferred_out:
            values[moved_out] = part.transferred_out
        if part.after:
            values[after] = part.after
    # few wallets use all four categories, and each column of a row takes time: group the rows by their columns
    by_columns: dict[tuple[str, ...], list[dict[str, object]]] = {}
    for values in rows.values():
        by_columns.setdefault(tuple(values), []).append(values)
    for columns, some in by_columns.items():
        conn.execute(_adding(conn.dialect.name, columns), some)


def put(conn: Connection, rows: Sequence[UseRow]) -> None:
    """Replace hours by the totals of all their readings; a category without data in a row isn't changed."""
    if rows:
        replacing = _replacing(insert_into(conn, hourly_use), hourly_use)
        conn.execute(replacing, [_whole(row) for row in rows])


def _whole(row: UseRow) -> dict[str, object]:
    values = {**_BLANK, "hour": row.at, "wallet_id": row.wallet_id, **row.readings._asdict()}
    for (category, reading), used in zip(row.readings.items(), row.used, strict=True):
        if reading is not Absent.UNREAD or any(used):
            bounded = (max(-MAX_BALANCE, min(number, MAX_BALANCE)) for number in used)
            values.update(zip(_NAMES[category], bounded, strict=True))
    return values


def hours_of(conn: Connection, wallet_id: int, *, since: int, until: int) -> list[UseRow]:
    """Return one wallet's hours in `[since, until)`, oldest first."""
    return _history(conn, hourly_use, wallet_id, hourly_use.c.hour.between(since, until - 1))


def hours_of_wallets(conn: Connection, wallet_ids: Collection[int], *, since: int) -> dict[int, list[UseRow]]:
    """Return the hours of wallets from `since` on, by their ids, oldest first."""
    found: dict[int, list[UseRow]] = {}
    for ids in chunked(wallet_ids):
        wanted = select(*_in_order(hourly_use)).where(
            hourly_use.c.hour >= since, hourly_use.c.wallet_id.in_(ids)
        )
        for row in conn.execute(wanted.order_by(hourly_use.c.hour)):
            used = _use(row)
            found.setdefault(used.wallet_id, []).append(used)
    return found


def days_of(conn: Connection, wallet_id: int, *, since: int, until: int) -> list[UseRow]:
    """Return one wallet's days in `[since, until)`, oldest first; a day exists only after its hours were merged."""
    return _history(conn, daily_use, wallet_id, daily_use.c.day.between(since, until - 1))


def hours(conn: Connection, *, since: int, until: int) -> Iterator[UseRow]:
    """Yield every wallet's hours in `[since, until)`, oldest first."""
    wanted = (
        select(*_in_order(hourly_use))
        .where(hourly_use.c.hour >= since, hourly_use.c.hour < until)
        .order_by(hourly_use.c.hour, hourly_use.c.wallet_id)
        .execution_options(yield_per=2_000)
    )
    for row in conn.execute(wanted):
        yield _use(row)


def courses(
    conn: Connection, wallet_ids: Collection[int], category: Category, *, since: int, until: int, every: int
) -> Iterator[tuple[int, int, int]]:
    """Yield (wallet, hour, balance): the last number in each span of `every` hours of `[since, until)`, oldest first."""
    c = hourly_use.c
    for ids in chunked(wallet_ids):
        lasts = (
            select(c.wallet_id, func.max(c.hour).label("hour"))
            .where(c.wallet_id.in_(ids), c.hour >= since, c.hour < until, c[category.value] >= 0)
            .group_by(c.wallet_id, (c.hour - since) // every)
            .subquery()
        )
        wanted = (
            select(c.wallet_id, c.hour, c[category.value])
            .join(lasts, (c.wallet_id == lasts.c.wallet_id) & (c.hour == lasts.c.hour))
            .order_by(c.hour)
        )
        yield from map(tuple, conn.execute(wanted))


def use_since(
    conn: Connection, wallet_ids: Collection[int], hour: int
) -> Iterator[tuple[int, Category, int, int, int]]:
    """Yield (wallet, category, hour, usage, seconds of exposure) of hours from `hour` on, the oldest first.

    Only balances that had a number or usage in the hour: unallocated ones have no usage.
    """
    columns = [
        hourly_use.c[name] for category in Category for name in (category.value, *_NAMES[category][:2])
    ]
    for ids in chunked(wallet_ids):
        wanted = (
            select(hourly_use.c.wallet_id, hourly_use.c.hour, *columns)
            .where(hourly_use.c.hour >= hour, hourly_use.c.wallet_id.in_(ids))
            .order_by(hourly_use.c.hour)
        )
        for wallet_id, at, *values in conn.execute(wanted):
            for index, category in enumerate(Category):
                reading, use, exposure = values[3 * index : 3 * index + 3]
                if use or exposure or isinstance(reading, int):
                    yield wallet_id, category, at, use or 0, exposure or 0


def totals(conn: Connection, *, since: int, until: int) -> dict[int, tuple[Used, Used, Used, Used]]:
    """Return the totals of each wallet (by id) in the hours `[since, until)`."""
    return _totals(conn, hourly_use, since, until)


def totals_of_days(conn: Connection, *, since: int, until: int) -> dict[int, tuple[Used, Used, Used, Used]]:
    """Return the totals of each wallet (by id) in the merged days of `[since, until)`."""
    return _totals(conn, daily_use, since, until)


def _totals(
    conn: Connection, table: Table, since: int, until: int
) -> dict[int, tuple[Used, Used, Used, Used]]:
    return {
        wallet_id: _in_categories(
            [
                int(high or 0) * _HALF + int(low or 0)
                for high, low in zip(values[::2], values[1::2], strict=True)
            ]
        )
        for wallet_id, *values in conn.execute(_summing(table), {"since": since, "until": until})
    }


@cache
def _summing(table: Table) -> Select[Any]:
    bucket = next(iter(table.primary_key))
    # in two halves: a sum may be larger than a column can hold, and SQLite raises an error then
    columns = [cast(_summed(table, name), BigInteger) for name in _ADDED]
    halves = [half for column in columns for half in (func.sum(column // _HALF), func.sum(column % _HALF))]
    within = (bucket >= bindparam("since"), bucket < bindparam("until"))
    return select(table.c.wallet_id, *halves).where(*within).group_by(table.c.wallet_id)


def _summed(table: Table, name: str) -> ColumnElement[int]:
    """Return the expression to sum for a column. In rows of older versions, only the sign shows what was moved out."""
    column: ColumnElement[int] = table.c[name]
    if not name.endswith("_moved_out"):
        return column
    transferred = table.c[name.removesuffix("moved_out") + "transferred"]
    return func.coalesce(column, case((transferred < _ZERO, -transferred), else_=_ZERO))


def oldest_hour(conn: Connection, *, since: int) -> int | None:
    """Return the first stored hour from `since` on."""
    found: int | None = conn.scalar(select(func.min(hourly_use.c.hour)).where(hourly_use.c.hour >= since))
    return found


def fold_oldest_day(conn: Connection, *, before: int, since: int = 0) -> int:
    """Merge the oldest day's hours into one row per wallet, if the whole day is within the hours `[since, before)`.

    Returns how many hours were merged; 0 if no day is old enough.
    """
    oldest = oldest_hour(conn, since=since)
    if oldest is None:
        return 0
    day = oldest // HOURS_PER_DAY
    span = {"first": day * HOURS_PER_DAY, "end": (day + 1) * HOURS_PER_DAY}
    if span["end"] > before:
        return 0
    conn.execute(_folding(conn.dialect.name), {**span, "whole_day": day})
    return conn.execute(delete(hourly_use).where(_within(hourly_use)), span).rowcount


def _within(table: FromClause) -> ColumnElement[bool]:
    return (table.c.hour >= bindparam("first")) & (table.c.hour < bindparam("end"))


@cache
def _folding(dialect: str) -> sqlite.Insert:
    c = hourly_use.c
    whole_day = (
        select(
            bindparam("whole_day", type_=Integer).label("day"),
            c.wallet_id,
            *(_last_reading(category) for category in Category),
            *(
                _after_last_reading(category) if name == names[-1] else _bounded_sum(c[name]).label(name)
                for category, names in _NAMES.items()
                for name in names
            ),
        )
        .where(_within(hourly_use))
        .group_by(c.wallet_id)
    )
    statement = insert_in(dialect, daily_use).from_select(
        [column.name for column in whole_day.subquery().c], whole_day
    )
    # the day may already exist if old hours were imported again
    return _replacing(statement, daily_use)


def _last_reading(category: Category) -> Any:
    later = hourly_use.alias("later")
    reading = later.c[category.value]
    return (
        select(reading)
        .where(later.c.wallet_id == hourly_use.c.wallet_id, _within(later), reading.is_not(None))
        .order_by(later.c.hour.desc())
        .limit(1)
        .correlate(hourly_use)
        .scalar_subquery()
        .label(category.value)
    )


def _after_last_reading(category: Category) -> Any:
    """Sum the changes after the last reading of the day, or all of them if there was no reading."""
    later, read = hourly_use.alias("later"), hourly_use.alias("read")
    last = (
        select(func.max(read.c.hour))
        .where(
            read.c.wallet_id == hourly_use.c.wallet_id,
            _within(read),
            read.c[category.value].is_not(None),
        )
        .correlate(hourly_use)
        .scalar_subquery()
    )
    name = _NAMES[category][-1]
    return (
        select(cast(func.sum(later.c[name]), BigInteger))
        .where(
            later.c.wallet_id == hourly_use.c.wallet_id,
            later.c.hour >= func.coalesce(last, bindparam("first")),
            later.c.hour < bindparam("end"),
        )
        .correlate(hourly_use)
        .scalar_subquery()
        .label(name)
    )


def _plus(old: ColumnElement[int], new: ColumnElement[int]) -> ColumnElement[int]:
    """Return the sum of two numbers, limited to what a column can hold: a sum may be larger than any balance."""
    if not isinstance(old.type, BigInteger):  # seconds
        return old + new
    return case(
        (and_(new > _ZERO, old > _MOST - new), _MOST),
        (and_(new < _ZERO, old < _LEAST - new), _LEAST),
        else_=old + new,
    )


def _bounded_sum(column: ColumnElement[int]) -> ColumnElement[int]:
    """Return the sum over a group, limited to what a column can hold."""
    if not isinstance(column.type, BigInteger):
        return func.sum(column)
    high, low = func.sum(column // _HALF), func.sum(column % _HALF)
    most = (
        MAX_BALANCE // _HALF - HOURS_PER_DAY
    )  # the low parts of each hour may add up to nearly one high unit
    return case((high >= most, _MOST), (high <= -most, _LEAST), else_=high * _HALF + low)


@cache
def _adding(dialect: str, columns: tuple[str, ...]) -> sqlite.Insert:
    """Return an insert of `columns` that adds to the stored hour, if there is one; a reading replaces the stored one."""
    statement = insert_in(dialect, hourly_use)
    new, old = statement.excluded, hourly_use.c
    return statement.on_conflict_do_update(
        index_elements=["hour", "wallet_id"],
        set_={
            **{name: func.coalesce(new[name], old[name]) for name in Category if name in columns},
            # NULL means nothing was used, and takes no space
            **{
                name: func.coalesce(_plus(old[name], new[name]), new[name], old[name])
                for name in _ADDED
                if name in columns
            },
        },
    )


def _replacing(statement: sqlite.Insert, table: Table) -> sqlite.Insert:
    """Make an insert replace the stored row, except for columns that are NULL in the insert."""
    new, old = statement.excluded, table.c
    return statement.on_conflict_do_update(
        index_elements=[column.name for column in table.primary_key],
        set_={
            name: func.coalesce(new[name], old[name])
            for name in (*(category.value for category in Category), *_ADDED)
        },
    )


def _in_order(table: Table) -> list[Column[Any]]:
    """Return the columns in the order that `_use` expects."""
    bucket, wallet_id = table.primary_key
    return [
        bucket,
        wallet_id,
        *(table.c[name] for category in Category for name in (category.value, *_NAMES[category])),
    ]


def _history(conn: Connection, table: Table, wallet_id: int, span: ColumnElement[bool]) -> list[UseRow]:
    wanted = (
        select(*_in_order(table)).where(table.c.wallet_id == wallet_id, span).order_by(*table.primary_key)
    )
    return [_use(row) for row in conn.execute(wanted)]


def _use(row: Row[Any]) -> UseRow:
    at, wallet_id, *values = tuple(row)
    # in the order of `_in_order`: the reading of a category, then its totals
    width = 1 + len(_COLUMNS)
    readings = values[::width]
    del values[::width]
    return UseRow(at, wallet_id, Readings(*readings), _in_categories(values))


def _in_categories(values: Sequence[int | None]) -> tuple[Used, Used, Used, Used]:
    """Split the columns of totals into one `Used` per category."""
    width = len(_COLUMNS)
    universal, voice, industry, market = (
        Used(*(int(value or 0) for value in values[start : start + width]))
        for start in range(0, len(values), width)
    )
    return universal, voice, industry, market

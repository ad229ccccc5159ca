"""The roll-up: usage, top-ups, transfers and the last reading by clock hour, and later by day, for charts and estimates.

Hours and days are counted from 1970 in UTC. Booking adds to the stored hours; an import writes hours again from all
their readings; old hours are merged into days.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from itertools import repeat
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Table,
    and_,
    case,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import sqlite

from balancebot.domain.balance import (
    CATEGORIES,
    MAX_BALANCE,
    NEVER_READ,
    Absent,
    Category,
    Readings,
    WalletName,
)
from balancebot.domain.usage import HOURS_PER_DAY, SECONDS_PER_HOUR, Booked, Hour, Seen
from balancebot.store import packing
from balancebot.store.packed_day import Packed, Row, WalletDay, raw
from balancebot.store.tables import daily_use, hourly_use, packed_hours
from balancebot.store.types import BOOKING, chunked, insert_in, insert_into, take_lock, to_reading

# literals, because each bound value takes time for every row
ZERO: ColumnElement[int] = literal_column("0", BigInteger)
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
ADDED = tuple(name for names in _NAMES.values() for name in names)


def _in_order(table: Table) -> list[Column[Any]]:
    """Return the columns in the order that `_use` expects."""
    bucket, wallet_id = table.primary_key
    return [
        bucket,
        wallet_id,
        *(table.c[name] for category in Category for name in (category.value, *_NAMES[category])),
    ]


PACKED = Packed(hourly_use, packed_hours, per_day=HOURS_PER_DAY, columns=tuple(_in_order(hourly_use)))
COLUMN = {column.name: index for index, column in enumerate(PACKED.columns[2:])}
"""The positions of the columns in a packed day."""
_FOLDED_AT_ONCE = 500
_BLANK: dict[str, object] = {**NEVER_READ._asdict(), **dict.fromkeys(ADDED)}


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
    packing.unpack(conn, PACKED, rows)
    # few wallets use all four categories, and each column of a row takes time: group the rows by their columns
    by_columns: dict[tuple[str, ...], list[dict[str, object]]] = {}
    for values in rows.values():
        by_columns.setdefault(tuple(values), []).append(values)
    for columns, some in by_columns.items():
        conn.execute(_adding(conn.dialect.name, columns), some)


def add_days(conn: Connection, booked: Mapping[int, Mapping[Category, tuple[int, Sequence[Booked]]]]) -> None:
    """Store what was booked in whole days of which nothing is stored: by wallet and category, from a day on, hour by hour.

    Only usage, exposure and what came after the last reading: there is no reading within such days.
    """
    of_days: dict[int, dict[int, list[Row]]] = {}
    for wallet_id, of_wallet in booked.items():
        columns: dict[tuple[int, str], list[int | None]] = {}
        for category, (first, parts) in of_wallet.items():
            use, exposure, *_, after = _NAMES[category]
            for number in range(len(parts) // HOURS_PER_DAY):
                hours = parts[number * HOURS_PER_DAY : (number + 1) * HOURS_PER_DAY]
                columns[first + number, use] = [part.use or None for part in hours]
                columns[first + number, exposure] = [round(part.exposure) or None for part in hours]
                columns[first + number, after] = [part.after or None for part in hours]
        for day in {day for day, _ in columns}:
            times = range(day * HOURS_PER_DAY, (day + 1) * HOURS_PER_DAY)
            whole = WalletDay(wallet_id, times, [columns.get((day, name)) for name in COLUMN])
            of_days.setdefault(day, {})[wallet_id] = list(whole.rows())
    for day, of_wallets in of_days.items():
        packing.pack(conn, PACKED, day, of_wallets)


def put(conn: Connection, rows: Sequence[UseRow]) -> None:
    """Replace hours by the totals of all their readings; a category without data in a row isn't changed."""
    if rows:
        take_lock(conn, BOOKING)
        packing.unpack(conn, PACKED, ((row.at, row.wallet_id) for row in rows))
        _replace(conn, hourly_use, rows)


def _replace(conn: Connection, table: Table, rows: Sequence[UseRow]) -> None:
    """Replace rows, except for columns that are NULL in the new row."""
    statement = insert_into(conn, table)
    new, old = statement.excluded, table.c
    replacing = statement.on_conflict_do_update(
        index_elements=[column.name for column in table.primary_key],
        set_={
            name: func.coalesce(new[name], old[name])
            for name in (*(category.value for category in Category), *ADDED)
        },
    )
    time = table.primary_key.columns[0].name
    conn.execute(replacing, [{time: row.at, **_whole(row)} for row in rows])


def _whole(row: UseRow) -> dict[str, object]:
    values = {**_BLANK, "wallet_id": row.wallet_id, **row.readings._asdict()}
    for (category, reading), used in zip(row.readings.items(), row.used, strict=True):
        if reading is not Absent.UNREAD or any(used):
            bounded = (max(-MAX_BALANCE, min(number, MAX_BALANCE)) for number in used)
            values.update(zip(_NAMES[category], bounded, strict=True))
    return values


def hours_of(conn: Connection, wallet_id: int, *, since: int, until: int) -> list[UseRow]:
    """Return one wallet's hours in `[since, until)`, oldest first."""
    return [
        _use(row) for row in packing.rows(conn, PACKED, since=since, until=until, wallet_ids=(wallet_id,))
    ]


def hours_of_wallets(conn: Connection, wallet_ids: Collection[int], *, since: int) -> dict[int, list[UseRow]]:
    """Return the hours of wallets from `since` on, by their ids, oldest first."""
    found: dict[int, list[UseRow]] = {}
    for row in packing.rows(conn, PACKED, since=since, wallet_ids=wallet_ids):
        found.setdefault(row[1], []).append(_use(row))
    return found


def days_of(conn: Connection, wallet_id: int, *, since: int, until: int) -> list[UseRow]:
    """Return one wallet's days in `[since, until)`, oldest first; a day exists only after its hours were merged."""
    c = daily_use.c
    wanted = (
        select(*map(raw, _in_order(daily_use)))
        .where(c.wallet_id == wallet_id, c.day >= since, c.day < until)
        .order_by(c.day)
    )
    return [_use(row) for row in conn.execute(wanted)]


def hours(
    conn: Connection, *, since: int, until: int, wallet_ids: Collection[int] | None = None
) -> Iterator[UseRow]:
    """Yield the hours of all or some wallets in `[since, until)`, oldest first."""
    return map(_use, packing.rows(conn, PACKED, since=since, until=until, wallet_ids=wallet_ids))


def courses(
    conn: Connection, wallet_ids: Collection[int], category: Category, *, since: int, until: int, every: int
) -> Iterator[tuple[int, int, int]]:
    """Yield (wallet, hour, balance): the last number in each span of `every` hours of `[since, until)`, oldest first."""
    c = hourly_use.c
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for ids in chunked(wallet_ids):
        lasts = (
            select(c.wallet_id, func.max(c.hour).label("hour"))
            .where(c.wallet_id.in_(ids), c.hour >= since, c.hour < until, c[category.value] >= 0)
            .group_by(c.wallet_id, (c.hour - since) // every)
            .subquery()
        )
        wanted = select(c.wallet_id, c.hour, c[category.value]).join(
            lasts, (c.wallet_id == lasts.c.wallet_id) & (c.hour == lasts.c.hour)
        )
        for wallet_id, hour, balance in conn.execute(wanted):
            found[wallet_id, (hour - since) // every] = hour, balance
    index = COLUMN[category.value]
    for day in packing.wallet_days(conn, PACKED, since=since, until=until, wallet_ids=wallet_ids):
        for hour, balance in zip(day.times, day.columns[index] or (), strict=False):
            key = (day.wallet_id, (hour - since) // every)
            if balance is not None and balance >= 0 and hour >= found.get(key, (0, 0))[0]:
                found[key] = hour, balance
    for (wallet_id, _), (hour, balance) in sorted(found.items(), key=lambda item: item[1][0]):
        yield wallet_id, hour, balance


def use_since(
    conn: Connection, wallet_ids: Collection[int], hour: int
) -> Iterator[tuple[int, Category, int, int, int]]:
    """Yield (wallet, category, hour, usage, seconds of exposure) of hours from `hour` on, the oldest first.

    Only balances that had a number or usage in the hour: unallocated ones have no usage.
    """
    names = [name for category in Category for name in (category.value, *_NAMES[category][:2])]
    for day in packing.wallet_days(conn, PACKED, since=hour, wallet_ids=wallet_ids):
        columns = (day.columns[COLUMN[name]] or repeat(None) for name in names)
        for at, *values in zip(day.times, *columns):  # noqa: B905 -- what repeats has no end
            yield from _use_of(day.wallet_id, at, values)
    for ids in chunked(wallet_ids):
        wanted = (
            select(
                hourly_use.c.wallet_id,
                hourly_use.c.hour,
                *(raw(hourly_use.c[name]) for name in names),
            )
            .where(hourly_use.c.hour >= hour, hourly_use.c.wallet_id.in_(ids))
            .order_by(hourly_use.c.hour)
        )
        for wallet_id, at, *values in conn.execute(wanted):
            yield from _use_of(wallet_id, at, values)


def _use_of(
    wallet_id: int, at: int, values: Sequence[int | None]
) -> Iterator[tuple[int, Category, int, int, int]]:
    for index, category in enumerate(CATEGORIES):
        reading, use, exposure = values[3 * index : 3 * index + 3]
        if use or exposure or (reading is not None and reading >= 0):
            yield wallet_id, category, at, use or 0, exposure or 0


def hours_read(day: WalletDay) -> Iterator[tuple[Category, Sequence[int]]]:
    """Yield each category that was read in a packed day, with the hours in which it was."""
    for category, index in _READING_INDEX.items():
        if column := day.columns[index]:
            hours = day.times
            if None in column:
                hours = [hour for hour, reading in zip(hours, column, strict=True) if reading is not None]
            if hours:
                yield category, hours


_READING_INDEX = {category: COLUMN[category.value] for category in Category}


def last_read(conn: Connection, wallet_id: int, category: Category, *, before: int) -> int | None:
    """Return the last hour before `before` in which a balance was read."""
    c = hourly_use.c
    last: int | None = conn.scalar(
        select(func.max(c.hour)).where(
            c.wallet_id == wallet_id, c.hour < before, c[category.value].is_not(None)
        )
    )
    packed = packing.wallet_days(conn, PACKED, since=0, until=before, wallet_ids=[wallet_id])
    found = [hours[-1] for day in packed for of, hours in hours_read(day) if of is category]
    return max((hour for hour in (*found, last) if hour is not None), default=None)


def oldest_hour(conn: Connection, *, since: int) -> int | None:
    """Return the first stored hour from `since` on, or the first hour of its day if that is packed."""
    found: int | None = conn.scalar(select(func.min(hourly_use.c.hour)).where(hourly_use.c.hour >= since))
    day = packing.first_day(conn, PACKED, since=since)
    begins = [hour for hour in (found, None if day is None else day * HOURS_PER_DAY) if hour is not None]
    return min(begins, default=None)


def fold_oldest_day(conn: Connection, *, before: int, since: int = 0) -> int:
    """Merge the oldest day's hours into one row per wallet, if the whole day is within the hours `[since, before)`.

    It does some wallets at a time. Returns how many hours were merged; 0 if no day is old enough.
    """
    take_lock(conn, BOOKING)
    oldest = oldest_hour(conn, since=since)
    if oldest is None or (oldest // HOURS_PER_DAY + 1) * HOURS_PER_DAY > before:
        return 0
    day = oldest // HOURS_PER_DAY
    wallet_ids = packing.wallets_of_day(conn, PACKED, day, most=_FOLDED_AT_ONCE)
    hours: dict[int, list[UseRow]] = {wallet_id: [] for wallet_id in wallet_ids}
    span = {"since": day * HOURS_PER_DAY, "until": (day + 1) * HOURS_PER_DAY}
    for row in packing.rows(conn, PACKED, **span, wallet_ids=wallet_ids):
        hours[row[1]].append(_use(row))
    # the day may already exist if old hours were imported again
    _replace(conn, daily_use, [whole_day(day, rows) for rows in hours.values() if rows])
    packing.delete_day(conn, PACKED, day, wallet_ids)
    return sum(map(len, hours.values()))


def whole_day(day: int, hours: Sequence[UseRow]) -> UseRow:
    """Add up the hours of one wallet and day, oldest first, into one row.

    `after` is the change after the last reading of the day, or all changes if there was no reading.
    """
    readings, used = [], []
    for category, index in _INDEX.items():
        read = [number for number, row in enumerate(hours) if row.readings[index] is not Absent.UNREAD]
        readings.append(hours[read[-1]].readings[index] if read else Absent.UNREAD)
        last = hours[read[-1] :] if read else hours
        total = Used(*map(sum, zip(*(row.of(category) for row in hours), strict=True)))
        used.append(total._replace(after=sum(row.used[index].after for row in last)))
    universal, voice, industry, market = used
    return UseRow(day, hours[0].wallet_id, Readings(*readings), (universal, voice, industry, market))


def _plus(old: ColumnElement[int], new: ColumnElement[int]) -> ColumnElement[int]:
    """Return the sum of two numbers, limited to what a column can hold: a sum may be larger than any balance."""
    if not isinstance(old.type, BigInteger):  # seconds
        return old + new
    return case(
        (and_(new > ZERO, old > _MOST - new), _MOST),
        (and_(new < ZERO, old < _LEAST - new), _LEAST),
        else_=old + new,
    )


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
                for name in ADDED
                if name in columns
            },
        },
    )


def _use(row: Sequence[Any]) -> UseRow:
    at, wallet_id, *values = row
    # in the order of `_in_order`: the reading of a category, then its totals
    width = 1 + len(_COLUMNS)
    readings = values[::width]
    del values[::width]
    return UseRow(at, wallet_id, Readings(*map(to_reading, readings)), in_categories(values))


def in_categories(values: Sequence[int | None]) -> tuple[Used, Used, Used, Used]:
    """Split the columns of totals into one `Used` per category."""
    width = len(_COLUMNS)
    universal, voice, industry, market = (
        Used(*(int(value or 0) for value in values[start : start + width]))
        for start in range(0, len(values), width)
    )
    return universal, voice, industry, market

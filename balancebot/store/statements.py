"""The data of statements: sums of the roll-up between two hours, and the value of each balance at an hour.

Merged days count if they are completely within a span; the days in which months begin are kept as hours.
"""

from collections.abc import Collection, Iterable, Iterator
from itertools import repeat
from operator import add
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, Table, case, func, select

from balancebot.domain.balance import Absent, Category, Reading
from balancebot.domain.usage import HOURS_PER_DAY
from balancebot.store import packing, usage, use_totals
from balancebot.store.tables import daily_use, hourly_use
from balancebot.store.types import MOST_IN_ONE
from balancebot.store.usage import Used, UseRow

_LOOK_BACK = 1, 6, 48
"""How many hours back readings are looked for, of the wallets not found yet; the others are searched for individually."""


class ValueAt(NamedTuple):
    """The value of a balance at the beginning of an hour: the reading before it plus what was booked since then."""

    reading: Reading
    """The last reading before it; never UNREAD."""
    hour: int
    """The hour of that reading."""
    value: int


class HoursRead(NamedTuple):
    """The hours of a span in which a balance was read."""

    first: int
    last: int
    num_hours: int

    def joined(self, other: "HoursRead | None") -> "HoursRead":
        """Return both together; they have no hour in common."""
        if other is None:
            return self
        return HoursRead(
            min(self.first, other.first), max(self.last, other.last), self.num_hours + other.num_hours
        )


def is_folded(conn: Connection, hour: int) -> bool:
    """Return whether an hour was merged into a day."""
    day = hour // HOURS_PER_DAY
    wanted = select(daily_use.c.day).where(daily_use.c.day == day).limit(1)
    return conn.execute(wanted).first() is not None


def any_folded(conn: Connection, *, since: int, until: int) -> bool:
    """Return whether there are merged days in the hours `[since, until)`."""
    wanted = select(daily_use.c.day).where(
        daily_use.c.day >= -(-since // HOURS_PER_DAY), daily_use.c.day < until // HOURS_PER_DAY
    )
    return conn.execute(wanted.limit(1)).first() is not None


def totals(
    conn: Connection, wallet_ids: Collection[int], *, since: int, until: int
) -> tuple[dict[tuple[int, Category], Used], dict[tuple[int, Category], HoursRead]]:
    """Return the totals of each balance in the hours `[since, until)`, and in which of these it was read.

    A merged day counts as read in every hour. Both are found in one pass, because unpacking the days takes longest.
    """
    days = {"since": -(-since // HOURS_PER_DAY), "until": until // HOURS_PER_DAY}
    sums = use_totals.of_rows(conn, hourly_use, since=since, until=until)
    read: dict[tuple[int, Category], HoursRead] = {}
    for key, hours in (
        *_read_in(conn, hourly_use, wallet_ids, since=since, until=until, width=1),
        *_read_in(conn, daily_use, wallet_ids, **days, width=HOURS_PER_DAY),
    ):
        read[key] = hours.joined(read.get(key))
    for day in packing.wallet_days(conn, usage.PACKED, since=since, until=until, wallet_ids=wallet_ids):
        use_totals.add_day(sums, day)
        for category, times in usage.hours_read(day):
            key = (day.wallet_id, category)
            read[key] = HoursRead(times[0], times[-1], len(times)).joined(read.get(key))
    for wallet_id, of_days in use_totals.of_rows(conn, daily_use, **days).items():
        sums[wallet_id] = list(map(add, of_days, sums.get(wallet_id, repeat(0))))
    wanted = set(wallet_ids)
    return {
        (wallet_id, category): used
        for wallet_id, values in sums.items()
        if wallet_id in wanted
        for category, used in zip(Category, usage.in_categories(values), strict=True)
        if any(used)
    }, read


def _read_in(
    conn: Connection, table: Table, wallet_ids: Collection[int], *, since: int, until: int, width: int
) -> Iterator[tuple[tuple[int, Category], HoursRead]]:
    """Yield each balance with the hours of its readings in the rows `[since, until)`, which are of `width` hours each."""
    at = next(iter(table.primary_key))
    columns: list[ColumnElement[int]] = []
    for reading in (table.c[category.value] for category in Category):
        seen_at = case((reading.is_not(None), at))
        columns += [func.min(seen_at), func.max(seen_at), func.count(reading)]
    counted = select(table.c.wallet_id, *columns).where(at >= since, at < until).group_by(table.c.wallet_id)
    if len(wallet_ids) <= MOST_IN_ONE:  # of more wallets, each statement would read all rows of the span
        counted = counted.where(table.c.wallet_id.in_(wallet_ids))
    wanted = set(wallet_ids)
    for wallet_id, *values in conn.execute(counted):
        if wallet_id not in wanted:
            continue
        for category, first, last, count in zip(
            Category, values[::3], values[1::3], values[2::3], strict=True
        ):
            if count:
                yield (wallet_id, category), HoursRead(first * width, (last + 1) * width - 1, count * width)


def first_values(
    conn: Connection, wallet_ids: Collection[int], *, hour: int
) -> dict[tuple[int, Category], int]:
    """Return the value of each balance at the begin of an hour, calculated back from its readings in the hour."""
    found: dict[tuple[int, Category], int] = {}
    for row in usage.hours(conn, since=hour, until=hour + 1, wallet_ids=wallet_ids):
        for category, reading in row.readings.items():
            used = row.of(category)
            if reading is not Absent.UNREAD:
                found[row.wallet_id, category] = _amount(reading) - used.net + used.after
    return found


def values_at(
    conn: Connection, wallet_ids: Collection[int], *, hour: int, deep: bool = True
) -> dict[tuple[int, Category], ValueAt]:
    """Return the value of each balance at the beginning of an hour, except those that were never read before.

    Without `deep` only readings of the two days before are considered.
    """
    found: dict[tuple[int, Category], ValueAt] = {}
    missing = set(wallet_ids)
    for back in _LOOK_BACK:
        _take(found, usage.hours(conn, since=hour - back, until=hour, wallet_ids=missing))
        missing = {id_ for id_ in missing if any((id_, category) not in found for category in Category)}
        if not missing:
            return found
    if deep:
        for wallet_id in missing:
            for category in Category:
                if (wallet_id, category) not in found and (
                    old := _old_value(conn, wallet_id, category, hour)
                ):
                    found[wallet_id, category] = old
    return found


def _take(found: dict[tuple[int, Category], ValueAt], rows: Iterable[UseRow], *, width: int = 1) -> None:
    """Update the values in `found` by hours (or days of `width` hours), which must be ascending."""
    for row in rows:
        for category, reading in row.readings.items():
            key, used = (row.wallet_id, category), row.of(category)
            before = found.get(key)
            if reading is not Absent.UNREAD:
                found[key] = ValueAt(reading, (row.at + 1) * width - 1, _amount(reading) + used.after)
            elif before is not None and used.net:
                found[key] = before._replace(value=before.value + used.net)


def _old_value(conn: Connection, wallet_id: int, category: Category, hour: int) -> ValueAt | None:
    """Return the value of a balance that wasn't read recently."""
    found: dict[tuple[int, Category], ValueAt] = {}
    last_day = conn.scalar(_latest(daily_use, daily_use.c.day, wallet_id, category, hour // HOURS_PER_DAY))
    last_hour = usage.last_read(conn, wallet_id, category, before=hour)
    if last_day is not None and (last_hour is None or last_hour < last_day * HOURS_PER_DAY):
        days = usage.days_of(conn, wallet_id, since=last_day, until=hour // HOURS_PER_DAY)
        _take(found, days, width=HOURS_PER_DAY)
        last_hour = (last_day + 1) * HOURS_PER_DAY
    if last_hour is not None:
        _take(found, usage.hours_of(conn, wallet_id, since=last_hour, until=hour))
    return found.get((wallet_id, category))


def _latest(table: Any, column: Any, wallet_id: int, category: Category, before: int) -> Select[Any]:
    return select(func.max(column)).where(
        table.c.wallet_id == wallet_id, column < before, table.c[category.value].is_not(None)
    )


def _amount(reading: Reading) -> int:
    return reading if isinstance(reading, int) else 0

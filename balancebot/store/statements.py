"""What a statement is made of: the roll-up's sums between two hours, and what was in each balance at an hour.

Days that were folded count where they lie wholly within a span; the days in which months begin are kept as hours.
"""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, func, select

from balancebot.domain.balance import Absent, Category, Reading
from balancebot.store import usage
from balancebot.store.tables import daily_use, hourly_use
from balancebot.store.types import chunked
from balancebot.store.usage import HOURS_PER_DAY, Used, UseRow

_LOOK_BACK = 48
"""Hours in which most balances were read; what wasn't is looked for one by one."""


class ValueAt(NamedTuple):
    """What was in a balance at the beginning of an hour, by the reading before it and what was booked since."""

    reading: Reading
    """The last one before it; never unread."""
    hour: int
    """Of that reading."""
    value: int


class HoursRead(NamedTuple):
    """In which hours of a span a balance was read."""

    first: int
    last: int
    num_hours: int


def is_folded(conn: Connection, hour: int) -> bool:
    """Tell whether an hour has become part of a day."""
    day = hour // HOURS_PER_DAY
    wanted = select(daily_use.c.day).where(daily_use.c.day == day).limit(1)
    return conn.execute(wanted).first() is not None


def any_folded(conn: Connection, *, since: int, until: int) -> bool:
    """Tell whether there are days in the hours `[since, until)`."""
    wanted = select(daily_use.c.day).where(
        daily_use.c.day >= -(-since // HOURS_PER_DAY), daily_use.c.day < until // HOURS_PER_DAY
    )
    return conn.execute(wanted.limit(1)).first() is not None


def sums(
    conn: Connection, wallet_ids: Collection[int], *, since: int, until: int
) -> dict[tuple[int, Category], Used]:
    """Return what happened to each balance in the hours `[since, until)`."""
    found: dict[tuple[int, Category], Used] = {}
    days = {"since": -(-since // HOURS_PER_DAY), "until": until // HOURS_PER_DAY}
    wanted = set(wallet_ids)
    for totals in (usage.totals(conn, since=since, until=until), usage.totals_of_days(conn, **days)):
        for wallet_id, of_wallet in totals.items():
            if wallet_id in wanted:
                for category, used in zip(Category, of_wallet, strict=True):
                    before = found.get((wallet_id, category), Used())
                    found[wallet_id, category] = Used(*map(sum, zip(before, used, strict=True)))
    return found


def hours_read(
    conn: Connection, wallet_ids: Collection[int], *, since: int, until: int
) -> dict[tuple[int, Category], HoursRead]:
    """Return in which hours of `[since, until)` each balance was read; a folded day counts as read throughout."""
    found: dict[tuple[int, Category], HoursRead] = {}
    for table, column, width in (
        (hourly_use, hourly_use.c.hour, 1),
        (daily_use, daily_use.c.day, HOURS_PER_DAY),
    ):
        first, end = -(-since // width), until // width
        for category in Category:
            reading = table.c[category.value]
            for ids in chunked(wallet_ids):
                counted = (
                    select(table.c.wallet_id, func.min(column), func.max(column), func.count())
                    .where(column >= first, column < end, table.c.wallet_id.in_(ids), reading.is_not(None))
                    .group_by(table.c.wallet_id)
                )
                for wallet_id, low, high, count in conn.execute(counted):
                    key = (wallet_id, category)
                    this = HoursRead(low * width, (high + 1) * width - 1, count * width)
                    before = found.get(key, this._replace(num_hours=0))
                    found[key] = HoursRead(
                        min(before.first, this.first),
                        max(before.last, this.last),
                        before.num_hours + this.num_hours,
                    )
    return found


def first_values(
    conn: Connection, wallet_ids: Collection[int], *, hour: int
) -> dict[tuple[int, Category], int]:
    """Return what was in each balance when it was first read in an hour."""
    found: dict[tuple[int, Category], int] = {}
    for row in usage.hours(conn, since=hour, until=hour + 1):
        if row.wallet_id in wallet_ids:
            for category, reading in row.readings.items():
                used = row.of(category)
                if reading is not Absent.UNREAD:
                    found[row.wallet_id, category] = _amount(reading) - used.net + used.after
    return found


def values_at(
    conn: Connection, wallet_ids: Collection[int], *, hour: int, deep: bool = True
) -> dict[tuple[int, Category], ValueAt]:
    """Return what was in each balance at the beginning of an hour; nothing for one that was never read before.

    Without `deep` only what was read in the two days before is looked for.
    """
    wanted = set(wallet_ids)
    found: dict[tuple[int, Category], ValueAt] = {}
    _take(
        found,
        (row for row in usage.hours(conn, since=hour - _LOOK_BACK, until=hour) if row.wallet_id in wanted),
    )
    if deep:
        for wallet_id in wanted:
            for category in Category:
                if (wallet_id, category) not in found and (
                    old := _old_value(conn, wallet_id, category, hour)
                ):
                    found[wallet_id, category] = old
    return found


def _take(found: dict[tuple[int, Category], ValueAt], rows: Iterable[UseRow], *, width: int = 1) -> None:
    """Carry values on over hours (or days) that rise."""
    for row in rows:
        for category, reading in row.readings.items():
            key, used = (row.wallet_id, category), row.of(category)
            before = found.get(key)
            if reading is not Absent.UNREAD:
                found[key] = ValueAt(reading, (row.at + 1) * width - 1, _amount(reading) + used.after)
            elif before is not None and used.net:
                found[key] = before._replace(value=before.value + used.net)


def _old_value(conn: Connection, wallet_id: int, category: Category, hour: int) -> ValueAt | None:
    """Return what was in a balance that wasn't read of late."""
    found: dict[tuple[int, Category], ValueAt] = {}
    last_day = conn.scalar(_latest(daily_use, daily_use.c.day, wallet_id, category, hour // HOURS_PER_DAY))
    last_hour = conn.scalar(_latest(hourly_use, hourly_use.c.hour, wallet_id, category, hour))
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

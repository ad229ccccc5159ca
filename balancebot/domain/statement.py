"""A month's statement: per balance the opening, what was bought, moved, refunded and used, and the closing.

In every row opening + bought + moved_in - moved_out + refunded - used + unexplained = closing, exactly; an opening or
closing without a reading counts as 0. Hours are counted from 1970 in UTC; a month begins and ends with whole hours.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from balancebot.domain.balance import Category
from balancebot.domain.order import Order, TopUp
from balancebot.domain.usage import HOURS_PER_DAY, SECONDS_PER_HOUR, WrongReading

MONTH = "[0-9]{4}-(?:0[1-9]|1[0-2])"
"""A regular expression of a month such as `2026-11`."""


class StatementBy(StrEnum):
    """How rows of a statement are grouped, in addition to account and category."""

    WALLET = "wallet"
    OWNER = "owner"
    DAY = "day"


class Flows(NamedTuple):
    """The changes of a balance in a span, in messages."""

    bought: int = 0
    moved_in: int = 0
    moved_out: int = 0
    refunded: int = 0
    used: int = 0

    @property
    def net(self) -> int:
        """The resulting change of the balance."""
        return self.bought + self.moved_in - self.moved_out + self.refunded - self.used

    def plus(self, other: "Flows") -> "Flows":
        """Return the sum."""
        return Flows(*(mine + its for mine, its in zip(self, other, strict=True)))


NO_FLOWS = Flows()


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementRow:
    """One row: one balance, or all balances of one account and category that have the same owner, or of one day."""

    account: str
    category: Category
    app: str | None = None
    """None: the shared pool, or a row of several wallets."""
    owner: str | None = None
    day: date | None = None
    opening: int | None = None
    """None: there is no reading before the span."""
    flows: Flows = NO_FLOWS
    closing: int | None = None
    """None: there is no later reading."""
    hours_missing: int = 0
    """Hours without a reading since the first one, as long as the wallet is configured."""

    @property
    def unexplained(self) -> int:
        """The remainder. It includes the balance at the first or last reading if that lies within the month."""
        return (self.closing or 0) - (self.opening or 0) - self.flows.net

    @property
    def doubtful(self) -> int:
        """The absolute unexplained change of a balance that has both an opening and a closing; otherwise 0."""
        return 0 if self.opening is None or self.closing is None else abs(self.unexplained)

    def cost(self, prices: Mapping[Category, Decimal]) -> Decimal | None:
        """Return what the usage costs; None if the category has no price."""
        price = prices.get(self.category)
        return None if price is None else price * self.flows.used


class MonthSpan(NamedTuple):
    """The hours `[start, end)` of a month, or of a day."""

    day: date
    """Its first day, in local time."""
    start: int
    end: int

    @property
    def starts_at(self) -> datetime:
        """When it begins, in UTC."""
        return datetime.fromtimestamp(self.start * SECONDS_PER_HOUR, UTC)

    @property
    def ends_at(self) -> datetime:
        """When it ends, in UTC."""
        return datetime.fromtimestamp(self.end * SECONDS_PER_HOUR, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenTopUp:
    """A part of a top-up, and the id of the order that it belongs to, if any."""

    top_up: TopUp
    messages: int
    order: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One month's statement."""

    month: MonthSpan
    """From the first to the last hour that is included."""
    timezone: str
    """The name of the zone in which months and days are counted."""
    by: StatementBy
    as_of: datetime
    rows: tuple[StatementRow, ...]
    totals: tuple[StatementRow, ...]
    """One per account and category."""
    top_ups: tuple[SeenTopUp, ...]
    orders: tuple[Order, ...]
    wrong_readings: tuple[WrongReading, ...] = ()
    """Readings of the month that the next reading proved wrong; they count neither as usage nor as a top-up."""
    prices: Mapping[Category, Decimal]
    currency: str
    days_in_utc: bool = False
    """Whether days are UTC days, because the hourly figures have already been merged into days."""
    doubtful: int = 0
    """Unexplained messages, of either sign, of balances that were read throughout the month."""

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which months and days are counted."""
        return ZoneInfo(self.timezone)

    @property
    def is_over(self) -> bool:
        """Whether the month has ended."""
        return self.as_of >= self.month.ends_at

    @property
    def name(self) -> str:
        """The month, `2026-11`."""
        return f"{self.month.day:%Y-%m}"


def month_span(year: int, month: int, zone: ZoneInfo) -> MonthSpan:
    """Return the hours of a month in local time. If midnight isn't a whole hour in UTC, the next whole hour counts."""
    first = date(year, month, 1)
    return MonthSpan(first, _first_hour(first, zone), _first_hour(_next_month(first), zone))


def days_of(month: MonthSpan, zone: ZoneInfo) -> list[MonthSpan]:
    """Return the days of a month; each begins as described for `month_span`."""
    days: list[MonthSpan] = []
    day, last = month.day, _next_month(month.day)
    while day < last:
        following = day + timedelta(days=1)
        days.append(MonthSpan(day, _first_hour(day, zone), _first_hour(following, zone)))
        day = following
    return days


def utc_days_of(month: MonthSpan) -> list[MonthSpan]:
    """Return the UTC days of a month. The hours at its ends that make no whole day belong to the first or last day."""
    edges = range(-(-month.start // HOURS_PER_DAY) + 1, month.end // HOURS_PER_DAY)
    bounds = [month.start, *(day * HOURS_PER_DAY for day in edges), month.end]
    first = -(-month.start // HOURS_PER_DAY)
    return [
        MonthSpan(date(1970, 1, 1) + timedelta(days=first + index), start, end)
        for index, (start, end) in enumerate(pairwise(bounds))
    ]


def month_starts(since: int, until: int, zone: ZoneInfo) -> Iterator[int]:
    """Yield the first hours of the months that begin in the hours `[since, until)`."""
    day = datetime.fromtimestamp(since * SECONDS_PER_HOUR, zone).date().replace(day=1)
    while (hour := _first_hour(day, zone)) < until:
        if hour >= since:
            yield hour
        day = _next_month(day)


def with_equal_moves(rows: Sequence[StatementRow]) -> list[StatementRow]:
    """Return the rows with equal totals moved in and out per account and category.

    A move without a counterpart (the receiver couldn't be read, or the month ended in between) becomes unexplained.
    """
    groups: dict[tuple[str, Category], list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault((row.account, row.category), []).append(index)
    changed = list(rows)
    for indices in groups.values():
        surplus = sum(rows[i].flows.moved_out - rows[i].flows.moved_in for i in indices)
        name = "moved_out" if surplus > 0 else "moved_in"
        left = abs(surplus)
        while left:
            moved = {i: getattr(changed[i].flows, name) for i in indices}
            # the smallest move that is large enough is the most likely one
            fitting = [i for i in indices if moved[i] >= left]
            chosen = min(fitting, key=lambda i: moved[i]) if fitting else max(indices, key=lambda i: moved[i])
            part = min(left, moved[chosen])
            flows = changed[chosen].flows._replace(**{name: moved[chosen] - part})
            changed[chosen] = replace(changed[chosen], flows=flows)
            left -= part
    return changed


def summed(rows: Iterable[StatementRow], by: StatementBy | None) -> list[StatementRow]:
    """Add up rows per account and category, and by owner or day if `by` says so; keep their order."""
    sums: dict[tuple[object, ...], StatementRow] = {}
    for row in rows:
        owner = row.owner if by is StatementBy.OWNER else None
        day = row.day if by is StatementBy.DAY else None
        key = (row.account, day, owner, row.category)
        before = sums.get(key)
        if before is None:
            sums[key] = replace(row, app=None, owner=owner, day=day)
        else:
            sums[key] = replace(
                before,
                opening=_plus(before.opening, row.opening),
                flows=before.flows.plus(row.flows),
                closing=_plus(before.closing, row.closing),
                hours_missing=before.hours_missing + row.hours_missing,
            )
    return list(sums.values())


def read_month(text: str) -> date | None:
    """Return the first day of a month such as `2026-11`; None for any other text and before 1971."""
    if not re.fullmatch(MONTH, text):
        return None
    year, month = map(int, text.split("-"))
    return date(year, month, 1) if 1970 < year < 9999 else None


def _plus(first: int | None, second: int | None) -> int | None:
    return second if first is None else first if second is None else first + second


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def _first_hour(day: date, zone: ZoneInfo) -> int:
    """Return the first whole hour of a local day. If the clocks skip midnight, the next existing time counts."""
    midnight = datetime.combine(day, time(), zone).astimezone(UTC)
    return -(-int(midnight.timestamp()) // SECONDS_PER_HOUR)

"""When a wallet is read next, and why then: the sooner it could cross a limit, the sooner it is read.

A wallet is read at whole multiples of `fastest`, and at the latest after `every`. All wallets of an account are read
together once in each `every`, because a transfer is known by a fall here and a rise there at the same time; accounts
are spread over the interval.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from zlib import crc32

from balancebot.domain.balance import Category
from balancebot.domain.runway import Estimate
from balancebot.domain.sentence import Sentence, sentence
from balancebot.domain.threshold import Limits

_SHARE = 1 / 6
"""Of the time in which a limit could be crossed: usage bunches within hours of which the P10 says nothing, and little is
gained above (benchmarks/polling.py)."""
_WATCHED = 4
"""What needs attention is read at least so many times in `every`."""
_UNTIL_BURST = -math.log(0.9)
"""Within so many mean intervals between bursts the next one comes with a chance of 10 %."""
_HOURS_PER_DAY = 24.0


class ReadReason(StrEnum):
    """Why a wallet is read next when it is."""

    REGULAR = "regular"
    """`fastest` is `every`: there is nothing to choose."""
    FAR = "far"
    NEAR = "near"
    CROSSED = "crossed"
    SPIKE = "spike"
    PLANNED_SEND = "planned_send"
    RATE_LIMITED = "rate_limited"
    FAILED = "failed"


REASON_TEXTS: Mapping[ReadReason, Sentence] = {
    ReadReason.FAR: sentence("far from every limit"),
    ReadReason.NEAR: sentence("%(category)s could soon cross a limit"),
    ReadReason.CROSSED: sentence("%(category)s is below a limit"),
    ReadReason.SPIKE: sentence("usage spike in %(category)s"),
    ReadReason.PLANNED_SEND: sentence("announced send in %(category)s"),
    ReadReason.RATE_LIMITED: sentence("later, because JSMS limits the rate of requests"),
    ReadReason.FAILED: sentence("the last attempt failed"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PollIntervals:
    """How often wallets are read, and after what time without a reading one is stale."""

    every: timedelta
    fastest: timedelta
    stale_after: timedelta

    @property
    def num_slots(self) -> int:
        """How many times `fastest` fits into `every`; 1: wallets are read at regular intervals."""
        return self.every // self.fastest


class WatchedBalance(NamedTuple):
    """A balance with a number, as far as it decides when its wallet is read next."""

    category: Category
    reading: int
    limits: Limits
    estimate: Estimate
    pace: float = 0.0
    """Messages an hour between the last two readings."""
    is_spiking: bool = False
    was_positive: bool = True
    """Whether it was ever above 0: a zero that was never anything else is no alert."""
    sends: Sequence[tuple[float, float]] = ()
    """Begin and end of the announced sends, in epoch seconds."""


class NextReading(NamedTuple):
    """When a wallet is read next, and why then (None: it was made due by something else than a reading)."""

    at: datetime
    reason: ReadReason | None = None
    category: Category | None = None
    """The balance that decided it; None: none did."""


class _Wish(NamedTuple):
    """How soon one balance wants to be read. The least is the most urgent."""

    seconds: float
    reason: ReadReason
    category: Category | None


def next_reading(
    balances: Iterable[WatchedBalance],
    *,
    account: str,
    due_at: datetime,
    read_at: datetime,
    intervals: PollIntervals,
    slowdown: int = 1,
) -> NextReading:
    """Return when a wallet of `account`, which was due at `due_at` and read at `read_at`, is read next.

    That is from `fastest` to `every` later than it was due, or than it was read where it was read late. `slowdown` is by
    how much JSMS slows the account down.
    """
    every = intervals.every.total_seconds()
    if intervals.num_slots < 2:
        return NextReading(_regular(due_at, read_at, intervals.every), ReadReason.REGULAR)
    wish = _Wish(every, ReadReason.FAR, None)
    for balance in balances:
        wish = min(wish, _wish(balance, read_at.timestamp(), every))
    wanted = min(wish.seconds * slowdown, every)
    if slowdown > 1 and max(wish.seconds, intervals.fastest.total_seconds()) < wanted:
        wish = wish._replace(reason=ReadReason.RATE_LIMITED, category=None)
    floor = min(intervals.fastest * slowdown, intervals.every)
    at = _slot(account, due_at, read_at, intervals, max(wanted, floor.total_seconds()))
    return NextReading(at, wish.reason, wish.category)


def retry_reading(
    *,
    is_permanent: bool,
    is_rate_limited: bool,
    failing_since: datetime | None,
    due_at: datetime,
    failed_at: datetime,
    intervals: PollIntervals,
    must_confirm: bool,
    retry_after: timedelta | None,
) -> NextReading:
    """Return when a wallet is tried again that could not be read, and was read last at `failing_since`.

    The longer it can't be read the less often, from `fastest` to `every`; what only a person can mend (`is_permanent`)
    after `every`, unless it must be confirmed first. `retry_after` is the pause that the server asks for: it gets it, but
    none so long that staleness would be noticed late.
    """
    pause = intervals.fastest
    if not must_confirm and is_permanent:
        pause = intervals.every
    elif not must_confirm and failing_since is not None:
        pause = max(pause, min((failed_at - failing_since) / _WATCHED, intervals.every))
    if retry_after is not None:
        pause = min(max(pause, retry_after), max(intervals.every, intervals.stale_after))
    reason = ReadReason.RATE_LIMITED if is_rate_limited else ReadReason.FAILED
    return NextReading(_regular(due_at, failed_at, pause), reason)


def hours_until_crossed(balance: WatchedBalance) -> float:
    """Return the hours in which a balance crosses its next limit with a chance of 10 %; `inf`: nothing says it will.

    The next limit is the nearest one that isn't crossed, or 0. What is left above it lasts for its share of the P10 of
    the runway, no longer than at the pace of the last two readings, and until the next burst that is as large.
    """
    reading, limits, estimate = balance.reading, balance.limits, balance.estimate
    runway = estimate.runway
    slack = float(reading)
    for count in (limits.warning_below, limits.critical_below):
        if count is not None and reading >= count:
            slack = min(slack, reading - count)
    if runway is not None and math.isfinite(runway.judged) and runway.judged > 0:
        for days in (limits.warning_days, limits.critical_days):
            if days is not None and runway.judged >= days * _HOURS_PER_DAY:
                slack = min(slack, reading * (1 - days * _HOURS_PER_DAY / runway.judged))
    hours = math.inf
    if runway is not None and reading:
        hours = runway.p10 * slack / reading if math.isfinite(runway.p10) else math.inf
        if estimate.burst >= slack and estimate.bursts_per_day > 0:
            hours = min(hours, _UNTIL_BURST / estimate.bursts_per_day * _HOURS_PER_DAY)
    if balance.pace > 0:
        hours = min(hours, slack / balance.pace)
    return hours


def _wish(balance: WatchedBalance, now: float, every: float) -> _Wish:
    category, limits = balance.category, balance.limits
    watched = every / _WATCHED
    wish = _Wish(every, ReadReason.FAR, None)
    for begin, end in balance.sends:
        if end > now:
            until = begin - now if begin > now else watched
            wish = min(wish, _Wish(until, ReadReason.PLANNED_SEND, category))
    if balance.is_spiking:
        wish = min(wish, _Wish(watched, ReadReason.SPIKE, category))
    if not limits.any:
        return wish
    if _is_crossed(balance):
        wish = min(wish, _Wish(watched, ReadReason.CROSSED, category))
    if balance.reading:
        seconds = hours_until_crossed(balance) * 3600 * _SHARE
        if balance.estimate.runway is None and _is_within_twice(balance):
            seconds = min(seconds, watched)
        wish = min(wish, _Wish(seconds, ReadReason.NEAR, category))
    return wish


def _is_crossed(balance: WatchedBalance) -> bool:
    limits, runway = balance.limits, balance.estimate.runway
    counts = (limits.warning_below, limits.critical_below)
    if balance.reading == 0 and balance.was_positive:
        return True
    if any(count is not None and balance.reading < count for count in counts):
        return True
    days = (limits.warning_days, limits.critical_days)
    return runway is not None and any(
        limit is not None and runway.judged < limit * _HOURS_PER_DAY for limit in days
    )


def _is_within_twice(balance: WatchedBalance) -> bool:
    counts = (balance.limits.warning_below, balance.limits.critical_below)
    return any(count is not None and balance.reading < 2 * count for count in counts)


def _regular(due_at: datetime, read_at: datetime, pause: timedelta) -> datetime:
    """Count from when it was due, so that intervals don't drift, or from now after a delay."""
    return due_at + pause if due_at <= read_at < due_at + pause else read_at + pause


def _slot(
    account: str, due_at: datetime, read_at: datetime, intervals: PollIntervals, wanted: float
) -> datetime:
    """Return the slot to read in: at most `wanted` seconds ahead, and not beyond the one that the account shares.

    What is left until then is divided evenly.
    """
    slot, num_slots = intervals.fastest.total_seconds(), intervals.num_slots
    base = due_at if due_at <= read_at < due_at + intervals.fastest else read_at
    exact = base.timestamp() / slot
    here = math.ceil(exact - 1e-6)
    shared = 1 + (crc32(account.encode()) - here - 1) % num_slots
    parts = math.ceil(shared / max(1, int(wanted / slot + 1e-6)))
    ahead = max(1, shared // parts)
    latest = math.floor(exact + intervals.every.total_seconds() / slot + 1e-6)
    return datetime.fromtimestamp(min(here + ahead, latest) * slot, UTC)

"""When a wallet is read next, and why then: the sooner it could cross a limit, the sooner it is read.

A wallet is read at whole multiples of `fastest`, and at the latest after `every`. All wallets of an account are read
together once in each `every`, because a transfer is recognised by a fall in one wallet and a rise in another at the
same time; accounts are spread over the interval.
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
"""The part of the time until a limit could be crossed after which to read. Usage comes in bunches within hours, which
the P10 doesn't show; a larger part saves little (benchmarks/polling.py)."""
_WATCHED = 4
"""A wallet that needs attention is read at least this many times in `every`."""
_UNTIL_BURST = -math.log(0.9)
"""The time, in mean intervals between bursts, within which the next burst comes with a probability of 10 %."""
_HOURS_PER_DAY = 24.0


class ReadReason(StrEnum):
    """Why a wallet is read next at its time."""

    REGULAR = "regular"
    """`fastest` equals `every`: readings are regular."""
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
    """How often wallets are read, and after how long without a reading a wallet is stale."""

    every: timedelta
    fastest: timedelta
    stale_after: timedelta

    @property
    def num_slots(self) -> int:
        """How many times `fastest` fits into `every`; 1: wallets are read at regular intervals."""
        return self.every // self.fastest


class WatchedBalance(NamedTuple):
    """What decides when a wallet is read next, of one balance that has a number."""

    category: Category
    reading: int
    limits: Limits
    estimate: Estimate
    pace: float = 0.0
    """Messages an hour between the last two readings."""
    is_spiking: bool = False
    was_positive: bool = True
    """Whether it was ever above 0: a balance that was always 0 causes no alert."""
    sends: Sequence[tuple[float, float]] = ()
    """Begin and end of the planned sends, in epoch seconds."""


class NextReading(NamedTuple):
    """When a wallet is read next, and why then (None: it wasn't a reading that made it due)."""

    at: datetime
    reason: ReadReason | None = None
    category: Category | None = None
    """The balance that decided it, if one did."""


class _Wish(NamedTuple):
    """How soon one balance should be read. The smallest is the most urgent."""

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

    That is from `fastest` to `every` after `due_at`, or after `read_at` if it was read late. `slowdown` is the factor by
    which JSMS's rate limit slows down the account.
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
    """Return when to try a wallet again that could not be read, and was last read at `failing_since`.

    The pause grows with the time since then, from `fastest` to `every`. A failure that only a person can fix
    (`is_permanent`) is tried again after `every`, unless it must be confirmed first. `retry_after`, the pause that the
    server asks for, is respected, but only as long as staleness isn't noticed late.
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
    """Return the hours within which a balance crosses its next limit with a probability of 10 %; `inf`: none is expected.

    The next limit is the nearest one that isn't crossed, or 0. The result is the least of: the P10 of the runway, in
    proportion to the messages above that limit; the time at the rate of the last two readings; and, if a burst could be
    that large, the time until the next burst.
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
    """Add the pause to the due time, so that intervals don't drift, or to the time of reading after a delay."""
    return due_at + pause if due_at <= read_at < due_at + pause else read_at + pause


def _slot(
    account: str, due_at: datetime, read_at: datetime, intervals: PollIntervals, wanted: float
) -> datetime:
    """Return the slot in which to read: at most `wanted` seconds ahead, and not after the account's common slot.

    The time until the common slot is divided evenly.
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

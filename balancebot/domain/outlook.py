"""What would have to change for a balance to speak, or why it stays silent: a forecast of the alert's rules.

Nothing here decides: `verdict` judges and `alert` advances. This says beforehand, for people, what those two would do.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from balancebot.domain.alert import Alert
from balancebot.domain.balance import Absent, Reading
from balancebot.domain.runway import NO_END_DAYS, Estimate
from balancebot.domain.threshold import LimitColumn, Limits
from balancebot.domain.verdict import COUNTS, Severity, Verdict, recovery_bars

_HOURS_PER_DAY = 24.0
SEVERITY_OF = {
    LimitColumn.WARNING_BELOW: Severity.WARNING,
    LimitColumn.CRITICAL_BELOW: Severity.CRITICAL,
    LimitColumn.WARNING_DAYS: Severity.WARNING,
    LimitColumn.CRITICAL_DAYS: Severity.CRITICAL,
}
"""What crossing a limit amounts to."""


class OutlookKind(StrEnum):
    """What is to come, or what keeps it from coming."""

    NOT_CONFIGURED = "not_configured"
    """Neither read nor judged any more."""
    FIRST_READING = "first_reading"
    """Nothing is judged before it."""
    SECOND_READING = "second_reading"
    """A first zero waits to be confirmed."""
    NOT_READABLE = "not_readable"
    """The latest attempt failed: nothing opens, worsens or closes by it."""
    GOES_STALE = "goes_stale"
    """An alert of its wallet opens if no reading is good until then."""
    UNALLOCATED = "unallocated"
    NO_LIMITS = "no_limits"
    BARE_ZERO = "bare_zero"
    """A zero that was never anything else, and for which nobody set a count."""
    NEXT_READING = "next_reading"
    """A limit is crossed that the alert doesn't know of yet."""
    SILENCED = "silenced"
    """Nothing is sent until then."""
    CROSSES = "crosses"
    """It falls below a limit."""
    EMPTIES = "empties"
    RUNWAY_UNKNOWN = "runway_unknown"
    """Limits in days can't be judged."""
    REMINDS = "reminds"
    NO_REMINDERS = "no_reminders"
    ACKNOWLEDGED = "acknowledged"
    """No reminders until it worsens."""
    EXPECTS = "expects"
    """A top-up was ordered: it speaks again if it is still open then."""
    RECOVERS = "recovers"
    """It has passed every limit by the margin."""
    STAYS_WELL = "stays_well"
    """It flaps: it has to be past every limit by the margin for a while, or, with `at`, until then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """One thing that would make it speak, or that keeps it silent."""

    kind: OutlookKind
    at: datetime | None = None
    """When, as far as that is known or expected."""
    is_far: bool = False
    """CROSSES, EMPTIES: not within a year at the expected use."""
    severity: Severity | None = None
    """What it would be then; SILENCED: above which it speaks all the same."""
    column: LimitColumn | None = None
    limit: float | None = None
    """CROSSES: the limit, in messages or days."""
    bars: tuple[tuple[LimitColumn, float], ...] = ()
    """RECOVERS, STAYS_WELL: what it has to reach, per limit."""
    stays: timedelta | None = None
    """STAYS_WELL: for how long."""

    @property
    def alerts(self) -> bool:
        """Whether it is something that would be sent."""
        return self.kind in _ALERTS

    @property
    def is_count(self) -> bool:
        """CROSSES: whether the limit is in messages."""
        return self.column in COUNTS

    @property
    def highest_bars(self) -> tuple[tuple[LimitColumn, float], ...]:
        """Of the bars in messages, and of those in days, the highest: that one has to be reached."""
        highest: dict[bool, tuple[LimitColumn, float]] = {}
        for column, bar in self.bars:
            is_count = column in COUNTS
            if is_count not in highest or bar > highest[is_count][1]:
                highest[is_count] = column, bar
        return tuple(highest[is_count] for is_count in (True, False) if is_count in highest)


_ALERTS = frozenset(
    {
        OutlookKind.CROSSES,
        OutlookKind.EMPTIES,
        OutlookKind.GOES_STALE,
        OutlookKind.NEXT_READING,
        OutlookKind.SECOND_READING,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceStanding:
    """All that the rules look at, for one balance at `now`."""

    now: datetime
    is_configured: bool
    reading: Reading
    next_read_at: datetime | None
    is_failing: bool
    """Whether the latest attempt to read its wallet failed."""
    stale_at: datetime | None
    """When its wallet, which can't be read, turns stale; None where it can be, or where that was told already."""
    is_suspect: bool
    estimate: Estimate
    limits: Limits
    verdict: Verdict
    """By the figures of `now`."""
    alert: Alert | None
    """Its open `low_balance`."""
    silenced_until: datetime | None
    margin: float
    remind_every: timedelta


def outlooks(standing: BalanceStanding) -> tuple[Outlook, ...]:
    """Return what would make a balance speak, the soonest kinds first, or what keeps it silent."""
    return tuple(_prospects(standing))


def _prospects(on: BalanceStanding) -> Iterator[Outlook]:
    if not on.is_configured:
        yield Outlook(kind=OutlookKind.NOT_CONFIGURED)
        return
    if on.reading is Absent.UNREAD:
        yield Outlook(kind=OutlookKind.FIRST_READING, at=on.next_read_at)
        yield from _staleness(on)
        return
    if on.is_failing:
        yield Outlook(kind=OutlookKind.NOT_READABLE, at=on.next_read_at)
        yield from _staleness(on)
    if on.is_suspect:
        yield Outlook(kind=OutlookKind.SECOND_READING, at=on.next_read_at)
    if on.alert is None:
        yield from _quiet(on)
    else:
        yield from _open(on, on.alert)


def _staleness(on: BalanceStanding) -> Iterator[Outlook]:
    if on.stale_at is not None:
        yield Outlook(kind=OutlookKind.GOES_STALE, at=on.stale_at, severity=Severity.WARNING)


def _quiet(on: BalanceStanding) -> Iterator[Outlook]:
    if on.reading is Absent.UNALLOCATED:
        yield Outlook(kind=OutlookKind.UNALLOCATED)
        return
    if not on.limits.any:
        yield Outlook(kind=OutlookKind.NO_LIMITS)
        return
    if on.silenced_until is not None:
        yield Outlook(kind=OutlookKind.SILENCED, at=on.silenced_until)
    if on.verdict.severity > Severity.OK:
        yield Outlook(kind=OutlookKind.NEXT_READING, at=on.next_read_at, severity=on.verdict.severity)
    elif on.reading == 0:
        yield Outlook(kind=OutlookKind.BARE_ZERO)
    else:
        yield from _crossings(on, above=Severity.OK)


def _open(on: BalanceStanding, alert: Alert) -> Iterator[Outlook]:
    told = alert.severity if alert.peak is None else alert.peak
    if alert.muted:
        yield Outlook(kind=OutlookKind.SILENCED, at=on.silenced_until, severity=alert.muted_from)
    if on.verdict.severity > told:
        yield Outlook(kind=OutlookKind.NEXT_READING, at=on.next_read_at, severity=on.verdict.severity)
    else:
        yield from _crossings(on, above=told)
    if not alert.muted and alert.calm_since is None:
        yield from _reminders(on, alert)
    # an unknown runway holds open only what a limit in days has opened
    in_days = on.estimate.runway is not None or alert.opened_by_days
    bars = tuple(bar for bar in recovery_bars(on.limits, margin=on.margin) if in_days or bar[0] in COUNTS)
    if bars and alert.is_flapping:
        yield Outlook(
            kind=OutlookKind.STAYS_WELL, bars=bars, stays=alert.calm_for, at=_next_but(alert.well_at, on)
        )
    else:
        yield Outlook(kind=OutlookKind.RECOVERS, bars=bars)


def _next_but(at: datetime | None, on: BalanceStanding) -> datetime | None:
    """Return when a reading will find `at` reached."""
    return None if at is None else max(at, on.next_read_at or at)


def _reminders(on: BalanceStanding, alert: Alert) -> Iterator[Outlook]:
    if alert.expects_by is not None:
        yield Outlook(kind=OutlookKind.EXPECTS, at=alert.expects_by)
    elif alert.acknowledged_at is not None:
        yield Outlook(kind=OutlookKind.ACKNOWLEDGED)
    elif on.remind_every <= timedelta(0):
        yield Outlook(kind=OutlookKind.NO_REMINDERS)
    elif alert.told_at is not None:
        yield Outlook(kind=OutlookKind.REMINDS, at=alert.told_at + on.remind_every)


def _crossings(on: BalanceStanding, *, above: Severity) -> Iterator[Outlook]:
    """Yield each limit that would make it worse than `above`, and emptiness."""
    if isinstance(on.reading, Absent) or on.reading == 0:
        return
    runway = on.estimate.runway
    is_blind = False
    for column, severity in SEVERITY_OF.items():
        limit = getattr(on.limits, column.value)
        if limit is None or severity <= above:
            continue
        if column in COUNTS:
            days = _days_of(on.reading - limit, on.estimate.burn_per_day)
        elif runway is None:
            is_blind = True
            continue
        else:
            days = runway.judged / _HOURS_PER_DAY - limit
        yield _expected(
            Outlook(kind=OutlookKind.CROSSES, severity=severity, column=column, limit=limit), days, on.now
        )
    if is_blind:
        yield Outlook(kind=OutlookKind.RUNWAY_UNKNOWN)
    if above is Severity.CRITICAL:
        days = None if runway is None else runway.p50 / _HOURS_PER_DAY
        yield _expected(Outlook(kind=OutlookKind.EMPTIES, severity=Severity.DEPLETED), days, on.now)


def _days_of(messages: float, burn_per_day: float | None) -> float | None:
    """Return how long so many messages last; None where the use is unknown."""
    if burn_per_day is None:
        return None
    return messages / burn_per_day if burn_per_day > 0 else math.inf


def _expected(prospect: Outlook, days: float | None, now: datetime) -> Outlook:
    if days is None:
        return prospect
    if days > NO_END_DAYS:
        return replace(prospect, is_far=True)
    return replace(prospect, at=now + timedelta(days=max(0.0, days)))

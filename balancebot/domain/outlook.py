"""Outlooks: what will cause the next notification about a balance, or why there is none.

Nothing is decided here: `verdict` judges and `alert` applies verdicts. An outlook predicts for people what those will do.
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
"""The severity of a balance that crosses the limit."""


class OutlookKind(StrEnum):
    """What will cause a notification, or what prevents one."""

    NOT_CONFIGURED = "not_configured"
    """It is no longer read or judged."""
    FIRST_READING = "first_reading"
    """It was never read, so it can't be judged."""
    SECOND_READING = "second_reading"
    """A first zero must be confirmed."""
    NOT_READABLE = "not_readable"
    """The latest attempt failed: no alert opens, worsens or closes by it."""
    GOES_STALE = "goes_stale"
    """A stale alert of its wallet opens if there is no good reading before that time."""
    UNALLOCATED = "unallocated"
    NO_LIMITS = "no_limits"
    BARE_ZERO = "bare_zero"
    """It was always 0, and no count limit is set."""
    NEXT_READING = "next_reading"
    """A limit is crossed, and the next reading will notify of it."""
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
    """A top-up was ordered: a reminder is sent if the alert is still open then."""
    RECOVERS = "recovers"
    """It recovers when it passes every limit by the margin."""
    STAYS_WELL = "stays_well"
    """It flaps: it must stay past every limit by the margin for a while, or, with `at`, until then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """One cause of a notification, or one reason why there is none."""

    kind: OutlookKind
    at: datetime | None = None
    """When, if that is known or expected."""
    is_far: bool = False
    """CROSSES, EMPTIES: not within a year at the expected usage."""
    severity: Severity | None = None
    """The severity at that time; SILENCED: notifications above this severity are sent all the same."""
    column: LimitColumn | None = None
    limit: float | None = None
    """CROSSES: the limit, in messages or days."""
    bars: tuple[tuple[LimitColumn, float], ...] = ()
    """RECOVERS, STAYS_WELL: the value to reach, per limit."""
    stays: timedelta | None = None
    """STAYS_WELL: for how long."""

    @property
    def alerts(self) -> bool:
        """Whether it leads to a notification."""
        return self.kind in _ALERTS

    @property
    def is_count(self) -> bool:
        """CROSSES: whether the limit is in messages."""
        return self.column in COUNTS

    @property
    def highest_bars(self) -> tuple[tuple[LimitColumn, float], ...]:
        """The highest bar in messages and the highest in days: reaching these is enough."""
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
    """All that the rules depend on, for one balance at `now`."""

    now: datetime
    is_configured: bool
    reading: Reading
    next_read_at: datetime | None
    is_failing: bool
    """Whether the latest attempt to read its wallet failed."""
    stale_at: datetime | None
    """When its unreadable wallet becomes stale; None if it is readable, or if a stale alert is open."""
    is_suspect: bool
    estimate: Estimate
    limits: Limits
    verdict: Verdict
    """Judged at `now`."""
    alert: Alert | None
    """Its open `low_balance` alert."""
    silenced_until: datetime | None
    margin: float
    remind_every: timedelta


def outlooks(standing: BalanceStanding) -> tuple[Outlook, ...]:
    """Return what will cause notifications about a balance, the soonest kinds first, or why there are none."""
    return tuple(_outlooks(standing))


def _outlooks(on: BalanceStanding) -> Iterator[Outlook]:
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
    notified = alert.severity if alert.peak is None else alert.peak
    if alert.muted:
        yield Outlook(kind=OutlookKind.SILENCED, at=on.silenced_until, severity=alert.muted_from)
    if alert.covered_until is not None and on.verdict.severity > notified:
        yield from _crossings(on, above=on.verdict.severity)
    elif on.verdict.severity > notified:
        yield Outlook(kind=OutlookKind.NEXT_READING, at=on.next_read_at, severity=on.verdict.severity)
    else:
        yield from _crossings(on, above=notified)
    if not alert.muted and alert.calm_since is None:
        yield from _reminders(on, alert)
    # an unknown runway keeps an alert open only if a limit in days opened it
    in_days = on.estimate.runway is not None or alert.opened_by_days
    bars = tuple(bar for bar in recovery_bars(on.limits, margin=on.margin) if in_days or bar[0] in COUNTS)
    if bars and alert.is_flapping:
        yield Outlook(
            kind=OutlookKind.STAYS_WELL, bars=bars, stays=alert.calm_for, at=_read_after(alert.well_at, on)
        )
    else:
        yield Outlook(kind=OutlookKind.RECOVERS, bars=bars)


def _read_after(at: datetime | None, on: BalanceStanding) -> datetime | None:
    """Return when a reading will show that `at` is reached."""
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
    """Yield when each limit is crossed that makes the balance worse than `above`, and when it is empty."""
    if isinstance(on.reading, Absent) or on.reading == 0:
        return
    runway = on.estimate.runway
    is_runway_needed = False
    for column, severity in SEVERITY_OF.items():
        limit = getattr(on.limits, column.value)
        if limit is None or severity <= above:
            continue
        if column in COUNTS:
            days = _days_of(on.reading - limit, on.estimate.burn_per_day)
        elif runway is None:
            is_runway_needed = True
            continue
        else:
            days = runway.judged / _HOURS_PER_DAY - limit
        yield _expected(
            Outlook(kind=OutlookKind.CROSSES, severity=severity, column=column, limit=limit), days, on.now
        )
    if is_runway_needed:
        yield Outlook(kind=OutlookKind.RUNWAY_UNKNOWN)
    if above is Severity.CRITICAL:
        days = None if runway is None else runway.p50 / _HOURS_PER_DAY
        yield _expected(Outlook(kind=OutlookKind.EMPTIES, severity=Severity.DEPLETED), days, on.now)


def _days_of(messages: float, burn_per_day: float | None) -> float | None:
    """Return how many days the messages last; None if the usage is unknown."""
    if burn_per_day is None:
        return None
    return messages / burn_per_day if burn_per_day > 0 else math.inf


def _expected(outlook: Outlook, days: float | None, now: datetime) -> Outlook:
    if days is None:
        return outlook
    if days > NO_END_DAYS:
        return replace(outlook, is_far=True)
    return replace(outlook, at=now + timedelta(days=max(0.0, days)))

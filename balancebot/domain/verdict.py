"""Verdicts: the severity of one balance now, the limit that caused it, and the limits it has passed by the margin.

There is no state: the same reading, estimate and limits always give the same verdict.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from functools import lru_cache

from balancebot.domain.balance import Absent, Reading
from balancebot.domain.runway import Estimate, Runway
from balancebot.domain.threshold import LimitColumn, Limits

COUNTS = frozenset({LimitColumn.WARNING_BELOW, LimitColumn.CRITICAL_BELOW})
"""The limits in messages; the others are in days."""
_CRITICAL = frozenset({LimitColumn.CRITICAL_BELOW, LimitColumn.CRITICAL_DAYS})
_HOURS_PER_DAY = 24.0
_BEYOND_ALL = 1e9


class Severity(IntEnum):
    """How bad one balance is. UNKNOWN is off the scale: no data is neither good nor bad."""

    UNKNOWN = -1
    OK = 0
    WARNING = 1
    CRITICAL = 2
    DEPLETED = 3

    @property
    def word(self) -> str:
        """The severity as files, pages and messages show it."""
        return self.name.lower()


WORST_FIRST = (Severity.DEPLETED, Severity.CRITICAL, Severity.WARNING, Severity.UNKNOWN, Severity.OK)


def urgency(severity: Severity, runway: Runway | None) -> tuple[int, float]:
    """Return the sort key of a balance in a list, the most urgent first: by severity, then by the judged runway.

    An unknown runway comes after all known ones.
    """
    judged = math.inf if runway is None else min(runway.judged, _BEYOND_ALL)
    return WORST_FIRST.index(severity), judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossed:
    """The limit that caused the severity, and the value that crossed it.

    Both are in messages for a count limit, in days for a runway limit (`value` None = unknown). `column` None: the
    balance is 0 and no count limit is set. `scope` names the threshold row of the limit, '' for the built-in one.
    """

    column: LimitColumn | None
    limit: float | None
    value: float | None
    scope: str = ""

    @property
    def is_by_days(self) -> bool:
        """Whether it is a runway limit."""
        return self.column is not None and self.column not in COUNTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The result of judging one balance at one reading.

    `past` holds the severities whose limits the balance has passed by the recovery margin: WARNING means all limits
    (recovery), CRITICAL the critical ones, DEPLETED those that end a depletion.
    """

    severity: Severity
    crossed: Crossed | None = None
    by_days: bool = False
    """Whether any of the crossed limits is a runway limit."""
    past: frozenset[Severity] = frozenset()
    short_of: tuple[tuple[LimitColumn, float], ...] = ()
    """OK, but not recovered: the highest of the `recovery_bars` that it doesn't reach, in messages and in days."""

    @property
    def recovered(self) -> bool:
        """Whether an open alert may close."""
        return self.severity is Severity.OK and Severity.WARNING in self.past


NO_DATA = Verdict(severity=Severity.UNKNOWN)
ALL_PAST = frozenset({Severity.WARNING, Severity.CRITICAL, Severity.DEPLETED})
FINE = Verdict(severity=Severity.OK, past=ALL_PAST)
"""Nothing is wrong, and all limits are passed by the margin: closes any open alert."""

_BY_SEVERITY = (
    (Severity.CRITICAL, LimitColumn.CRITICAL_BELOW, LimitColumn.CRITICAL_DAYS),
    (Severity.WARNING, LimitColumn.WARNING_BELOW, LimitColumn.WARNING_DAYS),
)


def judge(
    reading: Reading,
    estimate: Estimate,
    limits: Limits,
    *,
    ever_positive: bool,
    margin: float,
    opened_by_days: bool = False,
) -> Verdict:
    """Compare one reading with its limits.

    A count or a runway **below** its limit crosses it; an equal one does not. An unknown runway crosses nothing. An
    unallocated balance is fine. Zero is depleted if a limit applies and the balance was above zero before
    (`ever_positive`) or a count limit is set; any other zero is fine.

    `margin` is the recovery margin (0.05: five per cent above a limit). `opened_by_days`: the open alert was at some
    time caused by a runway limit; then an unknown runway passes no runway limit.
    """
    if reading is Absent.UNREAD:
        return NO_DATA
    if isinstance(reading, Absent) or not limits.any:
        return FINE
    count_limited = limits.warning_below is not None or limits.critical_below is not None
    if reading == 0:
        if not (ever_positive or count_limited):
            return FINE
        return Verdict(severity=Severity.DEPLETED, crossed=_zero_crosses(limits))
    days = _judged_days(estimate)
    severity, crossed = Severity.OK, None
    for candidate, below, within in _BY_SEVERITY:
        crossed = _crossed(below, limits, reading) or _crossed(within, limits, days)
        if crossed is not None:
            severity = candidate
            break
    unreached = [
        (column, bar)
        for column, bar in recovery_bars(limits, margin=margin)
        if _is_below(reading if column in COUNTS else days, bar, unknown=opened_by_days)
    ]
    if not unreached and crossed is None:
        return FINE
    return Verdict(
        severity=severity,
        crossed=crossed,
        by_days=any(_crossed(within, limits, days) for _, _, within in _BY_SEVERITY),
        past=_past(column for column, _ in unreached),
        short_of=_highest(unreached) if severity is Severity.OK else (),
    )


@lru_cache(maxsize=4096)
def recovery_bars(limits: Limits, *, margin: float) -> tuple[tuple[LimitColumn, float], ...]:
    """Return each limit with the value that ends an alert when it is reached: whole messages, or days of runway."""
    bars: list[tuple[LimitColumn, float]] = []
    for column in LimitColumn:
        limit = getattr(limits, column)
        if limit is not None:
            # decimals, because 300 × 1.1 is slightly more than 330 in floats
            bar = Decimal(str(limit)) * (1 + Decimal(str(margin)))
            bars.append((column, math.ceil(bar) if column in COUNTS else float(bar)))
    return tuple(bars)


def _judged_days(estimate: Estimate) -> float | None:
    return None if estimate.runway is None else estimate.runway.judged / _HOURS_PER_DAY


def _crossed(column: LimitColumn, limits: Limits, value: float | None) -> Crossed | None:
    limit = getattr(limits, column)
    if limit is None or value is None or value >= limit:
        return None
    return Crossed(column=column, limit=limit, value=float(value))


def _zero_crosses(limits: Limits) -> Crossed:
    for column in (LimitColumn.CRITICAL_BELOW, LimitColumn.WARNING_BELOW):
        limit = getattr(limits, column)
        if limit is not None:
            return Crossed(column=column, limit=limit, value=0.0)
    return Crossed(column=None, limit=None, value=0.0)


def _is_below(value: float | None, bar: float, *, unknown: bool) -> bool:
    """Whether a value doesn't reach a bar; `unknown` is the answer for an unknown one."""
    return unknown if value is None else value < bar


def _past(unreached: Iterable[LimitColumn]) -> frozenset[Severity]:
    """Return the severities whose limits are passed, given the limits whose bar isn't reached."""
    below = set(unreached)
    if not below:
        return ALL_PAST
    return frozenset() if below & _CRITICAL else frozenset({Severity.CRITICAL, Severity.DEPLETED})


def _highest(unreached: Iterable[tuple[LimitColumn, float]]) -> tuple[tuple[LimitColumn, float], ...]:
    """Return the highest bar in messages and the highest in days."""
    highest: dict[bool, tuple[LimitColumn, float]] = {}
    for column, bar in unreached:
        is_count = column in COUNTS
        if is_count not in highest or bar > highest[is_count][1]:
            highest[is_count] = column, bar
    return tuple(highest.values())

"""Quiet hours: notifications below a severity wait until they end.

A time of day means the first instant at which it is reached or passed, so that quiet hours begin and end once in the
night when the clocks go back.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from balancebot.domain.alert import Alert
from balancebot.domain.local_time import first_instant
from balancebot.domain.verdict import Severity

_DAY = timedelta(days=1)
_LONGEST_DAYS = 9
"""Six whole days, with a night before and after. The configuration refuses seven whole days."""


class Weekday(StrEnum):
    """The days of the week, as in schedules; in the order of `date.weekday()`."""

    MON = "MON"
    TUE = "TUE"
    WED = "WED"
    THU = "THU"
    FRI = "FRI"
    SAT = "SAT"
    SUN = "SUN"


_WEEKDAYS = tuple(Weekday)


@dataclass(frozen=True, slots=True)
class DailyHours:
    """A span of every day, in local time. If `end` is before `start`, it crosses midnight."""

    start: time
    end: time
    """Exclusive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """Quiet hours that are in effect now."""

    below: Severity
    """Notifications below this severity wait."""
    until: datetime

    def holds_back(self, severity: Severity) -> bool:
        """Return whether a notification of that severity waits."""
        return severity < self.below


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """When it is quiet, in the local time of `zone`."""

    hours: DailyHours | None
    days: frozenset[Weekday]
    """Days that are quiet from midnight to midnight, in addition to `hours`."""
    below: Severity
    zone: ZoneInfo

    def at(self, now: datetime) -> Quiet | None:
        """Return the quiet hours in effect at `now`. Adjoining periods are joined."""
        today = now.astimezone(self.zone).date()
        end: datetime | None = None
        for begins_at, ends_at in sorted(self._periods(today)):
            if (begins_at <= now < ends_at) if end is None else begins_at <= end:
                end = ends_at if end is None else max(end, ends_at)
        return None if end is None else Quiet(below=self.below, until=end)

    def _periods(self, today: date) -> Iterator[tuple[datetime, datetime]]:
        """Yield the quiet periods, `[begin, end)`, that may cover today or adjoin one that does."""
        for ahead in range(-2, _LONGEST_DAYS + 1):
            day = today + ahead * _DAY
            if _WEEKDAYS[day.weekday()] in self.days:
                yield self._instant(day, time()), self._instant(day + _DAY, time())
            if self.hours is not None:
                last = day if self.hours.start < self.hours.end else day + _DAY
                yield self._instant(day, self.hours.start), self._instant(last, self.hours.end)

    def _instant(self, day: date, at: time) -> datetime:
        return first_instant(datetime.combine(day, at), self.zone)


def waiting_until(quiet: Quiet | None, alert: Alert) -> datetime | None:
    """Return until when quiet hours delay the notification of an open alert; None if they don't."""
    is_unsent = alert.peak is None or alert.severity > alert.peak
    if quiet is None or alert.closed_at is not None or alert.muted or not is_unsent:
        return None
    return quiet.until if quiet.holds_back(alert.severity) else None

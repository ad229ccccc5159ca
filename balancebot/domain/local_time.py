"""Instants as people write and read them: local time of the configured zone, unless the text has an offset.

A typed local time that doesn't exist or occurs twice (the clocks change) is refused with what to write instead: nothing
is guessed. Times before 1970 or more than two years ahead are refused too: no plan or order is that far away, and
arithmetic fails at the ends of the calendar. A scheduled local time means the first instant at which it is reached or
passed.
"""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from balancebot.domain.holidays import HolidayCalendar
from balancebot.domain.sentence import Sentence, sentence

FIRST_INSTANT = datetime(1970, 1, 1, tzinfo=UTC)
FURTHEST_AHEAD = timedelta(days=2 * 366)
_DAY_ENDS = time(23, 59)
_FRIDAY = 4
_MOST_OFFSET = timedelta(days=1)
_CALENDAR = (
    datetime.min.replace(tzinfo=UTC) + _MOST_OFFSET,
    datetime.max.replace(tzinfo=UTC) - _MOST_OFFSET,
)
"""The first and the last instant that can be shown in every zone."""


def local_time(at: datetime, zone: tzinfo) -> datetime:
    """Return an instant in the local time of `zone`. Never raises: instants beyond the calendar's ends are clamped."""
    first, last = _CALENDAR
    return min(max(at, first), last).astimezone(zone)


def json_instant(at: datetime) -> str:
    """Return an instant as it is written in JSON: `2026-11-23T09:55:00Z`."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def add_span(at: datetime, span: timedelta) -> datetime:
    """Return the instant `span` after `at`, or the end of the calendar if that is beyond it."""
    try:
        return at + span
    except OverflowError:
        return _CALENDAR[span > timedelta()]


def read_instant(text: str, zone: ZoneInfo, *, now: datetime) -> datetime | Sentence:
    """Read `2026-12-01T20:00`, optionally with seconds or an offset, from 1970 to two years after `now`.

    Return a sentence if it is wrong; the caller puts the option's or field's name before it.
    """
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return sentence("must be a time such as 2026-12-01T20:00, not %(text)s", text=repr(text))
    return _bounded(at, zone, now)


def read_day_end(text: str, zone: ZoneInfo, *, now: datetime) -> datetime | Sentence:
    """Read a day such as `2026-12-31`, which means its last minute, or a time as `read_instant` does."""
    written = text.strip()
    try:
        return _bounded(datetime.combine(date.fromisoformat(written), _DAY_ENDS), zone, now)
    except ValueError:
        pass
    try:
        return _bounded(datetime.fromisoformat(written), zone, now)
    except ValueError:
        return sentence("must be a day such as 2026-12-01, not %(text)s", text=repr(text))


def _bounded(written: datetime, zone: ZoneInfo, now: datetime) -> datetime | Sentence:
    last = now + FURTHEST_AHEAD
    # the year is checked first: converting a time at the ends of the calendar to UTC fails
    at = (
        None
        if not FIRST_INSTANT.year - 1 <= written.year <= last.year + 1
        else _instant(written, zone)
        if written.tzinfo is None
        else written.astimezone(UTC)
    )
    if at is None or (isinstance(at, datetime) and not FIRST_INSTANT <= at <= last):
        return sentence(
            "is %(text)s: it must be between 1970 and %(last)s",
            text=_shown(written),
            last=local_time(last, zone).date().isoformat(),
        )
    return at


def _instant(local: datetime, zone: ZoneInfo) -> datetime | Sentence:
    first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first == second:
        return first
    if first.astimezone(zone).replace(tzinfo=None) != local:
        after = first.astimezone(zone).isoformat(timespec="minutes")
        return sentence(
            "is %(text)s, which is skipped in %(zone)s when the clocks change: the next time is %(after)s",
            text=_shown(local),
            zone=zone.key,
            after=after,
        )
    earlier, later = (at.astimezone(zone).isoformat(timespec="minutes") for at in (first, second))
    return sentence(
        "is %(text)s, which occurs twice in %(zone)s when the clocks change: write %(earlier)s or %(later)s",
        text=_shown(local),
        zone=zone.key,
        earlier=earlier,
        later=later,
    )


def _shown(local: datetime) -> str:
    return local.isoformat(timespec="minutes")


def working_day_before(at: datetime, zone: tzinfo, holidays: HolidayCalendar | None = None) -> date:
    """Return the last working day that has ended at `at`, as the deadline for doing something by `at`.

    Without `holidays` these are Monday to Friday.
    """
    day = local_time(at, zone).date() - timedelta(days=1)
    while not _is_worked(day, holidays):
        day -= timedelta(days=1)
    return day


def working_day_from(at: datetime, zone: tzinfo, holidays: HolidayCalendar | None = None) -> date:
    """Return the day of `at`, or the next working day if it isn't one: nobody delivers on a day off."""
    day = local_time(at, zone).date()
    while not _is_worked(day, holidays):
        day += timedelta(days=1)
    return day


def _is_worked(day: date, holidays: HolidayCalendar | None) -> bool:
    if holidays is None or (day.weekday() <= _FRIDAY and day not in holidays.days_off):
        return day.weekday() <= _FRIDAY
    return day in holidays.workdays


def first_instant(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant at which a local time is reached or passed, also when the clocks change."""
    at = local.replace(tzinfo=zone).astimezone(UTC)
    if at.astimezone(zone).replace(tzinfo=None) == local:
        return at
    # The local time is in a gap: with the offset from before the gap it becomes an instant after it, by up to the jump.
    before = local.replace(tzinfo=zone, fold=0).utcoffset()
    after = local.replace(tzinfo=zone, fold=1).utcoffset()
    if before is None or after is None:  # no zone of ZoneInfo has none
        raise ValueError(f"{zone} has no offset at {local}")
    return _end_of_gap(at, zone, jump=abs(after - before))


def _end_of_gap(inside: datetime, zone: ZoneInfo, *, jump: timedelta) -> datetime:
    """Return the instant of the clock change that skips a local time, found by bisection to the second."""
    low, high = inside - jump, inside + jump
    earlier = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        if middle.astimezone(zone).utcoffset() == earlier:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)

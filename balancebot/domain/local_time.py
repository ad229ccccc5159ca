"""Instants as people write and read them: local time of the configured zone, unless an offset stands there.

A local time that the clocks skip, or that comes twice, is refused with what to write instead: nobody guesses. So is one
before 1970 or more than two years ahead: no plan and no order is that far away, and the last days of the calendar can't
be computed with. One of a schedule is when it is first reached or passed.
"""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

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
"""The instants that every zone can show."""


def local_time(at: datetime, zone: tzinfo) -> datetime:
    """Return an instant as the clocks of `zone` show it. Never raises: the ends of the calendar are cut off."""
    first, last = _CALENDAR
    return min(max(at, first), last).astimezone(zone)


def json_instant(at: datetime) -> str:
    """Write an instant as JSON has it: `2026-11-23T09:55:00Z`."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def add_span(at: datetime, span: timedelta) -> datetime:
    """Return the instant `span` after `at`, or the end of the calendar."""
    try:
        return at + span
    except OverflowError:
        return _CALENDAR[span > timedelta()]


def read_instant(text: str, zone: ZoneInfo, *, now: datetime) -> datetime | Sentence:
    """Read `2026-12-01T20:00`, with seconds or an offset if need be; return what is wrong.

    It is between 1970 and two years after `now`.

    What is wrong completes a sentence that begins with the option's or the field's name.
    """
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return sentence("must be a time such as 2026-12-01T20:00, not %(text)s", text=repr(text))
    return _bounded(at, zone, now)


def read_day_end(text: str, zone: ZoneInfo, *, now: datetime) -> datetime | Sentence:
    """Read a day such as `2026-12-31` as its last minute, or a time as `read_instant` does."""
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        return read_instant(text, zone, now=now)
    return _bounded(datetime.combine(day, _DAY_ENDS), zone, now)


def _bounded(written: datetime, zone: ZoneInfo, now: datetime) -> datetime | Sentence:
    last = now + FURTHEST_AHEAD
    # looked at before it is computed with: the ends of the calendar have no UTC
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


def working_day_before(at: datetime, zone: tzinfo) -> date:
    """Return the last working day, Monday to Friday, that is over at an instant: whoever acts on it is in time.

    Public holidays aren't known.
    """
    day = local_time(at, zone).date() - timedelta(days=1)
    return day - timedelta(days=max(0, day.weekday() - _FRIDAY))


def first_instant(local: datetime, zone: ZoneInfo) -> datetime:
    """Return when a local time is first reached or passed, whatever the clocks do there."""
    at = local.replace(tzinfo=zone).astimezone(UTC)
    if at.astimezone(zone).replace(tzinfo=None) == local:
        return at
    # In a gap: an offset of before it names a time after it, by as much as the clocks jump.
    before = local.replace(tzinfo=zone, fold=0).utcoffset()
    after = local.replace(tzinfo=zone, fold=1).utcoffset()
    if before is None or after is None:  # no zone of ZoneInfo has none
        raise ValueError(f"{zone} has no offset at {local}")
    return _end_of_gap(at, zone, jump=abs(after - before))


def _end_of_gap(inside: datetime, zone: ZoneInfo, *, jump: timedelta) -> datetime:
    """Return the instant of the clock change that swallowed a local time, found by halving to the second."""
    low, high = inside - jump, inside + jump
    earlier = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        if middle.astimezone(zone).utcoffset() == earlier:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)

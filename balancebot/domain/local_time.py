"""An instant as a person writes it: local time of the configured zone, unless an offset stands there.

A local time that the clocks skip, or that comes twice, is refused with what to write instead: nobody guesses.
"""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

_DAY_ENDS = time(23, 59)


def read_instant(text: str, zone: ZoneInfo) -> datetime | str:
    """Read `2026-12-01T20:00`, with seconds or an offset if need be; return what is wrong as text.

    What is wrong completes a sentence that begins with the option's or the field's name.
    """
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return f"must be a time such as 2026-12-01T20:00, not {text!r}"
    if at.tzinfo is None:
        return _instant(at, zone)
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return f"is {text}, which is out of range"


def read_day_end(text: str, zone: ZoneInfo) -> datetime | str:
    """Read a day such as `2026-12-31` as its last minute, or a time as `read_instant` does."""
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        return read_instant(text, zone)
    return _instant(datetime.combine(day, _DAY_ENDS), zone)


def _instant(local: datetime, zone: ZoneInfo) -> datetime | str:
    try:
        first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    except OverflowError:
        return f"is {local.isoformat()}, which is out of range"
    if first == second:
        return first
    if first.astimezone(zone).replace(tzinfo=None) != local:
        after = first.astimezone(zone).isoformat(timespec="minutes")
        return f"is {_shown(local)}, which the clocks skip in {zone.key}: after it comes {after}"
    either = " or ".join(at.astimezone(zone).isoformat(timespec="minutes") for at in (first, second))
    return f"is {_shown(local)}, which comes twice in {zone.key}: write {either}"


def _shown(local: datetime) -> str:
    return local.isoformat(timespec="minutes")

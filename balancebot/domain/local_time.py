"""An instant as a person writes it: local time of the configured zone, unless an offset stands there.

A local time that the clocks skip, or that comes twice, is refused with what to write instead: nobody guesses.
"""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from balancebot.domain.sentence import Sentence, sentence

_DAY_ENDS = time(23, 59)


def read_instant(text: str, zone: ZoneInfo) -> datetime | Sentence:
    """Read `2026-12-01T20:00`, with seconds or an offset if need be; return what is wrong.

    What is wrong completes a sentence that begins with the option's or the field's name.
    """
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return sentence("must be a time such as 2026-12-01T20:00, not %(text)s", text=repr(text))
    if at.tzinfo is None:
        return _instant(at, zone)
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return sentence("is %(text)s, which is out of range", text=text)


def read_day_end(text: str, zone: ZoneInfo) -> datetime | Sentence:
    """Read a day such as `2026-12-31` as its last minute, or a time as `read_instant` does."""
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        return read_instant(text, zone)
    return _instant(datetime.combine(day, _DAY_ENDS), zone)


def _instant(local: datetime, zone: ZoneInfo) -> datetime | Sentence:
    try:
        first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    except OverflowError:
        return sentence("is %(text)s, which is out of range", text=local.isoformat())
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

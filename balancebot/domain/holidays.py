"""Public holidays, as forecasts know them: days off beside the weekends, and days of weekends that are worked instead."""

from datetime import date
from typing import NamedTuple, TypeAlias


class HolidayCalendar(NamedTuple):
    """The holidays of a time zone's country, as far as they have been published."""

    zone: str
    """The name of the time zone in which the days are."""
    days_off: frozenset[date]
    """Days of public holidays, those on weekends included."""
    workdays: frozenset[date]
    """Days of weekends that are worked, for days off elsewhere."""
    known_until: date
    """The last day of the last year that was published."""


Zone: TypeAlias = str | HolidayCalendar
"""What says which hour of the week an instant is: the name of a time zone, with or without holidays."""


def zone_name(zone: Zone) -> str:
    """Return the name of the time zone."""
    return zone if isinstance(zone, str) else zone.zone

"""Public holidays for forecasts: days off besides weekends, and weekend days that are worked instead."""

from datetime import date
from typing import NamedTuple, TypeAlias


class HolidayCalendar(NamedTuple):
    """The holidays of one country that are published so far."""

    zone: str
    """The name of the time zone of the days."""
    days_off: frozenset[date]
    """Public holidays, including those on weekends."""
    workdays: frozenset[date]
    """Weekend days that are worked to make up for days off."""
    known_until: date
    """The last day of the last published year."""


Zone: TypeAlias = str | HolidayCalendar
"""A time zone by its name, or with the holidays of a country."""


def calendar_of(zone: Zone) -> HolidayCalendar | None:
    """Return the holidays, if they are known."""
    return None if isinstance(zone, str) else zone


def zone_name(zone: Zone) -> str:
    """Return the name of the time zone."""
    return zone if isinstance(zone, str) else zone.zone

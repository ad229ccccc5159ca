"""The public holidays of a country from a library; those of the next year are published in November."""

from datetime import date
from functools import cache

from balancebot.config import Settings
from balancebot.domain.holidays import HolidayCalendar, Zone


def zone_of(settings: Settings) -> Zone:
    """Return the configured time zone, with the holidays of the configured country."""
    zone = settings.timezone.key
    return zone if settings.forecast.holidays is None else holidays_of_china(zone)


@cache
def holidays_of_china(zone: str) -> HolidayCalendar:
    """Return the public holidays and worked weekends of mainland China, as days in `zone`."""
    from chinese_calendar import constants  # lazy: an extra that few use

    return HolidayCalendar(
        zone=zone,
        days_off=frozenset(constants.holidays),
        workdays=frozenset(constants.workdays),
        known_until=date(max(constants.holidays).year, 12, 31),
    )

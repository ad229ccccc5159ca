"""The public holidays of a country from a library; those of the next year are published in November."""

from datetime import date

from balancebot.domain.holidays import HolidayCalendar


def holidays_of_china(zone: str) -> HolidayCalendar:
    """Return the public holidays and worked weekends of mainland China, as days in `zone`."""
    from chinese_calendar import constants  # lazy: an extra that few use

    return HolidayCalendar(
        zone=zone,
        days_off=frozenset(constants.holidays),
        workdays=frozenset(constants.workdays),
        known_until=date(max(constants.holidays).year, 12, 31),
    )

"""The public holidays of a country, from the library that keeps them: published year by year, in November for the next."""

from datetime import date

from balancebot.domain.holidays import HolidayCalendar


def holidays_of_china(zone: str) -> HolidayCalendar:
    """Return mainland China's holidays and worked weekends, as days in `zone`."""
    from chinese_calendar import constants  # lazy: an extra, and few configure it

    return HolidayCalendar(
        zone=zone,
        days_off=frozenset(constants.holidays),
        workdays=frozenset(constants.workdays),
        known_until=date(max(constants.holidays).year, 12, 31),
    )

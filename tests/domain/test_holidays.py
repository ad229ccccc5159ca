"""A time zone by its name, or with the holidays of a country."""

from datetime import date

from balancebot.domain.holidays import HolidayCalendar, calendar_of, zone_name

CHINA = HolidayCalendar("Asia/Shanghai", frozenset({date(2026, 10, 1)}), frozenset(), date(2026, 12, 31))


def test_holidays_are_known_only_if_the_zone_comes_with_them() -> None:
    assert (None, CHINA) == (calendar_of("Asia/Shanghai"), calendar_of(CHINA))
    assert ["Asia/Shanghai", "Asia/Shanghai"] == [zone_name("Asia/Shanghai"), zone_name(CHINA)]

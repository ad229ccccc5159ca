"""Holidays: a holiday is expected like a weekend until one was observed, and doesn't change the level of ordinary days."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from balancebot.domain.holidays import HolidayCalendar, Zone
from balancebot.estimates.holidays import holidays_of_china
from balancebot.forecast.forecast import Forecasts
from balancebot.forecast.profile import DAY_OFF, WORKED_WEEKEND, hours_of_week
from balancebot.forecast.series import fit_series, forecast_series

SHANGHAI = ZoneInfo("Asia/Shanghai")
CALENDAR = holidays_of_china(SHANGHAI.key)
BEGUN = datetime(2026, 1, 5, tzinfo=SHANGHAI)
"""A Monday; Spring Festival is from 15 to 23 February, and the Saturdays 14 and 28 February are working days."""


def per_day(day: date) -> int:
    """Return the usage of an office: 960 on working days, half of it on weekends, a quarter on holidays."""
    if day in CALENDAR.days_off:
        return 240
    return 960 if day.weekday() < 5 or day in CALENDAR.workdays else 480


def forecast_at(until: datetime, *, zone: Zone, left: int) -> Forecasts:
    """Return the forecast at `until` for a balance of `left`."""
    hours = int((until - BEGUN) / timedelta(hours=1))
    used = [per_day((BEGUN + timedelta(hours=hour)).date()) / 24 for hour in range(hours)]
    at = BEGUN.timestamp() + 3600.0 * np.arange(hours + 1, dtype=np.float64)
    balance = left + sum(used) - np.concatenate([[0.0], np.cumsum(used)])
    return forecast_series(fit_series(at, balance, zone), float(at[-1]), zone, 0.75)


def test_holidays_and_working_weekends_come_from_the_calendar() -> None:
    first = int(datetime(2026, 2, 14, tzinfo=SHANGHAI).timestamp() // 3600)
    hours = hours_of_week(CALENDAR, first, 72)
    assert [WORKED_WEEKEND + 9, DAY_OFF, DAY_OFF + 23] == [hours[9], hours[24], hours[71]]
    assert [5 * 24, 6 * 24] == hours_of_week(SHANGHAI.key, first, 25)[[0, 24]].tolist()


@pytest.mark.parametrize(
    ("zone", "least", "most"), [(CALENDAR, 900.0, 1_000.0), (SHANGHAI.key, 400.0, 600.0)]
)
def test_a_working_saturday_is_expected_like_a_working_day(zone: Zone, least: float, most: float) -> None:
    found = forecast_at(datetime(2026, 2, 14, tzinfo=SHANGHAI), zone=zone, left=20_000)
    assert least <= found.burn_per_day[0] <= most


def test_a_holiday_is_expected_like_a_weekend_with_a_wider_range_until_one_was_observed() -> None:
    before = datetime(2026, 2, 15, tzinfo=SHANGHAI)
    known, ordinary = (forecast_at(before, zone=zone, left=2_400) for zone in (CALENDAR, SHANGHAI.key))
    assert 400 <= known.burn_per_day[0] <= 560
    assert known.p10[0] < known.p50[0] / 1.5
    assert known.p50[0] > 1.5 * ordinary.p50[0]
    assert (
        known.p10[0] <= 9 * 24 <= known.p90[0]
    )  # the right answer: nine days of 240, and a quarter of the next day


def test_usage_on_a_holiday_is_learned_for_its_other_days_but_not_for_later_days() -> None:
    within = datetime(2026, 2, 21, tzinfo=SHANGHAI)
    known, ordinary = (forecast_at(within, zone=zone, left=10_000) for zone in (CALENDAR, SHANGHAI.key))
    assert 230 <= known.burn_per_day[0] <= 300
    truth = _lasts(within, 10_000)
    assert abs(np.log2(known.p50[0] / truth)) < 0.1 < abs(np.log2(ordinary.p50[0] / truth))


def test_a_balance_with_history_only_on_holidays_is_estimated_from_them() -> None:
    calendar = CALENDAR._replace(days_off=frozenset(BEGUN.date() + timedelta(days=n) for n in range(400)))
    assert forecast_at(BEGUN + timedelta(days=5), zone=calendar, left=10_000).known[0]


def test_without_holidays_the_calendar_changes_nothing() -> None:
    none = HolidayCalendar(SHANGHAI.key, frozenset(), frozenset(), date(2026, 12, 31))
    until = datetime(2026, 2, 10, 13, tzinfo=SHANGHAI)
    with_it, without = (forecast_at(until, zone=zone, left=10_000) for zone in (none, SHANGHAI.key))
    for field in ("burn_per_day", "p10", "p50", "p90", "judged"):
        np.testing.assert_allclose(getattr(without, field), getattr(with_it, field), rtol=1e-4)


def _lasts(since: datetime, left: float) -> float:
    hours = 0
    while left > 0:
        left -= per_day((since + timedelta(hours=hours)).date()) / 24
        hours += 1
    return float(hours)

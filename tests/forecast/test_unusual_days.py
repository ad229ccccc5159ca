"""How an estimate handles bursts, lasting changes, short histories, monthly sends and wrong readings."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from balancebot.forecast.bursts import usual_use
from balancebot.forecast.changes import weekly_trend
from balancebot.forecast.forecast import Forecasts
from balancebot.forecast.order_advice import needed_until
from balancebot.forecast.recurring import DatedSend
from balancebot.forecast.series import Series, fit_series, forecast_series
from balancebot.forecast.steps import settled_steps

STEP = 900.0
START = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
A_DAY = 2400.0


class Sender:
    """A sender of 2,400 messages a day, evenly with some noise; read every quarter of an hour."""

    def __init__(self, days: float, *, seed: int = 1) -> None:
        rng = np.random.default_rng(seed)
        self.use = rng.poisson(25.0, int(days * 96)).astype(float)

    def at(self, day: float) -> int:
        return int(day * 96)

    def bursts(self, day: float, messages: float) -> "Sender":
        self.use[self.at(day)] += messages
        return self

    def read(self, *, left: float = 24_000.0, plans: tuple[DatedSend, ...] = (), every: int = 1) -> Series:
        balance = left + self.use.sum() - np.concatenate([[0.0], np.cumsum(self.use)])
        at = START + STEP * np.arange(len(balance))
        return fit_series(at[::-every][::-1], balance[::-every][::-1], "UTC", plans)  # type: ignore[arg-type] # float64 at run time


def answer(series: Series, plans: tuple[DatedSend, ...] = ()) -> Forecasts:
    return forecast_series(series, series.at, "UTC", 0.75, plans)


def days(hours: np.ndarray) -> float:
    return float(hours[0]) / 24.0


def order(series: Series, for_days: float = 30.0) -> float | None:
    needed = needed_until(
        series.model,
        observed_at=series.at,
        until=series.at + for_days * 86400.0,
        zone="UTC",
        confidence=0.9,
        open_use=series.open_use,
        open_exposure=series.open_exposure,
    )
    return None if needed is None else needed - series.balance


@pytest.mark.parametrize("hours_ago", [0.25, 1, 5, 30])
def test_a_single_burst_does_not_change_the_runway(hours_ago: float) -> None:
    found = answer(Sender(30).bursts(30 - hours_ago / 24, 30 * A_DAY).read())

    assert days(found.p50) == pytest.approx(10.0, rel=0.25 if hours_ago <= 1 else 0.1)


def robot(hours: float, *, left: float) -> Forecasts:
    """Return the forecast for a balance of `left` after sending 16,000 an hour for `hours`."""
    sender = Sender(30)
    sender.use[sender.at(30 - hours / 24) :] += 4000
    return answer(sender.read(left=left))


def test_the_range_covers_both_that_a_burst_continues_and_that_it_ends() -> None:
    found = robot(0.5, left=24_000)

    assert float(found.p10[0]) == pytest.approx(1.5, abs=0.1)
    assert days(found.judged) > 5.0
    # the burst goes on with a probability of one in six, so the 90 % quantile overall is the 88 % quantile without it
    usual = answer(Sender(30).read(left=24_000))
    assert float(usual.p90[0]) == pytest.approx(float(found.p90[0]), rel=0.03)


def test_the_longer_a_burst_lasts_the_more_likely_it_continues() -> None:
    assert float(robot(1.5, left=24_000).judged[0]) == pytest.approx(1.5, abs=0.1)
    assert float(robot(5, left=24_000).p50[0]) == pytest.approx(1.5, abs=0.1)
    assert days(robot(5, left=100_000).p50) > 1.0


def test_usage_that_is_not_counted_is_named_with_its_hour() -> None:
    found = answer(Sender(30).bursts(29.5, 26_700).read())

    assert float(found.not_counted[0]) == pytest.approx(26_700, rel=0.02)
    assert float(found.not_counted_at[0]) == START + 29.5 * 86400.0
    assert 0.0 == float(answer(Sender(30).bursts(15, 26_700).read()).not_counted[0])


@pytest.mark.parametrize(("messages", "hours_ago"), [(10_000, 0.5), (2_000, 5.5)])
def test_a_burst_that_sends_faster_than_an_earlier_one_is_named_instead_of_it(
    messages: float, hours_ago: float
) -> None:
    """20,000 messages were sent five hours and a half ago, and the others within the last quarter of an hour."""
    now = 30 + 0.5 / 24
    series = Sender(now).bursts(30 - 5 / 24, 20_000).bursts(now - 0.25 / 24, messages).read()

    assert series.at - hours_ago * 3600.0 == float(answer(series).not_counted_at[0])


def test_three_bursts_change_the_usage_rate_and_one_does_not() -> None:
    once = order(Sender(35).bursts(20, 10 * A_DAY).read())
    thrice = order(Sender(35).bursts(5, 10 * A_DAY).bursts(14, 10 * A_DAY).bursts(28, 10 * A_DAY).read())

    assert once is not None
    assert thrice is not None
    assert once < 27 * A_DAY
    assert thrice > once + 20 * A_DAY


@pytest.mark.parametrize("factor", [0.4, 2.0, 10.0])
def test_a_lasting_change_is_followed_within_a_day(factor: float) -> None:
    sender = Sender(30)
    sender.use[sender.at(29) :] *= factor

    assert days(answer(sender.read()).p50) == pytest.approx(10.0 / factor, rel=0.45)


@pytest.mark.parametrize(
    ("factor", "hours"),
    [*((rise, hours) for rise in (2.0, 10.0) for hours in (30, 60, 220)), (0.1, 100), (1 / 3, 220)],
)
def test_an_order_follows_a_rise_after_a_day_and_a_fall_after_four(factor: float, hours: float) -> None:
    since = 33 - hours / 24
    found = order(scaled(Sender(33), since, 33, factor).read(left=0.0))

    assert found is not None
    assert 1.0 <= found / (30 * factor * A_DAY) < 1.5


def test_in_the_first_hours_of_a_rise_an_order_assumes_that_it_may_last() -> None:
    found = order(scaled(Sender(33), 32.5, 33, 10.0).read(left=0.0))

    assert found is not None
    assert 0.8 < found / (300 * A_DAY) < 1.5


def test_a_weekend_without_use_does_not_end_a_change_of_office_hours() -> None:
    sender = Sender(37)  # 1 January 2026 is a Thursday; up to Saturday, 7 February
    for day in range(37):
        if day % 7 in (2, 3):
            scaled(sender, day, day + 1, 0.0)
    found = order(scaled(sender, 36, 37, 10.0).read(left=0.0))

    assert found is not None
    assert found > 9 * 21 * A_DAY


def test_steady_growth_is_not_a_step() -> None:
    sender = Sender(35)
    sender.use = np.round(sender.use * 1.15 ** (np.arange(len(sender.use)) / 96 / 7))

    assert 0.0 == float(sender.read().model["changed"][0]) or 0.0 == float(
        sender.read().model["changed_weight"][0]
    )


def varying_days(spread: float, weekly: float = 0.0, *, balances: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Return hourly usage and expected usage of balances whose days vary and persist, and that grow by `weekly` in log2."""
    rng = np.random.default_rng(1)
    daily = np.zeros((balances, 35))
    before = rng.normal(size=balances)
    for day in range(35):
        before = 0.6 * before + 0.8 * rng.normal(size=balances)
        daily[:, day] = 2400 * np.exp(spread * before) * 2 ** (weekly * day / 7)
    use = rng.poisson(np.repeat(daily / 24, 24, axis=1)).astype(float)
    return use, np.full(use.shape, use.mean())


def test_varying_days_are_not_a_trend() -> None:
    trend, _ = weekly_trend(*varying_days(0.3))

    assert np.sqrt(np.mean(trend**2)) < 0.05


def test_growth_is_weighted_more_if_the_days_are_steadier() -> None:
    (steady, steady_errors), (varying, varying_errors) = (
        weekly_trend(*varying_days(spread, 0.12)) for spread in (0.1, 0.3)
    )

    assert np.median(steady) > 0.09
    assert np.median(varying) < np.median(steady)
    assert np.median(varying_errors[1]) > np.median(steady_errors[1])


def test_a_steady_decline_is_not_a_step() -> None:
    use, expected = varying_days(0.12, -0.12)

    assert np.mean(settled_steps(use, np.ones(use.shape), expected).hours > 0) < 0.06


def test_the_range_of_a_recent_change_covers_that_it_lasts_and_that_it_ends() -> None:
    sender = Sender(30)
    sender.use[sender.at(30 - 7 / 24) :] *= 10
    found = answer(sender.read(left=10 * A_DAY))

    assert days(found.p10) < 3.0
    assert days(found.p90) > 8.0


def scaled(sender: Sender, since: float, until: float, factor: float) -> Sender:
    """Multiply the usage between two days."""
    part = slice(sender.at(since), sender.at(until))
    sender.use[part] = np.rint(factor * sender.use[part])
    return sender


@pytest.mark.parametrize("factor", [0.3, 2.0])
def test_a_past_holiday_or_busy_week_does_not_change_the_estimate(factor: float) -> None:
    found = answer(scaled(Sender(34), 25, 32, factor).read())

    assert days(found.p50) == pytest.approx(10.0, rel=0.1)


def test_the_range_during_a_fall_in_usage_covers_its_end() -> None:
    found = answer(scaled(Sender(32), 29, 32, 0.3).read())

    assert days(found.p50) == pytest.approx(33.0, rel=0.25)
    assert days(found.p10) < 15.0


@pytest.mark.parametrize("since", [0.25, 0.5])
def test_in_the_first_hours_of_a_fall_an_order_assumes_that_it_may_be_a_holiday(since: float) -> None:
    found = order(scaled(Sender(32), 32 - since, 32, 0.3).read(left=0.0))

    assert found is not None
    assert 25 * A_DAY < found < 45 * A_DAY


def test_the_range_for_few_messages_includes_random_variation() -> None:
    few, many = (answer(Sender(30).read(left=left)) for left in (4.0, 40_000.0))

    assert float(np.log2(few.p90[0] / few.p10[0])) > 2 * float(np.log2(many.p90[0] / many.p10[0]))


def test_time_before_the_first_usage_is_not_counted() -> None:
    sender = Sender(30)
    sender.use[: sender.at(28)] = 0

    assert days(answer(sender.read()).p50) == pytest.approx(10.0, rel=0.2)


@pytest.mark.parametrize("days_of_history", [0.25, 1.0, 2.5, 4.0])
def test_a_burst_in_the_first_days_is_not_the_usage_rate(days_of_history: float) -> None:
    found = answer(Sender(days_of_history).bursts(days_of_history / 2, 30 * A_DAY).read())

    assert found.usual_per_day[0] == pytest.approx(A_DAY, rel=0.35)
    assert found.burn_per_day[0] < 3 * A_DAY


def only_one_burst(minutes: int) -> Forecasts:
    """Return the forecast for a balance with 77,000 messages of usage in its first ten minutes and none after."""
    at = START + 2_400.0 + np.linspace(0.0, 60.0 * minutes, minutes // 5 + 1)
    return answer(fit_series(at, np.where(at > at[1], 23_000.0, 100_000.0), "UTC"))


@pytest.mark.parametrize("minutes", [65, 80, 120, 240])
def test_a_single_burst_in_the_first_hours_is_not_the_usage_rate(minutes: int) -> None:
    found = only_one_burst(minutes)

    assert not found.known[0] or found.burn_per_day[0] < 20_000


def test_usage_in_a_single_hour_that_stops_gives_no_runway() -> None:
    at = START + np.linspace(0.0, 5_100.0, 18)
    left = 100_000.0 - np.minimum(np.arange(18), 12) * 5_000.0

    assert [True, False] == [answer(fit_series(at[:end], left[:end], "UTC")).known[0] for end in (13, 18)]


@pytest.mark.parametrize(("pace", "is_known"), [(0.0, False), (77_000.0, True)])
def test_before_the_first_hour_is_closed_the_last_reading_decides_whether_a_burst_continues(
    pace: float, is_known: bool
) -> None:
    series = fit_series(START + np.array([0.0]), np.array([100_000.0]), "UTC")
    found = forecast_series(
        series._replace(open_use=77_000.0, open_exposure=1.0, pace=pace), series.at, "UTC", 0.75
    )

    assert is_known == found.known[0]


def test_in_the_first_week_the_runway_has_the_length_of_its_history() -> None:
    def history(days: float) -> float | None:
        (estimate,) = answer(Sender(days).read()).estimates()
        assert estimate.runway is not None
        return estimate.runway.history_hours

    assert history(2.0) == pytest.approx(48.0, abs=1.0)
    assert history(8.0) is None


def test_no_order_is_advised_with_less_than_three_days_of_usage() -> None:
    sender = Sender(30)
    sender.use[: sender.at(27.5)] = 0

    assert order(sender.read()) is None
    assert order(Sender(30).read()) is not None


def test_a_planned_send_is_excluded_from_the_history() -> None:
    plan = DatedSend(START + 29 * 86400.0, START + 29 * 86400.0 + 900.0, 5 * A_DAY)
    found = answer(Sender(30).bursts(29, 5 * A_DAY).read(plans=(plan,)), (plan,))

    assert days(found.p50) == pytest.approx(10.0, rel=0.1)
    assert 0.0 == float(found.not_counted[0])


def test_a_repeated_month_end_send_is_expected_again() -> None:
    sender = Sender(110)  # up to 21 April
    for day in (30, 58, 89):  # 31 January, 28 February, 31 March
        sender.bursts(day + 9 / 24, 20 * A_DAY)
    found = answer(sender.read(left=20 * A_DAY))

    assert days(found.p50) == pytest.approx(9.4, abs=0.3)  # 30 April, 09:00


def test_an_order_covers_an_expected_recurring_send_completely() -> None:
    sender = Sender(110)  # up to 21 April
    for day in (30, 58, 89):
        sender.bursts(day + 9 / 24, 20 * A_DAY)
    found = order(sender.read(left=0.0), for_days=20)

    assert found == pytest.approx(20 * A_DAY + 1.2 * 20 * A_DAY, rel=0.1)


def test_a_runway_names_the_recurring_sends_that_it_includes() -> None:
    series = Sender(30).read()
    plan = DatedSend(series.at + 86400.0, series.at + 90000.0, 12_000.0)

    assert [12_000, 0] == [answer(series, plans).sends[0] for plans in ((plan,), ())]


def test_a_weekly_campaign_is_expected_on_its_weekday() -> None:
    sender = Sender(36)  # up to 6 February, a Friday
    for day in (5, 12, 19, 26, 33):
        sender.bursts(day + 10 / 24, 4 * A_DAY)
    found = answer(sender.read(left=6 * A_DAY))

    assert days(found.p50) == pytest.approx(4.4, abs=0.3)


def test_a_reading_that_the_next_one_reverts_is_a_correction() -> None:
    sender = Sender(30)
    balance = 24_000.0 + sender.use.sum() - np.concatenate([[0.0], np.cumsum(sender.use)])
    at = START + STEP * np.arange(len(balance))
    right = fit_series(at, balance, "UTC")  # type: ignore[arg-type] # float64 at run time
    for wrong in (10.0, 0.01):
        read = balance.copy()
        read[-300] *= wrong
        assert answer(fit_series(at, read, "UTC")).p50 == pytest.approx(answer(right).p50, rel=0.01)  # type: ignore[arg-type] # float64 at run time


def test_growth_of_a_few_percent_a_week_shortens_a_long_runway() -> None:
    sender = Sender(35)
    weeks = np.arange(len(sender.use)) / 96 / 7
    sender.use = np.round(sender.use * 1.1**weeks)
    today = float(sender.use[-96:].sum())

    assert days(answer(sender.read(left=25 * today)).p50) < 23.5


def test_one_reading_a_day_distinguishes_a_burst_from_a_change() -> None:
    found = answer(Sender(30).bursts(29.5, 5 * A_DAY).read(every=96))

    assert days(found.p50) == pytest.approx(10.0, rel=0.3)


def test_an_order_is_limited_by_past_usage() -> None:
    sender = Sender(30)
    sender.use[sender.at(29.8) :] *= 200
    asked = order(sender.read())

    assert asked is None or asked < 100 * 30 * A_DAY


def test_a_balance_of_zero_is_empty_now_and_one_message_is_not() -> None:
    series = Sender(30).read(left=0.0)
    assert 0.0 == answer(series).p50[0] < answer(Sender(30).read(left=1.0)).p50[0]
    assert timedelta(0) == timedelta(hours=float(answer(series).p90[0]))


def test_the_range_covers_more_growth_than_the_estimate() -> None:
    trend, errors = weekly_trend(*varying_days(0.12, 0.12))

    assert np.mean(trend + errors[1] > 0.12) > 0.9
    assert np.mean(errors[1] > errors[0]) > 0.9


def test_a_quiet_weekend_does_not_end_a_change_that_began_on_friday() -> None:
    """Usage on a Saturday is above usual, but below a working day: the change may still last."""
    week = np.zeros((7, 24))
    week[:5, 9:18], week[5, 9:18] = 20.0, 3.0
    use = np.concatenate([np.tile(week.ravel(), 4), week[:6].ravel(), np.zeros(24)])[: 34 * 24]
    use = np.concatenate([np.zeros(24), use])  # the window ends on a Saturday, at midnight
    friday, saturday = (slice(-day * 24 + 9, -day * 24 + 18) for day in (2, 1))

    def remaining_rise(on_saturday: float) -> float:
        seen = use.copy()
        seen[friday], seen[saturday] = 200.0, on_saturday
        return float(usual_use(seen[None], np.ones((1, len(seen))), np.zeros(1)).use[0, friday].mean())

    assert 200.0 == remaining_rise(10.0)
    assert 25.0 > remaining_rise(3.0)


def test_a_single_burst_in_the_first_days_is_not_ordered_again() -> None:
    found = order(Sender(4).bursts(2, 30 * A_DAY).read(left=0.0))

    assert found is not None
    assert found / (30 * A_DAY) < 4.0


@pytest.mark.parametrize(("days_ago", "median"), [(1.0, 30.0), (2.0, 3.0)])
def test_of_two_readings_a_day_the_first_leaves_open_whether_a_change_lasts(
    days_ago: float, median: float
) -> None:
    sender = scaled(Sender(30), 30 - days_ago, 30, 10.0)
    sender.use = np.round(sender.use * np.repeat(1.0 + 0.2 * np.sin(np.arange(30.0)), 96))
    found = answer(sender.read(left=30 * A_DAY, every=96))

    assert days(found.p10) < 4.0
    assert 0.6 < days(found.p50) / median < 1.7


def test_usage_spread_over_the_time_before_a_planned_send_belongs_to_that_send() -> None:
    sender = Sender(30).bursts(29, 10 * A_DAY)
    plan = DatedSend(START + 29 * 86400.0 + 300.0, START + 29 * 86400.0 + 1200.0, 10 * A_DAY)
    balance = 24_000.0 + sender.use.sum() - np.concatenate([[0.0], np.cumsum(sender.use)])
    at = START - 300.0 + STEP * np.arange(len(balance), dtype=np.float64)
    series = fit_series(at, balance.astype(np.float64), "UTC", (plan,))

    assert 0.0 == answer(series, (plan,)).not_counted[0]

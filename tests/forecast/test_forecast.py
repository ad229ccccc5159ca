"""Runways of balances with known usage."""

import math

import numpy as np
import pytest

from balancebot.domain.runway import UNKNOWN
from balancebot.forecast.forecast import Forecasts, forecast
from balancebot.forecast.model import MODEL, decode_models, encode_models, fit, usual_course
from balancebot.forecast.profile import hours_of_week
from balancebot.forecast.recurring import DatedSend
from balancebot.forecast.use_window import WINDOW_HOURS, UseWindow

END = 494_000
NOW = END * 3600.0


def window(use: np.ndarray, days: int = 35) -> UseWindow:
    exposure = np.zeros(WINDOW_HOURS, np.float32)
    exposure[WINDOW_HOURS - days * 24 :] = 1.0
    return UseWindow(end=END, use=use.astype(np.float32) * (exposure > 0), exposure=exposure)


def steady(rate: float = 10.0) -> UseWindow:
    return window(np.full(WINDOW_HOURS, rate))


def daily() -> UseWindow:
    """Use by day (08-20 UTC) only: 100 an hour."""
    local = hours_of_week("UTC", END - WINDOW_HOURS, WINDOW_HOURS) % 24
    return window(np.where((local >= 8) & (local < 20), 100.0, 0.0))


def ask(
    windows: list[UseWindow], balances: list[float], *, age: float = 0.0, zone: str = "UTC", **more: object
) -> Forecasts:
    models = fit(windows, zone).models
    return forecast(
        models,
        balances=np.array(balances, np.float64),
        observed_at=np.full(len(balances), NOW),
        now=NOW + age * 3600.0,
        zone=zone,
        confidence=0.75,
        **more,  # type: ignore[arg-type]
    )


def test_steady_usage_lasts_for_balance_divided_by_rate() -> None:
    answer = ask([steady()], [480.0])
    assert answer.p50[0] == pytest.approx(48.0, rel=0.03)
    assert answer.burn_per_day[0] == pytest.approx(240.0, rel=0.01)


def test_usual_usage_is_the_mean_of_the_next_week() -> None:
    for age in (0.0, 30.0):
        answer = ask([daily()], [50_000.0], age=age)
        assert answer.usual_per_day[0] == pytest.approx(1200.0, rel=0.05)


def test_between_two_horizons_the_range_is_between_theirs() -> None:
    noisy = window(np.random.default_rng(3).gamma(0.3, 30.0, WINDOW_HOURS).round())
    days = (2.0, 3.0, 4.0, 11.0, 14.0, 20.0, 28.0)
    answer = ask([noisy] * len(days), [day * 216.0 for day in days])
    widths = (answer.p90 - answer.p10) / answer.p50
    for before, between, after in zip(widths, widths[1:], widths[2:], strict=False):
        assert min(before, after) * 0.8 < between < max(before, after) * 1.2


def test_percentiles_are_in_order_and_the_judged_one_lies_between() -> None:
    noisy = window(np.random.default_rng(3).gamma(0.3, 30.0, WINDOW_HOURS).round())
    for balance in (3.0, 50.0, 4000.0, 30_000.0):
        answer = ask([noisy], [balance])
        assert 0 < answer.p10[0] < answer.judged[0] < answer.p50[0] < answer.p90[0]


def test_a_balance_for_the_night_outlasts_one_for_the_morning() -> None:
    # END is Sunday 08:00 UTC: two hours' worth lasts two hours; read in the evening it lasts until morning.
    morning = ask([daily()], [200.0]).p50[0]
    evening = forecast(
        fit([daily()], "UTC").models,
        balances=np.array([200.0]),
        observed_at=np.array([NOW + 12 * 3600.0]),
        now=NOW + 12 * 3600.0,
        zone="UTC",
        confidence=0.75,
    ).p50[0]
    start = hours_of_week("UTC", END, 1)[0] % 24
    assert (morning < 4) == (8 <= start < 18)
    assert {True, False} == {morning > 6, evening > 6}


def test_the_age_of_the_reading_is_counted() -> None:
    assert ask([steady()], [480.0], age=10.0).p50[0] == pytest.approx(ask([steady()], [480.0]).p50[0] - 10.0)


def test_a_balance_of_zero_has_no_runway_and_a_huge_balance_an_infinite_one() -> None:
    answer = ask([steady(), steady()], [0.0, 10.0 * 24 * 365 * 3])
    assert [0.0, math.inf] == answer.p50.tolist()
    assert [0.0, math.inf] == answer.p90.tolist()


def test_a_balance_that_lasts_beyond_the_simulated_weeks_has_a_runway() -> None:
    assert ask([steady()], [24_000.0]).p50[0] == pytest.approx(2400.0, rel=0.03)


@pytest.mark.parametrize(
    "unknown",
    [
        pytest.param(window(np.zeros(WINDOW_HOURS)), id="no use"),
        pytest.param(window(np.full(WINDOW_HOURS, 5.0), days=0), id="nothing seen"),
    ],
)
def test_the_runway_is_unknown_with_too_little_history(unknown: UseWindow) -> None:
    assert [UNKNOWN] == ask([unknown], [100.0]).estimates()


def test_the_open_hour_is_enough_for_a_first_answer() -> None:
    nothing = window(np.zeros(WINDOW_HOURS), days=0)
    answer = ask([nothing], [100.0], open_use=np.array([10.0]), open_exposure=np.array([1.0]))
    assert answer.known[0]
    assert answer.p10[0] < 10.0 < answer.p90[0]
    assert (10.0, 240.0) == pytest.approx((answer.p50[0], answer.burn_per_day[0]), rel=0.01)


@pytest.mark.parametrize(("hours", "course"), [(23, None), (24, [1.0, 1.0, 1.0])])
def test_a_usual_course_is_known_after_a_day_of_readings(hours: int, course: list[float] | None) -> None:
    exposure = np.zeros(WINDOW_HOURS, np.float32)
    exposure[-hours:] = 1.0
    model = fit([UseWindow(end=END, use=10.0 * exposure, exposure=exposure)], "UTC").models
    assert course == usual_course(model, zone="UTC", first=END, count=3)


def test_a_busy_open_hour_shortens_the_runway() -> None:
    busy = ask([steady()], [100.0], open_use=np.array([40.0]), open_exposure=np.array([0.5]))
    assert busy.p50[0] < 0.9 * ask([steady()], [100.0]).p50[0]


@pytest.mark.parametrize("late", [1, 7, 12, 30, 60])
def test_hours_since_the_model_was_fitted_count_as_if_it_were_fitted_again(late: int) -> None:
    use = daily().use
    then = UseWindow(end=END - late, use=np.roll(use, late), exposure=np.ones(WINDOW_HOURS, np.float32))
    answer = forecast(
        fit([then], "UTC").models,
        balances=np.array([3000.0]),
        observed_at=np.array([NOW]),
        now=NOW,
        zone="UTC",
        confidence=0.75,
        open_use=np.array([float(use[-late:].sum())]),
        open_exposure=np.array([float(late)]),
    )
    fitted_again = ask([daily()], [3000.0])
    assert (fitted_again.burn_per_day[0], fitted_again.p50[0]) == pytest.approx(
        (answer.burn_per_day[0], answer.p50[0]), rel=0.08
    )


def test_a_planned_send_counts_from_its_begin() -> None:
    plan = DatedSend(start=NOW + 10 * 3600.0, end=NOW + 12 * 3600.0, messages=200)
    answer = ask([steady(), steady(), steady()], [480.0, 90.0, 480.0], plans=[[plan], [plan], []])
    plain = ask([steady()], [480.0]).p50[0]
    assert answer.p50.tolist() == pytest.approx([plain - 20.0, 9.0, plain], rel=0.04)
    assert answer.burn_per_day[0] == pytest.approx(440.0, rel=0.01)


def test_a_running_planned_send_counts_its_remaining_part() -> None:
    plan = DatedSend(start=NOW - 3600.0, end=NOW + 3600.0, messages=200)
    assert ask([steady()], [10_000.0], plans=[[plan]]).burn_per_day[0] == pytest.approx(340.0, rel=0.01)


def test_many_balances_get_the_same_forecasts_as_each_alone() -> None:
    rng = np.random.default_rng(5)
    windows = [window(rng.poisson(rate, WINDOW_HOURS)) for rate in rng.uniform(0.1, 90, 300)]
    balances = list(rng.uniform(1, 5000, 300))
    together = ask(windows, balances)
    for i in (0, 130, 299):
        alone = ask([windows[i]], [balances[i]])
        for name in ("burn_per_day", "usual_per_day", "p10", "p50", "p90", "judged"):
            assert getattr(alone, name)[0] == pytest.approx(getattr(together, name)[i], rel=1e-9)


def test_encoded_models_are_decoded_unchanged_and_other_data_is_unknown() -> None:
    models = fit([steady(), daily()], "UTC").models
    blobs = encode_models(models)
    again, readable = decode_models([blobs[0], None, b"\x63" + blobs[1][1:], blobs[1]])
    assert [True, False, False, True] == readable.tolist()
    assert blobs[0] == again[0].tobytes()
    answer = forecast(
        again, balances=np.full(4, 50.0), observed_at=np.full(4, NOW), now=NOW, zone="UTC", confidence=0.75
    )
    assert [True, False, False, True] == answer.known.tolist()
    assert MODEL.itemsize < 1024

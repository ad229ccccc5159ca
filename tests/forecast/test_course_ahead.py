"""The expected trajectory of a balance, with a range that ends where the runways end."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from balancebot.forecast.course_ahead import LevelAhead, course_ahead
from balancebot.forecast.forecast import forecast
from balancebot.forecast.model import Models, fit
from balancebot.forecast.recurring import DatedSend
from balancebot.forecast.use_window import WINDOW_HOURS, UseWindow

END = 494_000
NOW = datetime.fromtimestamp(END * 3600, UTC)
HOUR = timedelta(hours=1)


def model(use: Sequence[float]) -> Models:
    """Return the model of a balance whose usage repeats `use` up to now."""
    hours = np.resize(np.array(use, np.float32), WINDOW_HOURS)
    return fit([UseWindow(end=END, use=hours, exposure=np.ones(WINDOW_HOURS, np.float32))], "UTC").models


def trajectory(
    model: Models,
    balance: int,
    *,
    until: timedelta,
    step: timedelta = HOUR,
    plans: Sequence[DatedSend] = (),
) -> tuple[LevelAhead, ...]:
    return course_ahead(
        model, balance=balance, observed_at=NOW, until=NOW + until, step=step, zone="UTC", plans=plans
    )


def emptied(levels: Sequence[LevelAhead], name: str) -> float:
    """Return after how many hours a trajectory reaches zero."""
    return next((level.at - NOW) / HOUR for level in levels if getattr(level, name) == 0)


def test_a_trajectory_begins_at_the_reading_and_falls_by_the_expected_usage() -> None:
    levels = trajectory(model([10.0]), 240, until=12 * HOUR)
    assert LevelAhead(at=NOW, p10=240, p50=240, p90=240) == levels[0]
    assert [NOW + HOUR * hour for hour in range(13)] == [level.at for level in levels]
    assert 120 == pytest.approx(levels[-1].p50, abs=5)
    assert levels[-1].p10 <= levels[-1].p50 <= levels[-1].p90


def test_a_trajectory_without_time_ahead_is_empty() -> None:
    assert () == trajectory(model([10.0]), 240, until=0 * HOUR)
    assert () == trajectory(model([10.0]), 240, until=-HOUR)


def test_a_trajectory_is_steep_by_day_and_flat_by_night() -> None:
    by_day = model([20.0 if 8 <= (END + hour) % 24 < 20 else 0.0 for hour in range(24)])
    levels = trajectory(by_day, 5000, until=24 * HOUR)
    falls = {after.at.hour: before.p50 - after.p50 for before, after in pairwise(levels)}
    assert 20 == pytest.approx(falls[15], rel=0.1)
    assert 0 == pytest.approx(falls[4], abs=0.5)


def test_a_trajectory_ends_where_the_runways_end() -> None:
    dice = np.random.default_rng(7)
    uneven = model(dice.gamma(0.5, 20.0, WINDOW_HOURS).tolist())
    forecasts = forecast(
        uneven,
        balances=np.array([3000.0]),
        observed_at=np.array([NOW.timestamp()]),
        now=NOW.timestamp(),
        zone="UTC",
        confidence=0.75,
    ).estimates()[0]
    levels = trajectory(uneven, 3000, until=timedelta(days=30))
    assert forecasts.runway is not None
    for name in ("p10", "p50", "p90"):
        assert emptied(levels, name) == pytest.approx(getattr(forecasts.runway, name), rel=0.03), name
    assert (0, 0, 0) == (levels[-1].p10, levels[-1].p50, levels[-1].p90)
    assert levels[-2].p90 > 0


def test_a_planned_send_is_a_step_down() -> None:
    start = (NOW + 3 * HOUR).timestamp()
    plan = DatedSend(start=start, end=start + 3600, messages=1000)
    levels = trajectory(model([10.0]), 5000, until=6 * HOUR, plans=[plan])
    falls = [round(before.p50 - after.p50, -1) for before, after in pairwise(levels)]
    assert [10, 10, 10, 1010, 10, 10] == falls


def test_beyond_the_modelled_weeks_the_last_one_repeats() -> None:
    levels = trajectory(model([10.0]), 100_000, until=timedelta(days=90), step=timedelta(days=30))
    assert [7200, 7200, 7200] == pytest.approx(
        [before.p50 - after.p50 for before, after in pairwise(levels)], rel=0.02
    )


def test_without_enough_history_there_is_no_trajectory() -> None:
    assert () == trajectory(model([0.0]), 240, until=12 * HOUR)

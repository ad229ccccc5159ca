"""Universal quota that is used while another category of the wallet is empty."""

from dataclasses import replace

import numpy as np
import pytest

from balancebot.domain.balance import Category
from balancebot.forecast.model import Models, fit
from balancebot.forecast.stand_in import drawn_for, set_stand_ins, stand_in, stands_in_now, together
from balancebot.forecast.use_window import WINDOW_HOURS, UseWindow

END = 490_000
HOURS = np.arange(WINDOW_HOURS)


def window(use: np.ndarray, exposure: np.ndarray) -> UseWindow:
    return UseWindow(end=END, use=use.astype(np.float32), exposure=exposure.astype(np.float32))


def taken_over(
    first: int, last: int = WINDOW_HOURS, *, drawn: float = 20.0, own: float = 0.0
) -> list[UseWindow]:
    """Industry uses 20 an hour and is empty in the hours [first, last); universal uses `own`, and then `drawn` besides."""
    empty = (first <= HOURS) & (last > HOURS)
    return [
        window(np.where(empty, drawn, 0.0) + own, np.ones(WINDOW_HOURS)),
        window(np.where(empty, 0.0, 20.0), np.where(empty, 0.0, 1.0)),
    ]


def models_of(windows: list[UseWindow]) -> Models:
    models = fit(windows, "UTC").models
    places = {(1, Category.UNIVERSAL): 0, (1, Category.INDUSTRY): 1}
    set_stand_ins(models, places, windows, "UTC", [(), ()])
    return models


def test_usage_while_another_category_is_empty_is_a_stand_in_for_it() -> None:
    found = stand_in(*taken_over(WINDOW_HOURS - 5))
    assert (True, 5) == (found.is_on, found.hours.sum())


def test_after_the_other_category_was_bought_the_time_of_the_stand_in_is_remembered() -> None:
    windows = taken_over(WINDOW_HOURS - 140, WINDOW_HOURS - 100, own=2.0)
    found = stand_in(*windows)
    assert (False, 40) == (found.is_on, found.hours.sum())
    models = models_of(windows)
    assert {Category.INDUSTRY: END - 101} == drawn_for(models[0])
    assert 2.0 == pytest.approx(float(models["mean"][0]), rel=0.02)


@pytest.mark.parametrize(
    "windows",
    [
        pytest.param(taken_over(WINDOW_HOURS - 50, drawn=0.0), id="it isn't used"),
        pytest.param(taken_over(WINDOW_HOURS - 50, drawn=0.0, own=30.0), id="it is used as ever"),
        pytest.param(taken_over(WINDOW_HOURS), id="nothing is empty"),
        pytest.param(taken_over(0), id="the other was never used"),
    ],
)
def test_universal_quota_without_additional_usage_is_no_reserve(windows: list[UseWindow]) -> None:
    found = stand_in(*windows)
    assert (False, 0) == (found.is_on, found.hours.sum())


@pytest.mark.parametrize(("last_hour", "is_on"), [(5, False), (13, True)])
def test_only_hours_in_which_the_other_category_is_usually_used_count(last_hour: int, is_on: bool) -> None:
    """Industry uses 40 an hour from 8 to 20. While it is empty, for five hours, universal uses 8 an hour, by day 40."""
    end = END - END % 24 + last_hour
    by_day = np.isin((end - WINDOW_HOURS + HOURS) % 24, range(8, 20))
    empty = HOURS >= WINDOW_HOURS - 5
    universal = window(np.where(empty, 8.0 + 32.0 * by_day, 0.0), np.ones(WINDOW_HOURS))
    other = window(np.where(empty, 0.0, 40.0 * by_day), np.where(empty, 0.0, 1.0))

    assert is_on == stand_in(replace(universal, end=end), replace(other, end=end)).is_on


def test_the_model_of_the_reserve_covers_both_categories() -> None:
    windows = taken_over(WINDOW_HOURS - 30, own=2.0)
    models = models_of(windows)
    assert [Category.INDUSTRY] == stands_in_now(models[0])
    assert {Category.INDUSTRY: END - 1} == drawn_for(models[0])
    assert 22.0 == pytest.approx(float(models["mean"][0]), rel=0.02)
    assert [] == stands_in_now(models[1])
    assert together(windows).use[-1] == 22.0

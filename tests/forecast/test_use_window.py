"""The window of hourly usage, built from snapshots or from a series."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancebot.domain.balance import Absent, BalanceKey, Category, WalletName
from balancebot.domain.usage import book_history
from balancebot.forecast.series import window_of
from balancebot.forecast.use_window import (
    WINDOW_HOURS,
    UseWindow,
    decode_window,
    empty_window,
    encode_window,
    hourly_use,
)


def same(left: UseWindow, right: UseWindow | None) -> bool:
    return (
        right is not None
        and left.end == right.end
        and np.array_equal(left.use, right.use)
        and np.allclose(left.exposure, right.exposure, atol=1 / 480)
    )


def test_a_window_drops_usage_older_than_35_days() -> None:
    window = empty_window(100).moved_to(1000, [(999, 7, 3600.0), (999 - WINDOW_HOURS, 5, 3600.0)])
    oldest = window.moved_to(1000, [(1000 - WINDOW_HOURS, 5, 3600.0)])
    assert [5, 7] == oldest.use[[0, -1]].tolist()
    later = window.moved_to(1002, [(1000, 2, 1800.0)])
    assert [7, 2, 0] == later.use[-3:].tolist()
    assert [1.0, 0.5, 0.0] == later.exposure[-3:].tolist()
    assert 9 == later.use.sum()
    assert 0 == window.moved_to(1000 + WINDOW_HOURS).use.sum()


@pytest.mark.parametrize(("first_use", "since"), [(100, 100), (359, 359), (360, None)])
def test_a_window_knows_the_first_use_only_if_that_is_older_than_35_days(
    first_use: int, since: int | None
) -> None:
    use = np.zeros(WINDOW_HOURS + 360)
    use[[first_use, -3]] = 5.0
    assert since == window_of(use, np.ones(len(use)), end=len(use)).since


@given(st.lists(st.tuples(st.integers(0, 300_000), st.floats(0, 3600)), max_size=WINDOW_HOURS))
def test_an_encoded_window_is_decoded_unchanged(hours: list[tuple[int, float]]) -> None:
    window = empty_window(0).moved_to(490_000, [(489_999 - i, u, e) for i, (u, e) in enumerate(hours)])
    assert same(window, decode_window(encode_window(window)))


def test_a_window_of_another_version_is_not_read() -> None:
    blob = encode_window(empty_window(5))
    assert decode_window(bytes([9]) + blob[1:]) is None


def test_a_month_of_a_busy_balance_is_smaller_than_two_kilobytes() -> None:
    use = np.random.default_rng(1).poisson(400, WINDOW_HOURS)
    window = empty_window(0).moved_to(5000, [(4160 + i, int(u), 3600.0) for i, u in enumerate(use)])
    assert len(encode_window(window)) < 2000


STEP = st.tuples(st.integers(1, 20_000), st.one_of(st.integers(0, 60), st.integers(0, 10_000), st.none()))


@given(st.lists(STEP, min_size=2, max_size=40))
def test_a_series_books_the_same_usage_as_a_single_wallet(steps: list[tuple[int, int | None]]) -> None:
    at = np.cumsum([gap for gap, _ in steps]) + 1_000_000.0
    readings = [Absent.UNALLOCATED if value is None else value for _, value in steps]
    use: dict[int, float] = {}
    exposure: dict[int, float] = {}
    balance = BalanceKey(WalletName("acme"), Category.INDUSTRY)
    booked = book_history((when, balance, reading) for when, reading in zip(at, readings, strict=True))
    for hour, piece in booked.items():
        use[hour.epoch_hour] = piece.use
        exposure[hour.epoch_hour] = piece.exposure / 3600
    values = np.array([np.nan if value is None else value for _, value in steps])
    first, hourly, exposed = hourly_use(at, values, at[-1])
    hours = range(first, first + len(hourly))
    assert np.allclose([use.get(hour, 0) for hour in hours], hourly, atol=2 * len(steps))
    assert sum(use.values()) == np.rint(hourly.sum())
    assert np.allclose([exposure.get(hour, 0) for hour in hours], exposed, atol=1e-6)

"""Patterns behind bursts, from dates of the calendar of 2026 (1 January is a Thursday)."""

from datetime import UTC, date, datetime, timedelta
from random import Random

import numpy as np
import pytest

from balancebot.forecast.bursts import Burst
from balancebot.forecast.forecast import is_expected
from balancebot.forecast.model import MODEL
from balancebot.forecast.recurring import Repeats, occurrences, recurring

HOUR = 9


def hour(month: int, day: int, hour: int = HOUR) -> int:
    return int(datetime(2026, month, day, hour, tzinfo=UTC).timestamp() // 3600)


def seen(*days: tuple[int, int]) -> list[Burst]:
    return [Burst(hour(*day), 2, 1000.0) for day in days]


def expected(bursts: list[Burst], now: int, *, days: int = 70) -> list[date]:
    """Return on which dates the rules behind bursts expect another."""
    rules, _ = recurring(bursts, now, "UTC")
    since = now * 3600.0
    sends = [send for rule in rules for send in occurrences(rule, since, since + days * 86400.0, "UTC")]
    return [datetime.fromtimestamp(send.start, UTC).date() for send in sends]


@pytest.mark.parametrize(
    ("days", "coming"),
    [
        (((1, 31), (2, 28), (3, 31)), ((4, 30), (5, 31))),  # the last day
        (((2, 5), (3, 5)), ((4, 5), (5, 5))),  # the fifth, twice
        (((1, 30), (2, 27), (3, 27)), ((4, 24), (5, 29))),  # the last Friday
        (((1, 23), (2, 25), (3, 25)), ((4, 24), (5, 25))),  # the 25th, on the Friday before a weekend
        (((1, 30), (2, 27), (3, 31)), ((4, 30), (5, 29))),  # the last working day
    ],
)
def test_days_of_the_month_and_paydays_are_expected_again(
    days: tuple[tuple[int, int], ...], coming: tuple[tuple[int, int], ...]
) -> None:
    assert [date(2026, *day) for day in coming] == expected(seen(*days), hour(4, 2), days=60)


def test_on_its_day_a_send_is_still_to_come_and_missed_the_day_after() -> None:
    twice = seen((2, 5), (3, 5))

    assert date(2026, 4, 5) in expected(twice, hour(4, 5, HOUR - 1))
    assert [] == expected(twice, hour(4, 6))


def test_the_sizes_of_more_sends_are_known_better() -> None:
    (few,), _ = recurring(seen((2, 5), (3, 5)), hour(4, 1), "UTC")
    (many,), _ = recurring(seen((1, 5), (2, 5), (3, 5), (4, 5)), hour(5, 1), "UTC")

    assert many.spread < few.spread
    assert many.chance > few.chance


def test_bursts_at_random_are_hardly_ever_a_pattern() -> None:
    rng = Random(3)
    found = 0
    for count in (2, 3, 4, 6, 10, 30) * 10:
        first = date(2026, 1, 1)
        dates = [first + timedelta(days=days) for days in sorted(rng.sample(range(150), count))]
        found += bool(expected(seen(*((day.month, day.day) for day in dates)), hour(5, 31)))

    assert found <= 2


def test_a_send_of_a_known_size_is_expected_in_its_hours_and_the_hour_after() -> None:
    model = np.zeros(1, MODEL)[0]
    model["rules"] = 1
    model["recurring"][0] = (Repeats.FROM_MONTH_END, 0, HOUR, 3, 1.0, 30_000, 0.2)

    def is_known(day: int, at: float, use: float = 3_000) -> bool:
        since = hour(3, day, 0) * 3600 + at * 3600
        return is_expected(model, use, since, since + 300, "UTC")

    assert [False, True, True, True, False] == [is_known(31, at) for at in (8.5, 9, 11.9, 12.5, 13)]
    assert [False, False] == [is_known(30, 9.5), is_known(31, 9.5, use=30_001)]

"""Calendar rules of recurring bursts, with dates of 2026 (1 January is a Thursday)."""

from datetime import UTC, date, datetime, timedelta
from random import Random

import numpy as np
import pytest

from balancebot.forecast.bursts import Burst
from balancebot.forecast.forecast import is_expected
from balancebot.forecast.model import MODEL
from balancebot.forecast.recurring import Repeats, Rule, occurrences, recurring

HOUR = 9


def hour(month: int, day: int, hour: int = HOUR) -> int:
    return int(datetime(2026, month, day, hour, tzinfo=UTC).timestamp() // 3600)


def seen(*days: tuple[int, int]) -> list[Burst]:
    return [Burst(hour(*day), 2, 1000.0) for day in days]


def expected(bursts: list[Burst], now: int, *, days: int = 70) -> list[date]:
    """Return the dates on which the rules of these bursts expect another one."""
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


def test_a_recurring_send_is_expected_on_its_day_and_missed_the_day_after() -> None:
    twice = seen((2, 5), (3, 5))

    assert date(2026, 4, 5) in expected(twice, hour(4, 5, HOUR - 1))
    assert [] == expected(twice, hour(4, 6))


def test_more_sends_make_the_expected_size_more_certain() -> None:
    (few,), _ = recurring(seen((2, 5), (3, 5)), hour(4, 1), "UTC")
    (many,), _ = recurring(seen((1, 5), (2, 5), (3, 5), (4, 5)), hour(5, 1), "UTC")

    assert many.spread < few.spread
    assert many.chance > few.chance


def test_all_bursts_of_one_day_count_as_one_send() -> None:
    days = ((1, 5), (2, 5), (3, 5))
    later = [Burst(hour(*day, HOUR + 4), 2, 3000.0) for day in days]

    ((rule,), left) = recurring([*seen(*days), *later], hour(4, 1), "UTC")

    assert (4000.0, []) == (rule.messages, left)


def test_a_weekday_becomes_a_rule_when_it_recurs_often_enough() -> None:
    mondays = [date(2026, 3, 2) + timedelta(weeks=weeks) for weeks in range(5)]

    coming = expected(seen(*((day.month, day.day) for day in mondays)), hour(4, 1), days=14)

    assert [date(2026, 4, 6), date(2026, 4, 13)] == coming
    assert [] == expected(seen((3, 2), (3, 16)), hour(3, 20), days=14)  # two of three Mondays


def test_the_number_of_rules_is_limited_by_the_model() -> None:
    found = seen(*((month, day) for month in range(1, 9) for day in (3, 8, 13, 22)))

    rules, left = recurring(found, hour(9, 1), "UTC")

    assert (3, 8) == (len(rules), len(left))


def test_a_recurring_send_is_expected_from_its_begin() -> None:
    rule = Rule(Repeats.DAY_OF_MONTH, 5, HOUR, 2, 1.0, 1000.0, 0.2)
    at = hour(4, 5) * 3600.0

    assert [at] == [send.start for send in occurrences(rule, at, at + 1, "UTC")]
    assert [] == list(occurrences(rule, at - 86400, at, "UTC"))


def test_a_payday_on_a_weekend_is_expected_before_the_weekend() -> None:
    """25 April 2026 is a Saturday and 31 May a Sunday; only the Friday before is in the requested range."""
    for repeats, day, friday in (
        (Repeats.WORKING_DAY_OF_MONTH, 25, hour(4, 24)),
        (Repeats.WORKING_DAY_FROM_MONTH_END, 0, hour(5, 29)),
    ):
        rule = Rule(repeats, day, HOUR, 2, 1.0, 1000.0, 0.2)
        since = (friday - HOUR) * 3600.0

        assert [friday * 3600.0] == [send.start for send in occurrences(rule, since, since + 86000, "UTC")]


def test_random_bursts_rarely_become_a_rule() -> None:
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

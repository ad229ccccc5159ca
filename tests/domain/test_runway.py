"""Runways and order advice: how stored values are read, and what remains to be bought."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from balancebot.domain.balance import Absent, Reading
from balancebot.domain.runway import NO_END_HOURS, Estimate, OrderAdvice, Runway, position_on_bar

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_an_infinite_runway_is_stored_as_null() -> None:
    stored: dict[str, Any] = {"p10": 3.0, "p50": None, "p90": None, "judged": 0.0}
    runway = Runway(**stored)
    assert (3.0, math.inf, math.inf, 0.0) == (runway.p10, runway.p50, runway.p90, runway.judged)


@pytest.mark.parametrize(
    ("usual", "reading", "days"),
    [(50.0, 100, 2.0), (50.0, 0, 0.0), (0.0, 100, None), (None, 100, None), (50.0, Absent.UNALLOCATED, None)],
)
def test_a_reading_lasts_by_its_usual_usage(
    usual: float | None, reading: Reading, days: float | None
) -> None:
    assert days == Estimate(usual_burn_per_day=usual).usual_days(reading)


@pytest.mark.parametrize(
    ("messages", "lacking", "move", "ordered", "to_buy"),
    [
        (50_000, 20_000, 0, 0, 20_000),
        (50_000, 20_000, 5_000, 4_000, 11_000),
        (50_000, 20_000, 15_000, 9_000, 0),
        (50_000, 0, 5_000, 0, 50_000),  # stored before the shortfall was stored
        (0, 20_000, 20_000, 0, 0),
    ],
)
def test_movable_and_ordered_quota_need_not_be_bought(
    messages: int, lacking: int, move: int, ordered: int, to_buy: int
) -> None:
    advice = OrderAdvice(
        messages=messages,
        order_by=NOON,
        until=NOON,
        confidence=0.9,
        lacking=lacking,
        move=move,
        ordered=ordered,
    )
    assert to_buy == advice.to_buy


@pytest.mark.parametrize(
    ("change", "needed"),
    [
        ({}, False),
        ({"messages": 1}, True),
        ({"move": 1}, True),
        ({"stop_first": True}, True),
        ({"ordered": 9}, False),
    ],
)
def test_advice_is_needed_if_there_is_something_to_do(change: dict[str, Any], needed: bool) -> None:
    plain: dict[str, Any] = {"messages": 0, **change}
    assert needed is OrderAdvice(order_by=None, until=NOON, confidence=0.9, **plain).is_needed


@pytest.mark.parametrize(
    ("reserve", "seen_at", "in_use"), [(10, None, True), (10, NOON, False), (0, None, False), (1, None, True)]
)
def test_universal_quota_counts_as_in_use_without_a_known_end(
    reserve: int, seen_at: datetime | None, in_use: bool
) -> None:
    advice = OrderAdvice(
        messages=0, order_by=None, until=NOON, confidence=0.9, reserve=reserve, reserve_seen_at=seen_at
    )
    assert in_use is advice.reserve_in_use


def test_the_runway_bar_gives_hours_more_room_than_months() -> None:
    day, week, month = (
        position_on_bar(time / timedelta(hours=1))
        for time in (timedelta(days=1), timedelta(days=7), timedelta(days=30))
    )
    assert [0.0, 0.0, 1.0, 1.0] == [position_on_bar(hours) for hours in (-5.0, 0.0, NO_END_HOURS, math.inf)]
    assert (0.22, 0.46, 0.66) == (round(day, 2), round(week, 2), round(month, 2))

"""Charts and bars show the figures, and contain nothing that a strict content security policy forbids."""

import html
import json
import math
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from balancebot.domain.balance import Absent, Reading
from balancebot.domain.runway import Runway
from balancebot.domain.threshold import Limits
from balancebot.domain.verdict import Severity
from balancebot.forecast.course_ahead import LevelAhead
from balancebot.i18n import Wording
from balancebot.web.chart import (
    WIDE,
    Axis,
    ChartCurve,
    ChartMark,
    ChartMarkKind,
    draw,
    future_levels,
    round_instants,
    round_values,
    runway_bar,
)

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def svg(
    points: list[tuple[datetime, Reading]],
    *,
    reading: Reading = 800,
    ahead: tuple[LevelAhead, ...] = (),
    limits: Limits | None = None,
    marks: list[ChartMark] | None = None,
) -> str:
    curve = ChartCurve(
        points=points,
        marks=marks or [],
        since=NOW - timedelta(days=1),
        now=NOW,
        reading=reading,
        observed_at=NOW,
        until=NOW + 24 * HOUR,
        ahead=ahead,
        limits=limits or Limits(),
        longest_gap=3 * HOUR,
    )
    words = Wording(language="en", zone=ZoneInfo("Asia/Shanghai"))
    return draw(curve, WIDE, words=words, title="acme <checkout>")


def levels_of(*levels: tuple[float, float, float, float]) -> tuple[LevelAhead, ...]:
    return tuple(
        LevelAhead(at=NOW + HOUR * after, p10=p10, p50=p50, p90=p90) for after, p10, p50, p90 in levels
    )


def points_of(drawn: str, name: str) -> list[tuple[float, float]]:
    found = re.search(rf'class="{name}" d="([^"]+)"', drawn)
    assert found
    points = [point.split() for point in re.split("[MLZ]", found[1]) if point]
    return [(float(x), float(y)) for x, y in points]


def hourly(*readings: Reading) -> list[tuple[datetime, Reading]]:
    return [(NOW - HOUR * (len(readings) - index), reading) for index, reading in enumerate(readings)]


@pytest.mark.parametrize(
    ("highest", "steps"),
    [
        (0, [0, 1]),
        (3, [0, 1, 2, 3]),
        (80, [0, 20, 40, 60, 80]),
        (81, [0, 50, 100]),
        (1234, [0, 500, 1000, 1500]),
        (41_000_000, [0, 20_000_000, 40_000_000, 60_000_000]),
    ],
)
def test_an_axis_has_round_steps_of_whole_messages(highest: float, steps: list[float]) -> None:
    assert steps == round_values(highest, about=4)


def test_dates_are_at_local_midnight_also_across_a_clock_change() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 10, 24, 0, 0, tzinfo=UTC)
    days = list(round_instants(start, start + timedelta(days=3), berlin, at_most=5))
    assert [(24, 22), (25, 23), (26, 23)] == [(at.day, at.hour) for at in days]


def test_a_value_is_placed_in_proportion_between_the_ends() -> None:
    assert 75.0 == Axis(low=0, high=100, start=300, end=0).at(75)


def test_a_gap_in_the_readings_is_a_gap_in_the_line() -> None:
    chart = svg(hourly(1000, 950, 900))
    assert 1 == chart.count('class="history"')
    assert 2 == svg(hourly(1000, 950, Absent.UNALLOCATED, 900)).count('class="history"') + svg(
        hourly(1000, 950, Absent.UNALLOCATED, 900)
    ).count('class="point"')
    assert 2 == svg([(NOW - 9 * HOUR, 1000), (NOW - 8 * HOUR, 990), *hourly(900)]).count('class="history"')


def test_the_range_ahead_ends_where_the_percentiles_reach_zero() -> None:
    drawn = svg(
        hourly(1000, 900),
        ahead=levels_of((0, 800, 800, 800), (4, 0, 300, 600), (6, 0, 0, 500), (12, 0, 0, 0)),
    )
    around, median = points_of(drawn, "fan"), points_of(drawn, "median")
    now, floor = median[0][0], max(y for _, y in around)
    hour = (around[3][0] - now) / 12
    assert [(0, False), (4, False), (6, False), (12, True), (6, True), (4, True), (0, False)] == [
        (round((x - now) / hour), y == floor) for x, y in around
    ]
    assert [(0, False), (4, False), (6, True)] == [(round((x - now) / hour), y == floor) for x, y in median]


def test_the_range_ahead_includes_the_slowest_trajectory_if_there_is_room() -> None:
    week = timedelta(days=7)
    for p90, days in ((math.inf, 7), (5 * 24, 5.3), (3, 1.4)):
        runway = Runway(p10=1, p50=2, p90=p90, judged=1)
        assert timedelta(days=days) == future_levels(week, runway)


def test_limits_are_labelled_lines_and_jumps_are_marked() -> None:
    drawn = svg(
        hourly(1000, 3000),
        limits=Limits(warning_below=2000, critical_below=500, critical_days=0.5),
        marks=[ChartMark(at=NOW - 5 * HOUR, kind=ChartMarkKind.TOP_UP, messages=2000)],
    )
    assert 3 == len(re.findall('class="limit ', drawn))
    assert ">2,000</text>" in drawn
    assert ">0.5 days</text>" in drawn
    assert "<title>Tue 24 Nov, 12:00: top-up +2,000</title>" in drawn


def test_a_chart_has_no_inline_style_and_no_unescaped_name() -> None:
    for element in (svg(hourly(1000, 900)), runway_bar(None, Severity.UNKNOWN, Limits(), words="<x>")):
        assert "style=" not in element
        assert "<x>" not in element
        assert "<checkout>" not in element


def test_the_bar_shows_the_sure_part_the_possible_part_and_the_limits() -> None:
    runway = Runway(p10=24, p50=48, p90=24 * 365, judged=30)
    drawn = runway_bar(runway, Severity.WARNING, Limits(warning_days=7, critical_days=3), words="≈ 2 days")
    widths = {
        name: float(re.search(rf'class="{name}" x="0.0" y="[^"]+" width="([^"]+)"', drawn)[1])
        for name in ("sure", "maybe")
    }
    assert 170.0 == widths["maybe"]
    assert 0 < widths["sure"] < 60
    assert 2 == drawn.count('class="limit"')
    assert 'class="runway warning"' in drawn


def test_a_fall_that_ended_within_the_hour_is_drawn_and_described() -> None:
    points = hourly(1000, 1000, 1000, 1000)
    curve = ChartCurve(
        points=points,
        marks=[],
        since=NOW - timedelta(days=30),
        now=NOW,
        reading=1000,
        observed_at=NOW,
        until=NOW + 24 * HOUR,
        ahead=(),
        limits=Limits(),
        longest_gap=3 * HOUR,
        extremes=[(NOW - 2.5 * HOUR, 0, 1000), (NOW - 1.5 * HOUR, 999, 1000)],
    )
    words = Wording(language="en", zone=ZoneInfo("Asia/Shanghai"))
    drawn = draw(curve, WIDE, words=words, title="acme")
    lines = re.findall(r'<line class="extreme" x1="[\d.]+" y1="([\d.]+)" x2="[\d.]+" y2="([\d.]+)"', drawn)
    assert [("304.0")] == [bottom for _, bottom in lines]
    assert "1,000 messages (between 0 and 1,000)" in drawn


def test_values_are_described_from_left_to_right_and_the_last_is_the_balance() -> None:
    drawn = svg(hourly(1000, Absent.UNREAD, 900), reading=800)
    found = re.search(r'data-values="([^"]+)"', drawn)
    assert found
    values = json.loads(html.unescape(found[1]))
    assert sorted(values) == values
    assert ["1,000 messages", "900 messages", "800 messages"] == [
        text.partition(": ")[2] for _, text in values
    ]
    assert 'aria-valuetext="Tue 24 Nov, 17:00: 800 messages"' in drawn

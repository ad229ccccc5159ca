"""Spikes, and traffic that stopped."""

import numpy as np
import pytest

from balancebot.domain.burn_model import Models, fit
from balancebot.domain.forecast import Plan
from balancebot.domain.spike import SPIKING, Spikes, have_stopped, is_planned, judge_spikes, next_streak
from balancebot.domain.use_window import WINDOW_HOURS, UseWindow

END = 494_000
NOW = END * 3600.0


def model(rate: float = 120.0, *, days: float = 35, silent: int = 0, bursts: float = 1.0) -> Models:
    rng = np.random.default_rng(7)
    use = rng.poisson(rate, WINDOW_HOURS).astype(np.float32)
    use[::40] *= bursts
    exposure = np.zeros(WINDOW_HOURS, np.float32)
    exposure[WINDOW_HOURS - int(days * 24) :] = 1.0
    use *= exposure
    if silent:
        use[-silent:] = 0
    return fit([UseWindow(end=END, use=use, exposure=exposure)], "UTC")


def judge(models: Models, use: float, *, minutes: float = 5.0, **more: object) -> Spikes:
    return judge_spikes(
        models,
        use=np.array([use]),
        since=np.array([NOW]),
        until=np.array([NOW + minutes * 60]),
        zone="UTC",
        **more,  # type: ignore[arg-type]
    )


def test_usual_use_is_calm_and_six_times_as_much_is_over_the_bar() -> None:
    usual, high = judge(model(), 10.0), judge(model(), 60.0)
    assert (False, True) == (bool(usual.over[0]), bool(usual.calm[0]))
    assert (True, False) == (bool(high.over[0]), bool(high.calm[0]))
    assert high.expected[0] == pytest.approx(10.0, rel=0.1)
    assert high.factor[0] == pytest.approx(6.0, rel=0.1)


def test_who_bursts_every_other_day_is_not_told_of_it() -> None:
    assert judge(model(), 80.0).over[0]
    assert not judge(model(bursts=8.0), 80.0).over[0]


def test_a_few_messages_instead_of_none_are_no_spike() -> None:
    assert not judge(model(0.2), 2.0).over[0]


@pytest.mark.parametrize(
    "more",
    [
        {"alerts": np.array([2])},
        {"bursty": np.array([True])},
        {"planned": np.array([True])},
    ],
)
def test_who_is_known_to_burst_needs_more(more: dict[str, object]) -> None:
    plain = judge(model(), 1e9).bar[0]
    use = 11.5 * 2 ** (plain + 0.2)
    assert judge(model(), use).over[0]
    assert not judge(model(), use, **more).over[0]


def test_a_day_of_readings_is_needed_and_the_first_days_need_more() -> None:
    assert not judge(model(days=0.9), 1e6).over[0]
    assert judge(model(days=1), 1e6).over[0]
    assert judge(model(days=1), 1.0).bar[0] > judge(model(days=30), 1.0).bar[0]


def test_a_long_gap_says_nothing_of_the_present() -> None:
    gap = judge(model(), 1e6, minutes=180)
    assert (False, False) == (bool(gap.over[0]), bool(gap.calm[0]))


def test_two_readings_over_the_bar_are_a_spike_and_two_calm_ones_its_end() -> None:
    streak, seen = 0, []
    for over, calm in [
        (True, False),
        (False, True),
        (True, False),
        (True, False),
        (False, True),
        (False, True),
    ]:
        streak = next_streak(streak, over=over, calm=calm)
        seen.append(streak)
    assert [1, -1, 1, SPIKING, -1, -SPIKING] == seen
    assert 0 == next_streak(1, over=False, calm=False)
    assert SPIKING == next_streak(SPIKING, over=True, calm=False)


def test_a_days_use_at_once_is_a_spike_by_itself() -> None:
    a_day = 24 * 120.0
    assert [False, True] == [bool(judge(model(), use).drained[0]) for use in (a_day * 0.9, a_day * 1.1)]
    assert not judge(model(0.2), 90.0).drained[0]
    assert not judge(model(), a_day * 5, bursty=np.array([True])).drained[0]
    assert SPIKING == next_streak(-SPIKING, over=True, calm=False, drained=True)


def test_a_plan_covers_its_time_and_the_hour_after() -> None:
    plan = Plan(start=NOW, end=NOW + 7200, messages=9)
    assert [False, True, True, False] == [
        is_planned([plan], since, since + 300) for since in (NOW - 300, NOW - 299, NOW + 10_500, NOW + 10_800)
    ]


def test_traffic_that_is_still_for_longer_than_ever_has_stopped() -> None:
    def stopped(models: Models, use: float = 0.0, exposure: float = 0.5) -> bool:
        return bool(
            have_stopped(
                models,
                open_use=np.array([use]),
                open_exposure=np.array([exposure]),
                at=np.array([NOW]),
                zone="UTC",
            )[0]
        )

    assert not stopped(model(), exposure=0.01)
    assert stopped(model(), exposure=0.5)
    assert stopped(model(silent=3))
    assert not stopped(model(silent=3), use=1.0)
    assert not stopped(model(0.1, silent=6))

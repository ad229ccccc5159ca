"""Usage spikes, and traffic that has stopped."""

import numpy as np
import pytest

from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.forecast.model import Models, fit
from balancebot.forecast.profile import hours_of_week
from balancebot.forecast.recurring import DatedSend
from balancebot.forecast.spike import (
    REMEMBERED_DAYS,
    SPIKING,
    Spikes,
    gather,
    have_stopped,
    is_planned,
    judge_spikes,
    remembered,
    stands_in_for,
    stay_high,
)
from balancebot.forecast.use_window import WINDOW_HOURS, UseWindow

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
    return fit([UseWindow(end=END, use=use, exposure=exposure)], "UTC").models


def judge(models: Models, use: float, *, minutes: float = 5.0, **more: object) -> Spikes:
    return judge_spikes(
        models,
        use=np.array([use]),
        since=np.array([NOW]),
        until=np.array([NOW + minutes * 60]),
        zone="UTC",
        **more,  # type: ignore[arg-type]
    )


def points(models: Models, use: float, **more: object) -> int:
    return int(judge(models, use, **more).points[0])  # type: ignore[arg-type]


def test_usual_usage_counts_against_a_spike_and_four_and_ten_times_as_much_count_for_it() -> None:
    assert [-2, -2, 0, 1, 2] == [points(model(), 10.0 * times) for times in (0, 1.5, 2.7, 4, 10)]


def test_a_reading_is_explained_with_what_was_expected() -> None:
    high = judge(model(), 60.0)
    assert high.expected[0] == pytest.approx(10.0, rel=0.1)
    assert high.factor[0] == pytest.approx(6.0, rel=0.1)


def test_a_sender_with_bursts_every_second_day_has_no_spike() -> None:
    assert 1 == points(model(), 40.0)
    assert 1 > points(model(bursts=16.0), 40.0)


def test_a_few_messages_instead_of_none_are_no_spike() -> None:
    assert -2 == points(model(0.2), 2.0)


@pytest.mark.parametrize("more", [{"alerts": np.array([0.5])}, {"bursty": np.array([True])}])
def test_a_sender_with_past_bursts_needs_a_larger_order(more: dict[str, object]) -> None:
    assert 1 == points(model(), 36.0)
    assert 1 > points(model(), 36.0, **more)


def test_twenty_times_the_usage_is_a_spike_until_many_such_alerts_were_sent() -> None:
    assert [2, 2, -2] == [
        points(model(), 210.0, alerts=np.array([num_alerts])) for num_alerts in (0.0, 3.0, 5.0)
    ]


def test_a_planned_send_does_not_count_for_a_spike() -> None:
    assert 0 == points(model(), 1e9, planned=np.array([True]))


def test_a_spike_needs_a_day_of_readings_and_higher_usage_in_the_first_days() -> None:
    assert 0 == points(model(days=0.9), 1e6)
    assert 2 == points(model(days=1), 1e6)
    assert judge(model(days=1), 1.0).bar[0] > judge(model(days=30), 1.0).bar[0]


def test_longer_intervals_need_a_smaller_rise() -> None:
    assert [1, 2] == [points(model(), 12.0 * minutes, minutes=minutes) for minutes in (5, 15)]


def test_a_long_gap_is_not_judged() -> None:
    assert [0, 0] == [points(model(), use, minutes=180) for use in (0.0, 1e6)]


def test_two_hours_are_the_longest_interval_that_is_judged() -> None:
    assert [(-2, 2), (0, 0)] == [
        (points(model(), 0.0, minutes=minutes), points(model(), 1e6, minutes=minutes))
        for minutes in (120, 120.1)
    ]


def gathered(*readings: int) -> list[int]:
    before, course = 0, []
    for reading in readings:
        before = gather(before, reading)
        course.append(before)
    return course


def test_two_readings_far_above_the_bar_start_a_spike_and_two_usual_ones_end_it() -> None:
    assert [2, SPIKING, 2, 0] == gathered(2, 2, -2, -2)


def test_a_longer_spike_takes_up_to_four_usual_readings_to_end() -> None:
    assert [2, SPIKING, 6, 8, 8, 6, 4, 2, 0] == gathered(2, 2, 2, 2, 2, -2, -2, -2, -2)


def test_slightly_increased_usage_does_not_end_a_spike() -> None:
    quiet = model(0.5)
    usual, high = 0.0, 2.0
    assert [-2, 0] == [int(judge(quiet, use, notified=np.array([True])).points[0]) for use in (usual, high)]
    assert -2 == judge(quiet, high).points[0]


def test_during_a_spike_three_times_as_many_as_usual_is_not_usual_however_few_they_are() -> None:
    one_in_five_minutes = model(12.0)
    assert [-2, 0] == [
        int(judge(one_in_five_minutes, use, notified=np.array([True])).points[0]) for use in (2.0, 3.0)
    ]


def test_usage_stays_high_while_it_is_clearly_more_than_half_as_much_again() -> None:
    def is_high(use: float) -> bool:
        until = np.array([NOW + 300])
        return bool(
            stay_high(model(), use=np.array([use]), since=np.array([NOW]), until=until, zone="UTC")[0]
        )

    assert [False, False, True] == [is_high(10.0 * times) for times in (1.0, 2.4, 2.7)]


def test_four_readings_above_the_bar_are_a_spike_despite_unjudged_readings_in_between() -> None:
    assert [1, 2, 2, 3, SPIKING] == gathered(1, 1, 0, 1, 1)


def test_bursts_of_one_reading_are_never_a_spike() -> None:
    assert [2, 0, 2, 0, 0] == gathered(2, -2, 2, -2, -2)


def test_a_past_spike_alert_loses_its_weight_within_a_quarter() -> None:
    assert [0.0, 1.0, 0.5, 0.0, 1.5] == [
        remembered(days) for days in ([], [0], [REMEMBERED_DAYS / 2], [REMEMBERED_DAYS + 1], [0, 45, 90])
    ]


def test_the_usage_of_a_day_in_one_reading_is_a_spike() -> None:
    a_day = 24 * 120.0
    assert [False, True] == [bool(judge(model(), use).drained[0]) for use in (a_day, a_day * 1.03)]
    assert not judge(model(0.2), 90.0).drained[0]
    assert not judge(model(), a_day * 5, bursty=np.array([True])).drained[0]
    assert [SPIKING, 8] == [gather(before, 2, drained=True) for before in (0, 8)]


def test_a_planned_send_covers_its_time_and_the_hour_after() -> None:
    plan = DatedSend(start=NOW, end=NOW + 7200, messages=9)
    assert [False, True, True, False] == [
        is_planned([plan], since, since + 300) for since in (NOW - 300, NOW - 299, NOW + 10_500, NOW + 10_800)
    ]


def test_a_night_without_readings_is_not_stopped_traffic() -> None:
    hours = hours_of_week("UTC", END - WINDOW_HOURS, WINDOW_HOURS) % 24
    evening = END - (END - 20) % 24  # used from 8 to 20, and read until then
    use = np.where((hours >= 8) & (hours < 20), 60, 0).astype(np.float32)
    window = UseWindow(
        end=evening, use=np.roll(use, END - evening), exposure=np.ones(WINDOW_HOURS, np.float32)
    )

    def stopped(hours_later: float) -> bool:
        at = np.array([(evening + hours_later) * 3600.0])
        exposure = np.array([hours_later])
        models = fit([window], "UTC").models
        return bool(have_stopped(models, open_use=np.zeros(1), open_exposure=exposure, at=at, zone="UTC")[0])

    assert [False, True] == [stopped(12.2), stopped(14.0)]


def test_traffic_has_stopped_when_it_pauses_longer_than_ever_before() -> None:
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


def test_universal_quota_stands_in_only_for_empty_categories_of_the_same_wallet() -> None:
    shop, web = WalletName("acme/shop"), WalletName("acme/web")
    keys = [
        BalanceKey(shop, Category.UNIVERSAL),
        BalanceKey(shop, Category.INDUSTRY),
        BalanceKey(shop, Category.MARKET),
        BalanceKey(web, Category.INDUSTRY),
    ]
    models = np.concatenate([model()] * len(keys))

    assert {0: [1]} == stands_in_for(keys, [500, 0, 30, 0], models)
    assert {0: [1, 2]} == stands_in_for(keys, [0, 0, 0, 7], models)
    assert {} == stands_in_for(keys, [0, 10, 30, 0], models)

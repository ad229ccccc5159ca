"""A backtest applies the alert transitions to past readings, and returns how much notice people would have had."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from balancebot.domain.alert import Reason
from balancebot.domain.balance import Absent, BalanceKey, Category, Reading, WalletName
from balancebot.domain.runway import UNKNOWN, Estimate, Runway
from balancebot.domain.threshold import Limits
from balancebot.domain.verdict import Severity
from balancebot.forecast.backtest import Ending, Episode, Moment, NoticeSent, episodes

START = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
BALANCE = BalanceKey(WalletName("acme/shop"), Category.INDUSTRY)
LIMITS = Limits(warning_below=100, critical_below=50)


def moments_of(
    *readings: Reading, top_ups: tuple[int, ...] = (), days: float | None = None
) -> Iterator[Moment]:
    """Yield one reading an hour; `top_ups` are the hours in which quota was bought."""
    runway = None if days is None else Runway(p10=days * 24, p50=days * 24, p90=days * 24, judged=days * 24)
    for hour, reading in enumerate(readings):
        yield Moment(
            at=START + HOUR * hour,
            reading=reading,
            estimate=UNKNOWN if runway is None else Estimate(burn_per_day=1.0, runway=runway),
            topped_up=hour in top_ups,
        )


def run(moments: Iterator[Moment], limits: Limits = LIMITS) -> tuple[Episode, ...]:
    return episodes(moments, limits, balance=BALANCE, margin=0.05, ever_positive=False)


def test_the_backtest_opens_worsens_and_measures_the_notice_until_the_balance_ran_out() -> None:
    (episode,) = run(moments_of(120, 90, 60, 40, 10, 0, 0))
    assert (
        Episode(
            notices=(
                NoticeSent(at=START + HOUR, severity=Severity.WARNING, reason=Reason.OPENED),
                NoticeSent(at=START + 3 * HOUR, severity=Severity.CRITICAL, reason=Reason.WORSENED),
                NoticeSent(at=START + 5 * HOUR, severity=Severity.DEPLETED, reason=Reason.WORSENED),
            ),
            ending=Ending.RAN_OUT,
            ended_at=START + 5 * HOUR,
        )
        == episode
    )
    assert (4 * HOUR, Severity.DEPLETED) == (episode.notice, episode.worst)


def test_a_purchase_ends_the_notice_and_the_next_fall_is_another_episode() -> None:
    first, second = run(moments_of(120, 90, 500, 300, 80, top_ups=(2,)))
    assert (Ending.TOPPED_UP, HOUR) == (first.ending, first.notice)
    assert (Ending.STILL_OPEN, None) == (second.ending, second.notice)


def test_a_rise_without_a_purchase_is_a_recovery_without_notice() -> None:
    (episode,) = run(moments_of(120, 90, 500))
    assert (Ending.RECOVERED, None) == (episode.ending, episode.notice)


def test_missing_readings_neither_open_nor_close_an_alert() -> None:
    (episode,) = run(moments_of(90, Absent.UNREAD, 80))
    assert Ending.STILL_OPEN is episode.ending


def test_limits_in_days_are_compared_with_the_runway_of_that_time() -> None:
    days = Limits(warning_days=7, critical_days=3)
    assert Severity.CRITICAL is run(moments_of(1000, days=2), days)[0].worst
    assert run(moments_of(1000), days) == ()
    assert run(moments_of(1000, days=8), days) == ()


def test_a_balance_that_was_always_zero_is_notified_only_where_a_count_is_set() -> None:
    assert run(moments_of(0, 0), Limits(warning_days=7)) == ()
    (episode,) = run(moments_of(0, 0))
    assert (Ending.RAN_OUT, timedelta(0)) == (episode.ending, episode.notice)


def test_a_flapping_balance_counts_as_one_episode_from_its_third_opening_on() -> None:
    found = run(moments_of(*(90, 500) * 6))
    assert [START + hours * HOUR for hours in (0, 2, 4)] == [episode.opened_at for episode in found]


def test_after_its_third_fall_to_critical_in_a_day_a_swinging_balance_is_notified_no_more() -> None:
    (episode,) = run(moments_of(90, *(40, 80) * 6))
    assert [START + hours * HOUR for hours in (0, 1, 3, 5)] == [notice.at for notice in episode.notices]


def test_an_alert_that_was_already_open_at_the_start_does_not_count() -> None:
    moments = list(moments_of(90, 80, 500, 300, 90))
    found = episodes(moments, LIMITS, balance=BALANCE, margin=0.05, ever_positive=True, read_before=True)

    assert [START + 4 * HOUR] == [episode.opened_at for episode in found]

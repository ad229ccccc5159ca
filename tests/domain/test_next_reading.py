"""When a wallet is read next: between `fastest` and `every` later, and sooner the nearer it is to a limit."""

import heapq
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancebot.domain.balance import Category
from balancebot.domain.next_reading import (
    NextReading,
    PollIntervals,
    ReadReason,
    WatchedBalance,
    next_reading,
    retry_reading,
)
from balancebot.domain.runway import UNKNOWN, Estimate, Runway
from balancebot.domain.threshold import Limits
from tests.outbox_bench import NOON

MINUTE = timedelta(minutes=1)
INTERVALS = PollIntervals(every=60 * MINUTE, fastest=MINUTE, stale_after=120 * MINUTE)
LIMITS = Limits(warning_below=10_000, critical_below=2_000)


def estimate(hours: float, **changes: Any) -> Estimate:
    return replace(Estimate(runway=Runway(p10=hours, p50=hours, p90=hours, judged=hours)), **changes)


def balance(reading: int, expected: Estimate = UNKNOWN, **changes) -> WatchedBalance:
    return WatchedBalance(Category.INDUSTRY, reading, LIMITS, expected)._replace(**changes)


def ask(*balances: WatchedBalance, read_at=NOON, due_at=NOON, account="acme", slowdown=1) -> NextReading:
    return next_reading(
        balances, account=account, due_at=due_at, read_at=read_at, intervals=INTERVALS, slowdown=slowdown
    )


def wait(*balances: WatchedBalance, **changes) -> timedelta:
    return ask(*balances, **changes).at - NOON


def shared(account: str = "acme") -> timedelta:
    """Return when all wallets of the account are read together, after noon."""
    return wait(balance(10**9), account=account)


readings = st.integers(0, 10**6)
hours = st.floats(0, 10_000) | st.just(float("inf"))
seconds = st.floats(0, 4 * 3600)
every = st.timedeltas(timedelta(seconds=1), timedelta(days=1))
anything = st.builds(
    balance,
    readings,
    st.builds(
        lambda p10, rate, size: estimate(p10, bursts_per_day=rate, burst=size),
        hours,
        st.floats(0, 20),
        st.floats(0, 10**6),
    )
    | st.just(UNKNOWN),
    pace=st.floats(0, 10**7),
    is_spiking=st.booleans(),
    sends=st.lists(
        st.tuples(seconds, seconds).map(
            lambda times: (NOON.timestamp() + min(times), NOON.timestamp() + max(times))
        ),
        max_size=2,
    ),
)


@given(
    st.lists(anything, max_size=4),
    every,
    every,
    seconds,
    st.sampled_from(["acme", "globex", "initech"]),
    st.sampled_from([1, 2, 64]),
)
def test_the_next_reading_is_from_fastest_to_every_later(
    balances, longest, shortest, late, account, slowdown
):
    intervals = PollIntervals(
        every=max(longest, shortest), fastest=min(longest, shortest), stale_after=timedelta(days=2)
    )
    read_at = NOON + timedelta(seconds=late)

    found = next_reading(
        balances, account=account, due_at=NOON, read_at=read_at, intervals=intervals, slowdown=slowdown
    )

    slack = timedelta(milliseconds=1)
    base = NOON if late < intervals.fastest.total_seconds() or intervals.num_slots < 2 else read_at
    if intervals.num_slots < 2 and late >= intervals.every.total_seconds():
        base = read_at
    assert base + intervals.fastest - slack <= found.at <= base + intervals.every + slack


@given(readings, readings, hours, st.floats(0, 1000))
def test_a_lower_balance_is_never_read_later(reading, more, p10, pace):
    near = balance(reading, estimate(p10), pace=pace)
    far = balance(reading + more, estimate(p10 * (reading + more) / max(reading, 1)), pace=pace)
    if reading == 0 or any(reading < limit <= reading + more for limit in (2_000, 10_000)):
        return  # with less quota another limit may be the next one

    assert wait(near) <= wait(far)


@given(st.lists(anything, min_size=1, max_size=4), anything)
def test_another_balance_never_makes_it_later(balances, another):
    assert wait(*balances, another) <= wait(*balances)


def test_a_wallet_far_from_its_limits_is_read_together_with_its_account():
    found = ask(balance(10**6, estimate(5000.0)))

    assert ReadReason.FAR is found.reason
    assert timedelta() < found.at - NOON <= INTERVALS.every
    again = ask(balance(10**6, estimate(5000.0)), read_at=found.at, due_at=found.at)
    assert found.at + INTERVALS.every == again.at


def test_readings_of_accounts_are_spread_over_the_interval():
    assert 20 < len({shared(f"account {number}") for number in range(100)})


def test_wallets_of_an_account_are_read_together_with_any_intervals():
    together = NOON + shared()
    for p10 in (0.5, 1.0, 2.5, 4.0, 50.0):
        at = NOON
        while at < together:
            at = ask(balance(10_300, estimate(p10 * 100)), read_at=at, due_at=at).at
        assert together == at


def test_a_limit_that_could_be_crossed_in_two_hours_is_read_within_a_sixth_of_that_time():
    # 10,000 of 20,000 messages are left above the limit; the P10 of the runway is four hours
    found = ask(balance(20_000, estimate(4.0)))

    assert (ReadReason.NEAR, Category.INDUSTRY) == (found.reason, found.category)
    assert 10 * MINUTE < found.at - NOON <= 20 * MINUTE


def test_a_sudden_rise_in_usage_shortens_the_interval_without_any_history():
    assert 4 * MINUTE >= wait(balance(20_000, pace=50_000))


def test_a_burst_that_could_reach_the_limit_counts_by_how_often_bursts_occur():
    bursts = estimate(5000.0, bursts_per_day=12.0, burst=15_000.0)

    assert ReadReason.NEAR is ask(balance(20_000, bursts)).reason
    assert 5 * MINUTE >= wait(balance(20_000, bursts))
    assert ReadReason.FAR is ask(balance(50_000, bursts)).reason


def test_a_balance_below_a_limit_is_read_at_least_four_times_per_every():
    for found in (ask(balance(9_000, estimate(900.0))), ask(balance(0))):
        assert ReadReason.CROSSED is found.reason
        assert found.at - NOON <= INTERVALS.every / 4


def test_a_balance_without_limits_is_far_from_them():
    assert ReadReason.FAR is ask(balance(5, estimate(0.1), limits=Limits())).reason


def test_a_wallet_is_read_when_a_planned_send_begins_and_often_while_it_runs():
    begin = NOON + shared() - 5 * MINUTE if shared() > 6 * MINUTE else NOON + 2 * MINUTE
    send = [(begin.timestamp(), (begin + 300 * MINUTE).timestamp())]
    far = balance(10**6, estimate(5000.0), sends=send)

    before = ask(far)
    assert (True, ReadReason.PLANNED_SEND) == (before.at <= begin, before.reason)
    during = ask(far, read_at=begin, due_at=begin)
    assert during.at - begin <= INTERVALS.every / 4


def test_a_rate_limit_slows_all_wallets_of_the_account_down_but_not_beyond_every():
    near, nearer = balance(20_000, estimate(1.0)), balance(20_000, estimate(0.2))

    assert ReadReason.RATE_LIMITED is ask(nearer, slowdown=4).reason
    assert wait(near) <= wait(near, slowdown=4)
    assert wait(nearer) < wait(nearer, slowdown=4)
    assert wait(nearer, slowdown=1024) <= INTERVALS.every


def test_fixed_intervals_are_regular_and_do_not_drift():
    intervals = replace(INTERVALS, fastest=INTERVALS.every)
    found = next_reading(
        [balance(0)], account="acme", due_at=NOON, read_at=NOON + MINUTE, intervals=intervals
    )

    assert NextReading(NOON + intervals.every, ReadReason.REGULAR) == found


def retry(**changes: Any) -> timedelta:
    given: dict[str, Any] = {
        "is_permanent": False,
        "is_rate_limited": False,
        "failing_since": NOON,
        "due_at": NOON,
        "failed_at": NOON,
        "intervals": INTERVALS,
        "must_confirm": False,
        "retry_after": None,
    } | changes
    at = retry_reading(**given).at
    waited: timedelta = at - given["failed_at"]
    return waited


@pytest.mark.parametrize(
    ("changes", "minutes"),
    [
        ({}, 1),
        ({"failing_since": NOON - 40 * MINUTE}, 10),
        ({"failing_since": NOON - 4000 * MINUTE}, 60),
        ({"failing_since": NOON - 4000 * MINUTE, "must_confirm": True}, 1),
        ({"is_permanent": True}, 60),
        ({"is_permanent": True, "must_confirm": True}, 1),
        ({"retry_after": 5 * MINUTE}, 5),
        ({"retry_after": 5000 * MINUTE}, 120),
    ],
)
def test_a_failing_wallet_is_tried_less_often_the_longer_it_fails(changes, minutes):
    assert minutes * MINUTE == retry(**changes)


def test_every_wallet_is_read_when_more_requests_are_due_than_the_rate_allows():
    # 30 wallets near a limit are due every minute, 300 others every hour: 35 requests a minute, but ten are allowed
    waiting = [(NOON, number) for number in range(330)]
    num_read: Counter[int] = Counter()
    at = NOON
    for _ in range(10 * 60 * 12):
        due_at, number = heapq.heappop(waiting)
        at = max(at, due_at) + MINUTE / 10
        num_read[number] += 1
        watched = balance(10_100, estimate(1.0)) if number < 30 else balance(10**6, estimate(5000.0))
        heapq.heappush(waiting, (ask(watched, due_at=due_at, read_at=at).at, number))

    near, far = (sorted(num_read[number] for number in of) for of in (range(30), range(30, 330)))
    assert far[0] >= 10  # of 12 hours
    assert near[0] >= 60
    assert near[-1] <= near[0] * 1.2

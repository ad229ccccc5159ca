"""Simulated balances are the same for the same scenario, whatever was requested before."""

from datetime import UTC, datetime, timedelta

import pytest

from balancebot.domain.balance import Absent, BalanceKey, Category, Readings, WalletName
from balancebot.jsms.simulator import Event, EventKind, Quota, Scenario, simulated_wallet
from balancebot.jsms.simulator.ledger import Ledger

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
POOL, SHOP = WalletName("acme"), WalletName("acme/shop")
SHOP_INDUSTRY = BalanceKey(SHOP, Category.INDUSTRY)
HOUR = timedelta(hours=1)


def scenario(*events, pool=1000, **quota):
    used = Quota(start=500_000, **{"per_day": 2400, **quota})
    return Scenario(
        wallets=(
            simulated_wallet("acme", industry=pool),
            simulated_wallet("acme", "shop", industry=used, voice=7),
        ),
        events=events,
        seed=3,
    )


def event(kind, at=timedelta(), **rest):
    return Event(kind=kind, balance=SHOP_INDUSTRY, at=at, **rest)


def industry(ledger, at, wallet=SHOP):
    return ledger.readings(wallet, at).industry


def test_a_category_without_quota_is_unallocated_and_an_unused_one_stays():
    found = Ledger(scenario(), started_at=START).readings(SHOP, START)
    assert Readings(Absent.UNALLOCATED, 7, found.industry, Absent.UNALLOCATED) == found


def test_two_ledgers_agree_whatever_was_requested_before():
    asked_often, asked_once = (Ledger(scenario(), started_at=START) for _ in range(2))
    for hours in range(0, 200, 7):
        asked_often.readings(SHOP, START + hours * HOUR)
    at = START + 200 * HOUR
    assert asked_once.readings(SHOP, at) == asked_often.readings(SHOP, at)


def test_usage_over_full_weeks_is_that_of_the_scenario():
    ledger = Ledger(scenario(noise=0.0), started_at=START)
    used = industry(ledger, START) - industry(ledger, START + timedelta(days=28))
    assert pytest.approx(28 * 2400, rel=0.02) == used


def test_usage_is_lower_at_night_and_at_the_weekend():
    ledger = Ledger(scenario(noise=0.0, daily=0.9, weekly=0.8), started_at=START)

    def used(day, hour):  # in Shanghai
        at = datetime(2026, 11, day, hour, tzinfo=UTC) - 8 * HOUR
        return industry(ledger, at) - industry(ledger, at + HOUR)

    monday_noon, monday_night, saturday_noon = used(23, 14), used(23, 2), used(28, 14)
    assert (True, True) == (monday_night < monday_noon / 4, saturday_noon < monday_noon / 2)


def test_a_balance_stops_at_zero():
    ledger = Ledger(scenario(event(EventKind.SET, amount=5)), started_at=START)
    assert 0 == industry(ledger, START + timedelta(days=1))


@pytest.mark.parametrize(
    ("kind", "amount", "shop", "pool"),
    [
        (EventKind.TOP_UP, 300, 10_300, 1000),
        (EventKind.REFUND, 3, 10_003, 1000),
        (EventKind.USE, 400, 9_600, 1000),
        (EventKind.USE, 40_000, 0, 1000),
        (EventKind.SET, 12, 12, 1000),
        (EventKind.ALLOCATE, 300, 10_300, 700),
        (EventKind.ALLOCATE, 5000, 11_000, 0),
        (EventKind.RETURN, 300, 9_700, 1300),
        (EventKind.UNALLOCATE, 0, Absent.UNALLOCATED, 1000),
    ],
)
def test_events_move_balances(kind, amount, shop, pool):
    quiet = Scenario(
        wallets=(simulated_wallet("acme", industry=1000), simulated_wallet("acme", "shop", industry=10_000)),
        events=(event(kind, HOUR, amount=amount),),
    )
    ledger = Ledger(quiet, started_at=START)
    assert (10_000, 1000) == (industry(ledger, START), industry(ledger, START, POOL))
    at = START + HOUR
    assert (shop, pool) == (industry(ledger, at), industry(ledger, at, POOL))


def test_a_repeated_event_recurs():
    quiet = Scenario(
        wallets=(simulated_wallet("acme"), simulated_wallet("acme", "shop", industry=0)),
        events=(event(EventKind.TOP_UP, timedelta(days=-2), every=timedelta(days=1), amount=10),),
    )
    ledger = Ledger(quiet, started_at=START)
    found = [industry(ledger, START + timedelta(days=day)) for day in (-3, -2, 0, 4)]
    assert [0, 10, 30, 70] == found


@pytest.mark.parametrize(
    "burst",
    [
        event(EventKind.BURST, 2 * HOUR, factor=50, lasts=HOUR),
        event(EventKind.PUMPING, 2 * HOUR, per_hour=9000, lasts=HOUR),
    ],
)
def test_a_burst_adds_usage_while_it_lasts_and_changes_nothing_before(burst):
    calm, bursting = (Ledger(scenario(*events), started_at=START) for events in ((), (burst,)))
    before = START + 2 * HOUR
    assert calm.readings(SHOP, before) == bursting.readings(SHOP, before)
    extra = [industry(calm, START + n * HOUR) - industry(bursting, START + n * HOUR) for n in (2, 3, 4)]
    assert (0, True) == (extra[0], extra[1] > 3000)
    assert pytest.approx(extra[1], rel=0.05) == extra[2]


def test_a_burst_added_by_a_test_does_not_change_the_past():
    ledger = Ledger(scenario(), started_at=START)
    at = START + HOUR
    current = ledger.readings(SHOP, at)
    ledger.happen(event(EventKind.PUMPING, per_hour=9000, lasts=HOUR), at)
    assert current == ledger.readings(SHOP, at)
    assert industry(ledger, at + HOUR) < current.industry - 8000


def test_a_balance_set_by_hand_applies_from_then_on():
    ledger = Ledger(scenario(), started_at=START)
    before = ledger.readings(SHOP, START - HOUR)
    ledger.put(BalanceKey(SHOP, Category.VOICE), 0, START)
    assert (before.voice, 0) == (
        ledger.readings(SHOP, START - HOUR).voice,
        ledger.readings(SHOP, START).voice,
    )


def test_the_history_agrees_with_later_answers():
    ledger = Ledger(scenario(event(EventKind.TOP_UP, timedelta(days=-3), amount=999)), started_at=START)
    history = list(ledger.history(iter((POOL, SHOP)), every=timedelta(hours=6), until=START))
    assert 30 * 4 * 2 == len(history)
    assert [POOL, SHOP] == [snapshot.wallet for snapshot in history[:2]]
    assert [(s.observed_at, ledger.readings(s.wallet, s.observed_at)) for s in history] == [
        (s.observed_at, s.readings) for s in history
    ]

"""Wallets that don't answer get a limited share of the connections, and wallets that answer are read first."""

from contextlib import closing
from datetime import timedelta

import pytest

from balancebot.domain.balance import Snapshot, WalletName
from balancebot.jsms.pool import FetchCall, FetchTask, HostQueue, SuspectRecord
from balancebot.jsms.simulator import FaultKind, SimulatedFault, Simulator, crowd
from balancebot.ports import SourceErrorKind
from tests.jsms.test_jsms import BUDGET, SOON, source_of
from tests.outbox_bench import HandClock

PATIENT, AMPLE = timedelta(seconds=1), timedelta(seconds=60)
"""A busy machine answers a request for a healthy wallet in time, too."""


def tasks_of(call, *names):
    return [FetchTask(call=call, wallet=WalletName(name), base_url="http://x") for name in names]


def taken(host, num, *, now=0.0, suspects_too=True):
    tasks = (host.take(now=now, suspects_too=suspects_too) for _ in range(num))
    return [None if task is None else task.wallet for task in tasks]


@pytest.fixture
def call():
    return FetchCall(deadline=60.0)


def test_calls_take_turns(call):
    host = HostQueue(max_rate=None, now=0.0)
    host.add(tasks_of(call, "a1", "a2", "a3"))
    host.add(tasks_of(call, "b1"))
    assert ["a1", "b1", "a2", "a3", None] == taken(host, 5)


def test_suspects_get_one_turn_in_four_in_the_order_of_quick_failures_and_waiting_time(call):
    host = HostQueue(max_rate=None, now=0.0)
    host.add(tasks_of(call, *"abcdefgh"))
    slow_lately, slow_before, quick = tasks_of(call, "slow lately", "slow before", "quick")
    host.add_suspect(slow_lately, SuspectRecord(9.0, is_slow=True))
    host.add_suspect(slow_before, SuspectRecord(3.0, is_slow=True))
    host.add_suspect(quick, SuspectRecord(9.5, is_slow=False))
    expected = [*"abc", "quick", *"def", "slow before", *"gh", "slow lately", None]
    assert expected == taken(host, 12)


def test_suspects_wait_while_their_share_is_used_up(call):
    host = HostQueue(max_rate=None, now=0.0)
    host.add(tasks_of(call, "a"))
    [task] = tasks_of(call, "s")
    host.add_suspect(task, None)
    assert ["a", None] == taken(host, 2, suspects_too=False)
    assert ["s"] == taken(host, 1)


def test_requests_to_a_host_do_not_exceed_its_rate(call):
    host = HostQueue(max_rate=10, now=0.0)
    host.add(tasks_of(call, *"abc"))
    assert [None] == taken(host, 1, now=0.05)
    assert ["a", None] == taken(host, 2, now=0.1)
    assert ["b", None] == taken(host, 2, now=0.2)


def test_abandoned_tasks_are_skipped(call):
    host = HostQueue(max_rate=None, now=0.0)
    gone = FetchCall(deadline=60.0)
    host.add(tasks_of(gone, "gone"))
    host.add(tasks_of(call, "a"))
    (given_up,) = tasks_of(call, "given up")
    host.add_suspect(given_up, None)
    gone.abandoned = True
    given_up.is_given_up = True
    assert ["a", None] == taken(host, 2)


def test_the_timeout_follows_the_usual_time_of_a_host():
    host = HostQueue(max_rate=None, now=0.0)
    assert 5.0 == host.slow_after
    host.note_answer(0.05)
    assert 1.0 == host.slow_after
    for _ in range(200):
        host.note_answer(1.0)
    assert 8.0 == pytest.approx(host.slow_after, rel=0.01)


@pytest.fixture
def sim():
    with Simulator(crowd(19), clock=HandClock()) as simulator:
        yield simulator


def hang(sim, wallets):
    for wallet in wallets:
        sim.fail(wallet, SimulatedFault(kind=FaultKind.SILENCE))


def test_wallets_that_did_not_answer_delay_no_other_the_next_time(sim):
    silent, well = sim.wallets[:8], sim.wallets[8:]
    hang(sim, silent)
    with source_of(sim.endpoints(), concurrency=4, timeout=PATIENT) as source:
        list(source.fetch(sim.wallets, budget=AMPLE))
        results = [result.wallet for result in source.fetch([*silent, *well], budget=AMPLE)]
    assert set(well) == set(results[: len(well)])
    assert set(silent) == set(results[len(well) :])


def test_wallets_that_stop_answering_give_way_to_others_before_their_timeout(sim):
    first, silent, well = sim.wallets[:4], sim.wallets[4:9], sim.wallets[9:]
    with source_of(sim.endpoints(), concurrency=4, timeout=timedelta(seconds=60)) as source:
        list(source.fetch(first, budget=BUDGET))
        hang(sim, silent)
        results = source.fetch([*silent, *well], budget=timedelta(seconds=60))
        with closing(results):
            assert set(well) == {next(results).wallet for _ in well}


def test_wallets_that_never_answered_give_way_to_others_even_for_an_unknown_host(sim):
    silent, well = sim.wallets[:4], sim.wallets[4:]
    hang(sim, silent)
    with source_of(sim.endpoints(), concurrency=4, timeout=timedelta(seconds=60)) as source:
        results = source.fetch([*silent, *well], budget=timedelta(seconds=60))
        with closing(results):
            assert set(well) == {next(results).wallet for _ in well}


def test_suspects_that_wait_too_long_are_given_up_and_read_first_the_next_time(sim):
    hang(sim, sim.wallets)
    with source_of(sim.endpoints(), concurrency=4, retrying=SOON, timeout=PATIENT) as source:
        list(source.fetch(sim.wallets, budget=AMPLE))
        sim.requests.clear()
        results = list(source.fetch(sim.wallets, budget=AMPLE))
        asked = {request.wallet for request in sim.requests}
        given_up = {
            result.wallet for result in results if "too many others are waiting" in str(result.message)
        }
        assert given_up
        assert not asked & given_up
        assert {SourceErrorKind.TIMEOUT} == {result.kind for result in results}
        sim.requests.clear()
        sim.end_faults()
        assert {Snapshot} == {type(result) for result in source.fetch(sim.wallets, budget=AMPLE)}
        first = [request.wallet for request in sim.requests][: len(given_up)]
        assert given_up == set(first)


def test_a_rate_limited_wallet_is_read_after_growing_pauses(sim):
    wallet = sim.wallets[0]
    sim.fail(wallet, SimulatedFault(kind=FaultKind.OUT_OF_FREQ))
    with source_of(sim.endpoints(), timeout=BUDGET) as source:
        waits = []
        for _ in range(3):
            (found,) = source.fetch([wallet], budget=BUDGET)
            waits.append(found.retry_after)
    assert waits[0] < waits[1] < waits[2]
    assert 5 == len(sim.requests)  # three attempts the first time, then one per reading


def test_a_replaced_key_pair_is_no_suspect(sim):
    wallet = sim.wallets[0]
    sim.fail(wallet, SimulatedFault(kind=FaultKind.SERVER_ERROR))
    with source_of(sim.endpoints()) as source:
        list(source.fetch([wallet], budget=BUDGET))
        assert source._pool.suspect_record(wallet) is not None
        source.configure({**sim.endpoints(), wallet: sim.endpoints()[sim.wallets[1]]})
        assert source._pool.suspect_record(wallet) is None

"""The simulator answers over HTTP as documented for JSMS, including error bodies."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from balancebot.config import load
from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.jsms.simulator import (
    Event,
    EventKind,
    FaultKind,
    Quota,
    Request,
    Scenario,
    SimulatedFault,
    Simulator,
    configuration,
    simulated_wallet,
)
from tests.outbox_bench import HandClock

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
SHOP = WalletName("acme/shop")
SCENARIO = Scenario(
    wallets=(
        simulated_wallet(
            "acme", key="dk", secret="ds", universal=9, voice=702, industry=121981, market=11683
        ),
        simulated_wallet("acme", "shop", key="ak", secret="as", universal=1, voice=22, industry=44),
        simulated_wallet("acme", "pilot", key="pk", secret="ps"),
    )
)


@pytest.fixture
def clock():
    return HandClock(START)


@pytest.fixture
def sim(clock):
    with Simulator(SCENARIO, clock=clock) as simulator:
        yield simulator


def ask(sim, path="/v1/accounts/app", pair=("ak", "as"), method="GET", **rest):
    with httpx.Client(base_url=sim.url, trust_env=False) as client:
        return client.request(method, path, auth=pair, **rest)


def error(code, message):
    return {"error": {"code": code, "message": message}}


def test_both_calls_return_their_fields_in_the_documented_order(sim):
    account = ask(sim, "/v1/accounts/dev", ("dk", "ds")).text
    assert '{"dev_balance": 9, "dev_voice": 702, "dev_industry": 121981, "dev_market": 11683}' == account
    assert '{"app_balance": 1, "app_voice": 22, "app_industry": 44, "app_market": null}' == ask(sim).text


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [
        ({"pair": None}, 400, error(50001, "missing auth")),
        ({"pair": ("ak", "wrong")}, 401, error(50002, "auth failed")),
        ({"pair": ("dk", "ds")}, 401, error(50002, "auth failed")),
        ({"path": "/v1/accounts/dev"}, 401, error(50002, "auth failed")),
        ({"pair": ("pk", "ps")}, 403, error(50033, "app quota not assigned")),
        ({"path": "/v1/accounts"}, 404, error(50016, "api not found")),
        ({"method": "POST"}, 405, error(50018, "method not allowed")),
        (
            {"content": b"x", "headers": {"Content-Type": "text/plain"}},
            415,
            error(50017, "unsupported media type"),
        ),
    ],
)
def test_a_wrong_request_gets_its_documented_error(sim, asked, status, body):
    answer = ask(sim, **asked)
    assert (status, body) == (answer.status_code, answer.json())


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (FaultKind.REJECTED, 401, 50002),
        (FaultKind.NOT_OPENED, 403, 50008),
        (FaultKind.OUT_OF_FREQ, 403, 50009),
        (FaultKind.NOT_ASSIGNED, 403, 50033),
        (FaultKind.ILLEGAL_IP, 403, 50035),
        (FaultKind.BLACKLISTED, 403, 50036),
        (FaultKind.SERVER_ERROR, 500, 50019),
    ],
)
def test_a_wallet_fails_as_configured_until_the_fault_is_removed(sim, kind, status, code):
    sim.fail(SHOP, SimulatedFault(kind=kind))
    failed = ask(sim)
    sim.end_faults(SHOP)
    assert (status, code, 200) == (failed.status_code, failed.json()["error"]["code"], ask(sim).status_code)


def test_a_gateway_answers_in_html_with_its_retry_after(sim):
    sim.fail("acme/*", SimulatedFault(kind=FaultKind.RATE_LIMITED, retry_after=timedelta(seconds=7)))
    answer = ask(sim)
    assert (429, "7", True) == (
        answer.status_code,
        answer.headers["Retry-After"],
        answer.text.startswith("<html>"),
    )
    assert 200 == ask(sim, "/v1/accounts/dev", ("dk", "ds")).status_code


def test_a_fault_with_a_count_ends_after_that_many_requests(sim):
    sim.fail(SHOP, SimulatedFault(kind=FaultKind.SERVER_ERROR, times=2))
    assert [500, 500, 200] == [ask(sim).status_code for _ in range(3)]


def test_a_fault_lasts_for_its_time_on_the_simulators_clock(sim, clock):
    sim.fail(SHOP, SimulatedFault(kind=FaultKind.OUTAGE, at=timedelta(minutes=5), lasts=timedelta(minutes=1)))
    found = []
    for minutes in (0, 5, 6):
        clock.at = START + timedelta(minutes=minutes)
        found.append(ask(sim).status_code)
    assert [200, 503, 200] == found


def test_balances_and_events_set_by_a_test_are_answered(sim):
    sim.set(SHOP, Category.VOICE, None)
    sim.set(SHOP, Category.MARKET, 0)
    sim.happen(
        Event(kind=EventKind.TOP_UP, balance=BalanceKey(SHOP, Category.INDUSTRY), at=timedelta(), amount=6)
    )
    assert {"app_balance": 1, "app_voice": None, "app_industry": 50, "app_market": 0} == ask(sim).json()


def test_every_request_is_recorded(sim):
    ask(sim)
    ask(sim, pair=None, method="POST")
    path = "/v1/accounts/app"
    expected = [
        Request(at=START, method="GET", path=path, wallet=SHOP, authorized=True),
        Request(at=START, method="POST", path=path, wallet=None, authorized=False),
    ]
    assert expected == list(sim.requests)


def test_simulated_time_may_run_faster(clock):
    used = Scenario(
        wallets=(simulated_wallet("acme", key="dk", secret="ds", industry=Quota(start=10**6, per_day=5000)),)
    )
    with Simulator(used, clock=clock) as sim:
        before = ask(sim, "/v1/accounts/dev", ("dk", "ds")).json()["dev_industry"]
        clock.at += timedelta(days=7)
        after = ask(sim, "/v1/accounts/dev", ("dk", "ds")).json()["dev_industry"]
    assert pytest.approx(35_000, rel=0.1) == before - after


def test_a_port_in_use_is_an_os_error(sim, clock):
    port = httpx.URL(sim.url).port
    assert port is not None
    with pytest.raises(OSError, match="address already in use"):
        Simulator(SCENARIO, clock=clock, port=port).__enter__()


def test_the_printed_configuration_reads_every_wallet(sim, tmp_path):
    path = tmp_path / "balancebot.toml"
    path.write_text(configuration(sim))
    settings = load(path, environ={}, resolve_secrets=True)
    pairs = [(name, keys.key.reveal(), keys.secret.reveal()) for name, keys in settings.accounts[0].wallets()]
    assert [("acme", "dk", "ds"), ("acme/shop", "ak", "as"), ("acme/pilot", "pk", "ps")] == pairs


def test_the_printed_configuration_has_the_address_of_the_simulator(sim):
    assert f'base_url = "{sim.url}"' in configuration(sim)

"""Scenario files are checked as strictly as the configuration."""

import re
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.pattern import WalletPattern
from balancebot.jsms.simulator import (
    Event,
    EventKind,
    FaultKind,
    Quota,
    Scenario,
    SimulatedFault,
    default_scenario,
    read_scenario,
    simulated_wallet,
)
from balancebot.jsms.simulator.scenario_file import parse_scenario

DOCUMENT = Path(__file__).parents[3] / "docs" / "simulator.md"
SMALL = """
[[accounts]]
name = "acme"
industry = 1000
  [[accounts.apps]]
  name = "shop"
  market = 5
"""


def faults(text):
    found = parse_scenario(text.encode(), file="x.toml")
    assert isinstance(found, tuple)
    return [str(fault) for fault in found]


def test_a_complete_file_becomes_a_scenario(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        """
        seed = 5
        history = "7d"
        step = "5m"
        timezone = "UTC"
        latency_ms = 50
        [[accounts]]
        name = "acme"
        dev_key = "k"
        dev_secret = "s"
        universal = 9
          [[accounts.apps]]
          name = "shop"
          app_key = "ak"
          master_secret = "as"
          market = { start = 8, per_day = 2.5, daily = 0, weekly = 1, noise = 0 }
        [[events]]
        kind = "pumping"
        balance = "acme/shop:market"
        before = "2h"
        every = "1d"
        per_hour = 60
        lasts = "30m"
        [[faults]]
        kind = "slow"
        match = "acme/*"
        at = "5m"
        lasts = "1m"
        share = 0.5
        times = 2
        retry_after = "3s"
        delay_ms = 20
        """
    )
    market = Quota(start=8, per_day=2.5, daily=0.0, weekly=1.0, noise=0.0)
    expected = Scenario(
        wallets=(
            simulated_wallet("acme", key="k", secret="s", universal=9),
            simulated_wallet("acme", "shop", key="ak", secret="as", market=market),
        ),
        events=(
            Event(
                kind=EventKind.PUMPING,
                balance=BalanceKey(WalletName("acme/shop"), Category.MARKET),
                at=timedelta(hours=-2),
                every=timedelta(days=1),
                per_hour=60.0,
                lasts=timedelta(minutes=30),
            ),
        ),
        faults=(
            SimulatedFault(
                kind=FaultKind.SLOW,
                match=WalletPattern(text="acme/*"),
                at=timedelta(minutes=5),
                lasts=timedelta(minutes=1),
                share=0.5,
                times=2,
                retry_after=timedelta(seconds=3),
                delay=timedelta(milliseconds=20),
            ),
        ),
        seed=5,
        history=timedelta(days=7),
        step=timedelta(minutes=5),
        timezone=ZoneInfo("UTC"),
        latency=timedelta(milliseconds=50),
    )
    assert expected == read_scenario(path)


def test_copies_are_apps_with_separate_keys():
    found = parse_scenario((SMALL + "  copies = 3").encode(), file="x.toml")
    assert ["acme", "acme/shop-00001", "acme/shop-00002", "acme/shop-00003"] == [
        w.name for w in found.wallets
    ]
    assert 4 == len({wallet.key for wallet in found.wallets})


def test_all_faults_are_listed_together_with_the_key_and_the_nearest_known_one():
    text = (
        SMALL
        + """
        industri = 5
        voice = "many"
        [[events]]
        kind = "burts"
        balance = "acme/shop:market"
        amount = 1
        [[events]]
        kind = "burst"
        balance = "acme/shpo:market"
        [[events]]
        kind = "allocate"
        balance = "acme:industry"
        amount = 5
        at = "1h"
        before = "1h"
        [[faults]]
        match = "acm"
        """
    )
    kinds = '"top_up", "refund", "allocate", "return", "use", "set", "unallocate", "burst", "pumping"'
    expected = [
        "x.toml: accounts[0].apps[0].voice: must be a whole number ≥ 0 or a table such as"
        " { start = 5000, per_day = 300 }, not a string",
        f"x.toml: events[0].kind: must be one of {kinds}, not 'burts'; did you mean burst?",
        "x.toml: events[1].balance: names no wallet of this file with 'acme/shpo'; did you mean acme/shop?",
        "x.toml: events[1].factor: is missing: burst needs it",
        "x.toml: events[1].lasts: is missing: burst needs it",
        "x.toml: events[2].before: stands beside at: only one of the two can be",
        "x.toml: events[2].balance: must be an app's: allocate moves quota between it and the shared pool",
        "x.toml: faults[0].kind: is missing",
        "x.toml: faults[0].match: names no wallet of this file with 'acm'; did you mean acme?",
        "x.toml: accounts[0].apps[0].industri: is unknown; did you mean industry?",
    ]
    assert expected == faults(text)


def test_a_syntax_error_names_its_line():
    assert "line 2" in faults('seed = 1\nhistory = "7d')[0]


def test_a_missing_file_is_a_fault(tmp_path):
    path = tmp_path / "none.toml"
    assert [f"{path}: can't be read: No such file or directory"] == [
        str(fault) for fault in read_scenario(path)
    ]


def test_a_step_that_does_not_divide_a_day_is_refused():
    assert ["x.toml: step: must go into a day a whole number of times"] == faults('step = "7m"\n' + SMALL)


def test_the_default_scenario_is_an_account_and_six_apps():
    apps = ["checkout", "login-codes", "newsletter", "delivery", "night-watch", "pilot"]
    assert ["acme", *(f"acme/{app}" for app in apps)] == [w.name for w in default_scenario().wallets]


def test_the_documentation_lists_every_event_and_fault():
    document = DOCUMENT.read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_]+)`", document))
    assert set() == {*EventKind, *FaultKind} - named


@pytest.mark.parametrize(
    "block", re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.S)
)
def test_the_examples_of_the_documentation_are_valid(block):
    text = (
        block
        if "[[accounts]]" in block
        else SMALL.replace("shop", "checkout").replace("market", "industry") + block
    )
    assert isinstance(parse_scenario(text.encode(), file="x.toml"), Scenario)

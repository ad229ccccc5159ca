"""`status`: which balances a pattern shows, and what becomes of one that shows none."""

import json
from collections.abc import Callable

import pytest

from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]
pytestmark = pytest.mark.usefixtures("config")


@pytest.mark.parametrize(
    ("pattern", "shown"),
    [
        ("acme", ["acme"] * 4),
        ("acme/*:voice", ["acme/checkout", "acme/结账"]),
        ("*:market", ["acme", "acme/checkout", "acme/结账"]),
    ],
)
def test_a_pattern_chooses_balances(pattern: str, shown: list[str], balancebot: Run) -> None:
    found = json.loads(balancebot("status", pattern, "--json").out)["balances"]
    assert shown == [balance["wallet"] for balance in found]


def test_a_wallet_that_is_not_configured_is_refused_with_the_nearest(balancebot: Run) -> None:
    outcome = balancebot("status", "acme/chekout:voice")
    said = "PATTERN acme/chekout:voice means no balance that is configured; did you mean acme/checkout?\n"
    assert (2, "", said) == (outcome.status, outcome.out, outcome.err)


def test_a_pattern_that_means_nothing_now_is_only_warned_of(balancebot: Run) -> None:
    outcome = balancebot("status", "other/*", "--json")
    assert (0, "PATTERN other/* means no balance that is configured\n") == (outcome.status, outcome.err)
    assert [] == json.loads(outcome.out)["balances"]

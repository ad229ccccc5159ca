"""`plans`: planned sends are announced in local time, stored in UTC, listed for people and scripts, and can be removed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from balancebot.clock import SystemClock
from tests.cli.conftest import Outcome

YEAR = SystemClock().now().year + 1
Run = Callable[..., Outcome]
ADD = ("plans", "add", "acme/checkout", "market", "--messages", "200,000", "--over", "2h")


@pytest.fixture(autouse=True)
def berlin(config: Path) -> None:
    config.write_text('timezone = "Europe/Berlin"\n' + config.read_text())


def test_a_planned_send_is_announced_listed_and_removed(balancebot: Run) -> None:
    added = balancebot(*ADD, "--at", f"{YEAR}-12-01T20:00", "--note", "winter sale")
    about = f"plan 1: 200,000 messages of acme/checkout:market, {YEAR}-12-01 20:00 to 22:00 Europe/Berlin"
    assert (0, f"{about}; it counts from now on\n", "") == (added.status, added.out, added.err)

    (plan,) = json.loads(balancebot("plans", "list", "--json").out)["plans"]
    assert plan.pop("created_at").endswith("Z")
    assert plan.pop("created_by")
    assert {
        "id": "1",
        "wallet": "acme/checkout",
        "category": "market",
        "messages": 200_000,
        "starts_at": f"{YEAR}-12-01T19:00:00Z",
        "ends_at": f"{YEAR}-12-01T21:00:00Z",
        "note": "winter sale",
    } == plan
    assert f"acme/checkout:market   200,000  {YEAR}-12-01 20:00" in balancebot("plans", "list").out

    assert f"removed {about}\n" == balancebot("plans", "remove", "1").out
    assert "No send is announced.\n" == balancebot("plans", "list").out
    again = balancebot("plans", "remove", "1")
    assert (1, "no plan has the id 1\n") == (again.status, again.err)


def test_an_unknown_wallet_is_refused_with_the_nearest(balancebot: Run) -> None:
    outcome = balancebot(
        "plans",
        "add",
        "acme/chekout",
        "market",
        "--messages",
        "1",
        "--over",
        "1h",
        "--at",
        f"{YEAR}-12-01T20:00",
    )
    assert (1, "no wallet acme/chekout is configured; did you mean acme/checkout?\n") == (
        outcome.status,
        outcome.err,
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--at", "2026-03-29T02:30"), "which is skipped in Europe/Berlin"),
        (("--at", "2026-10-25T02:30"), "write 2026-10-25T02:30+02:00 or 2026-10-25T02:30+01:00"),
        (("--at", "soon"), "--at must be a time such as 2026-12-01T20:00, not 'soon'"),
        (("--at", "9999-12-31T20:00+00:00"), "--at is 9999-12-31T20:00+00:00: it must be between 1970 and"),
        (("--at", f"{YEAR}-12-01T20:00", "--over", "2 hours"), "--over must be a duration"),
        (("--at", f"{YEAR}-12-01T20:00", "--messages", "many"), "--messages"),
        (("--at", f"{YEAR}-12-01T20:00", "--messages", "off"), "--messages must be a whole number"),
    ],
    ids=["skipped", "twice", "no time", "far", "length", "count", "off"],
)
def test_wrong_usage_is_status_2_with_what_to_write(
    balancebot: Run, options: tuple[str, ...], message: str
) -> None:
    outcome = balancebot(*ADD, *options)
    assert 2 == outcome.status
    assert message in " ".join(outcome.err.split())

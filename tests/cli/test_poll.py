"""`poll`: what it reads and sends, that it sends it once, and its exit status when something fails."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from balancebot.clock import SystemClock
from balancebot.jsms.simulator import FaultKind, SimulatedFault
from tests.cli.conftest import Outcome
from tests.cli.firm import CHECKOUT, Firm
from tests.standins.slack_api import Fault as SlackFault

Run = Callable[..., Outcome]


@pytest.fixture
def limit(balancebot: Run, firm: Firm) -> None:
    """Checkout is critical below 1,000."""
    assert 0 == balancebot("thresholds", "set", CHECKOUT, "industry", "--critical-below", "1000").status


def _num_sent(firm: Firm) -> tuple[int, int]:
    return len(firm.slack.messages("ops-alerts")), len(firm.mail.mails)


def test_it_prints_the_balances(balancebot: Run, firm: Firm) -> None:
    outcome = balancebot("poll")
    assert (0, "") == (outcome.status, outcome.err)
    lines = [line.split() for line in outcome.out.splitlines()]
    assert [
        ["wallet", "universal", "voice", "industry", "market"],
        ["acme", "—", "—", "50,000", "9,000"],
        ["acme/checkout", "—", "—", "100,000", "—"],
    ] == lines[:3]
    assert outcome.out.splitlines()[-1].startswith("read 2 of 2 wallets in ")


@pytest.mark.usefixtures("limit")
def test_a_low_balance_notifies_both_channels_once_however_often_it_is_polled(
    balancebot: Run, firm: Firm
) -> None:
    balancebot("poll")
    firm.has(900)
    first = balancebot("poll")
    assert "opened: acme/checkout:industry low balance, critical" in first.out
    assert (0, (1, 1)) == (first.status, _num_sent(firm))
    for _ in range(2):
        again = balancebot("poll")
        assert (0, (1, 1)) == (again.status, _num_sent(firm))
        assert "opened" not in again.out
    firm.has(100_000)
    assert "recovered: acme/checkout:industry" in balancebot("poll").out
    (message,) = firm.slack.messages("ops-alerts")
    assert 1 == len(firm.slack.messages("ops-alerts", thread=message["ts"]))
    assert 2 == len(firm.mail.mails)


@pytest.mark.usefixtures("limit")
def test_an_alert_whose_message_was_deleted_is_posted_again_by_the_same_poll(
    balancebot: Run, firm: Firm
) -> None:
    firm.slack.answers_the_dead = True
    firm.has(900)
    balancebot("poll")
    (deleted,) = firm.slack.messages("ops-alerts")
    firm.slack.delete("ops-alerts", deleted["ts"])
    firm.has(0)
    assert 0 == balancebot("poll").status
    (fresh,) = firm.slack.messages("ops-alerts")
    assert "is now depleted (was critical)" in fresh["text"]
    assert [] == firm.slack.messages("ops-alerts", thread=deleted["ts"])


@pytest.mark.usefixtures("limit")
def test_the_name_of_a_channel_is_resolved_once_over_all_polls(balancebot: Run, firm: Firm) -> None:
    firm.has(900)
    balancebot("poll")
    assert 0 == balancebot("thresholds", "set", "acme", "industry", "--critical-below", "60000").status
    balancebot("poll")
    assert (2, 1) == (
        len(firm.slack.messages("ops-alerts")),
        len(firm.slack.calls_of("conversations.list")),
    )


@pytest.mark.usefixtures("limit")
def test_without_alerts_readings_are_stored_and_nothing_is_sent(balancebot: Run, firm: Firm) -> None:
    firm.has(900)
    assert 0 == balancebot("poll", "--no-alerts").status
    answer = json.loads(balancebot("status", CHECKOUT, "--json").out)["balances"][2]
    assert (900, None, (0, 0)) == (answer["balance"], answer["alert"], _num_sent(firm))


def test_a_wallet_that_cannot_be_read_fails_the_command_and_stops_no_other(
    balancebot: Run, firm: Firm
) -> None:
    firm.jsms.fail("acme/checkout", SimulatedFault(kind=FaultKind.REJECTED))
    outcome = balancebot("poll")
    assert 1 == outcome.status
    assert "50,000" in outcome.out
    assert "read 1 of 2 wallets" in outcome.out
    (line,) = outcome.err.splitlines()
    assert line.startswith("acme/checkout: ")
    assert "401" in line
    assert line in balancebot("status").out


@pytest.mark.usefixtures("limit")
def test_a_failed_delivery_fails_the_command_and_stays_in_the_outbox(balancebot: Run, firm: Firm) -> None:
    firm.has(900)
    firm.slack.fail_next("chat.postMessage", SlackFault(status=503))
    outcome = balancebot("poll")
    assert 1 == outcome.status
    error, pending = outcome.err.splitlines()
    assert error.startswith("slack #ops-alerts: ")
    assert "1 delivery waits in the outbox for the next try" == pending


@pytest.mark.usefixtures("limit")
def test_status_shows_the_balances_that_were_read(balancebot: Run, firm: Firm) -> None:
    firm.has(900)
    balancebot("poll")
    answer = json.loads(balancebot("status", f"{CHECKOUT}:industry", "--json").out)
    (balance,) = answer["balances"]
    for instant in (answer["as_of"], balance.pop("observed_at"), balance.pop("next_read_at")):
        assert instant.endswith("Z")
    assert {
        "wallet": "acme/checkout",
        "category": "industry",
        "state": "known",
        "balance": 900,
        "stale": False,
        "burn_per_day": None,
        "usual_burn_per_day": None,
        "not_counted": 0,
        "runway_days": None,
        "depletes_at": None,
        "severity": "critical",
        "limits": {"warning_below": None, "critical_below": 1000, "warning_days": 7, "critical_days": 3},
        "alert": "1",
        "stopped": False,
        "movable": 50000,
        "spike": None,
        "wallet_alert": None,
        "next_read_reason": "regular",
        "next_read_category": None,
    } == balance
    row = next(line for line in balancebot("status").out.splitlines() if CHECKOUT in line and "900" in line)
    assert ["acme/checkout:industry", "900", "unknown", "unknown", "critical"] == row.split()[:5]


def test_status_names_balances_whose_traffic_has_stopped(balancebot: Run, firm: Firm, tmp_path: Path) -> None:
    end = SystemClock().now() - timedelta(hours=2)
    sheet = tmp_path / "history.csv"
    sheet.write_text(
        "observed_at,wallet,category,balance\n"
        + "".join(
            f"{(end - timedelta(hours=hours)).isoformat()},{CHECKOUT},industry,{5000 + 100 * hours}\n"
            for hours in range(40, -1, -1)
        )
    )
    balancebot("history", "import", str(sheet))
    firm.has(5000)
    balancebot("poll")
    balancebot("poll")  # with a model that includes the hours in between
    line_of_status = f"{CHECKOUT}:industry has stopped sending, in hours in which it always sends"
    assert [line_of_status] == [
        line for line in balancebot("status").out.splitlines() if "stopped sending" in line
    ]


def test_status_distinguishes_unread_unallocated_and_zero(balancebot: Run, firm: Firm) -> None:
    before = json.loads(balancebot("status", "--json").out)["balances"]
    assert {("unread", None, "unknown")} == {(b["state"], b["balance"], b["severity"]) for b in before}
    firm.has(0)
    balancebot("poll")
    after = json.loads(balancebot("status", CHECKOUT, "--json").out)["balances"]
    assert [
        ("unallocated", None, "ok"),
        ("unallocated", None, "ok"),
        ("known", 0, "ok"),
        ("unallocated", None, "ok"),
    ] == [(b["state"], b["balance"], b["severity"]) for b in after]
    assert {"p10": 0, "p50": 0, "p90": 0, "judged": 0} == after[2]["runway_days"]


def test_a_missing_secret_is_reported_before_any_request_is_sent(balancebot: Run, firm: Firm) -> None:
    firm.also('[heartbeat]\nurl = "env:NO_SUCH_URL"\n')
    outcome = balancebot("poll")
    assert (2, "", 0) == (outcome.status, outcome.out, len(firm.jsms.requests))
    assert "heartbeat.url" in outcome.err


def test_in_the_first_hour_no_balance_is_ok_and_status_suggests_importing_the_past(
    firm: Firm, balancebot: Run
) -> None:
    balancebot("thresholds", "set", "acme/checkout", "industry", "--critical-below", "1000")
    firm.has(900)
    balancebot("poll")
    shown = balancebot("status").out
    assert " ok" not in shown
    assert "Import them, and runways are there at once: balancebot history import past.csv" in shown
    (low,) = (line for line in shown.splitlines() if line.startswith("acme/checkout:industry"))
    assert "critical" in low

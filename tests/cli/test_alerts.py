"""`alerts`, `silence`, `silences`: people acknowledge and silence alerts, and the channels are updated."""

import json
from collections.abc import Callable

import pytest

from tests.cli.conftest import Outcome
from tests.cli.firm import CHECKOUT, Firm

Run = Callable[..., Outcome]


@pytest.fixture
def opened(balancebot: Run, firm: Firm) -> None:
    """Checkout is critical, and its alert was sent."""
    balancebot("thresholds", "set", CHECKOUT, "industry", "--critical-below", "1000")
    firm.has(900)
    assert 0 == balancebot("poll").status


@pytest.mark.usefixtures("opened")
def test_open_alerts_are_listed_with_the_limit_crossed(balancebot: Run) -> None:
    (alert,) = json.loads(balancebot("alerts", "list", "--json").out)["alerts"]
    assert alert.pop("opened_at").endswith("Z")
    assert {
        "id": "1",
        "kind": "low_balance",
        "wallet": "acme/checkout",
        "category": "industry",
        "severity": "critical",
        "closed_because": None,
        "acknowledged_by": None,
        "escalated_at": None,
        "expected_top_up_at": None,
        "silenced_until": None,
        "flapping": False,
        "reason": "900 messages, below the critical limit of 1,000 (set for acme/checkout:industry)",
    } == alert
    assert "acme/checkout:industry low balance  critical" in balancebot("alerts", "list").out


@pytest.mark.usefixtures("opened")
def test_status_counts_muted_alerts(balancebot: Run) -> None:
    assert "muted" not in balancebot("status").out
    balancebot("alerts", "ack", "1")
    balancebot("silence", "acme/*", "--for", "1h")
    assert "muted alerts: 1 silenced, 1 acknowledged\n" in balancebot("status").out
    muted = json.loads(balancebot("status", "--json").out)["muted"]
    assert (1, 1, 0, 0) == tuple(muted[by] for by in ("silenced", "acknowledged", "grouped", "flapping"))


@pytest.mark.usefixtures("opened")
def test_closed_alerts_are_listed_on_request(balancebot: Run, firm: Firm) -> None:
    firm.has(5000)
    balancebot("poll")
    assert [] == json.loads(balancebot("alerts", "list", "--json").out)["alerts"]
    assert "No alert is open.\n" == balancebot("alerts", "list").out
    (alert,) = json.loads(balancebot("alerts", "list", "--all", "--json").out)["alerts"]
    assert alert["closed_at"].endswith("Z")
    assert (
        "critical",
        "rose",
        "900 messages, below the critical limit of 1,000 (set for acme/checkout:industry)",
    ) == (
        alert["severity"],
        alert["closed_because"],
        alert["reason"],
    )


@pytest.mark.usefixtures("opened")
def test_an_alert_within_the_recovery_margin_is_shown_so_and_a_closed_one_shows_what_opened_it(
    balancebot: Run, firm: Firm
) -> None:
    def reason(*options: str) -> str:
        (alert,) = json.loads(balancebot("alerts", "list", "--json", *options).out)["alerts"]
        return str(alert["reason"])

    balancebot(
        "thresholds", "set", CHECKOUT, "industry", "--critical-below", "500", "--warning-below", "1000"
    )
    firm.has(1020)
    balancebot("poll")
    held = "1,020 messages, above its limits; it recovers at 1,050 messages"
    assert held == reason()
    # edited when the changed limits made it a warning; a new measurement alone edits nothing
    (message,) = firm.slack.messages("ops-alerts")
    assert "900 messages, below the warning limit of 1,000" in str(message["blocks"])
    assert f"{held}.\n" in balancebot("why", f"{CHECKOUT}:industry").out
    firm.has(5000)
    balancebot("poll")
    assert "900 messages, below the warning limit of 1,000 (set for acme/checkout:industry)" == reason(
        "--all"
    )


@pytest.mark.usefixtures("opened")
def test_an_acknowledgement_is_stored_with_its_user(balancebot: Run) -> None:
    assert 0 == balancebot("alerts", "ack", "1", "--note", "ordered").status
    (alert,) = json.loads(balancebot("alerts", "list", "--json").out)["alerts"]
    assert alert["acknowledged_by"]
    outcome = balancebot("alerts", "ack", "17")
    assert (1, "no open alert has the id 17\n") == (outcome.status, outcome.err)


def test_a_silence_mutes_until_it_is_ended(balancebot: Run, firm: Firm) -> None:
    balancebot("thresholds", "set", CHECKOUT, "industry", "--critical-below", "1000")
    assert 0 == balancebot("silence", "acme/*", "--for", "4h", "--reason", "sale").status
    firm.has(900)
    balancebot("poll")
    # a silence that mutes a critical alert is announced; the alert itself is not sent
    (message,) = firm.slack.messages("ops-alerts")
    assert "Silenced until" in message["text"]
    (silence,) = json.loads(balancebot("silences", "list", "--json").out)["silences"]
    assert ("1", "acme/*", "sale", None) == tuple(
        silence[key] for key in ("id", "pattern", "reason", "ended_at")
    )
    assert 0 == balancebot("silences", "end", "1").status
    balancebot("poll")
    assert 2 == len(firm.slack.messages("ops-alerts"))
    assert "Nothing is silent.\n" == balancebot("silences", "list").out
    assert 1 == balancebot("silences", "end", "1").status


@pytest.mark.parametrize("words", [("a*:fax", "--for", "4h"), ("acme", "--for", "soon"), ("acme",)])
@pytest.mark.usefixtures("config")
def test_an_invalid_silence_is_wrong_usage(words: tuple[str, ...], balancebot: Run) -> None:
    assert 2 == balancebot("silence", *words).status


@pytest.mark.usefixtures("config")
def test_a_silence_that_matches_no_configured_wallet_is_created_with_a_warning(balancebot: Run) -> None:
    outcome = balancebot("silence", "acme/chekout", "--for", "4h")
    assert (0, "acme/chekout matches no configured wallet\n") == (outcome.status, outcome.err)

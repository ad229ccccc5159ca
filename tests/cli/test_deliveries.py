"""`deliveries`: people see which deliveries failed and why, and send them again."""

import json
import time
from collections.abc import Callable

import pytest

from tests.cli.conftest import Outcome
from tests.cli.firm import CHECKOUT, Firm
from tests.standins.slack_api import Fault

Run = Callable[..., Outcome]


@pytest.fixture
def undelivered(balancebot: Run, firm: Firm) -> str:
    """Slack refused the opening of an alert and e-mail accepted it; return the id of the pending delivery."""
    assert 1 == _opens(balancebot, firm, Fault(error="is_archived")).status
    deliveries = json.loads(balancebot("deliveries", "list", "--json").out)["deliveries"]
    return next(str(delivery["id"]) for delivery in deliveries if delivery["channel"] == "slack")


def _opens(balancebot: Run, firm: Firm, *faults: Fault) -> Outcome:
    balancebot("thresholds", "set", CHECKOUT, "industry", "--critical-below", "1000")
    firm.has(900)
    firm.slack.fail_next("chat.postMessage", *faults)
    return balancebot("poll")


@pytest.mark.parametrize("done", [True, False])
def test_a_message_whose_answer_was_lost_is_searched_for_and_exists_once(
    balancebot: Run, firm: Firm, done: bool
) -> None:
    assert 1 == _opens(balancebot, firm, Fault(lose_answer=True, done=done)).status
    time.sleep(1)

    assert 0 == balancebot("poll").status

    assert 1 == len(firm.slack.messages("ops-alerts"))
    assert 1 == len(firm.slack.calls_of("conversations.history"))


def test_a_refused_token_is_reported_by_mail_and_in_status_until_it_works_again(
    balancebot: Run, firm: Firm
) -> None:
    _opens(balancebot, firm, Fault(error="token_revoked"))

    assert 2 == len(firm.mail.mails)
    assert "slack #ops-alerts: " in balancebot("status").out
    time.sleep(1)
    assert 0 == balancebot("poll").status
    assert (1, 2) == (len(firm.slack.messages("ops-alerts")), len(firm.mail.mails))
    assert "slack #ops-alerts: " not in balancebot("status").out


def test_a_pending_delivery_is_listed_with_its_error(balancebot: Run, undelivered: str) -> None:
    line = next(
        line for line in balancebot("deliveries", "list").out.splitlines() if line.startswith(undelivered)
    )

    assert "slack #ops-alerts  alert 1 opened" in line
    assert "pending" in line
    assert "archived" in line
    assert "parts" not in line
    (error,) = {
        delivery["error"]
        for delivery in json.loads(balancebot("deliveries", "list", "--json").out)["deliveries"]
        if delivery["error"]
    }
    assert error in line


def test_a_resent_delivery_is_sent_at_the_next_poll(balancebot: Run, firm: Firm, undelivered: str) -> None:
    assert 0 == balancebot("deliveries", "resend", undelivered).status
    assert 0 == balancebot("poll").status

    assert 1 == len(firm.slack.messages("ops-alerts"))
    assert "Nothing waits, and nothing was given up.\n" == balancebot("deliveries", "list").out
    outcome = balancebot("deliveries", "resend", undelivered)
    assert (1, f"delivery {undelivered} has arrived; it isn't sent twice\n") == (outcome.status, outcome.err)


@pytest.mark.usefixtures("firm")
def test_an_unknown_delivery_is_refused(balancebot: Run) -> None:
    outcome = balancebot("deliveries", "resend", "17")

    assert (1, "no delivery has the id 17\n") == (outcome.status, outcome.err)

"""`deliveries`: people see what did not arrive and why, and have it sent again."""

import json
from collections.abc import Callable

import pytest

from tests.cli.conftest import Outcome
from tests.cli.firm import CHECKOUT, Firm
from tests.standins.slack_api import Fault

Run = Callable[..., Outcome]


@pytest.fixture
def undelivered(balancebot: Run, firm: Firm) -> str:
    """Slack refused the opening of an alert, e-mail took it; the id of what waits."""
    balancebot("thresholds", "set", CHECKOUT, "industry", "--critical-below", "1000")
    firm.has(900)
    firm.slack.fail_next("chat.postMessage", Fault(error="is_archived"))
    assert 1 == balancebot("poll").status
    deliveries = json.loads(balancebot("deliveries", "list", "--json").out)["deliveries"]
    return next(str(each["id"]) for each in deliveries if each["channel"] == "slack")


def test_what_waits_is_listed_with_what_it_failed_by(balancebot: Run, undelivered: str) -> None:
    line = next(
        line for line in balancebot("deliveries", "list").out.splitlines() if line.startswith(undelivered)
    )

    assert "slack #ops-alerts  alert 1 opened" in line
    assert "pending" in line
    assert "archived" in line


def test_it_is_sent_again_at_the_next_poll(balancebot: Run, firm: Firm, undelivered: str) -> None:
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

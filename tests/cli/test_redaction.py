"""Secrets that a server repeats in its answers appear nowhere: not in output, log, database or messages."""

import base64
import json
from collections.abc import Callable

import pytest

from tests.cli.conftest import Outcome
from tests.cli.firm import CHECKOUT, Firm
from tests.standins.slack_api import Fault

Run = Callable[..., Outcome]
PASSWORD = "CanarySmtpPassword9Zq"
PLAIN = base64.b64encode(f"\0bot\0{PASSWORD}".encode()).decode()
TOKEN = "xoxbCanarySlackToken77"


@pytest.fixture
def echoing(firm: Firm) -> Firm:
    """A company whose mail server refuses the log-in and quotes it, and whose Slack knows a token that it can repeat."""
    firm.mail.users = {"bot": "another password"}
    firm.mail.refusal = f"535 5.7.8 you sent AUTH PLAIN {PLAIN} which is bot {PASSWORD}"
    firm.slack.token = TOKEN
    text = firm.config.read_text().replace("xoxb-standin", TOKEN)
    firm.config.write_text(text.replace("[email]\n", f'[email]\nusername = "bot"\npassword = "{PASSWORD}"\n'))
    return firm


def shown(text: str) -> list[str]:
    """Return the secrets that appear in `text`, also in part."""
    return [part for part in (PASSWORD[:8], PASSWORD[-8:], PLAIN[8:20], TOKEN[:10]) if part in text]


def test_the_answer_of_a_mail_server_is_shown_without_the_log_in_that_it_repeats(
    echoing: Firm, balancebot: Run
) -> None:
    for words in (("notify", "test", "--email"), ("check",)):
        outcome = balancebot(*words)
        output = outcome.out + outcome.err
        assert 1 == outcome.status
        assert "which is bot ***" in output
        assert [] == shown(output)


def test_neither_the_log_nor_the_database_nor_slack_shows_what_a_mail_server_repeats(
    echoing: Firm, balancebot: Run
) -> None:
    balancebot("thresholds", "set", CHECKOUT, "industry", "--critical-below", "200000")
    outcome = balancebot("poll")
    output = outcome.out + outcome.err + balancebot("deliveries", "list").out
    in_slack = json.dumps(echoing.slack.messages("ops-alerts"))
    assert "you sent AUTH PLAIN" in in_slack
    assert "which is bot ***" in outcome.err
    stored = b"".join(file.read_bytes() for file in echoing.config.parent.glob("balancebot.db*"))
    assert b"which is bot ***" in stored
    assert [] == shown(output + in_slack + stored.decode("latin-1"))


def test_an_error_of_slack_is_shown_without_the_token_that_it_repeats(echoing: Firm, balancebot: Run) -> None:
    echoing.slack.fail_next(
        "chat.postMessage", Fault(error=TOKEN), Fault(error="missing_scope", needed=TOKEN)
    )
    for message in ("Slack answers *** for #ops-alerts", "Slack answers missing_scope (***) for #ops-alerts"):
        outcome = balancebot("notify", "test", "--slack")
        assert message in outcome.err
        assert [] == shown(outcome.out + outcome.err)


def test_the_error_that_ends_a_command_shows_no_secret(
    echoing: Firm, balancebot: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    echoing.config.write_text(
        echoing.config.read_text() + f'[database]\nurl = "sqlite:////no/{PASSWORD}/balancebot.db"\n'
    )
    outcome = balancebot("notify", "test")
    assert 1 == outcome.status
    assert [] == shown(outcome.err)

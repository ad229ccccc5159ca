"""`check`, `notify test`, `digest`, `simulate`: the commands that try out a configuration."""

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from balancebot.clock import SystemClock
from balancebot.jsms.simulator import FaultKind, SimulatedFault
from tests.cli.conftest import Outcome
from tests.cli.firm import CHECKOUT, Firm
from tests.patience import PATIENCE
from tests.standins.bots import SECRET, Service, serving
from tests.standins.slack_api import Fault

Run = Callable[..., Outcome]
_DIGEST = """
[[digests]]
name = "weekday"
cron = "0 9 * * MON-FRI"
to = ["finance@example.com"]
slack = ["#ops-alerts"]
"""


def _marks(outcome: Outcome) -> list[tuple[str, str]]:
    lines = (line.split(maxsplit=1) for line in outcome.out.splitlines())
    return [(mark, words.partition(": ")[0]) for mark, words in lines]


def test_check_prints_one_line_per_thing_that_it_tries(balancebot: Run, firm: Firm) -> None:
    outcome = balancebot("check")
    assert (0, "") == (outcome.status, outcome.err)
    tried = ["acme", "acme/checkout", "configuration", "database", "email", "slack", "slack"]
    assert [("ok", about) for about in tried] == sorted(_marks(outcome))
    assert [] == firm.slack.messages("ops-alerts")


def test_check_names_every_failure_and_fails(balancebot: Run, firm: Firm) -> None:
    firm.jsms.fail("acme", SimulatedFault(kind=FaultKind.REJECTED))
    firm.slack.scopes = ("chat:write",)
    outcome = balancebot("check")
    assert 1 == outcome.status
    failed = {about for mark, about in _marks(outcome) if mark == "FAIL"}
    assert {"acme", "slack"} == failed
    assert "scope channels:history is missing" in outcome.out


def test_check_tries_everything_else_if_the_database_fails(
    balancebot: Run, firm: Firm, tmp_path: Path
) -> None:
    (tmp_path / "balancebot.db").write_text("no database at all " * 50)
    outcome = balancebot("check")
    assert (1, "") == (outcome.status, outcome.err)
    tried = ["acme", "acme/checkout", "configuration", "email", "slack", "slack"]
    assert [("FAIL", "database"), *(("ok", about) for about in tried)] == sorted(_marks(outcome))


def test_check_tries_the_app_token_and_what_roles_by_group_need(balancebot: Run, firm: Firm) -> None:
    firm.listens()
    outcome = balancebot("check")
    assert "the app token opens a socket for buttons and /balance" in outcome.out
    assert "note  slack: scope commands is missing" in outcome.out
    assert 0 == outcome.status
    firm.also('[slack.roles]\nfinance = ["S0123456789"]\n')
    firm.slack.app_token = "another"
    outcome = balancebot("check")
    assert 1 == outcome.status
    assert "Slack answers invalid_auth for the app token: the token is not valid" in outcome.out
    assert "scope usergroups:read is missing" in outcome.out


def test_check_offline_sends_no_request(balancebot: Run, firm: Firm) -> None:
    outcome = balancebot("check", "--offline")
    assert (0, [("ok", "configuration"), ("ok", "database")]) == (outcome.status, _marks(outcome))
    assert not firm.jsms.requests
    assert not firm.slack.calls


def test_check_warns_of_secrets_that_others_can_read(balancebot: Run, firm: Firm) -> None:
    firm.config.chmod(0o640)
    outcome = balancebot("check", "--offline")
    assert 0 == outcome.status
    assert (
        f"note  configuration: others on this machine can read {firm.config.name} and the secrets in it:"
        f" chmod 600 {firm.config.name}"
    ) in outcome.out
    firm.config.chmod(0o600)
    assert "note" not in balancebot("check", "--offline").out


def test_check_shows_until_when_holidays_are_known(balancebot: Run, firm: Firm) -> None:
    firm.config.write_text('forecast.holidays = "CN"\n' + firm.config.read_text())
    outcome = balancebot("check", "--offline")
    assert (0, True) == (outcome.status, "  holidays: known up to 20" in outcome.out)


def test_check_shows_limits_that_contradict_each_other(balancebot: Run, firm: Firm) -> None:
    balancebot("thresholds", "set", "acme/new*", "voice", "--critical-days", "9")
    firm.config.write_text(firm.config.read_text().replace('name = "checkout"', 'name = "newest"'))
    outcome = balancebot("check", "--offline")
    assert 0 == outcome.status
    assert "note  thresholds: acme/newest:voice: critical_days 9" in outcome.out


def test_check_fails_while_a_recipient_is_refused(balancebot: Run, firm: Firm) -> None:
    balancebot("thresholds", "set", CHECKOUT, "industry", "--critical-below", "1000")
    firm.has(900)
    firm.mail.refuse("finance@example.com")
    balancebot("poll")
    outcome = balancebot("check", "--offline")
    assert 1 == outcome.status
    assert "FAIL  email finance@example.com: " in outcome.out


def test_a_test_message_arrives_at_each_channel_or_at_the_selected_one(balancebot: Run, firm: Firm) -> None:
    outcome = balancebot("notify", "test")
    assert (0, "slack #ops-alerts: sent\nemail finance@example.com: sent\n") == (outcome.status, outcome.out)
    assert 0 == balancebot("notify", "test", "--email").status
    assert (1, 2) == (len(firm.slack.messages("ops-alerts")), len(firm.mail.mails))


def test_a_test_message_reaches_a_channel_that_no_route_names(balancebot: Run, firm: Firm) -> None:
    with serving(Service("feishu", SystemClock().now)) as service:
        firm.also(
            f'[[channels]]\nname = "ops-feishu"\nkind = "feishu"\nurl = "{service.url}"\nsecret = "{SECRET}"\n'
        )
        outcome = balancebot("notify", "test", "--channel", "ops-feishu")
    assert (0, "ops-feishu feishu: sent\n") == (outcome.status, outcome.out)
    assert (1, []) == (len(service.taken), service.refused)


def test_a_test_message_that_is_refused_fails(balancebot: Run, firm: Firm) -> None:
    firm.mail.refuse("finance@example.com")
    outcome = balancebot("notify", "test", "--email")
    assert 1 == outcome.status
    assert outcome.err.startswith("email finance@example.com: ")
    # nothing else is sent, and it isn't tried again
    firm.mail.refuse("nobody@example.com")
    assert [] == firm.slack.messages("ops-alerts")
    (delivery,) = json.loads(balancebot("deliveries", "list", "--json").out)["deliveries"]
    assert "gave_up" == delivery["state"]


def test_a_test_message_goes_through_the_outbox(balancebot: Run, firm: Firm) -> None:
    firm.slack.fail_next("chat.postMessage", Fault(lose_answer=True, done=True))
    assert 1 == balancebot("notify", "test", "--slack").status
    assert 0 == balancebot("notify", "test").status
    listed = json.loads(balancebot("deliveries", "list", "--all", "--json").out)["deliveries"]
    assert [("email", "delivered"), ("slack", "delivered"), ("slack", "gave_up")] == sorted(
        (delivery["channel"], delivery["state"]) for delivery in listed
    )


def test_a_digest_is_sent_to_its_own_list(balancebot: Run, firm: Firm) -> None:
    firm.also(_DIGEST)
    balancebot("poll")
    outcome = balancebot("digest", "send", "weekday")
    assert (0, "") == (outcome.status, outcome.err)
    assert (1, 1) == (len(firm.slack.messages("ops-alerts")), len(firm.mail.mails))


def test_a_digest_is_printed_without_being_sent(balancebot: Run, firm: Firm, tmp_path: Path) -> None:
    firm.also(_DIGEST)
    balancebot("poll")
    assert "acme/checkout" in balancebot("digest", "preview", "weekday").out
    assert 0 == balancebot("digest", "preview", "weekday", "--html", "digest.html").status
    assert "acme/checkout" in (tmp_path / "digest.html").read_text()
    assert not firm.mail.mails
    outcome = balancebot("digest", "preview", "weekly")
    assert 2 == outcome.status
    assert "there is no digest 'weekly'; did you mean weekday?" in outcome.err


def test_the_simulator_prints_a_configuration_and_ends_on_a_signal() -> None:
    served = subprocess.Popen(
        [sys.executable, "-m", "balancebot", "simulate"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert served.stderr is not None
    assert "serving until stopped (Ctrl-C)\n" == served.stderr.readline()
    served.send_signal(signal.SIGTERM)
    out, _ = served.communicate(timeout=PATIENCE)
    assert 0 == served.returncode
    assert tomllib.loads(out)["accounts"]


def test_the_simulator_writes_a_past_that_can_be_imported_with_a_low_balance(
    balancebot: Run, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "balancebot", "simulate", "--past", "past.csv"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as served:
        assert served.stderr is not None
        while "serving" not in served.stderr.readline():
            pass
        served.send_signal(signal.SIGTERM)
        out, _ = served.communicate(timeout=PATIENCE)
    (tmp_path / "balancebot.toml").write_text(out)
    assert 0 == balancebot("history", "import", "past.csv").status
    balances = json.loads(balancebot("status", "--json").out)["balances"]
    assert [("acme/delivery", "warning")] == [
        (balance["wallet"], balance["severity"]) for balance in balances if balance["severity"] != "ok"
    ]


@pytest.mark.usefixtures("config")
def test_a_scenario_with_faults_is_refused(balancebot: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("walets = []\n")
    outcome = balancebot("simulate", "--scenario", "mine.toml")
    assert (2, "") == (outcome.status, outcome.out)
    assert "Traceback" not in outcome.err

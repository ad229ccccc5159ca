"""All ephemeral answers, block by block, in both languages."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from balancebot.config import LANGUAGES
from balancebot.notify.slack.blocks import MEMBER, ActionId
from tests.notify import golden
from tests.notify.slack.conftest import Desk
from tests.notify.slack.envelopes import ONCALL, PARTNER, click, command, submission
from tests.standins.slack_api import Fault
from tests.standins.slack_rules import refusal_of
from tests.world import NOON

Envelope = Mapping[str, Any]


def requests_in_order(desk: Desk) -> dict[str, Envelope]:
    """Return every request that can be answered, by name, in the order in which they are sent."""
    alert = desk.alert_id
    return {
        "help": command("help"),
        "list": command(""),
        "list of a part": command("shop"),
        "nothing of the name": command("acme/shpo"),
        "why a balance": command("why acme/shop:industry"),
        "why a wallet": command("why acme/shop"),
        "why nothing": command("why acme/shpo"),
        "silence without a length": command("silence acme/shop"),
        "silence of no category": command("silence acme/shop:indstry 4h"),
        "silence of no length": command("silence acme/shop 0s"),
        "details": click(ActionId.DETAILS, alert),
        "details of a member": click(ActionId.DETAILS, f"{alert}|{MEMBER}", choice=True),
        "acknowledge": click(ActionId.ACKNOWLEDGE, alert),
        "acknowledge what is closed": click(ActionId.ACKNOWLEDGE, "999"),
        "acknowledge a group that is over": click(ActionId.ACKNOWLEDGE, f"group:{'0' * 32}:2"),
        "silence": click(ActionId.SILENCE, f"{alert}|4h", choice=True),
        "silence until tomorrow": command("silence acme/*:market tomorrow moving house"),
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_answer_equals_its_golden_file(desk: Desk, language: str, update: bool) -> None:
    chinese = "language\n" if language == "zh-CN" else ""
    answers: dict[str, Any] = {}

    def ask(name: str, envelope: Envelope) -> None:
        asked = dict(envelope)
        asked["payload"] = {**asked["payload"], "response_url": desk.slack.response_url}
        num_answers = len(desk.slack.socket.answers)
        desk.slack.socket.deliver(asked)
        desk.slack.socket.wait_for_answers(num_answers + 1)
        answers[name] = {key: desk.slack.socket.answers[-1][key] for key in ("text", "blocks")}

    with desk.listening(f'{chinese}[slack.roles]\nfinance = ["{ONCALL["id"]}"]\n'):
        for name, envelope in requests_in_order(desk).items():
            ask(name, envelope)
        desk.slack.socket.deliver(click(ActionId.TOP_UP_ORDERED, desk.alert_id))
        (form,) = desk.slack.socket.forms
        answers["the form"] = {key: value for key, value in form.items() if key != "private_metadata"}
        late = int((NOON - timedelta(hours=1)).timestamp())
        answers["the form, too late"] = desk.slack.socket.deliver(submission(form, note=None, expected=late))
        ask(
            "a top-up",
            submission(form, note="order 4711", expected=int((NOON + timedelta(hours=30)).timestamp())),
        )
        desk.slack.fail_next("views.open", Fault(error="expired_trigger_id"))
        ask("a form that Slack refuses", click(ActionId.TOP_UP_ORDERED, desk.alert_id))
    with desk.listening(f'{chinese}[slack.roles]\nviewer = ["U0BOSS"]\nfinance = ["U0BOSS"]\n'):
        ask("a list for a stranger", command(""))
    with desk.listening(f'{chinese}[slack.roles]\nfinance = ["U0BOSS"]\n'):
        ask("a broad silence without the role", command("silence acme/* 4h"))
        ask("an act of another workspace", click(ActionId.ACKNOWLEDGE, desk.alert_id, user=PARTNER))
        desk.slack.users[ONCALL["id"]] = {"is_restricted": True}
        desk.world.clock.pass_by(minutes=6)
        ask("an act of a guest", click(ActionId.ACKNOWLEDGE, desk.alert_id))
    desk.slack.fail_next("users.info", Fault(status=503))
    with desk.listening(chinese):
        ask("an act of nobody knows whom", click(ActionId.ACKNOWLEDGE, desk.alert_id))

    assert [""] * len(answers) == [
        refusal_of(answer) if "text" in answer else "" for answer in answers.values()
    ]
    golden.compare(
        f"{language}/answers.json",
        json.dumps(answers, ensure_ascii=False, indent=1) + "\n",
        update=update,
    )

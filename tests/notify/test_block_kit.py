"""Every message is valid Block Kit, by Slack's published schema, slack_sdk's models and the rules of `slack_rules.py`."""

import json
from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft7Validator
from slack_sdk.models.blocks import Block

from balancebot.config import LANGUAGES
from balancebot.domain.message import Action
from balancebot.i18n import Wording
from balancebot.notify.slack.blocks import ActionId, buttons_for, message_of
from tests.notify.every_message import ALL_MESSAGES
from tests.notify.examples import outgoing
from tests.notify.test_golden import message_in, renderer_of
from tests.standins.slack_rules import faults_of, refusal_of

SCHEMA = Path(__file__).parent / "block_kit" / "schema.json"


@cache
def validator() -> Draft7Validator:
    return Draft7Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


@cache
def faults_by_schema(block: str) -> tuple[str, ...]:
    """Return the faults of one block by the schema. Cached, because many messages share blocks and checking is slow."""
    sent = {"text": "x", "blocks": [json.loads(block)]}
    return tuple(error.message for error in validator().iter_errors(sent))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ALL_MESSAGES)
def test_every_message_is_valid_in_slack(name: str, language: str) -> None:
    content = message_in(name, language)
    for action in Action:
        for alone in (False, True):
            message = message_of(
                renderer_of(language),
                outgoing(content, action=action),
                buttons=buttons_for(content, renderer_of(language).words_for(content)),
                alone=alone,
            )
            blocks = list(message.blocks)
            sent = {"text": message.text, "blocks": blocks}
            assert [fault for block in blocks for fault in faults_by_schema(json.dumps(block))] == []
            assert [block.to_dict()["type"] for block in Block.parse_all(blocks)] == [
                block["type"] for block in blocks
            ]
            assert (refusal_of(sent), list(faults_of(blocks))) == ("", [])
            assert refusal_of({"text": message.plain}) == ""


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_group_has_buttons_for_open_alerts_and_none_when_all_are_closed(language: str) -> None:
    def actions_of(name: str) -> list[str]:
        return [
            element["action_id"]
            for block in buttons_for(message_in(name, language), Wording(language=language))
            for element in block["elements"]
        ]

    assert [ActionId.ACKNOWLEDGE, ActionId.SILENCE, ActionId.DETAILS] == actions_of("group_of_fifty")
    assert [] == actions_of("group_recovered")


def test_the_schema_refuses_a_wrong_block() -> None:
    wrong = {"text": "x", "blocks": [{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}]}
    assert [error.validator for error in validator().iter_errors(wrong)] == ["anyOf"]

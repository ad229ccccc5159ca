"""Every message is valid Block Kit: by the schema made from Slack's published types, by slack_sdk's own models,
and by the limits that neither knows (`tests/standins/slack_rules.py`)."""

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
from tests.notify.every_message import EVERYTHING
from tests.notify.examples import outgoing
from tests.notify.test_golden import message_in, renderer_of
from tests.standins.slack_rules import faults_of, refusal_of

SCHEMA = Path(__file__).parent / "block_kit" / "schema.json"


@cache
def validator() -> Draft7Validator:
    return Draft7Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


@cache
def faults_by_schema(block: str) -> tuple[str, ...]:
    """What the schema finds in one block; most blocks stand in many messages, and looking takes a while."""
    sent = {"text": "x", "blocks": [json.loads(block)]}
    return tuple(error.message for error in validator().iter_errors(sent))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", EVERYTHING)
def test_every_message_is_one_that_slack_takes(name: str, language: str) -> None:
    told = message_in(name, language)
    for action in Action:
        for alone in (False, True):
            message = message_of(
                renderer_of(language),
                outgoing(told, action=action),
                buttons=buttons_for(told, renderer_of(language).words_for(told)),
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
def test_a_group_has_buttons_for_what_is_open_and_none_when_it_is_over(language: str) -> None:
    def actions_of(name: str) -> list[str]:
        return [
            element["action_id"]
            for block in buttons_for(message_in(name, language), Wording(language=language))
            for element in block["elements"]
        ]

    assert [ActionId.ACKNOWLEDGE, ActionId.SILENCE, ActionId.DETAILS] == actions_of("group_of_fifty")
    assert [] == actions_of("group_recovered")


def test_the_schema_knows_a_wrong_block() -> None:
    wrong = {"text": "x", "blocks": [{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}]}
    assert [error.validator for error in validator().iter_errors(wrong)] == ["anyOf"]

"""Which template says what in Slack."""

from collections.abc import Sequence
from typing import assert_never

from balancebot.channels.render import Renderer
from balancebot.channels.slack_blocks import Block, SlackMessage, message
from balancebot.domain.notification import (
    Action,
    AlertFacts,
    DigestFacts,
    Facts,
    GroupFacts,
    Parcel,
    TestFacts,
    TroubleFacts,
)


def message_of(
    renderer: Renderer, parcel: Parcel, *, buttons: Sequence[Block] = (), alone: bool = False
) -> SlackMessage:
    """Say a parcel; `alone`: no thread carries it, so that news stands on top of the whole message."""
    is_reply = parcel.action is Action.REPLY
    if is_reply and not alone:
        return message(renderer.render(_reply_template(parcel.facts), parcel.facts))
    return message(renderer.render(_template(parcel.facts), parcel.facts, news=is_reply), extra=buttons)


def _template(facts: Facts) -> str:
    match facts:
        case AlertFacts():
            return "slack/alert.j2"
        case GroupFacts():
            return "slack/group.j2"
        case DigestFacts():
            return "slack/digest.j2"
        case TestFacts() | TroubleFacts():
            return "slack/notice.j2"
        case _:
            assert_never(facts)


def _reply_template(facts: Facts) -> str:
    match facts:
        case AlertFacts():
            return "slack/reply.j2"
        case GroupFacts():
            return "slack/group_reply.j2"
        case _:
            return _template(facts)

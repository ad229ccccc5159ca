"""Which template says what in Slack."""

from collections.abc import Sequence
from typing import assert_never

from balancebot.channels.render import Renderer
from balancebot.channels.slack_blocks import Block, SlackMessage, message
from balancebot.domain.alert import Reason
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
    """Say a parcel; `alone`: nothing can be edited or answered. News that is no answer stands on the whole message."""
    facts = parcel.facts
    if parcel.action is Action.REPLY and not alone:
        return message(renderer.render(_reply_template(facts), facts))
    news = isinstance(facts, AlertFacts) and _is_news(facts) and (alone or _adds(parcel.action, facts))
    return message(renderer.render(_template(facts), facts, news=news), extra=buttons)


def _is_news(facts: AlertFacts) -> bool:
    return facts.reason not in {None, Reason.OPENED}


def _adds(action: Action, facts: AlertFacts) -> bool:
    """Whether a message of its own goes on from what its reader was told before."""
    return action is Action.POST and not facts.opened_unheard


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

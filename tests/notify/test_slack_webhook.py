"""Slack by webhook: posts without edits and threads."""

from datetime import timedelta

import pytest

from balancebot.config import Proxy
from balancebot.domain.message import Action, MessageRef
from balancebot.notify.render import Renderer
from balancebot.notify.slack.webhook import SlackWebhook
from balancebot.ports import ChannelError, ChannelErrorKind
from tests.notify.examples import CRITICAL, WORSENED, claim_is_held, outgoing
from tests.standins.slack_api import Fault, SlackStandIn

POSTED = MessageRef(channel_id="", message_id="")


@pytest.fixture
def webhook(slack: SlackStandIn, renderer: Renderer) -> SlackWebhook:
    slack.add_channel("ops-alerts")
    return SlackWebhook(
        url=slack.webhook_url, renderer=renderer, proxy=Proxy(url=None), timeout=timedelta(seconds=1)
    )


def test_a_reply_is_a_new_message_that_begins_with_the_change(
    slack: SlackStandIn, webhook: SlackWebhook
) -> None:
    assert webhook.send(outgoing(CRITICAL), holds_claim=claim_is_held) == POSTED
    assert webhook.send(outgoing(WORSENED, delivery_id="d2"), holds_claim=claim_is_held) == POSTED
    first, second = slack.messages("ops-alerts")
    assert first["blocks"][0]["type"] == "header"
    assert second["blocks"][0]["text"]["text"] == (
        "🔴 Worse: acme/checkout industry is now critical (was warning), 312 messages left (≈ 9 h)"
    )


def test_an_edit_sends_nothing(slack: SlackStandIn, webhook: SlackWebhook) -> None:
    assert (
        webhook.send(outgoing(CRITICAL, action=Action.EDIT, thread=POSTED), holds_claim=claim_is_held)
        == POSTED
    )
    assert slack.calls == []


def test_a_message_is_sent_as_plain_text_if_slack_refuses_its_blocks(
    slack: SlackStandIn, webhook: SlackWebhook
) -> None:
    slack.fail_next("webhook", Fault(error="invalid_blocks"))
    webhook.send(outgoing(CRITICAL), holds_claim=claim_is_held)
    (message,) = slack.messages("ops-alerts")
    assert "blocks" not in message
    assert "Runway: ≈ 9 h (6 h to 14 h)" in message["text"]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(rate_limited=3), ChannelErrorKind.RATE_LIMITED),
        (Fault(status=500), ChannelErrorKind.IN_DOUBT),
        (Fault(lose_answer=True, done=True), ChannelErrorKind.IN_DOUBT),
        (Fault(error="channel_is_archived"), ChannelErrorKind.NO_SUCH_DESTINATION),
        (Fault(error="no_service"), ChannelErrorKind.AUTH),
    ],
)
def test_failures_are_classified(
    slack: SlackStandIn, webhook: SlackWebhook, fault: Fault, kind: ChannelErrorKind
) -> None:
    slack.fail_next("webhook", fault)
    error = webhook.send(outgoing(CRITICAL), holds_claim=claim_is_held)
    assert isinstance(error, ChannelError)
    assert error.kind is kind
    assert "secret" not in str(error.message)


def test_a_webhook_can_neither_search_nor_delete(webhook: SlackWebhook) -> None:
    answers = (
        webhook.find(outgoing(CRITICAL), after=None),
        webhook.delete(POSTED),
    )
    assert [answer.kind for answer in answers if isinstance(answer, ChannelError)] == [
        ChannelErrorKind.REJECTED
    ] * 2

"""Hostile names, notes and texts from outside are harmless in every channel."""

import json
from html.parser import HTMLParser
from typing import Any

import pytest

from balancebot.domain.alert import Reason
from balancebot.domain.balance import WalletName
from balancebot.domain.message import AlertMessage, ChannelFailureMessage, GroupMessage
from balancebot.domain.sentence import verbatim
from balancebot.notify.dingtalk.channel import DingTalkChannel
from balancebot.notify.email.compose import address, compose
from balancebot.notify.feishu.channel import FeishuChannel
from balancebot.notify.pagerduty.channel import PagerDutyChannel
from balancebot.notify.posting import PostingChannel, content_of
from balancebot.notify.render import Renderer
from balancebot.notify.slack.blocks import message_of
from balancebot.notify.webhook.channel import WebhookChannel
from balancebot.notify.wecom.channel import WeComChannel
from tests.hostile_text import HOSTILE_TEXTS, INVISIBLE
from tests.messages import changed
from tests.notify.examples import CRITICAL, NOW, TROUBLE, outgoing
from tests.outbox_bench import HandClock
from tests.standins.slack_rules import refusal_of

PLAIN = "an ordinary note"
KINDS = [FeishuChannel, DingTalkChannel, WeComChannel, WebhookChannel, PagerDutyChannel]
MAX_BYTES = {FeishuChannel: 30_000, DingTalkChannel: 20_000, WeComChannel: 4_500}


def alert(hostile: str) -> AlertMessage:
    """Return an alert in which every text from people or servers is hostile."""
    return changed(
        CRITICAL,
        wallet=WalletName("acme/" + hostile[:64].encode(errors="ignore").decode()),
        note=hostile,
        acknowledged_by=hostile[:64],
        acknowledged_at=NOW,
        detail=verbatim(hostile),
        reason=Reason.WORSENED,
    )


def messages(hostile: str) -> list[Any]:
    message = alert(hostile)
    assert isinstance(TROUBLE, ChannelFailureMessage)
    return [message, GroupMessage(group_id="g", at=NOW, members=(message, message))]


class _Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))


def strings(value: object) -> list[str]:
    """Return every text in a JSON document, keys included."""
    match value:
        case str():
            return [value]
        case list():
            return [text for inner in value for text in strings(inner)]
        case dict():
            return [text for item in value.items() for inner in item for text in strings(inner)]
        case _:
            return []


def assert_visible(text: str) -> None:
    """Assert that the text has no invisible characters and no surrogates."""
    found = set(INVISIBLE) & set(text.replace("\n", ""))
    assert not found, [hex(ord(char)) for char in found]
    text.encode()


@pytest.mark.parametrize("hostile", HOSTILE_TEXTS.values(), ids=HOSTILE_TEXTS)
def test_hostile_text_is_harmless_in_slack(hostile: str, renderer: Renderer) -> None:
    for message in messages(hostile):
        shown = message_of(renderer, outgoing(message))
        assert "" == refusal_of({"text": shown.text, "blocks": list(shown.blocks)})
        for text in (shown.text, shown.plain, *strings(list(shown.blocks))):
            assert_visible(text)
            assert "<!" not in text
            assert "<@" not in text
            assert text.count("<http") == text.count("<https://balances.example.com/")
            assert "49" not in text.replace("49%", "") or "49" in hostile


@pytest.mark.parametrize("hostile", HOSTILE_TEXTS.values(), ids=HOSTILE_TEXTS)
def test_hostile_text_is_harmless_in_a_mail(hostile: str, renderer: Renderer) -> None:
    for message, plain in zip(messages(hostile), messages(PLAIN), strict=True):
        mail, usual = (
            compose(
                outgoing(content, destination="a@example.com"),
                renderer,
                sender=address("balances@example.com"),
            ).message
            for content in (message, plain)
        )
        assert usual.keys() == mail.keys()
        for value in mail.values():
            assert_visible(str(value))
            assert "\n" not in str(value)
        raw = mail.as_bytes()
        assert raw.isascii()
        assert all(len(line) <= 998 for line in raw.splitlines())
        text, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
        usual_html = usual.get_body(("html",))
        assert text is not None
        assert html is not None
        assert usual_html is not None
        for body in (text, html):
            assert_visible(body.get_content().replace("\r\n", "\n"))
        tags = set(_Tags(html.get_content()).found)
        assert tags <= set(_Tags(usual_html.get_content()).found) | {("br", ())}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hostile", HOSTILE_TEXTS.values(), ids=HOSTILE_TEXTS)
def test_hostile_text_is_harmless_in_posts(
    hostile: str, kind: type[PostingChannel], renderer: Renderer
) -> None:
    channel = kind("ops", url="http://127.0.0.1/", secret="s" * 32, renderer=renderer, clock=HandClock(NOW))
    for message in messages(hostile):
        body = channel._post_of(outgoing(message), NOW).body
        assert len(body) <= MAX_BYTES.get(kind, 512_000)
        document = json.loads(body)
        if kind not in {WebhookChannel, PagerDutyChannel}:  # these get the data as stored, as JSON
            for text in strings(document):
                assert_visible(text)
        if kind in {DingTalkChannel, WeComChannel}:
            for text in strings(document):
                assert "](" not in text.replace("](https://balances.example.com/", "")
                assert "<" not in text.replace('<font color="warning">', "").replace("</font>", "")
                assert "@" not in text


@pytest.mark.parametrize("hostile", HOSTILE_TEXTS.values(), ids=HOSTILE_TEXTS)
def test_hostile_text_is_harmless_in_the_plain_text_of_apprise(hostile: str, renderer: Renderer) -> None:
    for message in messages(hostile):
        content = content_of(outgoing(message), renderer)
        assert "\n" not in content.title
        assert_visible(content.title)
        assert_visible(content.text)

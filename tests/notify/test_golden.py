"""Every message in both languages: as Slack shows it, as the text of a mail, and as a card.

For a few messages that show every part also the markup; the markup of the others is checked by rules, here for mail and
in `test_block_kit.py` for Slack.
"""

import json
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest

from balancebot.config import LANGUAGES
from balancebot.domain.message import Action, AlertMessage, DigestMessage, GroupMessage, Message, MessageRef
from balancebot.i18n import Wording
from balancebot.notify.email.compose import Mail, address, compose
from balancebot.notify.posting import content_of
from balancebot.notify.preview import slack_preview
from balancebot.notify.render import Renderer
from balancebot.notify.slack.blocks import buttons_for, message_of
from tests.notify import golden
from tests.notify.every_message import ALL_MESSAGES
from tests.notify.examples import outgoing

ZONES = {"en": ZoneInfo("UTC"), "zh-CN": ZoneInfo("Asia/Shanghai")}
THREAD = MessageRef(channel_id="C1", message_id="<first@example.com>", subject="the first")
WITH_MARKUP = (
    "critical",
    "flapping",
    "recovered",
    "spike",
    "stale_account",
    "group_joined",
    "digest",
    "hostile",
)
MAX_MAIL = 102_000
"""Gmail cuts longer mails."""
VOID = {"meta", "br", "img", "hr", "link", "input"}

every_message = pytest.mark.parametrize("name", ALL_MESSAGES)
both_languages = pytest.mark.parametrize("language", LANGUAGES)


def renderer_of(language: str) -> Renderer:
    words = Wording(language=language, zone=ZONES[language])
    return Renderer(words=words, public_url="https://balances.example.com")


def message_in(name: str, language: str) -> Message:
    message = ALL_MESSAGES[name]
    return replace(message, language=language) if isinstance(message, DigestMessage) else message


def in_slack(name: str, language: str) -> dict[str, dict[str, object]]:
    """Return the living message and, if they exist, the reply in its thread and the message of a webhook."""
    message, renderer = message_in(name, language), renderer_of(language)
    action = Action.EDIT if isinstance(message, AlertMessage) else Action.POST
    sent = {
        "message": message_of(
            renderer,
            outgoing(message, action=action),
            buttons=buttons_for(message, renderer.words_for(message)),
        )
    }
    if isinstance(message, AlertMessage) or (isinstance(message, GroupMessage) and message.new):
        reply = outgoing(message, action=Action.REPLY, thread=THREAD)
        sent["reply"] = message_of(renderer, reply)
        sent["by webhook"] = message_of(renderer, reply, alone=True)
    return {kind: {"text": message.text, "blocks": message.blocks} for kind, message in sent.items()}


@cache
def mail_of(name: str, language: str) -> Mail:
    mail = outgoing(message_in(name, language), destination="finance@example.com")
    return compose(mail, renderer_of(language), sender=address("balances@example.com"))


def as_mail(name: str, language: str) -> tuple[str, str, str]:
    """Return a mail's subject, text and HTML."""
    mail = mail_of(name, language)
    text, html = (mail.message.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    return mail.subject, text.get_content().replace("\r\n", "\n"), html.get_content().replace("\r\n", "\n")


@both_languages
@every_message
def test_a_message_equals_its_golden_file(name: str, language: str, update: bool) -> None:
    subject, text, _ = as_mail(name, language)
    slack = "".join(
        f"\nSlack {kind}: {sent['text']}\n{slack_preview(sent)}\n"
        for kind, sent in in_slack(name, language).items()
    )
    golden.compare(f"{language}/{name}.txt", f"Subject: {subject}\n\n{text}{slack}", update=update)


@both_languages
def test_a_card_equals_its_golden_file(language: str, update: bool) -> None:
    """Feishu, DingTalk and WeCom show the same text, each with its own markup (test_posting_channels.py)."""
    cards = []
    for name in ALL_MESSAGES:
        card = content_of(outgoing(message_in(name, language)), renderer_of(language))
        cards.append(f"== {name}\n{card.headline}\n\n{card.text}\n[{card.link_text}] {card.link}\n")
    golden.compare(f"{language}/cards.txt", "\n".join(cards), update=update)


@both_languages
@pytest.mark.parametrize("name", WITH_MARKUP)
def test_the_markup_of_a_message_equals_its_golden_file(name: str, language: str, update: bool) -> None:
    sent = json.dumps(in_slack(name, language), ensure_ascii=False, indent=1) + "\n"
    golden.compare(f"{language}/{name}.slack.json", sent, update=update)
    golden.compare(f"{language}/{name}.html", as_mail(name, language)[2], update=update)


@both_languages
@every_message
def test_the_html_of_a_mail_is_well_formed(name: str, language: str) -> None:
    html = as_mail(name, language)[2]
    assert "http" not in html.replace("https://balances.example.com", "")
    parser = _MailParser()
    parser.feed(html)
    parser.close()
    assert (language, [], []) == (parser.language, parser.open, parser.faults)
    assert len(html.encode()) < MAX_MAIL


@both_languages
@every_message
def test_a_mail_has_a_subject_of_one_line_and_no_line_too_long_for_a_server(name: str, language: str) -> None:
    mail = mail_of(name, language)
    assert str(mail.message["Subject"]) == mail.subject
    assert all(len(line) <= 998 for line in mail.message.as_bytes().splitlines())


class _MailParser(HTMLParser):
    """Parses the HTML of a mail, and collects what a mail must not have."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.language = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "html":
            self.language = given.get("lang") or ""
        if tag not in VOID:
            self.open.append(tag)
        if tag in {"script", "iframe", "object", "form"} or any(name.startswith("on") for name in given):
            self.faults.append(f"<{tag}> acts")
        if tag == "img" and not given.get("alt"):
            self.faults.append("a picture without words")
        if tag == "a" and not (given.get("href") or "").startswith("https://balances.example.com"):
            self.faults.append(f"leads to {given.get('href')}")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

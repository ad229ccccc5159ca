"""Every message, word for word, in both languages: as Slack gets it, and as a mail's text and HTML."""

import json
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from balancebot.config import Language
from balancebot.domain.message import Action, AlertFacts, DigestFacts, Facts, GroupFacts, MessageRef
from balancebot.i18n import Wording
from balancebot.notify.email.compose import address, compose
from balancebot.notify.preview import slack_preview
from balancebot.notify.render import Renderer
from balancebot.notify.slack.blocks import message_of
from balancebot.notify.slack.buttons import buttons_for
from tests.notify import golden
from tests.notify.every_message import EVERYTHING
from tests.notify.examples import outgoing

ZONES = {Language.ENGLISH: ZoneInfo("UTC"), Language.CHINESE: ZoneInfo("Asia/Shanghai")}
THREAD = MessageRef(channel_id="C1", message_id="<first@example.com>", subject="the first")

every_message = pytest.mark.parametrize("name", EVERYTHING)
both_languages = pytest.mark.parametrize("language", Language)


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


def renderer_of(language: Language) -> Renderer:
    words = Wording(language=language, zone=ZONES[language])
    return Renderer(words=words, public_url="https://balances.example.com")


def facts_of(name: str, language: Language) -> Facts:
    facts = EVERYTHING[name]
    return replace(facts, language=language.value) if isinstance(facts, DigestFacts) else facts


@both_languages
@every_message
def test_a_slack_message_stands_as_it_was_looked_at(name: str, language: Language, update: bool) -> None:
    facts = facts_of(name, language)
    renderer = renderer_of(language)
    look = Action.EDIT if isinstance(facts, AlertFacts) else Action.POST
    living = message_of(renderer, outgoing(facts, action=look), buttons=buttons_for(facts, language))
    sent = {"text": living.text, "blocks": living.blocks}
    if isinstance(facts, AlertFacts) or (isinstance(facts, GroupFacts) and facts.new):
        reply = message_of(renderer, outgoing(facts, action=Action.REPLY, thread=THREAD))
        sent["reply"] = {"text": reply.text, "blocks": reply.blocks}
        alone = message_of(renderer, outgoing(facts, action=Action.REPLY, thread=THREAD), alone=True)
        sent["by webhook"] = {"text": alone.text, "blocks": alone.blocks}
    golden.compare(
        f"{language.value}/{name}.slack.json",
        json.dumps(sent, ensure_ascii=False, indent=1) + "\n",
        update=update,
    )


@both_languages
@every_message
def test_a_mail_stands_as_it_was_looked_at(name: str, language: Language, update: bool) -> None:
    told = outgoing(facts_of(name, language), destination="finance@example.com")
    mail = compose(told, renderer_of(language), sender=address("balances@example.com"))
    text, html = (mail.message.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    for suffix, content in (("txt", f"{mail.subject}\n\n{text.get_content()}"), ("html", html.get_content())):
        golden.compare(f"{language.value}/{name}.{suffix}", content.replace("\r\n", "\n"), update=update)


@both_languages
def test_a_terminal_shows_slack_as_its_reader_sees_it(language: Language, update: bool) -> None:
    facts = facts_of("critical", language)
    message = message_of(renderer_of(language), outgoing(facts), buttons=buttons_for(facts, language))
    shown = slack_preview({"text": message.text, "blocks": message.blocks})
    golden.compare(f"{language.value}/critical.terminal.txt", shown + "\n", update=update)

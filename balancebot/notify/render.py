"""Renders message into text through Jinja templates, the user's first, then the built-in.

A template that fails, whoever wrote it, never loses a message: the built-in one is used instead, or, where that fails,
a line with the severity, the balance and the reading; the log says so. Templates see plain values in a sandbox; the
user's have bounds of time and memory.
Escaping belongs to the kind of output: everything of Slack and HTML is rendered with it, everything plain without, the
sentences of `words.j2` included, because a macro that was compiled without escaping and is called from a page that
escapes would pass as safe.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias, assert_never

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from balancebot import packaged
from balancebot.catalogue import install
from balancebot.domain.message import (
    AlertMessage,
    ChannelFailureMessage,
    DigestMessage,
    GroupMessage,
    Message,
    NoticeMessage,
    SilenceMessage,
    TestMessage,
)
from balancebot.domain.sentence import visible
from balancebot.i18n import Wording
from balancebot.notify.digest_view import digest_view
from balancebot.notify.template_budget import BudgetedEnvironment, render_within_budget
from balancebot.notify.views import View, alert_view, group_view, notice_view

_log = logging.getLogger(__name__)
_BLANK_LINES: Final = re.compile(r"\n{3,}")
"""What a part that has nothing to say leaves behind."""
_HTML_SUFFIX: Final = ".html.j2"
_SLACK_FOLDER: Final = "slack/"
_MOST_PLAIN_LINES: Final = 20


class Renderer:
    """Turns message into words, in one language (a digest may name its own) and one time zone."""

    def __init__(self, *, words: Wording, public_url: str = "", user_dir: Path | None = None) -> None:
        """Look for templates in `user_dir` first; `public_url` '' means that there are no pages to link to."""
        self._words = words
        self._public_url = public_url
        self._user_dir = user_dir
        self._told: set[tuple[str, str]] = set()

    @property
    def language(self) -> str:
        """The language of everything but a digest that names its own."""
        return self._words.language

    def speaking(self, words: Wording | str) -> "Renderer":
        """Return a renderer like this one, in the language and time zone of `words`, or in a language."""
        return Renderer(
            words=replace(self._words, language=words) if isinstance(words, str) else words,
            public_url=self._public_url,
            user_dir=self._user_dir,
        )

    def link_of(self, message: Message) -> str:
        """Return the address of the page behind a message, an alert's own; '' where there are no pages."""
        if isinstance(message, AlertMessage):
            return f"{self._public_url.rstrip('/')}/alerts/{message.alert_id}" if self._public_url else ""
        try:
            return str(self._view(message, self.words_for(message))["link"])
        except Exception as fault:  # noqa: BLE001 -- as for `render`
            self._tell_once("link", f"{type(fault).__name__}: {fault}", "no link is shown")
            return ""

    def render(self, template: str, message: Message, **extra: str | bool) -> str:
        """Render `template` (`slack/alert.j2`) from `message`; blank lines around it are dropped. Never raises."""
        words = self.words_for(message)
        try:
            return self._render(template, message, words, extra)
        except Exception as fault:  # noqa: BLE001 -- a message that can't be laid out must go out all the same
            self._tell_once(template, f"{type(fault).__name__}: {fault}", "a plain line is sent")
            return _plain_text(template, message, words)

    def _render(
        self, template: str, message: Message, words: Wording, extra: Mapping[str, str | bool]
    ) -> str:
        context: Mapping[str, object] = {
            "m": self._view(message, words),
            "words_of": "words.j2",
            "language": words.language,
            "zone": words.zone_name,
            **extra,
        }
        if self._user_dir is not None:
            try:
                if text := _render(_environments(words.language, self._user_dir), template, context):
                    return text
                self._tell_once(template, "it renders to nothing")
            except Exception as fault:  # noqa: BLE001 -- a user's template may fail in any way; the message must go out
                self._tell_once(template, f"{type(fault).__name__}: {fault}")
        return _render(_environments(words.language, None), template, context)

    def words_for(self, message: Message) -> Wording:
        """Return the vocabulary in which `message` are told."""
        if isinstance(message, DigestMessage | NoticeMessage) and message.language:
            return replace(self._words, language=message.language)
        return self._words

    def _view(self, message: Message, words: Wording) -> View:
        match message:
            case AlertMessage():
                return alert_view(message, words, public_url=self._public_url)
            case GroupMessage():
                return group_view(message, words, public_url=self._public_url)
            case DigestMessage():
                return digest_view(message, words, public_url=self._public_url)
            case TestMessage() | ChannelFailureMessage() | SilenceMessage() | NoticeMessage():
                return notice_view(message, words, public_url=self._public_url)
            case _:
                assert_never(message)

    def _tell_once(self, template: str, fault: str, then: str = "the built-in one is used") -> None:
        if (template, fault) not in self._told:
            self._told.add((template, fault))
            _log.warning("template_failed template=%s fault=%s; %s", template, fault, then)


def _plain_text(template: str, message: Message, words: Wording) -> str:
    """Say the least that helps, without a template: which alerts a message is about, and how bad they are."""
    match message:
        case AlertMessage():
            lines = [_plain_line(message, words)]
        case GroupMessage():
            lines = [_plain_line(member, words) for member in message.members[:_MOST_PLAIN_LINES]]
        case _:
            lines = [words.gettext("This message can't be shown in full: see the log of balancebot.")]
    text = ("\n" if template.endswith(".subject.j2") else "\n\n").join(lines)
    if template.startswith(_SLACK_FOLDER) or template.endswith(_HTML_SUFFIX):
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return visible(text)


def _plain_line(message: AlertMessage, words: Wording) -> str:
    alert = message.alert
    return words.gettext(
        "%(severity)s: %(balance)s, %(reading)s (alert %(id)s, %(reason)s; this message can't be shown in full)",
        severity=words.severity(alert.severity),
        balance=alert.subject.wallet
        + (f" {words.category(alert.subject.category)}" if alert.subject.category else ""),
        reading=words.reading(message.measurement.reading),
        id=message.alert_id,
        reason=words.reason(message.reason) if message.reason else "–",
    )


def stem_of(message: Message) -> str:
    """Return the name that the templates of a message begin with."""
    match message:
        case AlertMessage():
            return "alert"
        case GroupMessage():
            return "group"
        case DigestMessage():
            return "digest"
        case TestMessage() | ChannelFailureMessage() | SilenceMessage() | NoticeMessage():
            return "notice"
        case _:
            assert_never(message)


_Environments: TypeAlias = tuple[ImmutableSandboxedEnvironment, ImmutableSandboxedEnvironment]


@cache
def _environments(language: str, user_dir: Path | None) -> _Environments:
    """Return the environment of plain text, and that of markup: the user's templates come before the built-in ones."""
    folders = [packaged("templates")] if user_dir is None else [user_dir, packaged("templates")]
    kind = ImmutableSandboxedEnvironment if user_dir is None else BudgetedEnvironment
    plain, markup = (
        kind(
            loader=FileSystemLoader(folders),
            autoescape=escapes,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        for escapes in (False, True)
    )
    install(plain, language)
    install(markup, language)
    return plain, markup


def _render(environments: _Environments, template: str, context: Mapping[str, object]) -> str:
    plain, markup = environments
    for_slack = template.startswith(_SLACK_FOLDER)
    environment = markup if for_slack or template.endswith(_HTML_SUFFIX) else plain
    found = environment.get_template(template)
    is_users = isinstance(environment, BudgetedEnvironment)
    rendered = render_within_budget(found, context) if is_users else found.render(context)
    text = visible(rendered).strip()
    if environment is plain:
        text = _BLANK_LINES.sub("\n\n", text)
    # Slack decodes only &amp; &lt; &gt;, and shows any other entity as it is written.
    return text.replace("&#39;", "'").replace("&#34;", '"') if for_slack else text

"""Render messages as text with Jinja templates, first the user's, then the built-in ones.

A failing template never loses a message: if the user's fails, the built-in one is used; if that fails, a line with the
severity, the balance and the reading. Failures are logged. Templates see plain values in a sandbox; the user's templates
have limits of time and memory.
Escaping depends on the kind of output: Slack and HTML are rendered with it, plain text without. This includes the
sentences of `words.j2`, because a macro that was compiled without escaping would count as safe if it were called from
an escaping template.
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
"""Left by parts of a template that are empty."""
_HTML_SUFFIX: Final = ".html.j2"
_SLACK_FOLDER: Final = "slack/"
_MOST_PLAIN_LINES: Final = 20


class Renderer:
    """Turns messages into text, in one language (a digest may have its own) and one time zone."""

    def __init__(self, *, words: Wording, public_url: str = "", user_dir: Path | None = None) -> None:
        """Look for templates in `user_dir` first; `public_url` '' means that there are no pages to link to."""
        self._words = words
        self._public_url = public_url
        self._user_dir = user_dir
        self._logged: set[tuple[str, str]] = set()

    @property
    def language(self) -> str:
        """The language of all messages, except digests and notices that have their own."""
        return self._words.language

    def speaking(self, words: Wording | str) -> "Renderer":
        """Return a copy of this renderer with the language and time zone of `words`, or with another language."""
        return Renderer(
            words=replace(self._words, language=words) if isinstance(words, str) else words,
            public_url=self._public_url,
            user_dir=self._user_dir,
        )

    def link_of(self, message: Message) -> str:
        """Return the URL of the page about a message, for an alert its own page; '' if there are no pages."""
        if isinstance(message, AlertMessage):
            return f"{self._public_url.rstrip('/')}/alerts/{message.alert_id}" if self._public_url else ""
        try:
            return str(self._view(message, self.words_for(message))["link"])
        except Exception as fault:  # noqa: BLE001 -- as for `render`
            self._log_once("link", f"{type(fault).__name__}: {fault}", "no link is shown")
            return ""

    def render(self, template: str, message: Message, **extra: str | bool) -> str:
        """Render `template` (`slack/alert.j2`) for `message`, without blank lines around it. Never raises."""
        words = self.words_for(message)
        try:
            return self._render(template, message, words, extra)
        except Exception as fault:  # noqa: BLE001 -- the message must be sent even if it can't be rendered
            self._log_once(template, f"{type(fault).__name__}: {fault}", "a plain line is sent")
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
                self._log_once(template, "it renders to nothing")
            except Exception as fault:  # noqa: BLE001 -- a user's template may fail in any way; the message must be sent
                self._log_once(template, f"{type(fault).__name__}: {fault}")
        return _render(_environments(words.language, None), template, context)

    def words_for(self, message: Message) -> Wording:
        """Return the `Wording` (language and time zone) of a message."""
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

    def _log_once(self, template: str, fault: str, then: str = "the built-in one is used") -> None:
        if (template, fault) not in self._logged:
            self._logged.add((template, fault))
            _log.warning("template_failed template=%s fault=%s; %s", template, fault, then)


def _plain_text(template: str, message: Message, words: Wording) -> str:
    """Return the most important facts without a template: the alerts that a message is about, and their severities."""
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
    """Return the first part of the names of a message's templates."""
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
    """Return the environments for plain text and for markup. The user's templates come before the built-in ones."""
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
    # Slack decodes only &amp; &lt; &gt;, and shows other entities literally.
    return text.replace("&#39;", "'").replace("&#34;", '"') if for_slack else text

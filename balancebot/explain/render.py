"""Render an explanation: one template per interface, all with the sentences of `templates/explain/sentences.j2`."""

from collections.abc import Callable
from enum import StrEnum
from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from balancebot import packaged
from balancebot.catalogue import install
from balancebot.domain.sentence import without_marks
from balancebot.explain.explain import Explanation
from balancebot.i18n import Wording


class Face(StrEnum):
    """Where an explanation is shown. The value is the name of the template."""

    TEXT = "explain/text.j2"
    SLACK = "explain/slack.j2"
    PAGE = "explain/page.html.j2"
    """One balance, as part of its wallet's page."""


def render(
    explanation: Explanation,
    words: Wording,
    face: Face,
    *,
    bold: Callable[[str], str] = str,
    faint: Callable[[str], str] = str,
) -> str:
    """Render an explanation; `bold` and `faint` style the headings and topics of plain text."""
    template = _environment(words.language, escapes=face is not Face.TEXT).get_template(face.value)
    text = template.render(e=explanation, say=words, bold=bold, faint=faint).strip()
    match face:
        case Face.SLACK:  # Slack decodes only &amp; &lt; &gt;, and shows other entities literally
            return text.replace("&#39;", "'").replace("&#34;", '"')
        case Face.PAGE:
            return Markup(text)  # noqa: S704 -- rendered with escaping
        case Face.TEXT:
            return text


@cache
def _environment(language: str, *, escapes: bool) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(packaged("templates")),
        autoescape=escapes,  # noqa: S701 -- a terminal shows no markup
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    install(environment, language)
    environment.filters["category"] = Wording(language=language).category
    environment.filters["lines"] = _lines
    environment.filters["unstopped"] = _without_full_stop
    return environment


def _without_full_stop(text: str) -> str:
    """Return foreign text on one line, printable, and without its final full stop: the surrounding sentence has one."""
    return " ".join(without_marks(text).split()).rstrip(".。")


def _lines(text: str) -> list[str]:
    """Split the output of a macro into lines; escaped markup stays escaped."""
    return [type(text)(line.strip()) for line in text.splitlines() if line.strip()]

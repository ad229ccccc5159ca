"""An explanation in words: one template per face, which all take their sentences from `templates/explain/sentences.j2`."""

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
    """Where an explanation is shown, as the name of its template."""

    TEXT = "explain/text.j2"
    SLACK = "explain/slack.j2"
    PAGE = "explain/page.html.j2"
    """One balance, as a part of its wallet's page."""


def render(
    explanation: Explanation,
    words: Wording,
    face: Face,
    *,
    bold: Callable[[str], str] = str,
    faint: Callable[[str], str] = str,
) -> str:
    """Render an explanation; `bold` and `faint` style headings and topics of text."""
    template = _environment(words.language, escapes=face is not Face.TEXT).get_template(face.value)
    text = template.render(e=explanation, say=words, bold=bold, faint=faint).strip()
    match face:
        case Face.SLACK:  # decodes only &amp; &lt; &gt;, and shows any other entity as it is written
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
    environment.filters["unstopped"] = _unstopped
    return environment


def _unstopped(text: str) -> str:
    """Put foreign text on one line, printable, without the full stop at its end: the sentence around it has its own."""
    return " ".join(without_marks(text).split()).rstrip(".。")


def _lines(text: str) -> list[str]:
    """Split the output of a macro into its lines; what it escaped stays so."""
    return [type(text)(line.strip()) for line in text.splitlines() if line.strip()]

"""Says again, in another language, what the program itself worded in English where it happened.

A form is an English sentence with `{names}` where figures and foreign words stand. The first form that fits is taken;
what no form fits is returned as it is, so nothing is ever left unsaid.
"""

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from balancebot.config import Language
from balancebot.packaged import packaged

SayFigure: TypeAlias = Callable[[str, str], str]
"""How what stands at a name (first) is said; it is called with the text (second) that stands there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One sentence in English, and how it is said."""

    pattern: re.Pattern[str]
    said: str


@cache
def forms_of(name: str, language: Language) -> tuple[Form, ...]:
    """Read `templates/words/NAME.LANGUAGE.toml`, lines of `"English {name}" = "said {name}"`; their order is kept."""
    if language is Language.ENGLISH:  # in which everything is worded where it happens
        return ()
    file = packaged("templates") / "words" / f"{name}.{language.value}.toml"
    lines = tomllib.loads(file.read_text(encoding="utf-8"))
    return tuple(Form(pattern=_pattern(english), said=said) for english, said in lines.items())


def say_again(message: str, forms: tuple[Form, ...], figure: SayFigure) -> str:
    """Say `message` by the first form that fits."""
    for form in forms:
        found = form.pattern.fullmatch(message)
        if found is not None:
            return form.said.format_map(
                {name: figure(name, text) for name, text in found.groupdict().items()}
            )
    return message


def _pattern(english: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", english)
    written = [re.escape(text) if index % 2 == 0 else f"(?P<{text}>.+?)" for index, text in enumerate(parts)]
    return re.compile("".join(written), re.DOTALL)

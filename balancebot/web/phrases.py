"""The sentences of the pages in the reader's language. English stands in the templates; the others in a file beside them."""

import tomllib
from collections.abc import Mapping
from types import MappingProxyType

from balancebot.config import Language
from balancebot.packaged import packaged


class PagePhrases:
    """Says a sentence in one language; what has no translation is said in English."""

    def __init__(self, language: Language) -> None:
        self._translated = translations(language)

    def __call__(self, sentence: str, **figures: object) -> str:
        """Return `sentence` with its `{figures}` filled in."""
        said = self._translated.get(sentence, sentence)
        return said.format(**figures) if figures else said


def translations(language: Language) -> Mapping[str, str]:
    """Return English sentence -> sentence of `language`; empty for English itself."""
    if language is Language.ENGLISH:
        return MappingProxyType({})
    file = packaged("templates") / "web" / f"{language.value}.toml"
    return MappingProxyType(tomllib.loads(file.read_text(encoding="utf-8")))

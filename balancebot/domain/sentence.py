"""A sentence that is written where its cause is known and translated where somebody reads it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Sentence:
    """A message id, which is the English sentence itself with `%(names)s`, and what stands at the names.

    `str()` is the English. The empty sentence is false.
    """

    id: str
    parts: Mapping[str, "Part"] = field(default_factory=dict, hash=False)

    def translated(self, gettext: Callable[[str], str]) -> str:
        """Return the sentence as `gettext` has it, the sentences in its parts included.

        What doesn't fit (a row that an older version stored) is shown as it is.
        """
        if not self.id:
            return ""
        parts = {
            name: part.translated(gettext) if isinstance(part, Sentence) else part
            for name, part in self.parts.items()
        }
        try:
            return gettext(self.id) % parts
        except (KeyError, TypeError, ValueError):
            return self.id

    def mapped(self, change: Callable[[str], str]) -> "Sentence":
        """Return the sentence with `change` made to every text in its parts."""
        return Sentence(
            self.id,
            {
                name: part.mapped(change)
                if isinstance(part, Sentence)
                else change(part)
                if isinstance(part, str)
                else part
                for name, part in self.parts.items()
            },
        )

    def stored(self) -> str:
        """Return the sentence as text for the database: the id alone, or JSON where it has parts."""
        return json.dumps(_document(self), ensure_ascii=False) if self.parts else self.id

    @classmethod
    def restored(cls, text: str) -> "Sentence":
        """Read what `stored` wrote; any other text is taken as a sentence without parts."""
        if text.startswith("{"):
            try:
                return _read(json.loads(text))
            except (ValueError, TypeError, KeyError):
                pass
        return cls(text)

    def __str__(self) -> str:
        return self.translated(str)

    def __bool__(self) -> bool:
        return bool(self.id)


Part: TypeAlias = "str | int | Sentence"

NO_SENTENCE = Sentence("")


def sentence(id_: str, /, **parts: Part) -> Sentence:
    """Write a sentence; the catalogue takes the ids from the calls of this function."""
    return Sentence(id_, parts) if parts else Sentence(id_)


def verbatim(text: str) -> Sentence:
    """Make a sentence of foreign words that no catalogue knows."""
    return Sentence("%(text)s", {"text": text}) if text else NO_SENTENCE


def in_english(stored: str) -> str:
    """Return the English of what `Sentence.stored` wrote."""
    return str(Sentence.restored(stored))


def _document(of: Sentence) -> dict[str, object]:
    return {
        "id": of.id,
        "parts": {
            name: _document(part) if isinstance(part, Sentence) else part for name, part in of.parts.items()
        },
    }


def _read(document: Mapping[str, object]) -> Sentence:
    id_, parts = document["id"], document["parts"]
    if not isinstance(id_, str) or not isinstance(parts, dict):
        raise TypeError(id_)
    return Sentence(
        id_, {name: _read(part) if isinstance(part, dict) else part for name, part in parts.items()}
    )

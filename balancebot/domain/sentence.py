"""Sentences: made in English where their cause is known, translated where they are shown.

Also the handling of foreign text in them: cleaning it for databases, terminals and protocols, and finding the nearest
known word.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Final, TypeAlias
from urllib.parse import SplitResult, urlsplit  # noqa: TID251 -- what it raises is caught here


class Sentence:
    """A message id, which is the English sentence with `%(names)s`, and the parts to insert at the names.

    `str()` is the English sentence. The empty sentence is false. It isn't a dataclass because JSON libraries would write
    it as an object, while it is stored as one text.
    """

    __slots__ = ("id", "parts")
    id: Final[str]
    parts: Final[Mapping[str, "Part"]]

    def __init__(self, id_: str, parts: Mapping[str, "Part"] | None = None) -> None:
        self.id = id_
        self.parts = parts or {}

    def translated(self, gettext: Callable[[str], str]) -> str:
        """Return the sentence translated by `gettext`, including the sentences in its parts.

        If id and parts don't fit together (a row of an older version), the id is returned unchanged.
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
        """Return the sentence with `change` applied to every text in its parts."""
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
        """Return the sentence as text for the database: the id alone, or JSON if it has parts."""
        return json.dumps(_document(self), ensure_ascii=False) if self.parts else self.id

    @classmethod
    def restored(cls, text: str) -> "Sentence":
        """Read what `stored` returned; any other text becomes a sentence without parts."""
        if text.startswith("{"):
            try:
                return _read(json.loads(text))
            except (ValueError, TypeError, KeyError):
                pass
        return cls(text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sentence) and (self.id, self.parts) == (other.id, other.parts)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"Sentence({self.id!r}, {dict(self.parts)!r})"

    def __str__(self) -> str:
        return self.translated(str)

    def __bool__(self) -> bool:
        return bool(self.id)


Part: TypeAlias = "str | int | Sentence"

NO_SENTENCE = Sentence("")


def sentence(id_: str, /, **parts: Part) -> Sentence:
    """Make a sentence. `tools/messages.py` collects the ids for the catalogue from the calls of this function."""
    return Sentence(id_, parts) if parts else Sentence(id_)


def verbatim(text: str) -> Sentence:
    """Make a sentence of foreign text that isn't translated."""
    return Sentence("%(text)s", {"text": text}) if text else NO_SENTENCE


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


def unknown_wallet(name: str, hint: "Sentence | str") -> Sentence:
    """Return that no wallet of this name is configured; `hint` is a result of `did_you_mean`."""
    return sentence("no wallet %(name)s is configured%(hint)s", name=name, hint=hint)


MAX_WORDS = 200
"""The default limit for foreign text that a message quotes, in characters."""


def clean_text(text: str, *, at_most: int = MAX_WORDS) -> str:
    """Return `text` on one line and at most `at_most` characters long.

    Invisible characters are dropped: control and formatting characters (NUL, ESC, zero-width and bidirectional marks),
    surrogates, private and unassigned characters. Each run of white space becomes one space.
    """
    line = " ".join(without_marks(text[: 8 * at_most + 64]).split())
    return line if len(line) <= at_most else line[: at_most - 1] + "…"


def split_address(text: str) -> SplitResult | None:
    """Return the parts of a complete or partial URL; None if it can't be parsed."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts


def without_marks(text: str) -> str:
    """Return `text` without invisible characters; each white space character becomes a space."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        " " if char.isspace() else "" if unicodedata.category(char).startswith("C") else char for char in text
    )


_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]|\x1b"
)
_UNSEEN_BUT_COLORS = re.compile(_UNSEEN.pattern + r"(?!\[(?:[012]|3[0-7]|1;31)m)")


def visible(text: str, *, colors: bool = False) -> str:
    """Return `text`, which may have several lines, without characters that control a terminal or mislead a reader.

    Control characters, bidirectional marks and surrogates are dropped. With `colors`, the escape sequences for a
    terminal's colours are kept.
    """
    return (_UNSEEN_BUT_COLORS if colors else _UNSEEN).sub("", text)


_LONGEST = 200
"""No known name is longer, and the cost of comparing grows with the length."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most similar to `word`, ignoring letter case, or None if none is similar."""
    if len(word) > _LONGEST:
        return None

    by_folded = {candidate.casefold(): candidate for candidate in known}
    found = get_close_matches(word.casefold(), by_folded, n=1)
    return by_folded[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> Sentence:
    """Return `; did you mean …?` to append to a fault, or the empty sentence if no known word is similar."""
    meant = nearest(word, known)
    return NO_SENTENCE if meant is None else sentence("; did you mean %(word)s?", word=meant)

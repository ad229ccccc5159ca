"""Hides secrets in text from outside, in every spelling in which they may be repeated.

A server, a proxy or a mail server may quote what it was sent: as it is, in Base64 as in an `Authorization` header,
percent-encoded, in hexadecimal, with escapes, backwards, wrapped over lines or cut off. A `Redactor` is built once from all
resolved secrets and applied to the uncut text before anything is stored, logged or passed on. It decodes the text
instead of keeping every spelling of every secret: so it takes only a few megabytes for 10,000 key pairs.
"""

import base64
import dataclasses
import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Self
from urllib.parse import unquote

from balancebot.config.secrets import Secret

STARS = "***"
MIN_LENGTH = 6
"""A shorter value would hide parts of ordinary words."""
_MIN_FRAGMENT = 8
"""The beginning or end of a secret is hidden on its own if it has this many characters."""
_MIN_FRAGMENTED = 12
"""A shorter secret is hidden only as a whole."""
_MAX_TEXT = 65_536

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}")
_HEX = re.compile(r"[0-9A-Fa-f]{12,}")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|\\.|&#?[0-9A-Za-z]{1,8};")
_BETWEEN_WORDS = re.compile(r"[/?&=:@#]")
_DATABASES = frozenset({"sqlite", "postgresql", "postgres"})
_FROM_URL_SAFE = str.maketrans("-_", "+/")


class Redactor:
    """Replaces secrets in text by stars. Safe to call from several threads."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Take the values to hide; those shorter than `MIN_LENGTH` are ignored."""
        # dicts as ordered sets: thousands of keys may begin alike
        self._by_start: dict[str, dict[str, None]] = {}
        self._by_end: dict[str, dict[str, None]] = {}
        self._fragmented: set[str] = set()
        self._windows: set[str] = set()
        """The keys of both dictionaries, to skip most places of a text quickly."""
        for secret in secrets:
            for part, is_token in _parts(secret):
                # bytes that were decoded are compared as Latin-1
                for value in (
                    (part,) if part.isascii() else (part, part.encode(errors="replace").decode("latin-1"))
                ):
                    for spelled in (value, value[::-1]):
                        self._add(_squeezed(spelled), is_fragmented=is_token)

    def _add(self, value: str, *, is_fragmented: bool) -> None:
        if len(value) < MIN_LENGTH or value in self._by_start.get(value[:MIN_LENGTH], ()):
            return
        self._by_start.setdefault(value[:MIN_LENGTH], {})[value] = None
        self._windows.add(value[:MIN_LENGTH])
        if is_fragmented and len(value) >= _MIN_FRAGMENTED:
            self._fragmented.add(value)
            self._by_end.setdefault(value[-MIN_LENGTH:], {})[value] = None
            self._windows.add(value[-MIN_LENGTH:])

    @classmethod
    def of(cls, *roots: object) -> Self:
        """Make a redactor of every resolved `Secret` in dataclasses, mappings and sequences."""
        return cls(secrets_in(roots))

    def __call__(self, text: str) -> str:
        """Return `text` with stars for every secret, and for its beginning or end if that has 8 or more characters.

        White space within a secret and upper or lower case make no difference. Text beyond 64 Ki characters is cut off.
        """
        text = text[:_MAX_TEXT]
        if not self._by_start or len(text) < MIN_LENGTH:
            return text
        hidden = sorted(self._hidden(text))
        if not hidden:
            return text
        pieces: list[str] = []
        shown = 0
        for first, last in hidden:
            if first >= shown:
                if first > shown or not pieces:
                    pieces.append(text[shown:first])
                pieces.append(STARS)
            shown = max(shown, last)
        return "".join(pieces) + text[shown:]

    def _hidden(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the spans of `text` that contain a secret in any spelling."""
        for view, spans in _views(text):
            for start, end in self._found_in(view):
                yield spans[start][0], spans[end - 1][1]

    def _found_in(self, view: str) -> Iterator[tuple[int, int]]:
        """Yield the spans of a text without white space that contain a secret, encoded or not."""
        yield from self._found(view)
        for run in _BASE64.finditer(view):
            # Base64 has upper and lower case letters: ordinary words are skipped
            if run.group().lower() != run.group() != run.group().upper():
                for offset in range(4):
                    yield from self._found_in_base64(run, offset)
        for run in _HEX.finditer(view):
            for first in (run.start(), run.start() + 1):
                digits = view[first : run.end() - (run.end() - first) % 2]
                for start, end in self._found(bytes.fromhex(digits).decode("latin-1")):
                    yield first + 2 * start, first + 2 * end

    def _found_in_base64(self, run: re.Match[str], offset: int) -> Iterator[tuple[int, int]]:
        """Yield the spans that contain a secret in Base64 that begins `offset` characters into `run`."""
        first = run.start() + offset
        digits = run.string[first : run.end()].translate(_FROM_URL_SAFE)
        digits = digits[: len(digits) - (len(digits) % 4 == 1)]
        decoded = base64.b64decode(digits + "=" * (-len(digits) % 4))
        for start, end in self._found(decoded.decode("latin-1")):
            yield first + start * 4 // 3, min(first + -(-end * 4 // 3), run.end())

    def _found(self, view: str) -> Iterator[tuple[int, int]]:
        """Yield the spans of `view` that are a secret, or the beginning or end of a long one."""
        whole, windows = view, self._windows
        view = _squeezed(view)
        hits = [
            first
            for first in range(len(view) - MIN_LENGTH + 1)
            if view[first : first + MIN_LENGTH] in windows
        ]
        if not hits:
            return
        places = [place for place, char in enumerate(whole) if not char.isspace()]
        for first in hits:
            window = view[first : first + MIN_LENGTH]
            for value in self._by_start.get(window, ()):
                length = _common(view[first : first + len(value)], value)
                if self._is_hidden(value, value[:length]):
                    yield places[first], places[first + length - 1] + 1
            for value in self._by_end.get(window, ()):
                end = first + MIN_LENGTH
                length = _common(view[max(end - len(value), 0) : end][::-1], value[::-1])
                if self._is_hidden(value, value[-length:]):
                    yield places[end - length], places[end - 1] + 1

    def _is_hidden(self, value: str, fragment: str) -> bool:
        """Return whether this much of `value` reveals something; a few letters may be an ordinary word."""
        return fragment == value or (
            value in self._fragmented
            and len(fragment) >= (_MIN_FRAGMENTED if fragment.isalpha() else _MIN_FRAGMENT)
        )


NO_REDACTOR = Redactor()
"""Hides nothing."""


def _parts(secret: str) -> Iterator[tuple[str, bool]]:
    """Yield the secret parts of a value (of an address: password and path), and whether fragments are hidden too."""
    scheme, is_address, rest = secret.partition("://")
    if not is_address:
        yield secret, True
        return
    host, _, path = rest.partition("/")
    password = host.rpartition("@")[0].partition(":")[2]
    if password:
        yield password, True
        yield unquote(password), True
    if scheme.partition("+")[0] in _DATABASES:
        return
    tail = path if scheme in {"http", "https"} else rest
    # a server may repeat it decoded
    yield from ((whole, False) for whole in dict.fromkeys((path, unquote(path))))
    for word in dict.fromkeys((*_BETWEEN_WORDS.split(tail), *_BETWEEN_WORDS.split(unquote(tail)))):
        if len(word) >= _MIN_FRAGMENTED:  # a webhook's token
            yield word, True


def secrets_in(value: object) -> Iterator[str]:
    """Yield every resolved secret in dataclasses, mappings and sequences."""
    if isinstance(value, Secret):
        try:
            yield value.reveal()
        except RuntimeError:  # its secret was not resolved
            return
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from secrets_in(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from secrets_in(item)
    elif isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes | Enum):
        for item in value:
            yield from secrets_in(item)


def _squeezed(text: str) -> str:
    return _folded("".join(text.split()))


def _folded(text: str) -> str:
    lower = text.lower()
    return lower if len(lower) == len(text) else text


def _common(view: str, value: str) -> int:
    """Return how many characters `view` and `value` have in common at their beginning."""
    if view == value:
        return len(value)
    return next(
        (place for place, (a, b) in enumerate(zip(view, value, strict=False)) if a != b),
        min(len(view), len(value)),
    )


def _views(text: str) -> Iterator[tuple[str, Sequence[tuple[int, int]]]]:
    """Yield `text` without white space, unchanged and with escapes resolved, and each character's original span."""
    plain = [(char, (place, place + 1)) for place, char in enumerate(text)]
    yield _without_space(plain)
    if _ESCAPE.search(text) is None:
        return
    resolved: list[tuple[str, tuple[int, int]]] = []
    shown = 0
    for escape in _ESCAPE.finditer(text):
        resolved += plain[shown : escape.start()]
        resolved += [(char, escape.span()) for char in _meant(escape.group())]
        shown = escape.end()
    yield _without_space([*resolved, *plain[shown:]])


def _without_space(
    chars: Sequence[tuple[str, tuple[int, int]]],
) -> tuple[str, Sequence[tuple[int, int]]]:
    kept = [(char, span) for char, span in chars if not char.isspace()]
    return "".join(char for char, _ in kept), [span for _, span in kept]


def _meant(escape: str) -> str:
    if escape.startswith("&"):
        return html.unescape(escape)
    if escape.startswith("%") or (escape[:2] in {"\\u", "\\x"} and len(escape) > 2):
        return chr(int(escape.lstrip("%\\ux"), 16))
    return " " if escape[-1] in "nrtfv" else escape[-1]

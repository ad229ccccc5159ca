"""Colours, for people only: on a terminal, unless NO_COLOR is set. Elsewhere text stays as it is."""

import os
import re
import sys
import unicodedata
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from balancebot.domain.verdict import Severity

_CODES = re.compile(r"\x1b\[[0-9;]*m")
_OF_SEVERITY = {"unknown": "35", "ok": "32", "warning": "33", "critical": "31", "depleted": "1;31"}


def is_coloured(stream: TextIO) -> bool:
    """Tell whether colours may be written to `stream` (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def bold(text: str) -> str:
    """Make text stand out, as headings do."""
    return _painted(text, "1")


def faint(text: str) -> str:
    """Make text step back."""
    return _painted(text, "2")


def of_severity(text: str, severity: "Severity") -> str:
    """Give text the colour of a severity."""
    return _painted(text, _OF_SEVERITY[severity.word])


def cells(text: str) -> int:
    """Return how many columns of a terminal `text` takes: two for each wide character, none for marks and colours."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in _CODES.sub("", text)
    )


def _painted(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if text and is_coloured(sys.stdout) else text

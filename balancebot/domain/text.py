"""Text from outside, made fit for a database, a terminal, a protocol and a reader: one line, bounded, printable."""

import unicodedata

MAX_WORDS = 200
"""Characters of foreign text that a message quotes, unless it says otherwise."""


def clean_text(text: str, *, at_most: int = MAX_WORDS) -> str:
    """Return `text` on one line and at most `at_most` characters long.

    What has no shape of its own is dropped: control and formatting characters (NUL, ESC, zero-width and bidirectional
    marks), surrogates, private and unassigned characters. Any white space becomes one space.
    """
    line = " ".join(without_marks(text[: 8 * at_most + 64]).split())
    return line if len(line) <= at_most else line[: at_most - 1] + "…"


def without_marks(text: str) -> str:
    """Return `text` without characters that have no shape of their own; its white space becomes spaces."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        " " if char.isspace() else "" if unicodedata.category(char).startswith("C") else char for char in text
    )

"""What a process is given: words, and three streams that may be closed, full, broken, or short of letters."""

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper


def make_ready() -> None:
    """Put something in the place of a closed stream, and let stdout show escaped what its encoding lacks."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 -- it lasts as long as the process
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def decoded(words: Sequence[str]) -> list[str] | None:
    """Read the words as UTF-8, whatever the locale says; None where one isn't."""
    try:
        return [os.fsencode(word).decode() for word in words]
    except UnicodeError:
        return None


def drop_output() -> None:
    """Let what can't be written any more go nowhere, or the interpreter would complain of it at its end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError:  # a stand-in that is no file
        return

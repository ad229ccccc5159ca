"""The process itself: its standard streams, and memory settings for short commands and the daemon."""

import atexit
import ctypes
import gc
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper


def prepare_streams() -> None:
    """Put something in the place of a closed stream, and let stdout show escaped what its encoding lacks."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 -- it lasts as long as the process
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def decoded_arguments(words: Sequence[str]) -> list[str] | None:
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


_WHILE_LOADING = 100_000
"""More objects than the modules of any command are."""
_LATER = 10_000
"""So much garbage takes about a megabyte."""


def skip_startup_gc() -> None:
    """Look for no garbage while modules are loaded, nor at the end: both would cost a fifth of a short command."""
    gc.set_threshold(_WHILE_LOADING)
    atexit.register(gc.freeze)


def freeze_startup_objects() -> None:
    """Let what stands now stay to the end, so that each look for garbage is spared a look through it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_LATER)


_M_ARENA_MAX = -8
"""Of glibc's <malloc.h>."""


def share_one_heap() -> None:
    """Let all threads share the heap, before there are any; glibc would give each its own. Elsewhere it does nothing."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)

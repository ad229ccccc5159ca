"""Python's garbage collector, in a program that makes tens of thousands of objects to begin with, and often ends then.

Where it lives on, what it began with is never looked through again.
"""

import atexit
import gc

_WHILE_LOADING = 100_000
"""More objects than the modules of any command are."""
_LATER = 10_000
"""So much garbage takes about a megabyte."""


def spare_start_and_end() -> None:
    """Look for no garbage while modules are loaded, nor at the end: both would cost a fifth of a short command."""
    gc.set_threshold(_WHILE_LOADING)
    atexit.register(gc.freeze)


def settle_in() -> None:
    """Let what stands now stay to the end, so that each look for garbage is spared a look through it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_LATER)

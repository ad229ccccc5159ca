"""Python's garbage collector, in a program that makes tens of thousands of objects to begin with, and often ends then."""

import atexit
import gc

_WHILE_LOADING = 100_000
"""More objects than the modules of any command are."""


def spare_start_and_end() -> None:
    """Look for no garbage while modules are loaded, nor at the end: both would cost a fifth of a short command."""
    gc.set_threshold(_WHILE_LOADING)
    atexit.register(gc.freeze)

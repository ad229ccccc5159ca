"""Memory for a process of many threads that lives long: one heap, so that what one has freed another can use."""

import ctypes

_M_ARENA_MAX = -8
"""Of glibc's <malloc.h>."""


def share_one_heap() -> None:
    """Let all threads share the heap, before there are any; glibc would give each its own. Elsewhere it does nothing."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)

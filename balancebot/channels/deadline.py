"""One deadline for a whole conversation: the standard library's time-out is of each socket operation.

A server that sends a byte a second would hold a caller for hours.
"""

import io
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any

Left = Callable[[], float]
"""Tells the seconds that are left; raises TimeoutError when there are none."""


def within(seconds: float, *, each: float | None = None) -> Left:
    """Begin to count: `seconds` in all, and no more than `each` for a single wait."""
    deadline = monotonic() + seconds

    def left() -> float:
        remaining = deadline - monotonic()
        if remaining <= 0:
            raise TimeoutError("timed out")
        return remaining if each is None else min(each, remaining)

    return left


class Answer(io.RawIOBase):
    """What comes over a socket, for as long as there is time."""

    def __init__(self, sock: socket.socket, source: Any, left: Left) -> None:
        super().__init__()
        self._sock, self._source, self._left = sock, source, left

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Wait for some bytes, no longer than until the deadline."""
        self._sock.settimeout(self._left())
        count: int | None = self._source.readinto1(buffer)
        return count

    def close(self) -> None:
        """Give the socket back."""
        if not self.closed:
            self._source.close()
        super().close()

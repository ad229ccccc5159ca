"""Boundaries as they are reached, and the one at which something is to happen.

Every step of a cycle or a delivery that can be seen from outside is a boundary with a name: a transaction about to
be committed or just committed, a request that came in, or took effect and isn't answered yet.
"""

import socketserver
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Fate(StrEnum):
    """What happens at a boundary."""

    KILL = "kill"
    """SIGKILL to the process that reached it."""
    FREEZE = "freeze"
    """SIGSTOP for longer than a lease, then SIGCONT."""
    LOSE = "lose"
    """The line breaks: a request doesn't arrive, or its answer doesn't."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """What is to happen at the `nth` time that `boundary` is reached from now on."""

    boundary: str
    nth: int
    fate: Fate


class Traps:
    """Where every boundary is reported. Called from many threads, one for each line."""

    def __init__(self, strike: Callable[[Fate, int], None]) -> None:
        """`strike` kills or freezes the process of a number."""
        self._strike = strike
        self._lock = threading.Lock()
        self._armed: Blow | None = None
        self._left = 0
        self._sprung = threading.Event()
        self.seen: Counter[str] = Counter()
        """How often each boundary was reached."""
        self.struck: Counter[tuple[Fate, str]] = Counter()
        """What happened where."""

    def arm(self, blow: Blow) -> None:
        """Lie in wait."""
        with self._lock:
            self._armed, self._left = blow, blow.nth
            self._sprung.clear()

    def disarm(self) -> None:
        """Let everything pass."""
        with self._lock:
            self._armed = None

    def wait(self, seconds: float) -> bool:
        """Wait for it to happen; tell whether it did. It won't any more if it didn't."""
        happened = self._sprung.wait(seconds)
        with self._lock:
            happened = happened or self._sprung.is_set()
            self._armed = None
        return happened

    def waits_for(self, boundary: str) -> bool:
        """Note that a boundary is reached; tell whether its hour has come. Then somebody must `spring`."""
        with self._lock:
            self.seen[boundary] += 1
            if self._armed is None or self._armed.boundary != boundary:
                return False
            self._left -= 1
            return self._left == 0

    def spring(self, boundary: str, process: int) -> Fate | None:
        """Let happen what was to happen, to the process that reached the boundary."""
        with self._lock:
            blow, self._armed = self._armed, None
        if blow is None:
            return None
        if blow.fate is not Fate.LOSE:
            self._strike(blow.fate, process)
        self.struck[blow.fate, boundary] += 1
        self._sprung.set()
        return blow.fate


class Door:
    """Where watched processes say what they have reached, and wait for a nod."""

    def __init__(self, traps: Traps) -> None:
        class Line(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                try:
                    for line in self.rfile:
                        process, _, boundary = line.decode().strip().partition(" ")
                        if traps.waits_for(boundary):
                            traps.spring(boundary, int(process))
                        self.wfile.write(b".")
                except ConnectionError:
                    pass  # it was killed

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Line)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

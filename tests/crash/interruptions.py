"""Boundaries of transactions and requests, and interruptions of the process that reaches one.

Every step of a cycle or a delivery that can be seen from outside is a boundary with a name: a transaction about to
be committed or just committed, a request that came in, or that took effect and isn't answered yet.
"""

import socketserver
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class InterruptionKind(StrEnum):
    """What happens at a boundary."""

    KILL = "kill"
    """SIGKILL to the process that reached it."""
    FREEZE = "freeze"
    """SIGSTOP for longer than a lease, then SIGCONT."""
    DISCONNECT = "disconnect"
    """The connection breaks: a request doesn't arrive, or its answer doesn't."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """What happens at the `nth` time that `boundary` is reached from now on."""

    boundary: str
    nth: int
    kind: InterruptionKind


class Interrupter:
    """Counts the boundaries that are reached, and interrupts at one. Thread-safe."""

    def __init__(self, signal_process: Callable[[InterruptionKind, int], None]) -> None:
        """`signal_process` kills or freezes the process with an id."""
        self._signal_process = signal_process
        self._lock = threading.Lock()
        self._armed: Interruption | None = None
        self._left = 0
        self._happened = threading.Event()
        self.reached: Counter[str] = Counter()
        """How often each boundary was reached."""
        self.interrupted: Counter[tuple[InterruptionKind, str]] = Counter()
        """How often each interruption happened at each boundary."""

    def arm(self, interruption: Interruption) -> None:
        """Interrupt once, when its boundary is reached."""
        with self._lock:
            self._armed, self._left = interruption, interruption.nth
            self._happened.clear()

    def disarm(self) -> None:
        """Interrupt nothing."""
        with self._lock:
            self._armed = None

    def wait(self, seconds: float) -> bool:
        """Wait for the interruption and return whether it happened; otherwise disarm."""
        happened = self._happened.wait(seconds)
        with self._lock:
            happened = happened or self._happened.is_set()
            self._armed = None
        return happened

    def is_due_at(self, boundary: str) -> bool:
        """Count a boundary that was reached, and return whether to call `interrupt` now."""
        with self._lock:
            self.reached[boundary] += 1
            if self._armed is None or self._armed.boundary != boundary:
                return False
            self._left -= 1
            return self._left == 0

    def interrupt(self, boundary: str, pid: int) -> InterruptionKind | None:
        """Interrupt the process that reached the boundary; None if that was disarmed meanwhile."""
        with self._lock:
            interruption, self._armed = self._armed, None
        if interruption is None:
            return None
        if interruption.kind is not InterruptionKind.DISCONNECT:
            self._signal_process(interruption.kind, pid)
        self.interrupted[interruption.kind, boundary] += 1
        self._happened.set()
        return interruption.kind


class BoundaryServer:
    """Where processes report each boundary that they reach, and wait for an answer."""

    def __init__(self, interrupter: Interrupter) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                try:
                    for line in self.rfile:
                        pid, _, boundary = line.decode().strip().partition(" ")
                        if interrupter.is_due_at(boundary):
                            interrupter.interrupt(boundary, int(pid))
                        self.wfile.write(b".")
                except ConnectionError:
                    pass  # the process was killed

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

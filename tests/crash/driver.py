"""`balancebot run` as it is, watched from outside: it says where it is at every transaction, and waits for a nod.

What runs is the product; only SQLAlchemy's own events are listened to. Each thread has a line of its own to the
harness, so that a boundary in one thread holds up no other.
"""

import os
import socket
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.pool import Pool

from balancebot.cli import daemon, main
from balancebot.clock import SystemClock

DOOR = "CRASH_DOOR"
"""The environment variable that holds the port at which the harness listens."""
CLOCK = "CRASH_CLOCK"
"""The environment variable that names the file in which stands by how many seconds the clock is wrong."""
_DATABASE = "balancebot.store.database"
_LAST_LOOK = "holds_claim"
"""The one read after which a frozen process is dangerous: the sender has been told that the delivery is its own."""


class Watch:
    """Reports the beginning of a commit, and its end, of every transaction that writes."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._mine = threading.local()

    def install(self) -> None:
        """Listen to every engine that there will be."""
        event.listen(Engine, "commit", self._committing)
        event.listen(Pool, "checkin", self._committed)

    def _committing(self, _: Any) -> None:
        who = _whose(sys._getframe())
        if who is not None:
            self._report(f"{who} committing")
            self._mine.who = who

    def _committed(self, *_: Any) -> None:
        who = getattr(self._mine, "who", None)
        if who is not None:
            self._mine.who = None
            self._report(f"{who} committed")

    def _report(self, boundary: str) -> None:
        line: socket.socket | None = getattr(self._mine, "line", None)
        if line is None:
            line = self._mine.line = socket.create_connection(("127.0.0.1", self._port))
        line.sendall(f"{os.getpid()} {boundary}\n".encode())
        line.recv(1)


class WrongClock:
    """A clock that somebody sets."""

    def __init__(self) -> None:
        self._file = Path(os.environ[CLOCK])

    def now(self) -> datetime:
        """Return the instant that the machine would show."""
        return SystemClock().now() + timedelta(seconds=float(self._file.read_text() or 0))


def _whose(frame: FrameType | None) -> str | None:
    """Return whose transaction ends here; None for one that only reads."""
    writes = False
    while frame is not None:
        module, function = str(frame.f_globals.get("__name__", "")), frame.f_code.co_name
        if module == _DATABASE:
            writes = writes or function in {"write", "migrating"}
        elif module.startswith("balancebot."):
            whose = f"{module.rpartition('.')[2]}.{function.strip('_')}"
            return whose if writes or function == _LAST_LOOK else None
        frame = frame.f_back
    return None


if __name__ == "__main__":
    Watch(int(os.environ[DOOR])).install()
    daemon.SystemClock = WrongClock  # type: ignore[assignment, attr-defined] # where the daemon gets its clock from
    sys.exit(main(["run"]))

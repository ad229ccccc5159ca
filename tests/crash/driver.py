"""`balancebot run` that reports the boundaries of its transactions to the tests and waits for an answer at each.

The product is unchanged; the driver only listens to SQLAlchemy's events. Each thread has its own connection to the
tests, so that a boundary in one thread delays no other.

Each process is forked from one that has imported everything: importing takes most of the CPU of a start.
"""

import os
import socket
import sys
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.pool import Pool

from balancebot.cli import daemon, main
from balancebot.clock import SystemClock
from balancebot.config import PollConfig
from balancebot.domain.next_reading import PollIntervals

BOUNDARY_PORT = "CRASH_BOUNDARY_PORT"
"""The environment variable with the port of the tests' `BoundaryServer`."""
CLOCK = "CRASH_CLOCK"
"""The environment variable with the name of a file that contains by how many seconds the clock is wrong."""
EVERY = "CRASH_EVERY"
"""The environment variable with the seconds between two readings of a wallet, if less than the configuration allows."""
_DATABASE = "balancebot.store.database"
_LAST_CHECK = "holds_claim"
"""The only read whose end is reported: a process that freezes after it may still send what another has claimed."""


class BoundaryReporter:
    """Reports the beginning and the end of each commit of a transaction that writes."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._local = threading.local()

    def install(self) -> None:
        """Listen to every engine, also to later ones."""
        event.listen(Engine, "commit", self._committing)
        event.listen(Pool, "checkin", self._committed)

    def _committing(self, _: Any) -> None:
        name = _transaction_of(sys._getframe())
        if name is not None:
            self._report(f"{name} committing")
            self._local.name = name

    def _committed(self, *_: Any) -> None:
        name = getattr(self._local, "name", None)
        if name is not None:
            self._local.name = None
            self._report(f"{name} committed")

    def _report(self, boundary: str) -> None:
        connection: socket.socket | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = socket.create_connection(("127.0.0.1", self._port))
        connection.sendall(f"{os.getpid()} {boundary}\n".encode())
        connection.recv(1)


class WrongClock:
    """A clock that the tests set."""

    def __init__(self) -> None:
        self._file = Path(os.environ[CLOCK])

    def now(self) -> datetime:
        """Return the instant with the error that the tests have set."""
        return SystemClock().now() + timedelta(seconds=float(self._file.read_text() or 0))


def _transaction_of(frame: FrameType | None) -> str | None:
    """Return the name of the transaction that ends here: its module and function; None if it only reads."""
    writes = False
    while frame is not None:
        module, function = str(frame.f_globals.get("__name__", "")), frame.f_code.co_name
        if module == _DATABASE:
            writes = writes or function in {"write", "migrating"}
        elif module.startswith("balancebot."):
            name = f"{module.rpartition('.')[2]}.{function.strip('_')}"
            return name if writes or function == _LAST_CHECK else None
        frame = frame.f_back
    return None


def _read_every(interval: timedelta) -> None:
    """Read wallets more often than the configuration allows."""

    def intervals(config: PollConfig) -> PollIntervals:
        return PollIntervals(every=interval, fastest=interval, stale_after=config.stale_after)

    PollConfig.intervals = property(intervals)  # type: ignore[assignment, method-assign]
    daemon._TICK = interval / 2


def start(folder: Path, environment: Mapping[str, str], output: Connection, *, watched: bool) -> None:
    """Run the product in this process, which was forked for it. One that isn't watched starts as an operator starts it.

    Its log goes to `output`.
    """
    os.chdir(folder)
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output.fileno(), 2)
    if not watched:
        os.execv(sys.executable, [sys.executable, "-m", "balancebot", "run"])
    BoundaryReporter(int(environment[BOUNDARY_PORT])).install()
    daemon.SystemClock = WrongClock  # type: ignore[assignment, attr-defined] # where the daemon gets its clock from
    if EVERY in environment:
        _read_every(timedelta(seconds=float(environment[EVERY])))
    sys.exit(main(["run"]))

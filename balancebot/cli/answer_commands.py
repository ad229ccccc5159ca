"""Runs commands for callers that reach the daemon through its socket: the same code, on the daemon's own `App`.

`ask_daemon.py` is the caller's side and describes the protocol. One command runs at a time, in one thread. A caller
that isn't accepted within a second runs its command itself. It also does so if this daemon has another program or
configuration than the caller, and after any result but success: then the caller reports what is wrong.
"""

import json
import logging
import os
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from balancebot.app import App
from balancebot.cli.ask_daemon import (
    CHANGES,
    GO,
    MAX_ANSWER,
    MAX_REQUEST,
    answered_command,
    digest_of,
    socket_path,
    version,
)
from balancebot.cli.context import CommandContext, CommandError, RefusedError
from balancebot.cli.output import CALLER, Caller, show_error
from balancebot.cli.root import invoke
from balancebot.config import Settings
from balancebot.store.errors import DatabaseError

log = logging.getLogger(__name__)

_REQUEST_WITHIN = 1.0
_ANSWER_TIMEOUT = 5.0
"""Seconds that a caller has to take the answer."""
_MOST_WALLETS = 2_000
"""With more wallets, a command takes longer to run than to load, and would delay the poll cycle."""

AppInUse = Callable[[], AbstractContextManager[App]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """A command that a caller wants to run."""

    version: str
    config: str
    file: tuple[int, int, int]
    words: list[str]
    user: str
    is_coloured: bool


class CommandServer:
    """Listens until it is stopped, in a thread of the daemon."""

    def __init__(self, app_in_use: AppInUse) -> None:
        self._app_in_use = app_in_use
        self._listener: socket.socket | None = None
        self._path = Path()
        self._inode = 0
        self._thread = threading.Thread(target=self._serve, name="commands", daemon=True)

    def start(self, config: Path) -> None:
        """Listen on the socket of this configuration. If that fails, callers run their commands themselves."""
        folder = Path(f"/tmp/balancebot-{os.getuid()}")  # noqa: S108 -- `socket_path` checks who owns it
        with suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
        path = socket_path(config)
        if path is None or not hasattr(socket, "SO_PEERCRED"):
            return
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        own = path.with_suffix(f".{os.getpid()}")
        try:
            own.unlink(missing_ok=True)
            listener.bind(os.fspath(own))
            own.chmod(0o600)
            listener.listen(8)
            own.replace(path)  # replaces the socket of a killed daemon, or of another replica on this machine
            self._inode = path.stat().st_ino
        except OSError as error:
            listener.close()
            log.warning("commands.unanswered", extra={"error": error.strerror or str(error)})
            return
        self._listener, self._path = listener, path
        self._thread.start()

    def stop(self, wait: float) -> None:
        """Accept no more callers, and wait at most `wait` seconds for the running command."""
        if self._listener is None:
            return
        with suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(wait)

    def _serve(self) -> None:
        assert self._listener is not None  # noqa: S101 -- `start` has set it
        with self._listener as listener:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, suppress(OSError, ValueError):
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        """Run one command, if it is for this daemon. Raises OSError or ValueError for a faulty caller."""
        connection.settimeout(_REQUEST_WITHIN)
        if not _is_of_this_user(connection):
            return
        with connection.makefile("rb") as lines, self._app_in_use() as app:
            request = msgspec.json.decode(lines.readline(MAX_REQUEST), type=_Request)
            if not _is_for(request, app.settings):
                return
            variable = _database_variable(app.settings)
            digest = digest_of(os.environ.get(variable, "")) if variable else ""
            connection.sendall(json.dumps({"variable": variable, "digest": digest}).encode() + b"\n")
            if lines.readline(len(GO)) != GO:
                return
            caller = Caller(printed=[], is_coloured=request.is_coloured)
            status = _run(request, app, caller)
            answer = json.dumps({"status": status, "printed": caller.printed}).encode() + b"\n"
            connection.settimeout(_ANSWER_TIMEOUT)
            connection.sendall(answer if len(answer) < MAX_ANSWER else b'{"status": null}\n')


def _run(request: _Request, app: App, caller: Caller) -> int | None:
    """Run a command and return its exit status. None: nothing was done, and the caller must run it itself."""
    context = CommandContext(app=app, user=request.user)
    CALLER.set(caller)
    try:
        return invoke(request.words, context)
    except (CommandError, DatabaseError) as error:
        changes = CHANGES.get(answered_command(request.words) or (), False)
        if not changes or isinstance(error, RefusedError):
            return None
        show_error(context.redact(str(error)))
        return 1
    except (Exception, SystemExit):  # noqa: BLE001 -- wrong usage or a fault: the caller runs into it again, and reports it
        return None
    finally:
        CALLER.set(None)


def _is_of_this_user(connection: socket.socket) -> bool:
    """Return whether daemon and caller are the same user. The permissions of the folder ensure that already."""
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return bool(user == os.getuid())


def _is_for(request: _Request, settings: Settings) -> bool:
    """Return whether the caller would run the same program with the same configuration."""
    return (
        request.version == version()
        and request.config == os.path.abspath(settings.path)
        and request.file == settings.file_version
        and answered_command(request.words) is not None
        and len(settings.wallets) <= _MOST_WALLETS
    )


def _database_variable(settings: Settings) -> str:
    """Return the environment variable that holds the database's URL; '' if it isn't in a variable."""
    section = settings.document.get("database")
    url = section.get("url") if isinstance(section, dict) else None
    return url.removeprefix("env:") if isinstance(url, str) and url.startswith("env:") else ""

"""Lets the running daemon answer a command, which saves a short command the time to load the program.

The daemon runs the same command on its own `App` (`answer_commands.py`) and sends back what the command printed. If no
daemon of the same user, program and configuration listens, the caller runs the command itself. This module imports only
what Python has loaded anyway, or imports it late.

        caller  -> one line of JSON: user, command, and the version of program and configuration
        daemon  -> one line: the variable that holds its database's URL; nothing if it refuses
        caller  -> GO: from here on the command may run
        daemon  -> one line: the exit status and what was printed, or that the caller must run it
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from balancebot import __file__ as program
from balancebot import __version__
from balancebot.cli.output import is_coloured

CHANGES = {
    ("status",): False,
    ("why",): False,
    ("alerts", "list"): False,
    ("alerts", "ack"): True,
    ("thresholds", "list"): False,
    ("thresholds", "set"): True,
    ("thresholds", "unset"): True,
    ("silence",): True,
    ("silences", "list"): False,
    ("silences", "end"): True,
}
"""The commands that a daemon answers, and whether each changes something. They read no file and no stdin."""

GO = b"go\n"
MAX_REQUEST = 1 << 16
MAX_ANSWER = 1 << 26
_ACCEPT_TIMEOUT = 1.0
"""Seconds. If a daemon is busy for longer, the caller doesn't wait for it."""
_ANSWER_TIMEOUT = 60.0


def version() -> str:
    """Return the version of the installed program, and when it was installed."""
    return f"{__version__} {os.stat(program).st_mtime_ns}"


def answered_command(words: Sequence[str]) -> tuple[str, ...] | None:
    """Return the name of the command, or None if no daemon may answer it."""
    _, words = _split(words)
    name = tuple(words[:2]) if tuple(words[:1]) not in CHANGES else tuple(words[:1])
    return name if name in CHANGES and "--help" not in words else None


def socket_path(config: Path) -> Path | None:
    """Return the socket of the daemon with this configuration; None if no folder belongs to this user alone.

    `/run/balancebot` is systemd's `RuntimeDirectory`. Nobody else can put a file into the folder that is returned.
    """
    from zlib import crc32  # lazy: `--help` must be quick

    name = f"{crc32(os.fsencode(os.path.abspath(config))):08x}.sock"
    for folder in (Path("/run/balancebot"), Path(f"/tmp/balancebot-{os.getuid()}")):  # noqa: S108 -- see the next lines
        try:
            found = os.lstat(folder)
        except OSError:
            continue
        if found.st_uid == os.getuid() and not found.st_mode & 0o077:
            return folder / name
    return None


def ask_daemon(words: Sequence[str]) -> int | None:
    """Let a daemon run a command and print what it printed; return the exit status. None: run it here."""
    name = answered_command(words)
    if name is None:
        return None
    given, _ = _split(words)
    config = Path(given or os.environ.get("BALANCEBOT_CONFIG") or "balancebot.toml")
    path = socket_path(config)
    if path is None or not path.exists():
        return None
    try:
        answer = _exchange(path, config, words)
    except _LostError as lost:
        if not CHANGES[name]:
            return None
        print(lost, file=sys.stderr)
        return 1
    except (OSError, ValueError, LookupError, TypeError):  # nothing has run yet
        return None
    except KeyboardInterrupt:
        print("\nAborted!", file=sys.stderr)
        return 1
    if answer is None:
        return None
    status, printed = answer
    for is_error, text in printed:
        (sys.stderr if is_error else sys.stdout).write(text)
    return status


class _LostError(Exception):
    """The daemon may have run the command, but its answer is missing."""

    def __str__(self) -> str:
        return "the running balancebot ended before it answered: look whether the change was made"


def _exchange(path: Path, config: Path, words: Sequence[str]) -> tuple[int, list[tuple[bool, str]]] | None:
    """Return the exit status and what was printed; None if the command must run here.

    Raises `_LostError` for a failure after which the command may have run, and other errors for earlier failures.
    """
    import json  # lazy: there may be no daemon
    import socket  # lazy: the same

    read = os.stat(config)
    request = {
        "version": version(),
        "config": os.path.abspath(config),
        "file": [read.st_mtime_ns, read.st_size, read.st_ino],
        "words": list(words),
        "user": user_name(),
        "is_coloured": is_coloured(sys.stdout),
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ACCEPT_TIMEOUT)
        connection.connect(os.fspath(path))
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as answers:
            accepted = json.loads(answers.readline(MAX_REQUEST))
            if not _has_same(accepted["variable"], accepted["digest"]):
                return None
            connection.sendall(GO)
            try:
                connection.settimeout(_ANSWER_TIMEOUT)
                answer = json.loads(answers.readline(MAX_ANSWER))
                if answer["status"] is None:
                    return None
                printed = [(bool(is_error), str(text)) for is_error, text in answer["printed"]]
                return int(answer["status"]), printed
            except (OSError, ValueError, LookupError, TypeError):
                raise _LostError from None


def digest_of(value: str) -> str:
    """Return a digest that shows two processes whether they have the same value."""
    from hashlib import sha256  # lazy: few configurations need it

    return sha256(os.fsencode(value)).hexdigest()


def _has_same(variable: str, digest: str) -> bool:
    return not variable or digest_of(os.environ.get(variable, "")) == digest


def user_name() -> str:
    """Return the user who calls the program, for the audit log."""
    from getpass import getuser  # lazy: `--help` must be quick

    try:
        return getuser()
    except (KeyError, OSError):  # in a container the user may be a number without a name
        return f"uid {os.getuid()}"


def _split(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the file that `--config` names, or '', and the words of the command."""
    if words[:1] == ["--config"]:
        return "".join(words[1:2]), words[2:]
    if words and words[0].startswith("--config="):
        return words[0].partition("=")[2], words[1:]
    return "", words

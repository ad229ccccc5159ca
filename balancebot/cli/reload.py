"""`reload`: makes the running daemon read its configuration again, and reports the result."""

import os
import platform
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import typer

from balancebot.cli.context import CommandError, RefusedError, command_group, context_of
from balancebot.cli.output import show
from balancebot.clock import SystemClock
from balancebot.config import database_url, load
from balancebot.store import configurations
from balancebot.store.configurations import RunningConfiguration
from balancebot.store.database import Database

commands = command_group()

_TIMEOUT = timedelta(seconds=30)
_RETRY_EVERY = timedelta(milliseconds=100)


@commands.command(no_args_is_help=False)
def reload(context: typer.Context) -> None:
    """Have the running daemon read its configuration again; work under way continues."""
    path = context_of(context).config_path
    loaded = load(path, environ=os.environ, resolve_secrets=False)
    url = database_url(path, environ=os.environ)
    faults = [str(fault) for fault in loaded] if isinstance(loaded, tuple) else []
    if url is None:
        raise RefusedError(*faults, "a running balancebot was not notified and keeps its configuration")
    database = Database(url.reveal())
    before = _running_here(database)
    if faults and not before:
        raise RefusedError(*faults)
    if not before:
        raise CommandError(
            f"database {database.place}: no `balancebot run` is at work on it on this machine; "
            "on another one, send it SIGHUP there"
        )
    for configuration in before:
        os.kill(configuration.pid, signal.SIGHUP)
    after = _wait_for_others(before, lambda: _running_here(database))
    for configuration in after:
        if configuration.faults:
            continue
        show(f"balancebot (pid {configuration.pid}) works with {path}")
        if configuration.needs_restart:
            show(f"needs a restart, until then as before: {', '.join(configuration.needs_restart)}")
    refused = [configuration for configuration in after if configuration.faults]
    if refused:
        kept = f"balancebot (pid {refused[0].pid}) refused it, and keeps the configuration that it has"
        error = RefusedError if faults else CommandError
        raise error(*refused[0].faults, kept)


def _running_here(database: Database) -> list[RunningConfiguration]:
    """Return the daemons on this database that are processes of this machine."""
    database.upgrade()
    with database.read() as conn:
        found = configurations.running(conn, now=SystemClock().now())
    return [
        configuration
        for configuration in found
        if configuration.host == platform.node() and _is_balancebot(configuration.pid)
    ]


def _is_balancebot(pid: int) -> bool:
    """Return whether a process is balancebot. Another container may have the same host name, but other pids."""
    try:
        return b"balancebot" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _wait_for_others(
    before: list[RunningConfiguration], read_running: Callable[[], list[RunningConfiguration]]
) -> list[RunningConfiguration]:
    """Wait until every process has accepted or refused a configuration; return what each runs with."""
    known = {configuration.pid: configuration for configuration in before}
    until = time.monotonic() + _TIMEOUT.total_seconds()
    while time.monotonic() < until:
        after = [found for found in read_running() if found.pid in known]
        if len(after) == len(known) and all(found != known[found.pid] for found in after):
            return after
        time.sleep(_RETRY_EVERY.total_seconds())
    pids = ", ".join(map(str, known))
    raise CommandError(
        f"balancebot (pid {pids}) has not answered within {_TIMEOUT.total_seconds():.0f} s: see its log"
    )

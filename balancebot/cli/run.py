"""`run`: polls, judges, delivers and serves the pages until SIGTERM or Ctrl-C, and exits with status 0.

SIGHUP makes it read its configuration again. It runs a `Daemon`.
"""

import fcntl
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from balancebot import __version__
from balancebot.catalogue import upfirst
from balancebot.cli.answer_commands import CommandServer
from balancebot.cli.context import CommandError, command_group, context_of
from balancebot.cli.daemon import Daemon
from balancebot.cli.process import (
    forbid_core_dumps,
    has_terminal,
    notify_service_manager,
    raise_file_limit,
    resume_gc,
    share_one_heap,
)
from balancebot.clock import SystemClock
from balancebot.config import Settings, load
from balancebot.config.settings import SENT_NOWHERE
from balancebot.config.values import shown
from balancebot.logs import set_up_logging
from balancebot.people.first_admin import make_link_token
from balancebot.store.database import Database

commands = command_group()
log = logging.getLogger(__name__)

_COMMANDS_TIMEOUT = 1.0
"""Seconds that stopping waits for a command that runs for another process."""
_WAKE_UP = 0.5
"""Seconds. The kernel may give a signal to any thread; Python handles it when the main thread wakes up."""


@commands.command(no_args_is_help=False)
def run(context: typer.Context) -> None:
    """Poll, judge and notify until stopped; serves the pages."""
    stop, reload = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    from_terminal = has_terminal()

    def hang_up(*_: object) -> None:
        """Reload; but stop if the signal means that the terminal was closed."""
        (stop if from_terminal and not has_terminal() else reload).set()

    signal.signal(signal.SIGHUP, hang_up)
    share_one_heap()
    raise_file_limit()
    forbid_core_dumps()
    resume_gc()
    command = context_of(context)
    settings = command.settings_with_secrets
    set_up_logging(settings.log, redact=command.redact)
    database = command.database
    with _lock_database(database):
        daemon = Daemon(
            settings,
            database,
            redactor=command.redact,
            reload_wanted=reload,
            reread=lambda document: load(
                settings.path, environ=os.environ, resolve_secrets=True, document=document
            ),
        )
        try:
            daemon.start()
        except OSError as error:
            raise CommandError(f"[web].listen: the pages can't be served there: {error.strerror}") from None
        log.info(
            "run.started",
            extra={
                "version": __version__,
                "wallets": len(settings.wallets),
                "database": database.place,
                "pages": daemon.address,
            },
        )
        print("\n".join(_greeting(settings, daemon.address)), flush=True)
        _offer_setup(settings, database)
        command_server = CommandServer(daemon.app_in_use)
        command_server.start(settings.path)
        notify_service_manager("READY=1")
        while not stop.wait(_WAKE_UP):
            pass
        log.info("run.stopping")
        notify_service_manager("STOPPING=1")
        command_server.stop(_COMMANDS_TIMEOUT)
        finished = daemon.stop()
        log.info("run.stopped", extra={"finished": finished})
    if not finished:
        # A thread that waits for a remote server would keep the process from ending.
        logging.shutdown()
        os._exit(0)


def _greeting(settings: Settings, pages: str | None) -> Iterator[str]:
    """Yield what the user who started the daemon wants to know: wallets, destinations, and the address of the pages."""
    wallets = "1 wallet" if len(settings.wallets) == 1 else f"{len(settings.wallets)} wallets"
    names = ", ".join(account.name for account in settings.accounts[:3])
    more = ", …" if len(settings.accounts) > 3 else ""
    yield f"balancebot {__version__} watches {wallets} of {names}{more}, each every {shown(settings.poll.every)}"
    places = [
        f"{channel} {', '.join(addresses)}".strip()
        for channel, addresses in settings.routing.defaults.items()
        if addresses
    ]
    yield (f"Alerts go to {' · '.join(places)}" if places else upfirst(SENT_NOWHERE))
    yield f"Pages: {pages}" if pages else "No pages: [web] is missing in the configuration"


def _offer_setup(settings: Settings, database: Database) -> None:
    """If there is no user yet, print and log a link that creates the first admin."""
    token = None if settings.web is None else make_link_token(database, now=SystemClock().now())
    if settings.web is not None and token is not None:
        link = f"{settings.web.public_url}/setup?token={token.reveal()}"
        print(
            f"Nobody can log in yet. Make the first admin here, once and within an hour: {link}", flush=True
        )
        log.warning("run.setup_link", extra={"link": link})


@contextmanager
def _lock_database(database: Database) -> Iterator[None]:
    """Refuse a second daemon on the same SQLite file; on PostgreSQL any number may share the work."""
    if not database.is_sqlite:
        yield
        return
    path = Path(f"{database.place}.lock")
    try:
        lock = path.open("w")
    except OSError as error:
        raise CommandError(f"{path}: can't be written: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                f"database {database.place}: another `balancebot run` is at work on it; "
                "several at once need PostgreSQL"
            ) from None
        yield

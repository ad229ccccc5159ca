"""`run`: the daemon. It ends by SIGTERM or Ctrl-C, orderly and with status 0."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from balancebot.cli.context import CommandError, application, context_of

if TYPE_CHECKING:
    from balancebot.store.database import Database

app = application()
log = logging.getLogger(__name__)


@app.command(no_args_is_help=False)
def run(context: typer.Context) -> None:
    """Read, judge and tell until stopped; serves the pages."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):  # before anything that takes its time
        signal.signal(number, lambda *_: stop.set())

    from balancebot import __version__
    from balancebot.cli.daemon import Daemon
    from balancebot.cli.process import share_one_heap
    from balancebot.logs import set_up_logging

    share_one_heap()
    session = context_of(context)
    settings = session.settings_with_secrets
    set_up_logging(settings.log)
    with _alone(session.database):
        daemon = Daemon(settings, session.database)
        try:
            daemon.start()
        except OSError as error:
            raise CommandError(f"[web].listen: the pages can't be served there: {error.strerror}") from None
        log.info(
            "run.started",
            extra={
                "version": __version__,
                "wallets": len(settings.wallets),
                "database": session.database.place,
                "pages": daemon.address,
            },
        )
        stop.wait()
        log.info("run.stopping")
        finished = daemon.stop()
        log.info("run.stopped", extra={"finished": finished})
    if not finished:
        # a thread that waits for somebody else's server would hold the process for as long as that likes
        logging.shutdown()
        os._exit(0)


@contextmanager
def _alone(database: "Database") -> Iterator[None]:
    """Keep a second daemon from the same SQLite file; on PostgreSQL any number may share the work."""
    if not database.is_sqlite:
        yield
        return
    import fcntl

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

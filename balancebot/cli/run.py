"""`run`: the daemon. It polls, judges, delivers and serves the pages until SIGTERM or Ctrl-C, and ends with status 0.

From top to bottom: the command; the `Daemon`, which starts the jobs, the pages and the Slack listener, and stops them
in order; and the jobs themselves, each of which calls one use case. Stopping starts nothing new, finishes what is under
way as far as there is time, and leaves the rest to whoever runs next: everything due stands in the database.
"""

import fcntl
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from time import monotonic

import typer

from balancebot import __version__
from balancebot.app import build_app
from balancebot.cli.context import CommandError, command_group, context_of
from balancebot.cli.process import (
    forbid_core_dumps,
    notify_service_manager,
    raise_file_limit,
    resume_gc,
    share_one_heap,
)
from balancebot.clock import SystemClock
from balancebot.config import Settings
from balancebot.config.values import shown
from balancebot.history.prune import prune_steadily
from balancebot.logs import Reporter, set_up_logging
from balancebot.metrics import Metrics
from balancebot.people.first_admin import make_link_token
from balancebot.ports import Channel
from balancebot.redact import Redactor
from balancebot.scheduler import Job, Scheduler
from balancebot.store.database import Database
from balancebot.store.errors import DatabaseError
from balancebot.store.workers import HEARTBEAT_EVERY
from balancebot.web.app import create_pages
from balancebot.web.server import WebServer, serve

commands = command_group()
log = logging.getLogger(__name__)

_DRAIN = timedelta(seconds=6)
"""How long stopping may take: of the ten seconds that are allowed, some are left for a slow machine."""
_FOR_JOBS = timedelta(seconds=4)
"""How long stopping waits for jobs that are under way."""
_MAX_CYCLES = 4
"""So many poll cycles may overlap: a slow one must not keep other wallets from being read when they are due."""
_MAX_FAILING_CYCLES = 2
"""The same for cycles of wallets that fail."""
_TICK = timedelta(milliseconds=500)
_FAILING = timedelta(minutes=1)
"""The daemon isn't ready when deliveries have failed for so long."""


@commands.command(no_args_is_help=False)
def run(context: typer.Context) -> None:
    """Poll, judge and notify until stopped; serves the pages."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    share_one_heap()
    raise_file_limit()
    forbid_core_dumps()
    resume_gc()
    command = context_of(context)
    settings = command.settings_with_secrets
    set_up_logging(settings.log, redact=command.redact)
    database = command.database
    with _alone(database):
        daemon = Daemon(settings, database, redactor=command.redact)
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
        notify_service_manager("READY=1")
        stop.wait()
        log.info("run.stopping")
        notify_service_manager("STOPPING=1")
        finished = daemon.stop()
        log.info("run.stopped", extra={"finished": finished})
    if not finished:
        # a thread that waits for a remote server would keep the process from ending
        logging.shutdown()
        os._exit(0)


def _greeting(settings: Settings, pages: str | None) -> Iterator[str]:
    """Yield what the person who started it wants to know: what is watched, who is notified, where the pages are."""
    wallets = "1 wallet" if len(settings.wallets) == 1 else f"{len(settings.wallets)} wallets"
    names = ", ".join(account.name for account in settings.accounts[:3])
    more = ", …" if len(settings.accounts) > 3 else ""
    yield f"balancebot {__version__} watches {wallets} of {names}{more}, each every {shown(settings.poll.every)}"
    places = [
        f"{channel} {', '.join(addresses)}".strip()
        for channel, addresses in settings.routing.defaults.items()
        if addresses
    ]
    yield (
        f"Alerts go to {' · '.join(places)}"
        if places
        else ("Alerts are sent nowhere: [slack], [email] or [[channels]] is missing in the configuration")
    )
    yield f"Pages: {pages}" if pages else "No pages: [web] is missing in the configuration"


def _offer_setup(settings: Settings, database: Database) -> None:
    """While there is no user, print and log a link by which the first admin is made."""
    token = None if settings.web is None else make_link_token(database, now=SystemClock().now())
    if settings.web is not None and token is not None:
        link = f"{settings.web.public_url}/setup?token={token.reveal()}"
        print(
            f"Nobody can log in yet. Make the first admin here, once and within an hour: {link}", flush=True
        )
        log.warning("run.setup_link", extra={"link": link})


@contextmanager
def _alone(database: Database) -> Iterator[None]:
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


class Daemon:
    """One process that polls, judges and delivers until it is stopped."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        channels: Mapping[str, Channel] | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        """`channels` take the place of those that are configured; `redactor` is one made of these settings already."""
        self._app = build_app(
            settings,
            database,
            channels=channels,
            redactor=redactor,
            on_enqueued=lambda: self._scheduler.run_now("deliver"),
        )
        self._metrics = Metrics(self._app.system_status, channels=settings.channel_by_name)
        self._reporter = Reporter(self._metrics)
        self._worker = self._app.worker_heartbeat("run")
        self._cycle_completed = threading.Event()
        self._heartbeat_failure = ""
        self._poll_cycle = self._app.poll_cycle
        self._deliver_outbox = self._app.deliver_outbox
        self._scheduler = Scheduler(self._jobs())
        self._pages: WebServer | None = None
        self._slack_app = self._app.slack_app(on_done=lambda: self._scheduler.run_now("deliver"))
        self._slack_stopped = True

    @property
    def address(self) -> str | None:
        """Where the pages are served, once started; None = nowhere."""
        web = self._app.settings.web
        return None if web is None or self._pages is None else f"http://{web.listen.host}:{self._pages.port}"

    def start(self) -> None:
        """Begin. Raises `DatabaseError` when the database can't be asked, OSError when the pages can't be served."""
        try:
            self._worker.show()
            if self._app.database.is_sqlite:
                # one daemon at a time has the file to itself: any other that had claimed something is dead
                self._worker.succeed()
            self._app.sync_wallets()
            self._pages = self._serve_pages()
        except (DatabaseError, OSError):
            self._app.close()
            raise
        if self._slack_app is not None:
            self._slack_app.start()
        self._scheduler.start()

    def _serve_pages(self) -> WebServer | None:
        web = self._app.settings.web
        if web is None:
            return None
        pages = create_pages(
            self._app,
            metrics=self._metrics.text,
            unready=self._unready,
            on_log_in=lambda outcome: self._metrics.log_ins.labels(outcome).inc(),
        )
        return serve(pages, host=web.listen.host, port=web.listen.port)

    def stop(self) -> bool:
        """End within `_DRAIN`, whatever others wait for; return whether everything under way was finished."""
        until = monotonic() + _DRAIN.total_seconds()
        closing = _in_background(self._close_inputs, "close inputs")
        unfinished = self._scheduler.stop(_FOR_JOBS)
        for job in unfinished:
            log.warning("stop.unfinished", extra={"job": job})
        # a locked database may hold each statement for seconds: so this, too, has its time
        ending = _in_background(lambda: self._deliver_and_leave(until), "deliver and leave")
        ending.join(max(0.0, until - monotonic()))
        closing.join(max(0.0, until - monotonic()))
        if unfinished or closing.is_alive() or ending.is_alive() or not self._slack_stopped:
            return False
        self._app.close()
        return True

    def _close_inputs(self) -> None:
        """Stop accepting requests."""
        if self._slack_app is not None:
            self._slack_stopped = self._slack_app.stop(_FOR_JOBS)
        if self._pages is not None:
            self._pages.stop()

    def _deliver_and_leave(self, until: float) -> None:
        """Deliver what the last cycle decided, while the claims of this worker still hold; then give them up."""
        try:
            self._worker.show()
            self._deliver()
            grace = timedelta(seconds=max(0.0, until - monotonic()))
            self._reporter.delivered(self._deliver_outbox.close(grace))
            self._worker.leave()
        except DatabaseError as error:
            log.error("stop.database", extra={"error": str(error)})

    def _unready(self) -> str:
        """Return in a line why the daemon isn't ready; '' when it is."""
        if self._scheduler.has_failed_for("deliver", _FAILING):
            return "nothing can be delivered: see the log"
        return self._app.unready()

    def _jobs(self) -> list[Job]:
        return [
            Job(name="worker_heartbeat", every=HEARTBEAT_EVERY, run=self._show_alive),
            Job(name="poll", every=_TICK, run=lambda: self._poll(failing=False), max_running=_MAX_CYCLES),
            Job(
                name="poll_failing",
                every=_TICK,
                run=lambda: self._poll(failing=True),
                max_running=_MAX_FAILING_CYCLES,
            ),
            Job(name="deliver", every=_TICK, run=self._deliver),
            Job(name="tick_alerts", every=timedelta(seconds=1), run=self._tick_alerts),
            Job(name="digests", every=timedelta(seconds=5), run=self._send_digests),
            Job(name="apps_files", every=timedelta(seconds=1), run=self._app.reread_apps),
            Job(name="prune", every=timedelta(hours=1), run=self._prune),
            Job(name="heartbeat", every=timedelta(seconds=1), run=self._send_heartbeat),
        ]

    def _show_alive(self) -> None:
        """Renew the claims of this worker; a database that is away is no reason for systemd to restart it."""
        notify_service_manager("WATCHDOG=1")
        self._worker.show()

    def _poll(self, *, failing: bool) -> None:
        """Poll the wallets that are due: those that answer, or those that fail."""
        report = self._poll_cycle.run_due(failing=failing)
        if report is not None:
            self._reporter.polled(report)
            if report.complete:
                self._cycle_completed.set()

    def _deliver(self) -> None:
        self._reporter.delivered(self._deliver_outbox.tick())

    def _tick_alerts(self) -> None:
        if self._app.operate_alerts.tick() + self._app.operate_orders.tick():
            self._scheduler.run_now("deliver")

    def _send_digests(self) -> None:
        for name in self._app.send_digest.run_due():
            log.info("digest.made", extra={"digest": name})
            self._scheduler.run_now("deliver")

    def _prune(self) -> None:
        pruned = prune_steadily(
            self._app.database,
            self._app.settings.retention,
            zone=self._app.settings.timezone,
            now=self._app.clock.now(),
        )
        if pruned is not None:
            log.info("housekeeping", extra=asdict(pruned))

    def _send_heartbeat(self) -> None:
        """Tell the monitor that a cycle has completed, unless what it decided can't be delivered."""
        heartbeat = self._app.heartbeat
        if heartbeat is None or not self._cycle_completed.is_set():
            return
        if self._scheduler.has_failed_for("deliver", _FAILING):
            return
        self._cycle_completed.clear()
        failure = heartbeat.beat()
        if failure and failure != self._heartbeat_failure:
            log.warning("heartbeat.failed", extra={"error": failure})
        self._heartbeat_failure = failure


def _in_background(target: Callable[[], None], name: str) -> threading.Thread:
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread

"""The daemon: its jobs, pages and Slack listener, started, reloaded and stopped in order.

Each job calls one use case of the present `Generation`, which is what one configuration makes. Stopping starts nothing
new, finishes what is under way as far as there is time, and leaves the rest to whoever runs next: everything due stands
in the database.
"""

import logging
import os
import platform
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from datetime import timedelta
from time import monotonic

from starlette.types import Receive, Scope, Send

from balancebot.app import App, build_app
from balancebot.cli.generation import Generation, with_what_can_change
from balancebot.cli.process import notify_service_manager
from balancebot.clock import SteadyClock, SystemClock
from balancebot.config import ConfigFault, SecretsWatch, Settings
from balancebot.history.prune import prune_steadily
from balancebot.logs import Reporter, set_up_logging
from balancebot.metrics import Metrics
from balancebot.overview.balances import SystemStatus
from balancebot.ports import Channel
from balancebot.redact import Redactor
from balancebot.scheduler import Job, Scheduler
from balancebot.store import configurations
from balancebot.store.configurations import RunningConfiguration
from balancebot.store.database import Database
from balancebot.store.errors import DatabaseError
from balancebot.store.workers import HEARTBEAT_EVERY
from balancebot.web.app import create_pages
from balancebot.web.server import WebServer, serve

log = logging.getLogger(__name__)

Reread = Callable[[Mapping[str, object] | None], Settings | tuple[ConfigFault, ...]]
"""Reads the configuration anew: the file, or where a document is given what the file said then."""

_DRAIN = timedelta(seconds=6)
"""How long stopping may take: of the ten seconds that are allowed, some are left for a slow machine."""
_FOR_JOBS = timedelta(seconds=4)
"""How long stopping waits for jobs that are under way."""
_MAX_CYCLES = 4
"""So many poll cycles may overlap: a slow one must not keep other wallets from being read when they are due."""
_MAX_FAILING_CYCLES = 2
"""The same for cycles of wallets that fail."""
_TICK = timedelta(milliseconds=500)
_DOUBTED_FOR = timedelta(seconds=5)
"""A clock that jumps is doubted for two intervals of polling and so much longer."""
_MOST_DOUBTED_FOR = timedelta(minutes=10)
_FAILING = timedelta(minutes=1)
"""The daemon isn't ready when deliveries have failed for so long."""


class Daemon:
    """One process that polls, judges and delivers until it is stopped."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        channels: Mapping[str, Channel] | None = None,
        redactor: Redactor | None = None,
        reread: Reread | None = None,
        reload_wanted: threading.Event | None = None,
    ) -> None:
        """`channels` take the place of those that are configured; `redactor` is one made of these settings already.

        When `reload_wanted` is set, the configuration is read anew within a second; without `reread` it stays as it is.
        """
        self._database = database
        self._channels = channels
        self._clock = SystemClock()
        doubted_for = min(2 * settings.poll.every + _DOUBTED_FOR, _MOST_DOUBTED_FOR)
        self._steady = SteadyClock(self._clock.now, believes_after=doubted_for)
        self._reread = reread
        self._metrics = Metrics(self._system_status, channels=settings.channel_by_name)
        self._reporter = Reporter(self._metrics)
        self._cycle_completed = threading.Event()
        self._heartbeat_failure = ""
        self._reload_wanted = reload_wanted or threading.Event()
        self._secrets = SecretsWatch(settings.secret_files)
        self._swapping = threading.Lock()
        """Of the next two."""
        self._current = self._generation(settings, redactor)
        self._ending: list[Generation] = []
        self._configuration = self._taken(self._current)
        self._noted: RunningConfiguration | None = None
        """As it was stored last."""
        self._scheduler = Scheduler(self._jobs())
        self._pages: WebServer | None = None
        self._slack_stopped = True

    def _generation(self, settings: Settings, redactor: Redactor | None) -> Generation:
        """Make what one configuration makes, before anything of it begins. Raises ValueError, see `Generation`."""

        def deliver() -> None:
            self._scheduler.run_now("deliver")

        app = build_app(
            settings,
            self._database,
            clock=self._clock,
            steady=self._steady,
            channels=self._channels,
            redactor=redactor,
            on_enqueued=deliver,
        )
        pages = None
        if settings.web is not None:
            pages = create_pages(
                app,
                metrics=self._metrics.text,
                unready=self._unready,
                configuration=lambda: self._configuration,
                on_log_in=lambda outcome: self._metrics.log_ins.labels(outcome).inc(),
            )
        return Generation(app, pages, on_done=deliver)

    @property
    def _app(self) -> App:
        return self._current.app

    def _system_status(self) -> SystemStatus:
        return self._app.system_status()

    @contextmanager
    def app_in_use(self) -> Iterator[App]:
        """Yield the app of the present generation, which doesn't end meanwhile."""
        with self._in_use() as generation:
            yield generation.app

    @contextmanager
    def _in_use(self) -> Iterator[Generation]:
        """Yield the present generation, which doesn't end meanwhile."""
        with ExitStack() as stack:
            with self._swapping:
                generation = self._current
                stack.enter_context(generation.used())
            yield generation

    @property
    def address(self) -> str | None:
        """Where the pages are served, once started; None = nowhere."""
        web = self._app.settings.web
        return None if web is None or self._pages is None else f"http://{web.listen.host}:{self._pages.port}"

    def start(self) -> None:
        """Begin. Raises `DatabaseError` when the database can't be asked, OSError when the pages can't be served."""
        try:
            self._current.worker.show()
            if self._database.is_sqlite:
                # one daemon at a time has the file to itself: any other that had claimed something is dead
                self._current.worker.succeed()
            self._app.sync_wallets()
            self._note_configuration()
            web = self._app.settings.web
            if web is not None:
                self._pages = serve(self._answer, host=web.listen.host, port=web.listen.port)
        except (DatabaseError, OSError):
            self._app.close()
            raise
        if self._current.slack is not None:
            self._current.slack.start()
        self._scheduler.start()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the pages of the present generation answer a request."""
        with self._in_use() as generation:
            assert generation.pages is not None  # noqa: S101 -- [web] comes and goes with a restart only
            await generation.pages(scope, receive, send)

    def _reload_if_due(self) -> None:
        """Reload when that is due, and store how the configuration stands when that has changed."""
        if self._reread is not None:
            self._reload(self._reread)
        self._note_configuration()

    def _reload(self, reread: Reread) -> None:
        """Take the file as it is now when that is wanted, or secrets alone when a file of them has changed."""
        document = None
        if self._reload_wanted.is_set():
            self._reload_wanted.clear()
        elif self._secrets.check():
            document = self._app.settings.document
        else:
            return
        notify_service_manager(f"RELOADING=1\nMONOTONIC_USEC={int(monotonic() * 1e6)}")
        try:
            loaded = reread(document)
            if isinstance(loaded, Settings):
                if document is not None:
                    loaded = replace(loaded, file_version=self._app.settings.file_version)
                loaded = self._take(loaded)
            if loaded:
                self._refuse(loaded)
        except DatabaseError:  # it is tried again
            if document is None:
                self._reload_wanted.set()
            else:
                self._secrets = SecretsWatch(self._app.settings.secret_files)
            raise
        finally:
            notify_service_manager("READY=1")

    def _take(self, loaded: Settings) -> tuple[ConfigFault, ...]:
        """Let a generation of these settings take over; return why it can't. Raises DatabaseError."""
        old = self._current
        settings, needs_restart = with_what_can_change(old.app.settings, loaded)
        redact = Redactor.of(settings, old.app.settings)
        try:
            new = self._generation(settings, redact)
        except ValueError as error:
            return (ConfigFault(file=str(settings.path), key="poll", message=str(error)),)
        new.worker.show()
        new.app.live.wallets_unsynced = True
        set_up_logging(settings.log, redact=redact)
        if new.slack is not None:
            new.slack.start()
        self._secrets = SecretsWatch(settings.secret_files)
        self._metrics.show_channels(settings.channel_by_name)
        with self._swapping:
            self._current = new
            self._ending.append(old)
        _in_background(lambda: self._end(old, new), "end generation")
        self._configuration = self._taken(new, needs_restart)
        log.info("config.reloaded", extra={"wallets": len(settings.wallets), "needs_restart": needs_restart})
        return ()

    def _end(self, old: Generation, new: Generation) -> None:
        old.end_after(new, self._reporter.delivered)
        with self._swapping:
            self._ending.remove(old)

    def _refuse(self, faults: tuple[ConfigFault, ...]) -> None:
        """Keep the present configuration, and say why wherever people look."""
        said = tuple(self._app.redact(str(fault)) for fault in faults)
        log.error("config.refused", extra={"faults": said})
        self._configuration = replace(self._configuration, at=self._app.clock.now(), faults=said)

    def _taken(self, generation: Generation, needs_restart: tuple[str, ...] = ()) -> RunningConfiguration:
        return RunningConfiguration(
            worker_id=generation.app.worker_id,
            host=platform.node(),
            pid=os.getpid(),
            at=generation.app.clock.now(),
            needs_restart=needs_restart,
        )

    def _note_configuration(self) -> None:
        current = self._configuration
        if current != self._noted:
            with self._database.write() as conn:
                configurations.note(conn, current)
            self._noted = current

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
        if unfinished or closing.is_alive() or ending.is_alive() or not self._slack_stopped or self._ending:
            return False
        self._app.close()
        return True

    def _close_inputs(self) -> None:
        """Stop accepting requests."""
        if self._current.slack is not None:
            self._slack_stopped = self._current.slack.stop(_FOR_JOBS)
        if self._pages is not None:
            self._pages.stop()

    def _deliver_and_leave(self, until: float) -> None:
        """Deliver what the last cycle decided, while the claims of this worker still hold; then give them up."""
        try:
            self._show_alive()
            self._deliver()
            for generation in (*self._ending, self._current):
                grace = timedelta(seconds=max(0.0, until - monotonic()))
                self._reporter.delivered(generation.deliver_outbox.close(grace))
                generation.worker.leave()
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
            Job(name="apps_files", every=timedelta(seconds=1), run=self._reread_apps),
            Job(name="reload", every=timedelta(seconds=1), run=self._reload_if_due),
            Job(name="prune", every=timedelta(hours=1), run=self._prune),
            Job(name="heartbeat", every=timedelta(seconds=1), run=self._send_heartbeat),
        ]

    def _show_alive(self) -> None:
        """Renew the claims of this worker; a database that is away is no reason for systemd to restart it."""
        notify_service_manager("WATCHDOG=1")
        with self._swapping:
            workers = [generation.worker for generation in (self._current, *self._ending)]
        for worker in workers:
            worker.show()

    def _poll(self, *, failing: bool) -> None:
        """Poll the wallets that are due: those that answer, or those that fail."""
        with self._in_use() as generation:
            report = generation.poll_cycle.run_due(failing=failing)
        if report is not None:
            self._reporter.polled(report)
            if report.complete:
                self._cycle_completed.set()

    def _deliver(self) -> None:
        with self._in_use() as generation:
            self._reporter.delivered(generation.deliver_outbox.tick())

    def _tick_alerts(self) -> None:
        if self._app.operate_alerts.tick() + self._app.operate_orders.tick():
            self._scheduler.run_now("deliver")

    def _send_digests(self) -> None:
        for name in self._app.send_digest.run_due():
            log.info("digest.made", extra={"digest": name})
            self._scheduler.run_now("deliver")

    def _reread_apps(self) -> None:
        self._app.reread_apps()

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

"""The daemon: starts, reloads and stops its jobs, pages and Slack listener, in order.

Each job calls one use case of the present `Generation`, which is made from one configuration. When the daemon stops, it
starts nothing new, finishes the work under way if there is time, and leaves the rest to the next process: everything
that is due is in the database.
"""

import logging
import os
import platform
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from datetime import timedelta
from itertools import islice
from time import monotonic

from starlette.types import Receive, Scope, Send

from balancebot.app import App, build_app
from balancebot.cli.generation import Generation, with_what_can_change
from balancebot.cli.process import notify_service_manager
from balancebot.clock import SteadyClock, SystemClock
from balancebot.config import ConfigFault, SecretsWatch, Settings
from balancebot.history.check_file import check_file
from balancebot.history.prune import pack, prune_steadily
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
"""Reads the configuration again: from the file, or from the document of an earlier reading if one is given."""

_DRAIN = timedelta(seconds=6)
"""How long stopping may take. Ten seconds are allowed; the rest is for a slow machine."""
_JOBS_TIMEOUT = timedelta(seconds=4)
"""How long stopping waits for running jobs."""
_MAX_CYCLES = 4
"""How many poll cycles may overlap: a slow one must not delay the wallets that are due meanwhile."""
_MAX_FAILING_CYCLES = 2
"""The same for the cycles of failing wallets."""
_PACKED_A_SECOND = 4
"""Transactions in which past days are packed, some 30 ms each."""
_TICK = timedelta(milliseconds=500)
_EXTRA_DOUBT = timedelta(seconds=5)
"""A clock that jumps is distrusted for two poll intervals plus this."""
_MAX_DOUBT = timedelta(minutes=10)
_FAILING = timedelta(minutes=1)
"""If deliveries have failed for this long, the daemon isn't ready."""


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
        """Use `channels` instead of the configured ones. `redactor` is one that was already made from these settings.

        When `reload_wanted` is set, the configuration is read again within a second. Without `reread` it never changes.
        """
        self._database = database
        self._channels = channels
        self._clock = SystemClock()
        doubt = min(2 * settings.poll.every + _EXTRA_DOUBT, _MAX_DOUBT)
        self._steady = SteadyClock(self._clock.now, believes_after=doubt)
        self._reread = reread
        self._metrics = Metrics(self._system_status, channels=settings.channel_by_name)
        self._reporter = Reporter(self._metrics)
        self._cycle_completed = threading.Event()
        self._heartbeat_failure = ""
        self._reload_wanted = reload_wanted or threading.Event()
        self._secrets = SecretsWatch(settings.secret_files)
        self._swapping = threading.Lock()
        """Protects the next two attributes."""
        self._current = self._generation(settings, redactor)
        self._ending: list[Generation] = []
        self._configuration = self._running_configuration(self._current)
        self._stored_configuration: RunningConfiguration | None = None
        """As it was last stored."""
        self._scheduler = Scheduler(self._jobs())
        self._pages: WebServer | None = None
        self._packing: Iterator[int] = iter(())
        self._slack_stopped = True

    def _generation(self, settings: Settings, redactor: Redactor | None) -> Generation:
        """Make the app and pages of one configuration, and start nothing. Raises ValueError, see `Generation`."""

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
        """Yield the app of the present generation, which isn't closed before the block ends."""
        with self._in_use() as generation:
            yield generation.app

    @contextmanager
    def _in_use(self) -> Iterator[Generation]:
        """Yield the present generation, which isn't closed before the block ends."""
        with ExitStack() as stack:
            with self._swapping:
                generation = self._current
                stack.enter_context(generation.used())
            yield generation

    @property
    def address(self) -> str | None:
        """The address of the pages, once started; None = no pages."""
        web = self._app.settings.web
        return None if web is None or self._pages is None else f"http://{web.listen.host}:{self._pages.port}"

    def start(self) -> None:
        """Start. Raises `DatabaseError` if the database fails, and OSError if the pages can't be served."""
        try:
            self._current.worker.show()
            if self._database.is_sqlite:
                # Only one daemon at a time uses the file: any other worker that has claimed something is dead.
                self._current.worker.expire_others()
            self._app.sync_wallets()
            self._store_configuration()
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
        """Answer a request with the pages of the present generation."""
        with self._in_use() as generation:
            assert generation.pages is not None  # noqa: S101 -- [web] appears and disappears only at a restart
            await generation.pages(scope, receive, send)

    def _reload_if_due(self) -> None:
        """Reload if that is due, and store the state of the configuration if it has changed."""
        if self._reread is not None:
            self._reload(self._reread)
        self._store_configuration()

    def _reload(self, reread: Reread) -> None:
        """Load the file again if that was asked for, or only the secrets if one of their files has changed."""
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
                loaded = self._switch_to(loaded)
            if loaded:
                self._refuse(loaded)
        except DatabaseError:  # the next run of the job tries again
            if document is None:
                self._reload_wanted.set()
            else:
                self._secrets = SecretsWatch(self._app.settings.secret_files)
            raise
        finally:
            notify_service_manager("READY=1")

    def _switch_to(self, loaded: Settings) -> tuple[ConfigFault, ...]:
        """Switch to a generation of these settings, or return why that isn't possible. Raises DatabaseError."""
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
        self._configuration = self._running_configuration(new, needs_restart)
        log.info("config.reloaded", extra={"wallets": len(settings.wallets), "needs_restart": needs_restart})
        return ()

    def _end(self, old: Generation, new: Generation) -> None:
        old.end_after(new, self._reporter.delivered)
        with self._swapping:
            self._ending.remove(old)

    def _refuse(self, faults: tuple[ConfigFault, ...]) -> None:
        """Keep the present configuration, and show why in the log, in `status` and on the pages."""
        messages = tuple(self._app.redact(str(fault)) for fault in faults)
        log.error("config.refused", extra={"faults": messages})
        self._configuration = replace(self._configuration, at=self._app.clock.now(), faults=messages)

    def _running_configuration(
        self, generation: Generation, needs_restart: tuple[str, ...] = ()
    ) -> RunningConfiguration:
        return RunningConfiguration(
            worker_id=generation.app.worker_id,
            host=platform.node(),
            pid=os.getpid(),
            at=generation.app.clock.now(),
            needs_restart=needs_restart,
        )

    def _store_configuration(self) -> None:
        current = self._configuration
        if current != self._stored_configuration:
            with self._database.write() as conn:
                configurations.note(conn, current)
            self._stored_configuration = current

    def stop(self) -> bool:
        """Stop within `_DRAIN`, even if others hang; return whether all work under way was finished."""
        until = monotonic() + _DRAIN.total_seconds()
        closing = _in_background(self._close_inputs, "close inputs")
        unfinished = self._scheduler.stop(_JOBS_TIMEOUT)
        for job in unfinished:
            log.warning("stop.unfinished", extra={"job": job})
        # With a locked database each statement may take seconds: so this, too, gets a time limit.
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
            self._slack_stopped = self._current.slack.stop(_JOBS_TIMEOUT)
        if self._pages is not None:
            self._pages.stop()

    def _deliver_and_leave(self, until: float) -> None:
        """Deliver what the last cycle decided while the claims of this worker still hold; then release them."""
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
        """Return why the daemon isn't ready, in a line; '' = it is ready."""
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
            Job(name="check_file", every=timedelta(days=1), run=self._check_file),
            Job(name="prune", every=timedelta(hours=1), run=self._prune),
            Job(name="pack", every=timedelta(seconds=1), run=self._pack),
            Job(name="heartbeat", every=timedelta(seconds=1), run=self._send_heartbeat),
        ]

    def _show_alive(self) -> None:
        """Renew the claims of this worker. An unreachable database is no reason for systemd to restart the daemon."""
        notify_service_manager("WATCHDOG=1")
        with self._swapping:
            workers = [generation.worker for generation in (self._current, *self._ending)]
        for worker in workers:
            worker.show()

    def _poll(self, *, failing: bool) -> None:
        """Poll the wallets that are due: either those that answer, or those that fail."""
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

    def _check_file(self) -> None:
        app = self._app
        destinations = app.settings.routing.default_destinations
        if check_file(app.database, destinations=destinations, now=app.clock.now()):
            self._scheduler.run_now("deliver")

    def _prune(self) -> None:
        now = self._app.clock.now()
        pruned = prune_steadily(
            self._app.database, self._app.settings.retention, zone=self._app.settings.timezone, now=now
        )
        if pruned is not None:
            log.info("housekeeping", extra=asdict(pruned))
            self._packing = pack(self._app.database, now=now)

    def _pack(self) -> None:
        """Pack some of what there is to pack: stopping waits for no more than that."""
        for _ in islice(self._packing, _PACKED_A_SECOND):
            pass

    def _send_heartbeat(self) -> None:
        """Report a complete cycle to the monitor, unless its decisions can't be delivered."""
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

"""What `run` keeps going: the jobs that call use-cases, the pages, and an orderly end.

Stopping begins nothing more, lets what is under way be finished, and leaves the rest to whoever runs next.
"""

import logging
import threading
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

from balancebot import worker
from balancebot.app import App, build_app
from balancebot.cli.process import freeze_startup_objects
from balancebot.config import Settings
from balancebot.history.prune import prune
from balancebot.logs import Reporter
from balancebot.metrics import Metrics
from balancebot.ports import Channel
from balancebot.scheduler import Job, Scheduler
from balancebot.store.database import Database
from balancebot.store.errors import DatabaseError

if TYPE_CHECKING:
    from balancebot.notify.slack.listener import SlackApp
    from balancebot.web.server import WebServer

log = logging.getLogger(__name__)

DRAIN = timedelta(seconds=6)
"""How long stopping takes at most: of the ten seconds there are, some are left to a slow machine."""
_ROUNDS_AT_ONCE = 4
"""A slow round must not keep other wallets from being read when they are due."""
_TICK = timedelta(milliseconds=500)
_FOR_ROUNDS = timedelta(seconds=4)


class Daemon:
    """One process that reads, judges and tells until it is stopped."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        channels: Mapping[str, Channel] | None = None,
    ) -> None:
        """`channels` take the place of those that are configured."""
        self.bot: App = build_app(
            settings,
            database,
            channels=channels,
            on_enqueued=lambda: self._scheduler.hasten("deliver"),
        )
        self._metrics = Metrics(self.bot.system_status, channels=self.bot.settings.channel_by_name)
        self._reporter = Reporter(self._metrics)
        self._presence = self.bot.worker_heartbeat("run")
        self._beat_due = threading.Event()
        self._heartbeat_trouble = ""
        self._scheduler = Scheduler(self._jobs())
        self._pages: WebServer | None = None
        self._slack_app = self._listener()
        self._is_heard_out = True

    @property
    def address(self) -> str | None:
        """Where the pages are served, once started; None = nowhere."""
        web = self.bot.settings.web
        return None if web is None or self._pages is None else f"http://{web.listen.host}:{self._pages.port}"

    def start(self) -> None:
        """Begin. Raises `DatabaseError` when the database can't be asked, OSError when the pages can't be served."""
        self._presence.show()
        if self.bot.database.is_sqlite:
            # one daemon at a time has the file to itself: who had claimed something is no more
            self._presence.succeed()
        self.bot.sync_wallets()
        self._pages = self._serve()
        if self._slack_app is not None:
            self._slack_app.start()
        freeze_startup_objects()
        self._scheduler.start()

    def _listener(self) -> "SlackApp | None":
        slack = self.bot.settings.slack
        if slack is None or slack.app_token is None:
            return None
        from balancebot.notify.slack.listener import slack_app_of

        return slack_app_of(self.bot, on_done=lambda: self._scheduler.hasten("deliver"))

    def _serve(self) -> "WebServer | None":
        web = self.bot.settings.web
        if web is None:
            return None
        from balancebot.web.app import create_pages
        from balancebot.web.server import serve

        return serve(
            create_pages(self.bot, metrics=self._metrics.text), host=web.listen.host, port=web.listen.port
        )

    def stop(self) -> bool:
        """End within `DRAIN`; tell whether all that was under way was finished."""
        until = monotonic() + DRAIN.total_seconds()
        closing = threading.Thread(target=self._close_doors, name="close doors", daemon=True)
        closing.start()
        unfinished = self._scheduler.stop(_FOR_ROUNDS)
        for job in unfinished:
            log.warning("stop.unfinished", extra={"job": job})
        try:
            # what the last round decided is told before the end, with claims that still hold
            self._presence.show()
            self._deliver()
            grace = timedelta(seconds=max(0.0, until - monotonic()))
            self._reporter.delivered(self.bot.deliver_outbox.close(grace))
            self._presence.leave()
        except DatabaseError as error:
            log.error("stop.database", extra={"error": str(error)})
        closing.join(max(0.0, until - monotonic()))
        if unfinished or closing.is_alive() or not self._is_heard_out:
            return False
        self.bot.close()
        return True

    def _close_doors(self) -> None:
        """Take nothing more from people."""
        if self._slack_app is not None:
            self._is_heard_out = self._slack_app.stop(_FOR_ROUNDS)
        if self._pages is not None:
            self._pages.stop()

    def _jobs(self) -> list[Job]:
        return [
            Job(name="presence", every=worker.EVERY, act=self._presence.show),
            Job(name="poll", every=_TICK, act=lambda: self._poll(failing=False), at_once=_ROUNDS_AT_ONCE),
            Job(name="poll failing", every=_TICK, act=lambda: self._poll(failing=True), at_once=2),
            Job(name="deliver", every=_TICK, act=self._deliver),
            Job(name="tend", every=timedelta(seconds=1), act=self._tend),
            Job(name="digests", every=timedelta(seconds=5), act=self._send_digests),
            Job(name="apps", every=timedelta(seconds=1), act=self.bot.reread_apps),
            Job(name="housekeeping", every=timedelta(hours=1), act=self._keep_house),
            Job(name="heartbeat", every=timedelta(seconds=1), act=self._beat),
        ]

    def _poll(self, *, failing: bool) -> None:
        report = self.bot.poll_cycle.run_due(failing=failing)
        if report is not None:
            self._reporter.polled(report)
            if report.complete:
                self._beat_due.set()

    def _deliver(self) -> None:
        self._reporter.delivered(self.bot.deliver_outbox.tick())

    def _tend(self) -> None:
        if self.bot.operate_alerts.tend():
            self._scheduler.hasten("deliver")

    def _send_digests(self) -> None:
        for name in self.bot.send_digest.run_due():
            log.info("digest.made", extra={"digest": name})
            self._scheduler.hasten("deliver")

    def _keep_house(self) -> None:
        gone = prune(self.bot.database, self.bot.settings.retention, now=self.bot.clock.now())
        log.info("housekeeping", extra=asdict(gone))

    def _beat(self) -> None:
        if self.bot.heartbeat is None or not self._beat_due.is_set():
            return
        self._beat_due.clear()
        trouble = self.bot.heartbeat.beat()
        if trouble and trouble != self._heartbeat_trouble:
            log.warning("heartbeat.failed", extra={"error": trouble})
        self._heartbeat_trouble = trouble

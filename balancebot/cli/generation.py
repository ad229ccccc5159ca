"""Everything in the daemon that depends on the configuration. A reload makes the next generation and closes the last
one.

Two generations work together like two replicas: each is a worker of its own, and neither touches what the other has
claimed. So the old one finishes what it is reading or sending, and nothing is done twice.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from time import monotonic, sleep

from starlette.types import ASGIApp

from balancebot.app import App
from balancebot.config import Settings
from balancebot.notify.queue import DeliverReport
from balancebot.store.errors import DatabaseError

log = logging.getLogger(__name__)

_LISTENER_TIMEOUT = 10.0
"""Seconds that a new Slack listener has to connect before the old one is stopped."""
_SLACK_TIMEOUT = timedelta(seconds=4)
_RETRY_AFTER = timedelta(seconds=1)


class Generation:
    """An app with its worker and listener. `pages` is the web application that shows the app, if there is one."""

    def __init__(self, app: App, pages: ASGIApp | None, *, on_done: Callable[[], None]) -> None:
        """Make the parts that may fail; start nothing. Raises ValueError for an unusable proxy or certificate."""
        self.app = app
        self.pages = pages
        self.worker = app.worker_heartbeat("run")
        self.poll_cycle = app.poll_cycle
        self.deliver_outbox = app.deliver_outbox
        self.slack = app.slack_app(on_done=on_done)
        self._num_users = 0
        self._unused = threading.Condition()

    @contextmanager
    def used(self) -> Iterator[None]:
        """Keep the generation from being closed while a cycle, request or job uses it."""
        with self._unused:
            self._num_users += 1
        try:
            yield
        finally:
            with self._unused:
                self._num_users -= 1
                self._unused.notify_all()

    def end_after(self, successor: "Generation", report: Callable[[DeliverReport], None]) -> None:
        """Finish the work under way, however long it takes, and release the rest.

        The caller must keep the worker's heartbeat alive meanwhile.
        """
        if self.slack is not None:
            until = monotonic() + _LISTENER_TIMEOUT
            while successor.slack is not None and not successor.slack.is_connected and monotonic() < until:
                sleep(0.05)
            self.slack.stop(_SLACK_TIMEOUT)
        with self._unused:
            self._unused.wait_for(lambda: not self._num_users)
        while True:
            report(self.deliver_outbox.close(_RETRY_AFTER))
            try:
                if self.deliver_outbox.is_idle:
                    self.worker.leave()
                    break
            except DatabaseError as error:
                log.warning("reload.database", extra={"error": str(error)})
            sleep(_RETRY_AFTER.total_seconds())
        self.app.release()


def with_what_can_change(old: Settings, new: Settings) -> tuple[Settings, tuple[str, ...]]:
    """Return `new` with the values of `old` that a running process can't change, and the keys that need a restart."""
    needs_restart = []
    if new.database.url != old.database.url:
        needs_restart.append("[database].url")
        new = replace(new, database=old.database)
    if new.web is None or old.web is None:
        needs_restart += ["[web]"] if new.web is not old.web else []
        new = replace(new, web=old.web)
    elif new.web.listen != old.web.listen:
        needs_restart.append("[web] with its new listen")
        new = replace(new, web=old.web)
    return replace(new, file_version=None) if needs_restart else new, tuple(needs_restart)

"""Everything in the daemon that one configuration makes. A reload makes the next generation and lets the last one end.

Two generations are to each other what two replicas are: each is a worker of its own, and what one has claimed the other
leaves alone. So what the old one is reading or sending is finished by the old one, and nothing is done twice.
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

_LISTENER_WITHIN = 10.0
"""Seconds in which a new Slack listener should be connected, before the old one goes."""
_FOR_SLACK = timedelta(seconds=4)
_LOOK_AGAIN = timedelta(seconds=1)


class Generation:
    """An app at work. `pages` are the web application that shows it, if there are any."""

    def __init__(self, app: App, pages: ASGIApp | None, *, on_done: Callable[[], None]) -> None:
        """Make the parts that may fail, and begin nothing; raises ValueError where a proxy or certificates can't be used."""
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
        """Keep it from ending: a cycle, a request or a job is at work with it."""
        with self._unused:
            self._num_users += 1
        try:
            yield
        finally:
            with self._unused:
                self._num_users -= 1
                self._unused.notify_all()

    def end_after(self, successor: "Generation", report: Callable[[DeliverReport], None]) -> None:
        """Finish what is under way, however long that takes, and give up what isn't begun. The worker must be kept alive."""
        if self.slack is not None:
            until = monotonic() + _LISTENER_WITHIN
            while successor.slack is not None and not successor.slack.is_connected and monotonic() < until:
                sleep(0.05)
            self.slack.stop(_FOR_SLACK)
        with self._unused:
            self._unused.wait_for(lambda: not self._num_users)
        while True:
            report(self.deliver_outbox.close(_LOOK_AGAIN))
            try:
                if self.deliver_outbox.is_idle:
                    self.worker.leave()
                    break
            except DatabaseError as error:
                log.warning("reload.database", extra={"error": str(error)})
            sleep(_LOOK_AGAIN.total_seconds())
        self.app.release()


def with_what_can_change(old: Settings, new: Settings) -> tuple[Settings, tuple[str, ...]]:
    """Return `new` with what a running process can't change as in `old`, and the keys that so wait for a restart."""
    waiting = []
    if new.database.url != old.database.url:
        waiting.append("[database].url")
        new = replace(new, database=old.database)
    if new.web is None or old.web is None:
        waiting += ["[web]"] if new.web is not old.web else []
        new = replace(new, web=old.web)
    elif new.web.listen != old.web.listen:
        waiting.append("[web] with its new listen")
        new = replace(new, web=old.web)
    return replace(new, file_version=None) if waiting else new, tuple(waiting)

"""The jobs of `run`: each asks a use-case, again and again, whether something is due. Nothing else is decided here.

What is due stands in the database, so a tick that comes late or not at all loses nothing: the next one does what was
due. The beat is the monotonic clock's: the wall clock may be set an hour back or forth, and no job stands still.
A job that fails is logged when the kind of its failure changes, and never takes another with it.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from balancebot.storage.errors import DatabaseError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One use-case and how often it is asked whether something is due."""

    name: str
    every: timedelta
    act: Callable[[], object]
    at_once: int = 1
    """How often it may run side by side with itself."""


class Scheduler:
    """Runs jobs side by side, each on its own beat, until it is stopped."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._beats = {job.name: _Beat(job.every) for job in jobs}
        # daemons: what hangs must not keep the process from ending
        self._threads = [
            (job.name, threading.Thread(target=self._work, args=(guarded,), name=job.name, daemon=True))
            for job in jobs
            for guarded in [_Guarded(job)] * job.at_once
        ]

    def start(self) -> None:
        """Run every job now, and then each in its interval. Once only."""
        for _, thread in self._threads:
            thread.start()

    def hasten(self, name: str) -> None:
        """Run the job `name` at once, or as soon as it can run again."""
        self._beats[name].hasten()

    def stop(self, patience: timedelta) -> tuple[str, ...]:
        """Start nothing more and wait for what is under way; return the jobs that did not end in time."""
        for beat in self._beats.values():
            beat.end()
        until = monotonic() + patience.total_seconds()
        for _, thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - monotonic()))
        return tuple(dict.fromkeys(name for name, thread in self._threads if thread.is_alive()))

    def _work(self, job: "_Guarded") -> None:
        beat = self._beats[job.name]
        while beat.wait():
            job.run()


class _Beat:
    """When a job is due; the threads that run it share one beat, and each turn is one thread's."""

    def __init__(self, every: timedelta) -> None:
        self._every = every.total_seconds()
        self._due = monotonic()
        self._over = False
        self._queue = threading.Lock()
        self._changed = threading.Condition()

    def wait(self) -> bool:
        """Wait for the next turn; False when there will be none. Turns that were missed are one."""
        with self._queue, self._changed:
            while not self._over and (left := self._due - monotonic()) > 0:
                self._changed.wait(left)
            self._due += self._every
            if self._due <= monotonic():
                self._due = monotonic() + self._every
            return not self._over

    def hasten(self) -> None:
        with self._changed:
            self._due = min(self._due, monotonic())
            self._changed.notify()

    def end(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify()


class _Guarded:
    """A job at whose rim every failure ends."""

    def __init__(self, job: Job) -> None:
        self.name = job.name
        self._act = job.act
        self._trouble: str | None = None

    def run(self) -> None:
        try:
            self._act()
        except DatabaseError as error:
            self._tell(str(error))
        except Exception as error:  # noqa: BLE001 -- the rim of a job: logged, and tried again
            self._tell(repr(error), unexpected=True)
        else:
            if self._trouble is not None:
                log.info("job.recovered", extra={"job": self.name})
            self._trouble = None

    def _tell(self, trouble: str, *, unexpected: bool = False) -> None:
        if trouble != self._trouble:
            log.error("job.failed", extra={"job": self.name, "error": trouble}, exc_info=unexpected)
        self._trouble = trouble

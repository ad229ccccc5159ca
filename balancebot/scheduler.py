"""APScheduler's jobs call use-cases, and nothing else drives them. What is due stands in the database.

So every job may be late, doubled or lost: the next one does what was due. APScheduler knows the wall clock alone: when
that is set back, a watch on the monotonic clock makes every job due at once, else all would stand still for as long.
A job that fails is logged when the kind of its failure changes, and never takes another with it.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from time import monotonic

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from balancebot.clock import SystemClock
from balancebot.ports import Clock
from balancebot.store.errors import DatabaseError

log = logging.getLogger(__name__)

_MACHINE = SystemClock()
_LOOK_EVERY = 0.5
"""Seconds between two looks at the clocks."""
_SET_BACK = timedelta(seconds=1)
"""What the wall clock may lose against the monotonic one before it counts as set back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One use-case and how often it is asked whether something is due."""

    name: str
    every: timedelta
    act: Callable[[], object]
    at_once: int = 1
    """How often it may run side by side with itself."""


class Scheduler:
    """Runs jobs side by side, each in its turn, until it is stopped."""

    def __init__(self, jobs: Sequence[Job], clock: Clock = _MACHINE) -> None:
        """`clock` is the one that is watched; APScheduler itself reads the machine's."""
        self._intervals = {job.name: job.every for job in jobs}
        self._jobs = {job.name: _Guarded(job) for job in jobs}
        self._clock = clock
        self._over = threading.Event()
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(sum(job.at_once for job in jobs))},
            # late is better than never, and once is enough
            job_defaults={"coalesce": True, "misfire_grace_time": None},
        )

    def start(self) -> None:
        """Run every job now, and then each in its interval."""
        for name, job in self._jobs.items():
            self._scheduler.add_job(
                job,
                "interval",
                seconds=self._intervals[name].total_seconds(),
                id=name,
                max_instances=job.at_once,
                next_run_time=_MACHINE.now(),
            )
        self._scheduler.start()
        threading.Thread(target=self._watch_clock, name="clock watch", daemon=True).start()

    def hasten(self, name: str) -> None:
        """Run the job `name` at once, or as soon as it can run again."""
        if not self._jobs[name].asked_again():
            self._make_due(name)

    def stop(self, patience: timedelta) -> tuple[str, ...]:
        """Start nothing more and wait for what is under way; return the jobs that did not end in time."""
        self._over.set()
        for job in self._jobs.values():
            job.end()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        until = monotonic() + patience.total_seconds()
        return tuple(name for name, job in self._jobs.items() if not job.wait(max(0.0, until - monotonic())))

    def _make_due(self, name: str) -> None:
        if self._scheduler.running:
            self._scheduler.modify_job(name, next_run_time=_MACHINE.now())

    def _watch_clock(self) -> None:
        """Make every job due when the wall clock was set back."""
        wall, steady = self._clock.now(), monotonic()
        while not self._over.wait(_LOOK_EVERY):
            new_wall, new_steady = self._clock.now(), monotonic()
            if new_wall - wall < timedelta(seconds=new_steady - steady) - _SET_BACK:
                log.warning("clock.set_back", extra={"by": str(wall - new_wall)})
                for name in self._jobs:
                    self._make_due(name)
            wall, steady = new_wall, new_steady


class _Guarded:
    """A job at whose rim every failure ends."""

    def __init__(self, job: Job) -> None:
        self._name = job.name
        self._act = job.act
        self.at_once = job.at_once
        self._num_running = 0
        self._again = False
        self._over = False
        self._changed = threading.Condition()
        self._trouble: str | None = None

    def __call__(self) -> None:
        with self._changed:
            if self._over:
                return
            self._num_running += 1
        try:
            self._run()
            while self._takes_another_turn():
                self._run()
        finally:
            with self._changed:
                self._num_running -= 1
                self._changed.notify_all()

    def asked_again(self) -> bool:
        """Ask for one more run after those that are under way; False when there is room for one right now."""
        with self._changed:
            if self._num_running < self.at_once:
                return False
            self._again = True
            return True

    def end(self) -> None:
        """Begin nothing more."""
        with self._changed:
            self._over = True

    def wait(self, seconds: float) -> bool:
        """Wait until it isn't running; tell whether it ended in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._num_running == 0, timeout=seconds)

    def _takes_another_turn(self) -> bool:
        with self._changed:
            again, self._again = self._again and not self._over, False
            return again

    def _run(self) -> None:
        try:
            self._act()
        except DatabaseError as error:
            self._tell(str(error))
        except Exception as error:  # noqa: BLE001 -- the rim of a job: logged, and tried again
            self._tell(repr(error), unexpected=True)
        else:
            if self._trouble is not None:
                log.info("job.recovered", extra={"job": self._name})
            self._trouble = None

    def _tell(self, trouble: str, *, unexpected: bool = False) -> None:
        if trouble != self._trouble:
            log.error("job.failed", extra={"job": self._name, "error": trouble}, exc_info=unexpected)
        self._trouble = trouble

"""Runs the daemon's jobs at their intervals, with APScheduler. The database, not this module, knows what is due.

So a job may be late, skipped or run twice: the next run does what is due. APScheduler only reads the wall clock. Two
things here make jumps of that clock harmless: the trigger skips the runs that were missed when it jumps forward, and a
thread that compares it with the monotonic clock makes every job due when it jumps back. A job that fails is logged and
never stops another job.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from balancebot.clock import SystemClock
from balancebot.ports import Clock
from balancebot.store.errors import DatabaseError

log = logging.getLogger(__name__)

_MACHINE = SystemClock()
_COMPARE_CLOCKS_EVERY = 0.5
"""Seconds."""
_SET_BACK = timedelta(seconds=1)
"""If the wall clock loses more than this against the monotonic clock, it was set back."""
_LOG_EVERY = timedelta(minutes=10)
"""A lasting failure is logged again after this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A function, and how often it is called."""

    name: str
    every: timedelta
    run: Callable[[], object]
    max_running: int = 1
    """How many runs of it may overlap."""


class EveryInterval(BaseTrigger):  # type: ignore[misc] # APScheduler has no types
    """The next run is one interval after the last one, or after now if that has passed: missed runs are skipped.

    APScheduler's own trigger steps through every missed run: after a jump of 30 days, this takes a minute and 370 MB.
    """

    def __init__(self, every: timedelta) -> None:
        self._every = every

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Return the time of the next run: always after `now`, and within one interval."""
        latest = now + self._every
        following = latest if previous_fire_time is None else previous_fire_time + self._every
        return following if now < following <= latest else latest


class Scheduler:
    """Runs jobs concurrently, each at its interval, until it is stopped."""

    def __init__(self, jobs: Sequence[Job], clock: Clock = _MACHINE) -> None:
        """`clock` is compared with the monotonic clock; APScheduler itself reads the machine's clock."""
        self._jobs = {job.name: _JobRunner(job) for job in jobs}
        self._clock = clock
        self._stopped = threading.Event()
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(sum(job.max_running for job in jobs))},
            # a late run is better than none, and one run makes up for several missed ones
            job_defaults={"coalesce": True, "misfire_grace_time": None},
        )

    def start(self) -> None:
        """Run every job now, then at its interval."""
        for name, runner in self._jobs.items():
            self._scheduler.add_job(
                runner,
                EveryInterval(runner.job.every),
                id=name,
                max_instances=runner.job.max_running,
                next_run_time=_MACHINE.now(),
            )
        self._scheduler.start()
        threading.Thread(target=self._watch_clock, name="clock watch", daemon=True).start()

    def run_now(self, name: str) -> None:
        """Run the job `name` at once, or when its present run has ended."""
        if not self._jobs[name].run_again_later():
            self._make_due(name)

    def has_failed_for(self, name: str, time: timedelta) -> bool:
        """Return whether every run of the job `name` in that time has failed."""
        return self._jobs[name].failing_for() >= time.total_seconds()

    def stop(self, grace: timedelta) -> tuple[str, ...]:
        """Start no more runs and wait for the present ones; return the jobs that didn't end in time."""
        self._stopped.set()
        for runner in self._jobs.values():
            runner.stop()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        until = monotonic() + grace.total_seconds()
        return tuple(
            name for name, runner in self._jobs.items() if not runner.wait(max(0.0, until - monotonic()))
        )

    def _make_due(self, name: str) -> None:
        if self._scheduler.running:
            self._scheduler.modify_job(name, next_run_time=_MACHINE.now())

    def _watch_clock(self) -> None:
        """Make all jobs due if the wall clock was set back; otherwise each would wait until the clock has caught up."""
        wall, steady = self._clock.now(), monotonic()
        while not self._stopped.wait(_COMPARE_CLOCKS_EVERY):
            new_wall, new_steady = self._clock.now(), monotonic()
            if new_wall - wall < timedelta(seconds=new_steady - steady) - _SET_BACK:
                log.warning("clock.set_back", extra={"by": str(wall - new_wall)})
                for name in self._jobs:
                    self._make_due(name)
            wall, steady = new_wall, new_steady


class _JobRunner:
    """Runs one job and catches its exceptions."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._num_running = 0
        self._run_again = False
        self._stopped = False
        self._changed = threading.Condition()
        self._failure: str | None = None
        """What was logged last; None if the last run succeeded."""
        self._logged_at = self._failing_since = 0.0

    def __call__(self) -> None:
        with self._changed:
            if self._stopped:
                return
            self._num_running += 1
        try:
            self._run()
            while self._must_run_again():
                self._run()
        finally:
            with self._changed:
                self._num_running -= 1
                self._changed.notify_all()

    def run_again_later(self) -> bool:
        """Request one more run after the present ones; return False if a run can start right now instead."""
        with self._changed:
            if self._num_running < self.job.max_running:
                return False
            self._run_again = True
            return True

    def failing_for(self) -> float:
        """Return for how many seconds it has been failing; 0 if the last run succeeded."""
        return 0.0 if self._failure is None else monotonic() - self._failing_since

    def stop(self) -> None:
        """Start no more runs."""
        with self._changed:
            self._stopped = True

    def wait(self, seconds: float) -> bool:
        """Wait until no run is under way; return whether that happened in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._num_running == 0, timeout=seconds)

    def _must_run_again(self) -> bool:
        with self._changed:
            again, self._run_again = self._run_again and not self._stopped, False
            return again

    def _run(self) -> None:
        try:
            self.job.run()
        except DatabaseError as error:
            self._log_failure(str(error))
        except Exception as error:  # noqa: BLE001 -- the outermost frame of a job: logged, and tried again
            self._log_failure(repr(error), unexpected=True)
        else:
            if self._failure is not None:
                log.info("job.recovered", extra={"job": self.job.name})
            self._failure = None

    def _log_failure(self, failure: str, *, unexpected: bool = False) -> None:
        """Log a failure if it differs from the last one, and from time to time while it lasts."""
        if self._failure is None:
            self._failing_since = monotonic()
        if failure != self._failure or monotonic() - self._logged_at >= _LOG_EVERY.total_seconds():
            log.error("job.failed", extra={"job": self.job.name, "error": failure}, exc_info=unexpected)
            self._logged_at = monotonic()
        self._failure = failure

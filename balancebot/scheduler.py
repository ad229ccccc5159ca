"""APScheduler's jobs call use-cases, and nothing else drives them. What is due stands in the database.

So every job may be late, doubled or lost: the next one does what was due. A job that fails is logged when the kind
of its failure changes, and never takes another with it.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from time import monotonic

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from balancebot.ports import Clock
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
    """Runs jobs side by side, each in its turn, until it is stopped."""

    def __init__(self, jobs: Sequence[Job], clock: Clock) -> None:
        self._jobs = {job.name: _Guarded(job) for job in jobs}
        self._clock = clock
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
                seconds=job.every.total_seconds(),
                id=name,
                max_instances=job.at_once,
                next_run_time=self._clock.now(),
            )
        self._scheduler.start()

    def hasten(self, name: str) -> None:
        """Run the job `name` at once, or with its next interval while it is running."""
        if self._scheduler.running:
            self._scheduler.modify_job(name, next_run_time=self._clock.now())

    def stop(self, patience: timedelta) -> tuple[str, ...]:
        """Start nothing more and wait for what is under way; return the jobs that did not end in time."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        deadline = _Deadline(patience)
        return tuple(name for name, job in self._jobs.items() if not job.wait(deadline.left()))


class _Deadline:
    """What is left of a patience, by a clock that nobody sets."""

    def __init__(self, patience: timedelta) -> None:
        self._until = monotonic() + patience.total_seconds()

    def left(self) -> float:
        return max(0.0, self._until - monotonic())


class _Guarded:
    """A job at whose rim every failure ends."""

    def __init__(self, job: Job) -> None:
        self.every = job.every
        self.at_once = job.at_once
        self._name = job.name
        self._act = job.act
        self._num_running = 0
        self._ended = threading.Condition()
        self._trouble: str | None = None

    def __call__(self) -> None:
        with self._ended:
            self._num_running += 1
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
        finally:
            with self._ended:
                self._num_running -= 1
                self._ended.notify_all()

    def wait(self, seconds: float) -> bool:
        """Wait until it isn't running; tell whether it ended in time."""
        with self._ended:
            return self._ended.wait_for(lambda: self._num_running == 0, timeout=seconds)

    def _tell(self, trouble: str, *, unexpected: bool = False) -> None:
        if trouble != self._trouble:
            log.error("job.failed", extra={"job": self._name, "error": trouble}, exc_info=unexpected)
        self._trouble = trouble

"""The scheduler runs jobs: immediately, at their interval, on request, and none after it was stopped."""

import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from balancebot.clock import SystemClock
from balancebot.scheduler import EveryInterval, Job, Scheduler
from balancebot.store.errors import DatabaseError, DatabaseErrorKind
from tests.patience import PATIENCE

_NEVER = timedelta(hours=1)
_NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def _scheduler(jobs: Sequence[Job]) -> Scheduler:
    return Scheduler(jobs)


def test_a_job_runs_immediately_and_again_after_its_interval() -> None:
    twice = threading.Semaphore(0)
    scheduler = _scheduler([Job(name="tick", every=timedelta(milliseconds=50), run=twice.release)])
    scheduler.start()
    try:
        assert [True, True] == [twice.acquire(timeout=PATIENCE) for _ in range(2)]
    finally:
        scheduler.stop(timedelta(seconds=1))


def test_a_requested_job_does_not_wait_for_its_interval() -> None:
    runs = threading.Semaphore(0)
    scheduler = _scheduler([Job(name="deliver", every=_NEVER, run=runs.release)])
    scheduler.start()
    try:
        assert runs.acquire(timeout=PATIENCE)
        scheduler.run_now("deliver")
        assert runs.acquire(timeout=PATIENCE)
    finally:
        scheduler.stop(timedelta(seconds=1))


def test_a_failing_job_stops_no_other_and_is_logged_once_per_kind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs = threading.Semaphore(0)
    failures = threading.Semaphore(0)

    def fail() -> None:
        failures.release()
        raise DatabaseError(DatabaseErrorKind.FULL, "database here.db: the disk is full")

    scheduler = _scheduler(
        [
            Job(name="fails", every=timedelta(milliseconds=20), run=fail),
            Job(name="works", every=timedelta(milliseconds=20), run=runs.release),
        ]
    )
    with caplog.at_level(logging.INFO, "balancebot"):
        scheduler.start()
        try:
            assert all(
                failures.acquire(timeout=PATIENCE) and runs.acquire(timeout=PATIENCE) for _ in range(3)
            )
        finally:
            scheduler.stop(timedelta(seconds=1))
    logged = [
        (record.getMessage(), vars(record)["error"], bool(record.exc_info)) for record in caplog.records
    ]
    assert [("job.failed", "database here.db: the disk is full", False)] == logged


def test_stopping_waits_for_running_jobs() -> None:
    begun, ended = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        threading.Event().wait(0.2)
        ended.set()

    scheduler = _scheduler([Job(name="poll", every=_NEVER, run=work)])
    scheduler.start()
    assert begun.wait(PATIENCE)
    assert () == scheduler.stop(timedelta(seconds=PATIENCE))
    assert ended.is_set()


def test_stopping_names_jobs_that_did_not_end_in_time() -> None:
    begun, released = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        released.wait(PATIENCE)

    scheduler = _scheduler(
        [Job(name="poll", every=_NEVER, run=hang), Job(name="tend", every=_NEVER, run=int)]
    )
    scheduler.start()
    assert begun.wait(PATIENCE)
    assert ("poll",) == scheduler.stop(timedelta(milliseconds=50))
    released.set()


def test_the_other_threads_of_a_job_continue_while_one_hangs() -> None:
    begun, released = threading.Semaphore(0), threading.Event()

    def hang_once() -> None:
        begun.release()
        released.wait(PATIENCE)

    scheduler = _scheduler([Job(name="poll", every=timedelta(milliseconds=20), run=hang_once, max_running=2)])
    scheduler.start()
    assert [True, True, False] == [begun.acquire(timeout=seconds) for seconds in (PATIENCE, PATIENCE, 0.2)]
    released.set()
    assert begun.acquire(timeout=PATIENCE)
    assert () == scheduler.stop(timedelta(seconds=PATIENCE))


def test_a_job_requested_while_it_runs_runs_again_immediately() -> None:
    begun, released = threading.Semaphore(0), threading.Event()

    def work() -> None:
        begun.release()
        released.wait(PATIENCE)

    scheduler = _scheduler([Job(name="deliver", every=_NEVER, run=work)])
    scheduler.start()
    assert begun.acquire(timeout=PATIENCE)
    scheduler.run_now("deliver")
    scheduler.run_now("deliver")
    released.set()
    assert begun.acquire(timeout=PATIENCE)
    assert not begun.acquire(timeout=0.2)
    assert () == scheduler.stop(timedelta(seconds=PATIENCE))


class _ClockSetBack:
    """A clock that can be set back."""

    def __init__(self) -> None:
        self.by = timedelta(0)

    def now(self) -> datetime:
        return SystemClock().now() - self.by


def test_jobs_continue_when_the_clock_was_set_back(caplog: pytest.LogCaptureFixture) -> None:
    runs = threading.Semaphore(0)
    clock = _ClockSetBack()
    scheduler = Scheduler([Job(name="poll", every=_NEVER, run=runs.release)], clock)
    scheduler.start()
    try:
        assert runs.acquire(timeout=PATIENCE)
        clock.by = timedelta(hours=1)
        assert runs.acquire(timeout=PATIENCE)
        assert not runs.acquire(timeout=1.2)
    finally:
        scheduler.stop(timedelta(seconds=PATIENCE))
    assert ["clock.set_back"] == [
        record.message for record in caplog.records if record.name.startswith("balancebot")
    ]


@pytest.mark.parametrize(
    ("previous", "following"),
    [
        (_NOON, _NOON + timedelta(seconds=5)),
        (_NOON - timedelta(seconds=3), _NOON + timedelta(seconds=2)),
        (None, _NOON + timedelta(seconds=5)),
        (datetime(1970, 1, 1, tzinfo=UTC), _NOON + timedelta(seconds=5)),
        (_NOON + timedelta(days=30), _NOON + timedelta(seconds=5)),
    ],
    ids=["on time", "late", "first", "clock jumped forward", "clock jumped back"],
)
def test_missed_runs_are_skipped(previous: datetime | None, following: datetime) -> None:
    assert following == EveryInterval(timedelta(seconds=5)).get_next_fire_time(previous, _NOON)

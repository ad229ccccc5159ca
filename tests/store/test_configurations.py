"""The configuration that each running process uses; ended processes are left out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from balancebot.store import configurations, workers
from balancebot.store.configurations import RunningConfiguration
from balancebot.store.database import Database
from tests.outbox_bench import let_heartbeats_age

NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)
FIRST = RunningConfiguration(worker_id="first", host="a", pid=7, at=NOW)


def _record(database: Database, *running: RunningConfiguration, at: datetime = NOW) -> None:
    for configuration in running:
        with database.write() as conn:
            workers.register(conn, configuration.worker_id, kind="run", now=at)
            configurations.note(conn, configuration)


def _running(database: Database, *, now: datetime = NOW) -> list[RunningConfiguration]:
    with database.read() as conn:
        return configurations.running(conn, now=now)


def test_each_process_has_its_latest_configuration(database: Database) -> None:
    refused = replace(
        FIRST, worker_id="next", at=NOW + timedelta(seconds=1), faults=("配置: x",), needs_restart=("y",)
    )
    other = replace(FIRST, worker_id="other", host="b")
    _record(database, FIRST, other, refused)
    assert {refused, other} == set(_running(database))


def test_an_ended_process_has_no_configuration(database: Database) -> None:
    _record(database, FIRST)
    more = workers.LEASE + timedelta(seconds=1)
    later = NOW + more
    with database.write() as conn:
        let_heartbeats_age(conn, more)
    assert [] == _running(database, now=later)
    with database.write() as conn:
        workers.leave(conn, "first")
    _record(database, replace(FIRST, worker_id="next"), at=later)
    assert ["next"] == [configuration.worker_id for configuration in _running(database, now=later)]

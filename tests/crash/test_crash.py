"""Processes that are killed, frozen or disconnected lose no message and send none twice.

A few interruptions at the worst boundaries; `python -m tests.crash` runs hundreds, at every boundary.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.crash.deployment import Deployment
from tests.crash.interruptions import Interruption, InterruptionKind
from tests.crash.rounds import run_round
from tests.databases import PostgreSQL

pytestmark = pytest.mark.slow


@contextmanager
def _deployment(folder: Path, url: str, *, num_replicas: int = 1) -> Iterator[Deployment]:
    with Deployment(folder, url, seed=1, num_replicas=num_replicas) as deployment:
        deployment.start()
        yield deployment


def test_a_killed_process_on_sqlite_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    interruptions = [
        Interruption(boundary="record.call committing", nth=1, kind=InterruptionKind.KILL),
        Interruption(boundary="slack chat.postMessage done", nth=1, kind=InterruptionKind.KILL),
        Interruption(boundary="slack chat.postMessage done", nth=1, kind=InterruptionKind.DISCONNECT),
        Interruption(boundary="mail DATA done", nth=1, kind=InterruptionKind.KILL),
        Interruption(boundary="queue.store committing", nth=1, kind=InterruptionKind.KILL),
    ]
    with _deployment(tmp_path, f"sqlite:///{tmp_path}/balancebot.db") as deployment:
        _interrupt_at(deployment, interruptions)


def test_replicas_on_postgresql_take_over_from_one_that_is_killed_or_frozen(
    tmp_path: Path, postgresql: PostgreSQL
) -> None:
    interruptions = [
        Interruption(boundary="slack chat.postMessage done", nth=1, kind=InterruptionKind.KILL),
        Interruption(boundary="queue.holds_claim committed", nth=1, kind=InterruptionKind.FREEZE),
    ]
    name = postgresql.create(template="template0")
    with _deployment(tmp_path, postgresql.url(name), num_replicas=2) as deployment:
        _interrupt_at(deployment, interruptions)
    postgresql.drop(name)


def _interrupt_at(deployment: Deployment, interruptions: list[Interruption]) -> None:
    for number, interruption in enumerate(interruptions):
        done = run_round(deployment, number, 1, interruption)
        assert (f"{interruption.kind} at {interruption.boundary}",) == done.interruptions
        assert ((), (), True) == (done.reconciliation.losses, done.reconciliation.repeats, done.settled)

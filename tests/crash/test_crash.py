"""Processes that die, freeze and lose their lines lose no news and tell none twice.

A few blows where they hurt most; `python -m tests.crash` deals hundreds, at every boundary that can be seen.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.crash.rounds import play
from tests.crash.town import Town
from tests.crash.traps import Blow, Fate
from tests.databases import PostgreSQL

# beside other tests a machine may be so loaded that what was withdrawn still stands when all else is at rest
pytestmark = [pytest.mark.slow, pytest.mark.timing]


@contextmanager
def _a_town(folder: Path, url: str, *, num_replicas: int = 1) -> Iterator[Town]:
    with Town(folder, url, seed=1, num_replicas=num_replicas) as town:
        town.start()
        yield town


def test_a_killed_process_on_sqlite_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    blows = [
        Blow(boundary="record.call committing", nth=1, fate=Fate.KILL),
        Blow(boundary="slack chat.postMessage done", nth=1, fate=Fate.KILL),
        Blow(boundary="slack chat.postMessage done", nth=1, fate=Fate.LOSE),
        Blow(boundary="mail DATA done", nth=1, fate=Fate.KILL),
        Blow(boundary="queue.store committing", nth=1, fate=Fate.KILL),
    ]
    with _a_town(tmp_path, f"sqlite:///{tmp_path}/balancebot.db") as town:
        _endure(town, blows)


def test_replicas_on_postgresql_take_over_from_one_that_is_killed_or_frozen(
    tmp_path: Path, postgresql: PostgreSQL
) -> None:
    blows = [
        Blow(boundary="slack chat.postMessage done", nth=1, fate=Fate.KILL),
        Blow(boundary="queue.holds_claim committed", nth=1, fate=Fate.FREEZE),
    ]
    name = postgresql.create(template="template0")
    with _a_town(tmp_path, postgresql.url(name), num_replicas=2) as town:
        _endure(town, blows)
    postgresql.drop(name)


def _endure(town: Town, blows: list[Blow]) -> None:
    for number, blow in enumerate(blows):
        done = play(town, number, 1, blow)
        assert (f"{blow.fate} at {blow.boundary}",) == done.blows
        assert ((), (), True) == (done.balance.losses, done.balance.repeats, done.rested)

"""Whoever dies or freezes is replaced within 15 seconds: the wallets are read, and the news is told.

The bound is a promise (`docs/delivery.md`), not a figure of speed: it follows from how long a claim and a lock hold. It is
asserted where nothing else runs; beside other tests it is enough that all is told.
"""

import time
from datetime import timedelta
from pathlib import Path

import pytest

from balancebot.clock import SystemClock
from tests.crash.books import compare
from tests.crash.episodes import Level
from tests.crash.town import Town
from tests.crash.traps import Blow, Fate
from tests.databases import PostgreSQL
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow
_PROMISED = timedelta(seconds=15)
_STAGES = (
    "cycle.claim committing",  # wallets are claimed, their rows locked
    "jsms asked",
    "record.call committing",  # whoever else would change alerts waits
    "queue.open committing",  # the rows of a destination are locked
    "slack chat.postMessage done",
)


@pytest.mark.parametrize(
    ("stage", "fate"),
    [
        *((stage, Fate.FREEZE) for stage in _STAGES),
        # a process that is dead lets go of its locks by itself
        *((stage, Fate.KILL) for stage in _STAGES if "committing" not in stage),
    ],
)
def test_another_replica_has_read_and_told_everything_in_time(
    tmp_path: Path, postgresql: PostgreSQL, stage: str, fate: Fate
) -> None:
    name = postgresql.create(template="template0")
    with Town(
        tmp_path, postgresql.url(name), seed=1, num_replicas=2, frozen_for=(PATIENCE, PATIENCE)
    ) as town:
        town.start()
        _taken_over(town, stage, fate)
        town.thaw()
        _books_are_even(town)
    postgresql.drop(name)


@pytest.mark.parametrize("stage", _STAGES[2:])
def test_the_next_run_on_sqlite_has_read_and_told_everything_in_time(tmp_path: Path, stage: str) -> None:
    with Town(tmp_path, f"sqlite:///{tmp_path}/balancebot.db", seed=1) as town:
        town.start()
        _taken_over(town, stage, Fate.KILL)
        _books_are_even(town)


@pytest.mark.timing
def test_it_takes_fifteen_seconds_at_most(tmp_path: Path, postgresql: PostgreSQL) -> None:
    name = postgresql.create(template="template0")
    (tmp_path / "sqlite").mkdir()
    with Town(tmp_path / "sqlite", f"sqlite:///{tmp_path}/balancebot.db", seed=1) as town:
        town.start()
        assert _taken_over(town, "record.call committing", Fate.KILL) < _PROMISED
    with Town(
        tmp_path, postgresql.url(name), seed=1, num_replicas=2, frozen_for=(PATIENCE, PATIENCE)
    ) as town:
        town.start()
        assert _taken_over(town, "cycle.claim committing", Fate.FREEZE) < _PROMISED
        town.thaw()
    postgresql.drop(name)


def _taken_over(town: Town, stage: str, fate: Fate) -> timedelta:
    """Let news come, strike at `stage`, and return how long it took from there until all was read and told."""
    one, two, three, *_ = town.episodes.wallets
    town.move({one: Level.WARNING})
    assert town.until_quiet(PATIENCE)
    town.traps.arm(Blow(boundary=stage, nth=1, fate=fate))
    town.move({one: Level.OK, two: Level.CRITICAL})
    assert town.traps.wait(PATIENCE)
    struck_at = SystemClock().now()
    town.move({three: Level.DEPLETED})
    if town.num_replicas == 1:
        town.start()
    assert town.until_quiet(PATIENCE)
    assert town.until_read_since(struck_at, PATIENCE)
    return timedelta(seconds=time.monotonic() - town.struck_at)


def _books_are_even(town: Town) -> None:
    time.sleep(2)
    assert town.until_quiet(PATIENCE)
    books = compare(town)
    assert ((), ()) == (books.losses, books.repeats)

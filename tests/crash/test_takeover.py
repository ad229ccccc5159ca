"""Another process takes over from one that is killed or frozen within 15 seconds: wallets are read, messages sent.

The bound is a promise (`docs/delivery.md`), not a measure of speed: it follows from the duration of claims and locks. It is
asserted where nothing else runs; beside other tests it is enough that everything is sent.
"""

import time
from datetime import timedelta
from pathlib import Path

import pytest

from balancebot.clock import SystemClock
from tests.crash.deployment import Deployment
from tests.crash.episodes import Level
from tests.crash.interruptions import Interruption, InterruptionKind
from tests.crash.reconcile import reconcile
from tests.databases import PostgreSQL
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow
_PROMISED = timedelta(seconds=15)
_STAGES = (
    "cycle.claim committing",  # wallets are claimed, their rows locked
    "jsms asked",
    "record.call committing",  # other processes that change alerts wait
    "queue.open committing",  # the rows of a destination are locked
    "slack chat.postMessage done",
)


@pytest.mark.parametrize(
    ("stage", "kind"),
    [
        *((stage, InterruptionKind.FREEZE) for stage in _STAGES),
        # the locks of a dead process are released automatically
        *((stage, InterruptionKind.KILL) for stage in _STAGES if "committing" not in stage),
    ],
)
def test_another_replica_has_read_and_sent_everything_in_time(
    tmp_path: Path, postgresql: PostgreSQL, stage: str, kind: InterruptionKind
) -> None:
    name = postgresql.create(template="template0")
    with Deployment(
        tmp_path, postgresql.url(name), seed=1, num_replicas=2, frozen_for=(PATIENCE, PATIENCE)
    ) as deployment:
        deployment.start()
        _takeover_time(deployment, stage, kind)
        deployment.thaw()
        _reconcile(deployment)
    postgresql.drop(name)


@pytest.mark.parametrize("stage", _STAGES[2:])
def test_the_next_run_on_sqlite_has_read_and_sent_everything_in_time(tmp_path: Path, stage: str) -> None:
    with Deployment(tmp_path, f"sqlite:///{tmp_path}/balancebot.db", seed=1) as deployment:
        deployment.start()
        _takeover_time(deployment, stage, InterruptionKind.KILL)
        _reconcile(deployment)


@pytest.mark.timing
def test_a_takeover_takes_fifteen_seconds_at_most(tmp_path: Path, postgresql: PostgreSQL) -> None:
    name = postgresql.create(template="template0")
    (tmp_path / "sqlite").mkdir()
    with Deployment(tmp_path / "sqlite", f"sqlite:///{tmp_path}/balancebot.db", seed=1) as deployment:
        deployment.start()
        assert _takeover_time(deployment, "record.call committing", InterruptionKind.KILL) < _PROMISED
    with Deployment(
        tmp_path, postgresql.url(name), seed=1, num_replicas=2, frozen_for=(PATIENCE, PATIENCE)
    ) as deployment:
        deployment.start()
        assert _takeover_time(deployment, "cycle.claim committing", InterruptionKind.FREEZE) < _PROMISED
        deployment.thaw()
    postgresql.drop(name)


def _takeover_time(deployment: Deployment, stage: str, kind: InterruptionKind) -> timedelta:
    """Change balances, interrupt at `stage`, and return the time from there until all was read and sent."""
    one, two, three, *_ = deployment.episodes.wallets
    deployment.set_levels({one: Level.WARNING})
    assert deployment.wait_until_settled(PATIENCE)
    deployment.interrupter.arm(Interruption(boundary=stage, nth=1, kind=kind))
    deployment.set_levels({one: Level.OK, two: Level.CRITICAL})
    assert deployment.interrupter.wait(PATIENCE)
    interrupted_at = SystemClock().now()
    deployment.set_levels({three: Level.DEPLETED})
    if deployment.num_replicas == 1:
        deployment.start(watched=False)  # as an operator starts it: the time for that counts
    assert deployment.wait_until_settled(PATIENCE)
    assert deployment.wait_until_read_since(interrupted_at, PATIENCE)
    return timedelta(seconds=time.monotonic() - deployment.interrupted_at)


def _reconcile(deployment: Deployment) -> None:
    time.sleep(2)
    assert deployment.wait_until_settled(PATIENCE)
    result = reconcile(deployment)
    assert ((), ()) == (result.losses, result.repeats)

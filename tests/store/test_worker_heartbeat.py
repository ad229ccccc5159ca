"""A worker keeps its claims while it renews its heartbeat, and releases them when it ends."""

from datetime import timedelta

from balancebot.store import workers
from balancebot.store.database import Database
from balancebot.store.workers import HEARTBEAT_EVERY, WorkerHeartbeat
from tests.outbox_bench import let_heartbeats_age
from tests.world import HandClock


def test_heartbeats_keep_a_worker_alive_until_it_ends(database: Database) -> None:
    clock = HandClock()
    presence = WorkerHeartbeat(database=database, clock=clock, worker_id="w", kind="run")

    def is_alive() -> bool:
        with database.read() as conn:
            return workers.is_alive(conn, "w", now=clock.now())

    alive = []
    for _ in range(2):
        presence.show()
        # on PostgreSQL real time counts too
        for more in (workers.LEASE - timedelta(seconds=1), timedelta(seconds=2)):
            clock.at += more
            with database.write() as conn:
                let_heartbeats_age(conn, more)
            alive.append(is_alive())
    presence.show()
    presence.leave()
    assert [True, False, True, False, False] == [*alive, is_alive()]
    assert 3 * HEARTBEAT_EVERY < workers.LEASE


def test_the_only_process_on_a_database_does_not_wait_for_the_lease_of_its_predecessor(
    database: Database,
) -> None:
    clock = HandClock()
    killed, other, present = (
        WorkerHeartbeat(database=database, clock=clock, worker_id=worker_id, kind=kind)
        for worker_id, kind in (("killed", "run"), ("polling", "poll"), ("present", "run"))
    )
    for worker in (killed, other, present):
        worker.show()
    present.expire_others()
    with database.read() as conn:
        alive = {
            worker_id: workers.is_alive(conn, worker_id, now=clock.now())
            for worker_id in ("killed", "polling", "present")
        }
    assert {"killed": False, "polling": True, "present": True} == alive

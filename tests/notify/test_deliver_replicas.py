"""Several processes deliver at the same time: they share the work, and everything is sent once and in order."""

import random
import threading
import time

import pytest
from sqlalchemy import Connection, text, update

from balancebot.domain.alert import Reason
from balancebot.domain.delivery import QueuePlan
from balancebot.domain.message import Action, AlertMessage, MessageRef, OutgoingMessage
from balancebot.domain.routing import Destination
from balancebot.notify.worker import DeliverOutbox
from balancebot.ports import ChannelError, ChannelErrorKind
from balancebot.store import outbox, queues
from balancebot.store.database import Database
from balancebot.store.tables import deliveries
from tests.outbox_bench import OPS, Bench, FakeChannel, arrives, fails, loses_the_answer, loses_the_request
from tests.patience import PATIENCE

DESTINATIONS = [Destination("slack", f"#room-{number}") for number in range(4)]


def notes_in(channel: FakeChannel, destination: str, alert_id: int) -> list[str]:
    return [
        message.message.context.note
        for message in channel.messages
        if message.destination == destination
        and isinstance(message.message, AlertMessage)
        and message.message.alert_id == str(alert_id)
    ]


@pytest.mark.slow
def test_four_processes_send_everything_once_and_in_order(bench: Bench) -> None:
    chance = random.Random(1)
    outcomes = [arrives] * 6 + [
        loses_the_answer,
        loses_the_request,
        fails(ChannelErrorKind.UNREACHABLE),
        fails(ChannelErrorKind.SERVER),
    ]
    for _, destination in DESTINATIONS:
        bench.slack.outcomes[destination] = chance.choices(outcomes, k=40)
    all_workers = [bench.deliver, *(bench.worker() for _ in range(3))]
    alerts = [bench.alert() for _ in range(4)]
    decided: list[str] = []

    for number, reason in enumerate([Reason.OPENED, Reason.WORSENED, Reason.REMINDER, Reason.RECOVERED]):
        decided.append(f"{number}")
        for alert_id in alerts:
            bench.enqueue(alert_id, reason, DESTINATIONS, note=f"{number}")
        _deliver_concurrently(all_workers)
        bench.run(seconds=1)
    for _ in range(60):
        bench.run(seconds=30)
        with bench.database.read() as conn:
            num_pending = outbox.num_pending(conn)
        if not num_pending:
            break
    bench.run(seconds=3600)

    assert 0 == num_pending
    for _, destination in DESTINATIONS:
        for alert_id in alerts:
            sent = notes_in(bench.slack, destination, alert_id)
            assert ([note for note in decided if note in sent], "3") == (sent, sent[-1])


def test_a_run_waits_for_deliveries_of_another_process(bench: Bench) -> None:
    arrived = threading.Event()

    def is_slow(channel: FakeChannel, outgoing: OutgoingMessage) -> MessageRef | ChannelError:
        arrived.wait(PATIENCE)
        return channel.put(outgoing)

    bench.slack.outcomes["#ops"] = [is_slow]
    bench.open([OPS])
    bench.deliver.tick()
    while not bench.slack.requests:
        time.sleep(0.01)
    threading.Timer(0.3, arrived.set).start()

    report = bench.worker().run()

    assert (0, ["opened"]) == (report.num_pending, bench.slack.received())


def test_of_two_processes_that_plan_at_the_same_time_one_gets_the_queue(bench: Bench) -> None:
    """The first process claims a row that it has just added, which the query of the other began too early to see."""
    if bench.database.is_sqlite:
        pytest.skip("SQLite lets one transaction write at a time")
    members = [bench.open() for _ in range(6)]
    bench.run()
    assert ["GroupMessage"] == bench.slack.received()
    bench.enqueue(members[0], Reason.REMINDER)
    bench.open()
    bench.worker()
    plans: list[QueuePlan | None] = []

    def plan(conn: Connection, worker: str) -> QueuePlan | None:
        return queues.open_queue(
            conn, OPS, worker_id=worker, group_over=5, can_edit=True, has_threads=True, now=bench.clock.now()
        )

    def plan_concurrently() -> None:
        with bench.database.write() as conn:
            plans.append(plan(conn, "worker-1"))

    other = threading.Thread(target=plan_concurrently)
    with bench.database.write() as conn:
        first = plan(conn, "worker-0")
        assert first is not None
        edit = first.sends[0]
        assert Action.EDIT is edit.action
        other.start()
        _wait_for_a_lock(bench.database)
        assert queues.claim(conn, OPS, edit, worker_id="worker-0", now=bench.clock.now()) is not None
    other.join()

    assert [None] == plans


def _wait_for_a_lock(database: Database) -> None:
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with database.read() as conn:
            if conn.execute(waiting).scalar_one():
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")


def test_a_message_sent_by_another_process_is_not_sent_again_in_a_merged_message(bench: Bench) -> None:
    alert = bench.open()
    bench.run()
    bench.enqueue(alert, Reason.WORSENED)
    bench.enqueue(alert, Reason.REMINDER)
    now = bench.clock.now()
    with bench.database.write() as conn:
        plan = queues.open_queue(
            conn, OPS, worker_id="worker-0", group_over=5, can_edit=True, has_threads=True, now=now
        )
        assert plan is not None
        (reply,) = [send for send in plan.sends if send.action is Action.REPLY]
        part = next(item for item in reply.carries if item.id != reply.carrier.id)
        conn.execute(
            update(deliveries).where(deliveries.c.id == part.id).values(state="delivered", settled_at=now)
        )
        assert queues.claim(conn, OPS, reply, worker_id="worker-0", now=now) is None


def _deliver_concurrently(all_workers: list[DeliverOutbox]) -> None:
    threads = [threading.Thread(target=deliver.run) for deliver in all_workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

"""Any number of processes deliver at the same time: the work is shared, and everything is sent once and in order."""

import random
import threading
import time

import pytest

from balancebot.domain.alert import Reason
from balancebot.domain.message import AlertMessage, MessageRef, OutgoingMessage
from balancebot.domain.routing import Destination
from balancebot.notify.worker import DeliverOutbox
from balancebot.ports import ChannelError, ChannelErrorKind
from balancebot.store import outbox
from tests.outbox_bench import OPS, Bench, FakeChannel, arrives, fails, loses_the_answer, loses_the_request
from tests.patience import PATIENCE

DESTINATIONS = [Destination("slack", f"#room-{number}") for number in range(4)]


def news_in(channel: FakeChannel, destination: str, alert_id: int) -> list[str]:
    return [
        message.message.context.note
        for message in channel.messages
        if message.destination == destination
        and isinstance(message.message, AlertMessage)
        and message.message.alert_id == str(alert_id)
    ]


@pytest.mark.slow
def test_four_processes_tell_everything_once_and_in_order(bench: Bench) -> None:
    chance = random.Random(1)
    outcomes = [arrives] * 6 + [
        loses_the_answer,
        loses_the_request,
        fails(ChannelErrorKind.UNREACHABLE),
        fails(ChannelErrorKind.SERVER),
    ]
    for _, destination in DESTINATIONS:
        bench.slack.outcomes[destination] = chance.choices(outcomes, k=40)
    everybody = [bench.deliver, *(bench.worker() for _ in range(3))]
    alerts = [bench.alert() for _ in range(4)]
    decided: list[str] = []

    for number, reason in enumerate([Reason.OPENED, Reason.WORSENED, Reason.REMINDER, Reason.RECOVERED]):
        decided.append(f"{number}")
        for alert_id in alerts:
            bench.enqueue(alert_id, reason, DESTINATIONS, note=f"{number}")
        _deliver_all_at_once(everybody)
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
            heard = news_in(bench.slack, destination, alert_id)
            assert ([note for note in decided if note in heard], "3") == (heard, heard[-1])


def test_a_round_waits_for_what_another_process_is_sending(bench: Bench) -> None:
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


def _deliver_all_at_once(everybody: list[DeliverOutbox]) -> None:
    threads = [threading.Thread(target=deliver.run) for deliver in everybody]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

"""A frozen worker that was replaced sends nothing when it continues; a request that was already sent is deleted."""

import threading
from collections.abc import Callable
from datetime import timedelta

from balancebot.domain.alert import Reason
from balancebot.domain.message import MessageRef, OutgoingMessage
from balancebot.domain.verdict import Severity
from balancebot.ports import ChannelError, ChannelErrorKind
from tests.outbox_bench import (
    Bench,
    FakeChannel,
    Outcome,
    arrives,
    loses_the_answer,
)
from tests.patience import PATIENCE


def frozen_in(bench: Bench, moment: Outcome) -> Callable[[], None]:
    """Freeze the first worker while it sends; return a function that continues it and waits for its end."""
    asleep, awake = threading.Event(), threading.Event()

    def freezes(channel: FakeChannel, outgoing: OutgoingMessage) -> MessageRef | ChannelError:
        asleep.set()
        awake.wait(PATIENCE)
        return moment(channel, outgoing)

    bench.slack.outcomes["#ops"] = [freezes]
    frozen = bench.deliver
    frozen.tick()
    asleep.wait(PATIENCE)

    def wake() -> None:
        awake.set()
        frozen.close(timedelta(seconds=PATIENCE))

    return wake


def test_a_replaced_worker_deletes_its_own_duplicate(bench: Bench) -> None:
    bench.open()
    wake = frozen_in(bench, arrives)
    bench.restart()
    bench.run()

    wake()

    assert ["opened"] == bench.slack.received()


def test_the_message_of_a_worker_that_died_after_sending_is_found(bench: Bench) -> None:
    bench.open()
    wake = frozen_in(bench, loses_the_answer)
    bench.restart()
    bench.run()
    wake()
    assert ["opened", "opened"] == bench.slack.received()

    report = bench.run(minutes=2)

    assert ["opened"] == bench.slack.received()
    assert 1 == report.deleted


def test_a_late_message_is_deleted_if_another_message_was_sent_meanwhile(bench: Bench) -> None:
    alert = bench.open()
    wake = frozen_in(bench, loses_the_answer)
    bench.restart()
    bench.enqueue(alert, Reason.RECOVERED)
    bench.run()
    wake()

    bench.run(minutes=2)

    assert ["opened+recovered"] == bench.slack.received()


def test_a_late_edit_is_followed_by_the_latest_one(bench: Bench) -> None:
    alert = bench.open()
    bench.run()
    bench.edit(alert, acknowledged_by="ada")
    wake = frozen_in(bench, arrives)
    bench.restart()
    latest = bench.edit(alert, acknowledged_by="ada", severity=Severity.WARNING)
    bench.run()

    wake()
    bench.run(seconds=1)

    assert latest == bench.slack.messages[0].edits[-1]


def test_a_worker_without_a_heartbeat_sends_nothing(bench: Bench) -> None:
    bench.open()
    bench.pass_by(seconds=20)

    report = bench.deliver.run()

    assert [ChannelErrorKind.LEASE_LOST] == [attempt.outcome for attempt in report.attempts]
    assert [] == bench.slack.received()

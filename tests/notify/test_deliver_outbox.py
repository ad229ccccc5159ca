"""Every notification is sent once, despite failures of the channel, the network and the process."""

import threading
import time
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from balancebot.domain.alert import Reason
from balancebot.domain.message import MessageRef, OutgoingMessage
from balancebot.domain.verdict import Severity
from balancebot.ports import ChannelError, ChannelErrorKind
from balancebot.store import channel_failures
from tests.outbox_bench import (
    MAIL,
    MARKETING,
    OPS,
    Bench,
    BrokenDatabase,
    FakeChannel,
    Outcome,
    arrives,
    fails,
    killed_after,
    killed_before,
    loses_the_answer,
    loses_the_request,
)
from tests.patience import PATIENCE

dying = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def test_a_notification_is_sent_and_its_delivery_ends(bench: Bench) -> None:
    alert = bench.open([OPS, MAIL])

    report = bench.run()

    assert ["opened"] == bench.slack.received()
    assert ["opened"] == bench.mail.received("finance@example.com")
    assert 0 == report.num_pending
    bench.enqueue(alert, Reason.RECOVERED, [OPS, MAIL])
    bench.run(seconds=1)
    assert ["opened", "> recovered"] == bench.slack.received()
    assert [Reason.RECOVERED] == [edit.reason for edit in bench.slack.messages[0].edits]
    assert ["opened", "> recovered"] == bench.mail.received("finance@example.com")


def test_a_delivered_notification_is_not_sent_again(bench: Bench) -> None:
    bench.open()

    bench.run()
    bench.run(minutes=30)

    assert ["opened"] == bench.slack.received()


def test_a_failed_delivery_is_tried_again_at_least_every_30_seconds_in_the_first_minutes(
    bench: Bench,
) -> None:
    bench.slack.outcomes["#ops"] = [fails(ChannelErrorKind.UNREACHABLE)] * 20
    bench.open()

    for _ in range(300):
        bench.run(seconds=1)

    attempts = [at for at, _, _ in bench.slack.requests]
    assert ["opened"] == bench.slack.received()
    assert timedelta(seconds=16) >= max(later - earlier for earlier, later in pairwise(attempts))


@pytest.mark.parametrize("outcome", [loses_the_answer, loses_the_request])
def test_a_message_with_a_lost_answer_is_searched_for_before_it_is_sent_again(
    bench: Bench, outcome: Outcome
) -> None:
    bench.slack.outcomes["#ops"] = [outcome]
    bench.open()

    bench.run()
    bench.run(seconds=1)

    assert ["opened"] == bench.slack.received()
    assert "find" == bench.slack.requests[1][2]


@pytest.mark.parametrize("jump", [{"hours": 9}, {"hours": -9}, {"days": 60}, {"days": -60}])
@pytest.mark.parametrize("others", [0, 1])
def test_a_message_in_doubt_is_found_even_if_the_clock_was_wrong(
    bench: Bench, jump: dict[str, float], others: int
) -> None:
    """The search is limited by the order of the channel's refs, like Slack's timestamps, not by the clock."""
    for _ in range(others):
        bench.open()
        bench.run()
    bench.run(**jump)
    bench.slack.outcomes["#ops"] = [loses_the_answer]
    bench.open()
    bench.run()
    bench.run(**{unit: -length for unit, length in jump.items()})
    bench.run(seconds=2)
    bench.run(minutes=2)
    bench.run(minutes=10)

    assert ["opened"] * (others + 1) == bench.slack.received()


@dying
@pytest.mark.parametrize("outcome", [killed_before, killed_after])
def test_a_process_that_dies_while_sending_is_replaced_without_duplicates(
    bench: Bench, outcome: Outcome
) -> None:
    bench.slack.outcomes["#ops"] = [outcome]
    bench.open()
    bench.run()

    bench.restart()
    bench.run()

    assert ["opened"] == bench.slack.received()


def test_changes_during_an_outage_of_the_channel_are_merged(bench: Bench) -> None:
    bench.slack.outcomes["#ops"] = [fails(ChannelErrorKind.UNREACHABLE)]
    alert = bench.open()
    bench.run()
    bench.enqueue(alert, Reason.WORSENED, severity=Severity.DEPLETED)
    latest = bench.enqueue(alert, Reason.REMINDER, severity=Severity.DEPLETED, note="call the office")

    bench.run(seconds=5)

    assert [replace(latest, reason=Reason.OPENED)] == [message.message for message in bench.slack.messages]
    assert ["superseded"] * 4 + ["delivered"] == bench.states()


def test_an_opening_and_a_recovery_during_an_outage_are_one_message(bench: Bench) -> None:
    bench.slack.outcomes["#ops"] = [fails(ChannelErrorKind.SERVER)]
    alert = bench.open()
    bench.run()
    bench.enqueue(alert, Reason.RECOVERED)

    bench.run(seconds=5)

    assert ["opened+recovered"] == bench.slack.received()


def test_an_opening_in_doubt_is_searched_for_before_its_recovery_is_sent(bench: Bench) -> None:
    bench.slack.outcomes["#ops"] = [loses_the_answer]
    alert = bench.open()
    bench.run()
    bench.enqueue(alert, Reason.RECOVERED)

    bench.run(seconds=5)

    assert ["opened", "> recovered"] == bench.slack.received()


def test_a_channel_without_search_gets_the_message_again_and_the_report_counts_it(bench: Bench) -> None:
    bench.mail.outcomes["finance@example.com"] = [loses_the_answer]
    alert = bench.open([MAIL])
    bench.run()
    bench.enqueue(alert, Reason.RECOVERED, [MAIL])

    report = bench.run(seconds=5)

    first, second, third = bench.mail.messages
    assert first.delivery_id == second.delivery_id != third.delivery_id
    assert ["opened", "opened", "> recovered"] == bench.mail.received("finance@example.com")
    assert [True, False] == [attempt.may_stand_twice for attempt in report.attempts]


def test_a_message_always_in_doubt_is_repeated_rarely_and_reported_elsewhere(bench: Bench) -> None:
    bench.mail.outcomes["finance@example.com"] = [loses_the_answer] * 6
    bench.open([MAIL])

    reported_elsewhere = []
    for _ in range(60):
        bench.run(seconds=1)
        reported_elsewhere.append(bench.slack.received())
    assert ["opened"] * 3 == bench.mail.received("finance@example.com")
    assert ([], ["ChannelFailureMessage"]) == (reported_elsewhere[20], reported_elsewhere[-1])
    assert 1 == len({message.delivery_id for message in bench.mail.messages})

    for _ in range(240):
        bench.run(minutes=1)
    ages = [message.at - bench.mail.messages[0].at for message in bench.mail.messages]
    assert [0, 0, 0, 5, 20, 80, 140] == [age.total_seconds() // 60 for age in ages]
    assert ["ChannelFailureMessage"] == bench.slack.received()
    with bench.database.read() as conn:
        assert () == channel_failures.current(conn)


def test_a_message_does_not_wait_for_one_in_doubt(bench: Bench) -> None:
    bench.mail.outcomes["finance@example.com"] = [loses_the_answer] * 4
    alert = bench.open([MAIL])
    for _ in range(600):
        bench.run(seconds=1)
    assert ["opened"] * 4 == bench.mail.received("finance@example.com")

    bench.enqueue(alert, Reason.RECOVERED, [MAIL])
    report = bench.run(seconds=1)

    assert ["opened+recovered"] == bench.mail.received("finance@example.com")[4:]
    assert 0 == report.num_pending


def test_a_hanging_destination_delays_no_other(bench: Bench) -> None:
    released = threading.Event()

    def hangs(channel: FakeChannel, outgoing: OutgoingMessage) -> MessageRef | ChannelError:
        released.wait(PATIENCE)
        return channel.put(outgoing)

    bench.slack.outcomes["#ops"] = [hangs]
    bench.open([OPS])
    bench.deliver.tick()
    bench.open([MARKETING, MAIL])

    bench.deliver.tick()
    while not (bench.slack.received("#marketing") and bench.mail.received("finance@example.com")):
        time.sleep(0.01)

    assert [] == bench.slack.received("#ops")
    released.set()
    bench.deliver.close(timedelta(seconds=5))
    assert ["opened"] == bench.slack.received("#ops")


def test_a_retry_after_pauses_only_its_destination(bench: Bench) -> None:
    bench.slack.outcomes["#ops"] = [fails(ChannelErrorKind.RATE_LIMITED, timedelta(seconds=40))]
    bench.open([OPS, MARKETING])
    bench.run()
    bench.open([OPS])

    bench.run(seconds=39)
    assert [] == bench.slack.received()
    assert ["opened"] == bench.slack.received("#marketing")

    bench.run(seconds=2)
    assert ["opened", "opened"] == bench.slack.received()


def test_a_deleted_message_is_not_edited_and_the_next_message_is_a_new_one(bench: Bench) -> None:
    alert = bench.open()
    bench.run()
    bench.slack.messages.clear()

    bench.edit(alert, acknowledged_by="ada")
    bench.run(seconds=1)
    assert [] == bench.slack.received()

    bench.enqueue(alert, Reason.RECOVERED)
    bench.run(seconds=1)
    assert ["recovered"] == bench.slack.received()


@pytest.mark.parametrize("reason", [Reason.WORSENED, Reason.REMINDER, Reason.RECOVERED])
def test_a_change_of_a_deleted_message_is_immediately_a_new_message_without_a_reply(
    bench: Bench, reason: Reason
) -> None:
    alert = bench.open()
    bench.run()
    bench.slack.messages.clear()
    latest = bench.enqueue(alert, reason)

    bench.run(minutes=5)

    (message,) = bench.slack.messages
    assert (latest, None, []) == (message.message, message.below, message.edits)


def test_changes_after_a_new_message_are_replies(bench: Bench) -> None:
    alert = bench.open()
    bench.run()
    bench.slack.messages.clear()
    bench.enqueue(alert, Reason.WORSENED)
    bench.run(seconds=1)
    latest = bench.enqueue(alert, Reason.RECOVERED)

    bench.run(seconds=1)

    fresh, answer = bench.slack.messages
    assert ([latest], latest, fresh.ref) == (fresh.edits, answer.message, answer.below)


def test_a_new_message_with_a_lost_answer_is_found(bench: Bench) -> None:
    alert = bench.open()
    bench.run()
    bench.slack.messages.clear()
    bench.slack.outcomes["#ops"] = [arrives, loses_the_answer]
    bench.enqueue(alert, Reason.WORSENED)

    bench.run(seconds=1)
    bench.run(seconds=2)

    assert ["worsened"] == bench.slack.received()
    assert "delivered" == bench.states()[-1]


@dying
def test_a_message_of_a_process_that_died_is_found_by_the_next(bench: Bench) -> None:
    alert = bench.open()
    bench.run()
    bench.slack.messages.clear()
    bench.slack.outcomes["#ops"] = [arrives, killed_after]
    bench.enqueue(alert, Reason.WORSENED)
    bench.run(seconds=1)
    bench.restart()

    bench.run()

    assert ["worsened"] == bench.slack.received()


def test_a_failing_edit_delays_no_reply(bench: Bench) -> None:
    alert = bench.open()
    bench.run()
    bench.slack.outcomes["#ops"] = [fails(ChannelErrorKind.RATE_LIMITED)]
    bench.enqueue(alert, Reason.WORSENED)

    bench.run(seconds=1)

    assert ["opened", "> worsened"] == bench.slack.received()


def test_the_living_message_is_edited_once_to_the_latest_state(bench: Bench) -> None:
    alert = bench.open()
    bench.run()
    bench.edit(alert, acknowledged_by="ada")
    latest = bench.edit(alert, acknowledged_by="ada", severity=Severity.WARNING)

    bench.run(seconds=1)

    assert ["opened"] == bench.slack.received()
    assert [latest] == bench.slack.messages[0].edits


def test_a_message_that_always_fails_does_not_block_its_destination(bench: Bench) -> None:
    poisoned = [bench.open(), bench.open()]
    bench.slack.refuse = {f"{alert}": ChannelErrorKind.SERVER for alert in poisoned}
    bench.run()

    bench.open()
    bench.run(seconds=1)
    bench.run(seconds=1)

    assert ["opened"] == bench.slack.received()


def test_an_outcome_that_could_not_be_saved_is_saved_later(bench: Bench) -> None:
    bench.open()
    broken = BrokenDatabase(bench.database)
    bench.deliver = bench.worker(broken)
    bench.slack.outcomes["#ops"] = [broken.breaks]

    report = bench.run()
    assert {"the disk is full"} == set(report.faults)
    broken.is_broken = False
    bench.run(seconds=1)

    assert (["opened"], ["delivered"]) == (bench.slack.received(), bench.states())
    assert 1 == len(bench.slack.requests)


def test_a_broken_database_is_reported_in_one_line(bench: Bench) -> None:
    bench.open()
    broken = BrokenDatabase(bench.database)
    broken.is_broken = True
    bench.deliver = bench.worker(broken)

    assert {"the disk is full"} == set(bench.run().faults)


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_jumps_delays_nothing_and_repeats_nothing(bench: Bench, hours: int) -> None:
    bench.slack.outcomes["#ops"] = [loses_the_answer]
    bench.open()
    bench.run()
    bench.clock.pass_by(hours=hours)
    bench.open()

    bench.run(seconds=1)
    bench.run(seconds=5)

    assert ["opened", "opened"] == bench.slack.received()


def test_an_exception_in_a_channel_neither_loses_the_message_nor_stops_the_queue(bench: Bench) -> None:
    def raises(channel: FakeChannel, outgoing: OutgoingMessage) -> MessageRef | ChannelError:
        raise KeyError("secret")

    bench.slack.outcomes["#ops"] = [raises]
    bench.open()
    bench.open()

    report = bench.run()
    assert ["opened"] == bench.slack.received()
    assert "unexpected error: KeyError" == report.attempts[0].message
    bench.run(seconds=1)

    assert ["opened", "opened"] == bench.slack.received()

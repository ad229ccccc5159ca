"""A failure that only a person can fix is reported through the other channel, and shown until it is fixed."""

import time
from datetime import timedelta

import pytest

from balancebot.domain.delivery import GIVE_UP_ATTEMPTS
from balancebot.domain.message import MessageRef, OutgoingMessage
from balancebot.domain.sentence import verbatim
from balancebot.ports import ChannelError, ChannelErrorKind
from balancebot.store import channel_failures
from balancebot.store.database import Database
from tests.outbox_bench import (
    MAIL,
    MARKETING,
    OPS,
    Bench,
    FakeChannel,
    fails,
)
from tests.patience import PATIENCE


def standing(bench: Bench) -> list[tuple[str, str, str]]:
    with bench.database.read() as conn:
        return [
            (failure.channel, failure.destination, str(failure.message))
            for failure in channel_failures.current(conn)
        ]


@pytest.mark.parametrize(
    "kind", [ChannelErrorKind.AUTH, ChannelErrorKind.NO_SUCH_DESTINATION, ChannelErrorKind.REJECTED]
)
def test_a_failure_is_reported_once_through_the_other_channel_until_it_is_fixed(
    bench: Bench, kind: ChannelErrorKind
) -> None:
    bench.slack.outcomes["#ops"] = [fails(kind)] * 3
    bench.open()

    for _ in range(10):
        bench.run(seconds=1)
        if not bench.slack.received():
            assert [("slack", "#ops", kind.value)] == standing(bench)

    assert ["ChannelFailureMessage"] == bench.mail.received("finance@example.com")
    assert ["opened"] == bench.slack.received()
    assert [] == standing(bench)


def test_the_next_failure_is_reported_again(bench: Bench) -> None:
    for _ in range(2):
        bench.slack.outcomes["#ops"] = [fails(ChannelErrorKind.AUTH)]
        bench.open()
        bench.run(seconds=1)
        bench.run(seconds=5)

    assert ["ChannelFailureMessage"] * 2 == bench.mail.received("finance@example.com")


def test_a_failure_that_is_over_before_it_could_be_reported_is_not_reported(bench: Bench) -> None:
    bench.slack.outcomes["#ops"] = [fails(ChannelErrorKind.AUTH)]
    bench.mail.outcomes["finance@example.com"] = [fails(ChannelErrorKind.UNREACHABLE)] * 6
    bench.open()

    for _ in range(60):
        bench.run(seconds=1)

    assert ["opened"] == bench.slack.received()
    assert [] == bench.mail.received("finance@example.com")


def test_a_recipient_that_is_refused_is_reported_in_slack(bench: Bench) -> None:
    bench.mail.outcomes["finance@example.com"] = [fails(ChannelErrorKind.NO_SUCH_DESTINATION)]
    bench.open([MAIL])

    bench.run()

    assert ["ChannelFailureMessage"] == bench.slack.received()


def test_a_delivery_that_was_given_up_is_reported_and_stays_recorded(bench: Bench) -> None:
    bench.slack.outcomes["#ops"] = [fails(ChannelErrorKind.SERVER)] * 1000
    bench.open()

    for _ in range(GIVE_UP_ATTEMPTS + 1):
        bench.run(minutes=30)

    assert ["gave_up", "delivered"] == bench.states()
    assert ["ChannelFailureMessage"] == bench.mail.received("finance@example.com")
    assert [("slack", "#ops", "server")] == standing(bench)


def test_deliveries_of_a_removed_channel_are_given_up(database: Database) -> None:
    bench = Bench(database, channels=["email"])
    bench.open([OPS, MAIL])

    report = bench.run()

    assert (["gave_up", "delivered"], 0) == (sorted(bench.states(), reverse=True), report.num_pending)
    assert ("slack is no longer configured: what waits for #ops is given up",) == report.faults


def answers_with_text_that_cannot_be_stored(
    channel: FakeChannel, outgoing: OutgoingMessage
) -> MessageRef | ChannelError:
    channel.put(outgoing)
    return MessageRef(channel_id="C1\ud800", message_id="\ud800")


def test_an_outcome_that_cannot_be_stored_stops_no_other_destination_and_is_in_doubt(bench: Bench) -> None:
    bench.slack.outcomes["#ops"] = [answers_with_text_that_cannot_be_stored]
    bench.open([OPS, MAIL])

    bench.run(seconds=1)
    bench.open([MARKETING, MAIL])
    for _ in range(5):
        bench.run(seconds=5)

    assert ["opened"] == bench.slack.received()
    assert ["opened"] == bench.slack.received("#marketing")
    assert ["opened", "opened"] == bench.mail.received("finance@example.com")


@pytest.mark.parametrize("words", ["no\0w busy", "\ud800", "\x1b[31mred\x07"])
def test_text_from_outside_in_an_error_is_cleaned_before_it_is_stored_and_shown(
    bench: Bench, words: str
) -> None:
    def outcome(channel: FakeChannel, outgoing: OutgoingMessage) -> MessageRef | ChannelError:
        return ChannelError(kind=ChannelErrorKind.AUTH, message=verbatim(f"450 {words}"))

    bench.slack.outcomes["#ops"] = [outcome]
    bench.open([OPS, MAIL])
    bench.run(seconds=1)

    ((_, _, message),) = standing(bench)
    assert message.isprintable()
    assert "opened" in bench.mail.received("finance@example.com")


def test_an_unreasonable_retry_after_is_limited_and_reported_through_the_other_channel(bench: Bench) -> None:
    bench.slack.outcomes["#ops"] = [fails(ChannelErrorKind.RATE_LIMITED, timedelta(days=100))]
    bench.open()

    bench.run(seconds=1)
    bench.run(seconds=1)
    assert ["ChannelFailureMessage"] == bench.mail.received("finance@example.com")
    assert [] == bench.slack.received()

    bench.run(minutes=15)
    assert (["opened"], []) == (bench.slack.received(), standing(bench))


def test_a_refused_edit_is_given_up_and_is_no_failure_of_the_channel(bench: Bench) -> None:
    alert = bench.open()
    bench.run()
    bench.edit(alert)
    bench.slack.outcomes["#ops"] = [fails(ChannelErrorKind.REJECTED)]

    bench.run(seconds=1)

    assert (["opened"], [], []) == (
        bench.slack.received(),
        bench.mail.received("finance@example.com"),
        standing(bench),
    )
    assert ["delivered", "gave_up"] == bench.states()


def test_a_refusal_is_reported_in_the_same_run_even_if_the_other_channel_had_finished(bench: Bench) -> None:
    def refuses_late(channel: FakeChannel, outgoing: OutgoingMessage) -> MessageRef | ChannelError:
        deadline = time.monotonic() + PATIENCE
        while not bench.mail.received("finance@example.com") and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        return ChannelError(kind=ChannelErrorKind.AUTH, message=verbatim("token_revoked"))

    bench.slack.outcomes["#ops"] = [refuses_late]
    bench.open([OPS, MAIL])

    bench.run(seconds=1)

    assert ["opened", "ChannelFailureMessage"] == bench.mail.received("finance@example.com")

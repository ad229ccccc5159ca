"""Many openings at the same time are one living message."""

from dataclasses import replace

from balancebot.domain.alert import Reason
from balancebot.domain.message import AlertMessage, GroupMessage, Message
from balancebot.domain.verdict import Severity
from balancebot.ports import ChannelErrorKind
from tests.outbox_bench import (
    MAIL,
    OPS,
    Bench,
    fails,
    loses_the_answer,
)


def opened(bench: Bench, num: int) -> list[int]:
    alerts = [bench.open([OPS, MAIL]) for _ in range(num)]
    bench.run()
    return alerts


def test_more_openings_than_the_limit_are_one_message_for_each_destination(bench: Bench) -> None:
    alerts = opened(bench, 6)

    assert ["GroupMessage"] == bench.slack.received() == bench.mail.received("finance@example.com")
    (message,) = bench.slack.messages
    assert [str(alert) for alert in alerts] == members(message.message)


def test_openings_up_to_the_limit_are_separate_messages(bench: Bench) -> None:
    opened(bench, 5)

    assert ["opened"] * 5 == bench.slack.received()


def test_alerts_that_open_within_a_minute_join_the_group_by_an_edit_and_one_reply(bench: Bench) -> None:
    alerts = opened(bench, 6)
    late = [bench.open([OPS, MAIL]) for _ in range(2)]

    bench.run(seconds=50)

    living, answer = bench.slack.messages
    assert (
        ["GroupMessage", "> GroupMessage"]
        == bench.slack.received()
        == bench.mail.received("finance@example.com")
    )
    assert [str(alert) for alert in alerts + late] == members(living.edits[-1])
    assert tuple(str(alert) for alert in late) == new(answer.message)


def test_alerts_that_open_later_are_separate_messages(bench: Bench) -> None:
    opened(bench, 6)
    bench.open()

    bench.run(seconds=70)

    assert ["GroupMessage", "opened"] == bench.slack.received()


def test_later_messages_of_a_member_edit_the_group_and_reply_below_it(bench: Bench) -> None:
    alerts = opened(bench, 6)
    latest = bench.enqueue(alerts[2], Reason.RECOVERED, [OPS, MAIL], severity=Severity.OK)

    bench.run(minutes=5)

    living, answer = bench.slack.messages
    assert (
        ["GroupMessage", "> recovered"]
        == bench.slack.received()
        == bench.mail.received("finance@example.com")
    )
    assert (latest, living.ref) == (answer.message, answer.below)
    assert latest == members_of(living.edits[-1])[2]


def test_changes_of_two_members_at_the_same_time_are_one_edit(bench: Bench) -> None:
    alerts = opened(bench, 6)
    first = bench.edit(alerts[0], acknowledged_by="ada")
    second = bench.edit(alerts[1], acknowledged_by="ada")

    bench.run(minutes=5)

    (living,) = bench.slack.messages
    assert [[first, second]] == [members_of(edit)[:2] for edit in living.edits]


def test_changes_while_the_group_is_pending_are_in_its_message(bench: Bench) -> None:
    bench.slack.outcomes["#ops"] = [fails(ChannelErrorKind.UNREACHABLE)]
    alerts = opened(bench, 6)
    recovered = bench.enqueue(alerts[0], Reason.RECOVERED, severity=Severity.OK)
    late = bench.open()

    bench.run(seconds=10)

    (message,) = bench.slack.messages
    assert [str(alert) for alert in (*alerts, late)] == members(message.message)
    assert replace(recovered, opening_undelivered=True) == members_of(message.message)[0]


def test_a_group_in_doubt_is_sent_once(bench: Bench) -> None:
    bench.slack.outcomes["#ops"] = [loses_the_answer]
    opened(bench, 6)
    bench.open()

    bench.run(seconds=5)

    assert ["GroupMessage", "> GroupMessage"] == bench.slack.received()


def test_a_member_whose_group_message_was_deleted_is_posted_separately(bench: Bench) -> None:
    alerts = opened(bench, 6)
    bench.slack.messages.clear()
    bench.enqueue(alerts[0], Reason.RECOVERED)

    bench.run(minutes=5)

    assert ["recovered"] == bench.slack.received()


def test_two_members_whose_group_message_was_deleted_get_a_message_each(bench: Bench) -> None:
    alerts = opened(bench, 6)
    bench.slack.messages.clear()
    bench.enqueue(alerts[0], Reason.WORSENED)
    bench.enqueue(alerts[1], Reason.RECOVERED)

    bench.run(minutes=5)

    assert ["worsened", "recovered"] == bench.slack.received()


def test_a_member_that_joins_a_group_whose_message_was_deleted_posts_the_group_again(
    bench: Bench,
) -> None:
    alerts = opened(bench, 6)
    bench.slack.messages.clear()
    late = bench.open()

    bench.run(seconds=50)

    (message,) = bench.slack.messages
    assert (None, [str(alert) for alert in (*alerts, late)]) == (message.below, members(message.message))


def members_of(message: Message) -> list[AlertMessage]:
    assert isinstance(message, GroupMessage)
    return list(message.members)


def members(message: Message) -> list[str]:
    return [member.alert_id for member in members_of(message)]


def new(message: Message) -> tuple[str, ...]:
    assert isinstance(message, GroupMessage)
    return message.new

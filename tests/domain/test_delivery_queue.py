"""What is sent next to one destination, out of all pending deliveries."""

from datetime import UTC, datetime, timedelta

import pytest

from balancebot.domain.alert import Reason
from balancebot.domain.delivery import (
    DeliveryMethod,
    MessagePlace,
    QueuedDelivery,
    QueuePlan,
    plan_queue,
    to_gather,
)
from balancebot.domain.message import Action

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LATER = NOON + timedelta(seconds=30)
UNHEARD = MessagePlace(exists=False, notified=False)
STANDS = MessagePlace(exists=True, notified=True)
POST, REPLY, EDIT = Action.POST, Action.REPLY, Action.EDIT


def waits(
    name: str,
    action: Action,
    alert_id: int | None = 1,
    *,
    group_id: str | None = None,
    in_doubt: bool = False,
    rate_limited: bool = False,
    at: datetime = NOON,
    reason: Reason | None = None,
) -> QueuedDelivery:
    """A delivery whose name begins with its place in the order of decisions."""
    return QueuedDelivery(
        id=name,
        order=int(name[0]),
        action=action,
        alert_id=alert_id,
        group_id=group_id,
        reason=Reason.OPENED if action is POST else reason,
        in_doubt=in_doubt,
        rate_limited=rate_limited,
        next_attempt_at=at,
        touched_at=NOON,
    )


def planned(
    *waiting: QueuedDelivery, place: MessagePlace = UNHEARD, group: MessagePlace | None = None
) -> QueuePlan:
    """The plan when every alert's message is at `place`, and that of the group g at `group`."""
    places = {delivery.alert_id: place for delivery in waiting if delivery.alert_id is not None}
    return plan_queue(waiting, places, {} if group is None else {"g": group}, now=NOON)


def sends(plan: QueuePlan) -> list[tuple[Action, str, list[str]]]:
    return [(send.action, send.carrier.id, [delivery.id for delivery in send.carries]) for send in plan.sends]


def test_all_messages_waiting_for_an_unnotified_alert_become_one_new_message() -> None:
    result = planned(waits("1", POST), waits("2", REPLY), waits("2e", EDIT), waits("3e", EDIT))

    assert [(POST, "2", ["1", "2", "2e", "3e"])] == sends(result)


def test_a_change_of_an_existing_message_is_one_edit_and_one_reply() -> None:
    result = planned(waits("1", REPLY), waits("1e", EDIT), waits("2", REPLY), waits("2e", EDIT), place=STANDS)

    assert [(EDIT, "2e", ["1e", "2e"]), (REPLY, "2", ["1", "2"])] == sends(result)


def test_an_opening_or_worsening_overtakes_recoveries_reminders_and_edits_of_other_alerts() -> None:
    result = planned(
        waits("1", REPLY, 1, reason=Reason.RECOVERED),
        waits("2", REPLY, 2, reason=Reason.REMINDER),
        waits("3e", EDIT, 3),
        waits("4", REPLY, 4, reason=Reason.WORSENED),
        waits("5", REPLY, 5, reason=Reason.RECOVERED),
        place=STANDS,
    )

    assert ["4", "1", "2", "5", "3e"] == [carrier for _, carrier, _ in sends(result)]


def test_two_alerts_are_two_messages() -> None:
    assert [(POST, "1", ["1"]), (POST, "2", ["2"])] == sends(planned(waits("1", POST), waits("2", POST, 2)))


def test_messages_of_no_alert_are_never_merged() -> None:
    result = planned(waits("1", POST, None), waits("2", POST, None))

    assert [(POST, "1", ["1"]), (POST, "2", ["2"])] == sends(result)


def test_a_message_in_doubt_is_searched_for_before_other_deliveries_of_its_alert() -> None:
    doubted = waits("1", POST, in_doubt=True)

    result = planned(doubted, waits("2", REPLY), waits("2e", EDIT), waits("3", POST, 2))

    assert ((doubted,), [(POST, "3", ["3"])]) == (result.searches, sends(result))


def test_an_answer_in_doubt_delays_messages_but_not_edits_of_its_alert() -> None:
    doubted = waits("1", REPLY, in_doubt=True)

    result = planned(doubted, waits("1e", EDIT), waits("2", REPLY), place=STANDS)

    assert ((doubted,), [(EDIT, "1e", ["1e"])]) == (result.searches, sends(result))


def test_an_edit_without_a_message_is_obsolete() -> None:
    edit = waits("1e", EDIT)

    assert (edit,) == planned(edit).obsolete


def test_a_change_of_a_deleted_message_is_posted_again() -> None:
    gone = MessagePlace(exists=False, notified=True)

    assert [(POST, "1", ["1", "1e"])] == sends(planned(waits("1", REPLY), waits("1e", EDIT), place=gone))


class TestOfAGroup:
    """Its living message is posted, replied to and edited for all members."""

    member = MessagePlace(exists=False, notified=False, group_id="g")

    def test_changes_of_a_member_are_included_in_the_pending_group_message(self) -> None:
        result = planned(
            waits("1", POST, None, group_id="g"),
            waits("2", REPLY),
            waits("2e", EDIT),
            place=self.member,
            group=UNHEARD,
        )

        assert [(POST, "1", ["1", "2", "2e"])] == sends(result)

    def test_each_member_has_its_own_reply_and_all_share_one_edit(self) -> None:
        result = planned(
            waits("1", REPLY, 1),
            waits("1e", EDIT, 1),
            waits("2", REPLY, 2),
            waits("2e", EDIT, 2),
            waits("3", REPLY, None, group_id="g"),
            place=MessagePlace(exists=False, notified=True, group_id="g"),
            group=STANDS,
        )

        assert [
            (EDIT, "2e", ["1e", "2e"]),
            (REPLY, "1", ["1"]),
            (REPLY, "2", ["2"]),
            (REPLY, "3", ["3"]),
        ] == sends(result)

    def test_a_message_of_a_member_not_sent_yet_is_sent_with_it(self) -> None:
        result = planned(
            waits("1", REPLY, None, group_id="g"), waits("2", REPLY, 2), place=self.member, group=STANDS
        )

        assert [(REPLY, "1", ["1", "2"])] == sends(result)

    def test_members_not_sent_yet_have_their_own_replies_if_the_group_itself_has_none(self) -> None:
        result = planned(waits("1", REPLY, 1), waits("2", REPLY, 2), place=self.member, group=STANDS)

        assert [(REPLY, "1", ["1"]), (REPLY, "2", ["2"])] == sends(result)

    def test_a_member_whose_group_message_was_deleted_gets_a_separate_message(self) -> None:
        gone = MessagePlace(exists=False, notified=True)

        assert [(POST, "1", ["1"])] == sends(planned(waits("1", REPLY), place=self.member, group=gone))


@pytest.mark.parametrize(
    ("gathered", "num_openings", "open_group"),
    [(False, 5, None), (True, 6, None), (True, 1, "g"), (False, 0, "g")],
)
def test_openings_are_grouped_when_they_are_too_many_or_a_group_is_open(
    gathered: bool, num_openings: int, open_group: str | None
) -> None:
    firsts = planned(*(waits(f"{number}", POST, number) for number in range(num_openings)))

    result = to_gather(firsts.sends, open_group=open_group, group_over=5, has_threads=True)

    assert (firsts.sends if gathered else ()) == result


def test_only_first_messages_of_alerts_are_grouped() -> None:
    answers = planned(*(waits(f"{number}", REPLY, number) for number in range(9)), place=STANDS)
    digests = planned(*(waits(f"{number}", POST, None) for number in range(9)))
    later = planned(
        *(waits(f"{number}", REPLY, number) for number in range(9)),
        place=MessagePlace(exists=False, notified=True),
    )

    sent = [*answers.sends, *digests.sends, *later.sends]
    assert () == to_gather(sent, open_group=None, group_over=5, has_threads=True)


def test_without_threads_later_messages_are_also_grouped_when_they_are_too_many() -> None:
    later = planned(
        *(waits(f"{number}", REPLY, number) for number in range(6)),
        place=MessagePlace(exists=False, notified=True),
    )

    assert later.sends == to_gather(later.sends, open_group=None, group_over=5, has_threads=False)
    assert () == to_gather(later.sends[:5], open_group="g", group_over=5, has_threads=False)


def test_a_rate_limit_on_sending_pauses_messages_but_not_edits() -> None:
    limited = waits("1", REPLY, 1, rate_limited=True, at=LATER)

    result = planned(limited, waits("2", REPLY, 2), waits("2e", EDIT, 2), place=STANDS)

    assert frozenset({DeliveryMethod.SEND}) == result.paused
    assert ["2e"] == [step.carrier.id for step in result.ready(NOON) if not isinstance(step, QueuedDelivery)]


def test_a_message_does_not_wait_for_one_that_failed_before_it() -> None:
    failed = waits("1", REPLY, at=LATER)

    result = planned(failed, waits("2", REPLY), place=STANDS)

    assert result.sends == result.ready(NOON)


def test_messages_are_sent_before_edits_and_those_that_waited_longest_before_those_that_just_failed() -> None:
    result = planned(
        waits("1", REPLY, 1, at=LATER),
        waits("1e", EDIT, 1),
        waits("2", REPLY, 2),
        waits("0e", EDIT, 3),
        place=STANDS,
    )

    assert ["2", "1e", "1", "0e"] == [send.carrier.id for send in result.sends]

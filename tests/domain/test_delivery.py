"""When a delivery is tried again, given up, or searched for again."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from balancebot.domain.delivery import (
    GIVE_UP_AFTER,
    GIVE_UP_ATTEMPTS,
    duplicates,
    is_due,
    is_hopeless,
    next_verification,
    repeat_delay,
    retry_delay,
)
from balancebot.domain.message import MessageRef

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def _attempts(until: timedelta) -> list[timedelta]:
    """The ages at which a delivery that always fails is tried, when each attempt lasts 10 seconds."""
    ages, age = [], timedelta(0)
    while age < until:
        ages.append(age)
        failed_at = age + timedelta(seconds=10)
        age = failed_at + retry_delay(len(ages), failed_at)
    return ages


def test_two_attempts_are_at_most_30_seconds_apart_in_the_first_minutes() -> None:
    first_minutes = _attempts(timedelta(minutes=10))

    assert timedelta(seconds=30) > max(later - earlier for earlier, later in pairwise(first_minutes))


def test_the_first_failure_is_retried_immediately_and_a_long_outage_costs_few_attempts() -> None:
    assert timedelta(seconds=1) == retry_delay(1, timedelta(0))
    assert timedelta(minutes=5) == retry_delay(200, timedelta(hours=5))


def test_a_delivery_in_doubt_is_repeated_at_growing_intervals() -> None:
    waits = [repeat_delay(doubts) for doubts in range(2, 8)]
    assert [25, 300, 900, 3600, 3600, 3600] == [wait.total_seconds() for wait in waits]


@pytest.mark.parametrize(
    ("hopeless", "attempts", "age"),
    [
        (True, GIVE_UP_ATTEMPTS, GIVE_UP_AFTER),
        (False, GIVE_UP_ATTEMPTS, GIVE_UP_AFTER - timedelta(seconds=1)),
        (False, GIVE_UP_ATTEMPTS - 1, timedelta(days=7)),
    ],
)
def test_a_delivery_is_given_up_after_enough_time_and_attempts(
    hopeless: bool, attempts: int, age: timedelta
) -> None:
    assert hopeless == is_hopeless(attempts, age)


def test_an_outage_of_a_day_is_tried_often_enough_to_be_given_up() -> None:
    assert GIVE_UP_ATTEMPTS < len(_attempts(GIVE_UP_AFTER))


@pytest.mark.parametrize(
    ("due", "next_attempt_at", "touched_at"),
    [
        (True, NOON, NOON),
        (False, NOON + timedelta(seconds=1), NOON),
        (False, NOON + timedelta(seconds=1), NOON + timedelta(seconds=50)),
        (True, NOON + timedelta(hours=1), NOON + timedelta(hours=1)),
    ],
    ids=["now", "later", "another machine's clock is a little ahead", "our clock was set back"],
)
def test_a_delivery_is_due_at_its_time_and_after_the_clock_was_set_back(
    due: bool, next_attempt_at: datetime, touched_at: datetime
) -> None:
    assert due == is_due(next_attempt_at, touched_at, NOON)


def test_a_delivery_that_was_in_doubt_is_searched_for_again_after_one_and_ten_minutes() -> None:
    seen = []
    upcoming = next_verification(NOON, NOON)
    while upcoming is not None:
        seen.append(upcoming - NOON)
        upcoming = next_verification(NOON, upcoming)

    assert [timedelta(minutes=1), timedelta(minutes=10)] == seen


FIRST, SECOND = MessageRef(channel_id="C1", message_id="1.0"), MessageRef(channel_id="C1", message_id="2.0")


@pytest.mark.parametrize(
    ("standing_twice", "delivered_ref"),
    [([SECOND], "1.0"), ([FIRST], "2.0"), ([SECOND], "gone"), ([FIRST, SECOND], None)],
    ids=["the first is known", "the second is known", "the known one is gone", "another message contains it"],
)
def test_of_two_copies_of_a_message_the_known_one_is_kept(
    standing_twice: list[MessageRef], delivered_ref: str | None
) -> None:
    assert standing_twice == list(duplicates([FIRST, SECOND], delivered_ref))

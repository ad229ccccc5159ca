"""Pending messages of one alert are merged into one message with the latest state."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from balancebot.domain.alert import Reason
from balancebot.domain.message import (
    NOTHING_MUTED,
    Action,
    AlertMessage,
    GroupMessage,
    MutedCounts,
    OutgoingMessage,
    SpikeMeasurement,
    merged,
    with_members,
)
from balancebot.domain.routing import Destination
from balancebot.domain.threshold import LimitColumn
from balancebot.domain.verdict import Severity
from tests.messages import alert_message, changed

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
OPENED, WORSENED, REMINDER, RECOVERED = Reason.OPENED, Reason.WORSENED, Reason.REMINDER, Reason.RECOVERED


def _message(reason: Reason | None, minute: int = 0, *, alert_id: str = "17") -> AlertMessage:
    return alert_message(
        NOON,
        id=int(alert_id),
        reason=reason,
        at=NOON + timedelta(minutes=minute),
        reading=100 - minute,
        previous_peak=Severity.WARNING if reason is WORSENED else None,
    )


@pytest.mark.parametrize(
    ("merged_reason", "pending"),
    [
        (OPENED, [OPENED, WORSENED]),
        (OPENED, [OPENED, REMINDER]),
        (OPENED, [OPENED, None]),
        (RECOVERED, [OPENED, WORSENED, RECOVERED]),
        (WORSENED, [WORSENED, REMINDER]),
        (WORSENED, [REMINDER, WORSENED]),
        (REMINDER, [REMINDER, REMINDER]),
        (RECOVERED, [WORSENED, RECOVERED]),
        (RECOVERED, [REMINDER, RECOVERED]),
    ],
)
def test_merged_messages_have_one_reason_and_the_latest_measurement(
    merged_reason: Reason, pending: list[Reason | None]
) -> None:
    message = merged([_message(reason, minute) for minute, reason in enumerate(pending)], delivered=True)

    latest = len(pending) - 1
    assert (merged_reason, 100 - latest, NOON + timedelta(minutes=latest)) == (
        message.reason,
        message.measurement.reading,
        message.at,
    )


@pytest.mark.parametrize("reason", [None, *Reason])
def test_a_single_pending_message_is_sent_unchanged(reason: Reason | None) -> None:
    assert _message(reason) == merged([_message(reason)], delivered=True)


def test_two_merged_worsenings_start_from_the_first_severity() -> None:
    first = replace(_message(WORSENED, 0), previous_peak=Severity.WARNING)
    second = changed(_message(WORSENED, 1), previous_peak=Severity.CRITICAL, severity=Severity.DEPLETED)

    assert replace(second, previous_peak=Severity.WARNING) == merged([first, second], delivered=True)


def test_an_opening_and_a_recovery_are_merged_into_both() -> None:
    pending = [_message(OPENED, 0), _message(RECOVERED, 1)]

    assert replace(_message(RECOVERED, 1), opening_undelivered=True) == merged(pending, delivered=False)


def test_a_group_shows_the_latest_state_of_each_member_and_new_members_at_the_end() -> None:
    group = GroupMessage(
        group_id="g",
        at=NOON,
        members=(_message(OPENED, alert_id="1"), _message(OPENED, alert_id="2")),
        new=("2",),
    )
    recovered, third = _message(RECOVERED, 1, alert_id="1"), _message(OPENED, 1, alert_id="3")

    later = NOON + timedelta(minutes=2)
    assert GroupMessage(
        group_id="g", at=later, members=(recovered, _message(OPENED, alert_id="2"), third)
    ) == with_members(group, [third, recovered], later)


@pytest.mark.parametrize(
    ("reason", "severity", "expected"),
    [
        (OPENED, Severity.WARNING, ("U1A",)),
        (WORSENED, Severity.CRITICAL, ("U1A",)),
        (REMINDER, Severity.CRITICAL, ("U1A",)),
        (REMINDER, Severity.WARNING, ()),
        (None, Severity.CRITICAL, ()),
    ],
)
def test_openings_worsenings_and_reminders_of_critical_alerts_mention_people(
    reason: Reason | None, severity: Severity, expected: tuple[str, ...]
) -> None:
    message = changed(_message(reason), severity=severity, route_mentions=("U1A",))
    sent = OutgoingMessage(
        delivery_id="d",
        alert_id="17",
        action=Action.POST,
        destination=Destination("slack", "#ops"),
        message=message,
        created_at=NOON,
    )
    assert expected == sent.mentions
    assert () == replace(sent, action=Action.EDIT).mentions


@pytest.mark.parametrize("reason", [RECOVERED, Reason.CLOSED])
def test_nobody_is_mentioned_at_the_end_of_an_alert(reason: Reason) -> None:
    assert () == changed(_message(reason), closed_at=NOON, route_mentions=("U1A",)).mentions


def test_a_group_mentions_the_people_of_its_new_members_once() -> None:
    members = tuple(
        changed(_message(OPENED, alert_id=alert_id), route_mentions=ids)
        for alert_id, ids in (("1", ("U1A", "here")), ("2", ("U1A", "U2B")))
    )
    group = GroupMessage(group_id="g", at=NOON, members=members)
    assert ("U1A", "here", "U2B") == group.mentions
    assert ("U1A", "U2B") == replace(group, new=("2",)).mentions


@pytest.mark.parametrize(
    ("messages", "balance", "lasts"), [(600, 1200, 2), (600, 0, 0), (0, 1200, None), (1, 8761, None)]
)
def test_a_balance_lasts_as_long_as_it_does_at_the_rate_of_the_spike(
    messages: int, balance: int, lasts: int | None
) -> None:
    until = NOON + timedelta(hours=1)
    spike = SpikeMeasurement(messages=messages, expected=1.0, since=NOON, until=until)

    assert spike.lasts(balance) == (None if lasts is None else timedelta(hours=lasts))


@pytest.mark.parametrize(
    ("recovering", "short_of", "closed_at"),
    [
        (True, ((LimitColumn.WARNING_BELOW, 20.0),), None),
        (False, (), None),
        (False, ((LimitColumn.WARNING_BELOW, 20.0),), NOON),
    ],
)
def test_an_open_alert_is_recovering_while_only_the_margin_is_missing(
    recovering: bool, short_of: tuple[tuple[LimitColumn, float], ...], closed_at: datetime | None
) -> None:
    assert recovering == changed(_message(OPENED), short_of=short_of, closed_at=closed_at).is_recovering


@pytest.mark.parametrize("cause", ["silenced", "acknowledged", "grouped", "waiting", "flapping"])
def test_an_alert_is_muted_by_any_of_these(cause: str) -> None:
    assert MutedCounts(**{cause: 1}).any


def test_counts_of_messages_that_were_not_sent_do_not_mute_anything() -> None:
    assert not NOTHING_MUTED.any
    assert not MutedCounts(spared_by_grouping=5, spared_by_flapping=5).any


@pytest.mark.parametrize(
    ("messages", "balance", "lasts"),
    [
        (100, 600, timedelta(minutes=30)),
        (100, 0, timedelta()),
        (0, 600, None),
        (-5, 600, None),
        (1, 106_000, None),  # more than a year
    ],
)
def test_a_balance_lasts_at_the_rate_of_a_spike(messages: int, balance: int, lasts: timedelta | None) -> None:
    since = datetime(2026, 11, 23, 12, tzinfo=UTC)
    spike = SpikeMeasurement(messages=messages, expected=1.0, since=since, until=since + timedelta(minutes=5))
    assert lasts == spike.lasts(balance)

"""What waited together is told as one message: the latest truth, once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from balancebot.domain.alert import AlertKind, Reason
from balancebot.domain.balance import WalletName
from balancebot.domain.message import AlertMessage, GroupMessage, merged, with_members
from balancebot.domain.verdict import Severity

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
OPENED, WORSENED, REMINDER, RECOVERED = Reason.OPENED, Reason.WORSENED, Reason.REMINDER, Reason.RECOVERED


def _facts(reason: Reason | None, minute: int = 0, *, alert_id: str = "17") -> AlertMessage:
    return AlertMessage(
        alert_id=alert_id,
        kind=AlertKind.LOW_BALANCE,
        wallet=WalletName("acme"),
        category=None,
        severity=Severity.CRITICAL,
        reason=reason,
        at=NOON + timedelta(minutes=minute),
        opened_at=NOON,
        reading=100 - minute,
        previous={WORSENED: Severity.WARNING, RECOVERED: Severity.CRITICAL}.get(reason or OPENED),
    )


@pytest.mark.parametrize(
    ("told_as", "waited"),
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
def test_news_that_waited_together_has_one_reason_and_the_latest_figures(
    told_as: Reason, waited: list[Reason | None]
) -> None:
    one = merged([_facts(reason, minute) for minute, reason in enumerate(waited)], told=True)

    latest = len(waited) - 1
    assert (told_as, 100 - latest, NOON + timedelta(minutes=latest)) == (one.reason, one.reading, one.at)


@pytest.mark.parametrize("reason", [None, *Reason])
def test_news_that_waited_alone_is_told_as_it_was_decided(reason: Reason | None) -> None:
    assert _facts(reason) == merged([_facts(reason)], told=True)


def test_what_worsened_twice_did_so_from_where_it_stood_first() -> None:
    first = replace(_facts(WORSENED, 0), previous=Severity.WARNING)
    second = replace(_facts(WORSENED, 1), previous=Severity.CRITICAL, severity=Severity.DEPLETED)

    assert replace(second, previous=Severity.WARNING) == merged([first, second], told=True)


def test_an_alert_that_opened_and_recovered_unheard_is_told_as_both() -> None:
    waited = [_facts(OPENED, 0), _facts(RECOVERED, 1)]

    assert replace(_facts(RECOVERED, 1), opened_unheard=True) == merged(waited, told=False)


def test_a_member_of_a_group_is_shown_as_it_was_last_and_new_ones_at_the_end() -> None:
    group = GroupMessage(
        group_id="g",
        at=NOON,
        members=(_facts(OPENED, alert_id="1"), _facts(OPENED, alert_id="2")),
        new=("2",),
    )
    recovered, third = _facts(RECOVERED, 1, alert_id="1"), _facts(OPENED, 1, alert_id="3")

    later = NOON + timedelta(minutes=2)
    assert GroupMessage(
        group_id="g", at=later, members=(recovered, _facts(OPENED, alert_id="2"), third)
    ) == with_members(group, [third, recovered], later)

"""Muted alerts are counted by the reason why they are muted."""

from datetime import timedelta

from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import WalletName
from balancebot.domain.message import NOTHING_MUTED, MutedCounts
from balancebot.store import alerts
from tests.patterns import pattern_from
from tests.world import World, industry

ONCALL = Actor(name="oncall (U17)", via=Via.SLACK)
WEBS = [WalletName(f"acme/web-{number}") for number in range(6)]


def counted(day: World) -> MutedCounts:
    with day.database.read() as conn:
        return alerts.muted_counts(conn)


def test_nothing_counts_as_muted_while_every_alert_is_sent(day: World) -> None:
    day.reads(500)

    assert NOTHING_MUTED == counted(day)


def test_silences_and_acknowledgements_are_counted(day: World) -> None:
    day.reads(500)
    day.app.operate_alerts.acknowledge("1", by=ONCALL)
    until = day.clock.now() + timedelta(hours=1)
    day.app.operate_alerts.silence(pattern_from("acme/shop"), until=until, reason="", by=ONCALL)
    day.reads(500)

    assert MutedCounts(silenced=1, acknowledged=1) == counted(day)


def test_a_group_counts_its_alerts_and_the_messages_it_saves(day: World) -> None:
    day.configure(*WEBS)
    for wallet in WEBS:
        day.shows(industry(500), wallet=wallet)
    day.reads(5000)

    # six openings in one message of Slack, and in one mail
    assert MutedCounts(grouped=6, spared_by_grouping=10) == counted(day)


def test_flapping_alerts_are_counted_with_the_messages_that_were_not_sent(day: World) -> None:
    day.reads(*(500, 5000) * 5, 500)

    assert MutedCounts(flapping=1, spared_by_flapping=6) == counted(day)

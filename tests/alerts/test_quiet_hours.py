"""Quiet hours, from readings to the messages in the channels, and a simulated week of them."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from balancebot.config import QuietConfig
from balancebot.domain.alert import Reason
from balancebot.domain.balance import WalletName
from balancebot.domain.message import AlertMessage, Message
from balancebot.domain.quiet_hours import DailyHours, QuietHours, Weekday
from balancebot.domain.verdict import Severity
from tests.world import SHOP, WEB, HandClock, World, industry

BERLIN = ZoneInfo("Europe/Berlin")
QUIET = QuietConfig(
    hours=DailyHours(time(22), time(8)),
    days=frozenset({Weekday.SAT, Weekday.SUN}),
    below=Severity.CRITICAL,
)


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


def a_world(database, at: str, quiet: QuietConfig = QUIET, *names: WalletName) -> World:
    world = World(database, clock=HandClock(local(at)), quiet=quiet, timezone=BERLIN)
    world.configure(*(names or (SHOP,)))
    world.limit(warning_below=1000, critical_below=100, warning_days=-1, critical_days=-1)
    return world


def read(world: World, balance: int, wallet: WalletName = SHOP) -> None:
    world.shows(industry(balance), wallet=wallet)
    world.poll()
    tick(world)


def tick(world: World) -> None:
    world.app.operate_alerts.tick()
    world.deliver()


def test_a_warning_waits_until_quiet_hours_end_and_is_sent_as_opened(database):
    world = a_world(database, "2026-11-24T23:00")
    read(world, 500)
    in_the_night = world.slack.received()

    world.clock.at = local("2026-11-25T07:59:59")
    tick(world)
    a_second_before = world.slack.received()
    world.clock.at = local("2026-11-25T08:00")
    tick(world)

    assert ([], [], ["opened"]) == (in_the_night, a_second_before, world.slack.received())
    world.close()


def test_critical_alerts_are_sent_during_quiet_hours_also_those_that_become_critical(database):
    world = a_world(database, "2026-11-24T23:00", QUIET, SHOP, WEB)
    read(world, 50)
    read(world, 500, WEB)
    read(world, 50, WEB)

    assert ["opened critical acme/shop:industry", "opened critical acme/web:industry"] == world.transitions()
    world.close()


def test_depleted_never_waits_and_critical_waits_if_configured(database):
    world = a_world(database, "2026-11-24T21:00", replace(QUIET, below=Severity.DEPLETED), SHOP, WEB)
    read(world, 500)
    world.clock.at = local("2026-11-24T23:00")
    read(world, 50)
    read(world, 50, WEB)
    assert ["opened warning acme/shop:industry"] == world.transitions()

    read(world, 0, WEB)
    assert "opened depleted acme/web:industry" == world.transitions()[-1]

    world.clock.at = local("2026-11-25T08:00")
    tick(world)
    assert "worsened critical acme/shop:industry" == world.transitions()[-1]
    assert ["opened", "> worsened"] == world.slack.received()[::2]
    world.close()


def test_an_alert_that_opened_and_recovered_during_quiet_hours_is_not_sent(database):
    world = a_world(database, "2026-11-24T23:00")
    read(world, 500)
    read(world, 5000)
    world.clock.at = local("2026-11-25T08:00")
    tick(world)

    assert [] == world.transitions()
    world.close()


def test_a_recovery_from_warning_only_edits_the_message_and_one_from_critical_is_sent(database):
    world = a_world(database, "2026-11-24T21:00", QUIET, SHOP, WEB)
    read(world, 500)
    read(world, 50, WEB)
    world.clock.at = local("2026-11-24T23:00")
    read(world, 5000)
    read(world, 5000, WEB)

    assert ["opened", "opened", "> recovered"] == world.slack.received()
    assert [1, 1] == [len(message.edits) for message in world.slack.messages if message.below is None]
    world.close()


def test_a_reminder_of_a_warning_waits_and_is_sent_once(database):
    world = a_world(database, "2026-11-23T23:30", replace(QUIET, hours=DailyHours(time(23, 45), time(8))))
    read(world, 500)
    for at in ("2026-11-24T23:50", "2026-11-25T03:00", "2026-11-25T08:00", "2026-11-25T08:01"):
        world.clock.at = local(at)
        tick(world)

    assert ["opened", "> reminder"] == world.slack.received()
    assert local("2026-11-25T08:00") == world.slack.messages[-1].at
    world.close()


@pytest.mark.parametrize(("num", "expected"), [(1, ["opened"]), (2, ["GroupMessage"]), (7, ["GroupMessage"])])
def test_alerts_that_waited_are_sent_in_one_message_however_few_they_are(database, num, expected):
    names = [WalletName(f"acme/app-{number}") for number in range(num)]
    world = a_world(database, "2026-11-24T23:00", QUIET, *names)
    for name in names:
        read(world, 500, name)
        world.clock.pass_by(minutes=30)
    world.clock.at = local("2026-11-25T08:00")
    tick(world)

    assert expected == world.slack.received() == world.mail.received("finance@example.com")
    world.close()


@pytest.mark.parametrize(
    "database_url", ["sqlite"], indirect=True
)  # the difference between the databases plays no role here
def test_a_week_of_quiet_hours_with_a_restart_every_night(database):
    """Three balances that change every ten hours: seven nights, a weekend, and the end of summer time within it."""
    names = [WalletName(f"acme/app-{number}") for number in range(3)]
    world = a_world(database, "2026-10-19T10:00", QUIET, *names)
    balances = [500, 5000, 50, 5000, 500, 50, 5000]
    at = datetime(
        2026, 10, 19, 10, tzinfo=BERLIN
    )  # in local time, so that a step of two hours is two hours on the wall clock
    for hour in range(0, 7 * 24 + 6, 2):
        world.clock.at = at.astimezone(UTC)
        for offset, name in enumerate(names):
            world.shows(industry(balances[(hour // 10 + 3 * offset) % len(balances)]), wallet=name)
        world.poll()
        if at.hour == 0:
            world.close()
            world.app = world.another_app(quiet=QUIET, timezone=BERLIN)
        tick(world)
        at += timedelta(hours=2)

    all_messages: list[Message] = [*world.messages()]
    messages = [message for message in all_messages if isinstance(message, AlertMessage)]
    in_quiet = [message for message in messages if _is_quiet(message.at) and message.is_open]
    assert {Severity.CRITICAL} == {message.alert.severity for message in in_quiet}
    openings = Counter(message.alert_id for message in messages if message.reason is Reason.OPENED)
    assert {1} == set(openings.values())
    assert {message.alert_id for message in messages} == set(openings)
    waited = {
        message.at
        for message in messages
        if message.reason is Reason.OPENED
        and message.alert.severity is Severity.WARNING
        and message.alert.opened_at != message.at
    }
    assert local("2026-10-21T08:00") in waited
    assert waited <= {local(f"2026-10-{day}T08:00") for day in (20, 21, 22, 23, 26)}
    world.close()


def _is_quiet(at: datetime) -> bool:
    """Judge by local time: the hour that occurs twice is ambiguous, but lies within the quiet hours."""
    here = at.astimezone(BERLIN)
    return here.weekday() >= 5 or here.hour >= 22 or here.hour < 8


def test_quiet_hours_follow_local_time_around_both_clock_changes() -> None:
    """`_is_quiet` agrees with `QuietHours` at every quarter of an hour around both clock changes."""
    ranges = [(local("2026-10-23T12:00"), 5), (local("2027-03-26T12:00"), 5)]
    quiet = QuietHours(hours=QUIET.hours, days=QUIET.days, below=QUIET.below, zone=BERLIN)
    for begin, days in ranges:
        instants = [begin + timedelta(minutes=15 * number) for number in range(days * 96)]
        assert [_is_quiet(at) for at in instants] == [quiet.at(at) is not None for at in instants]
        ends = [now.until for at in instants if (now := quiet.at(at)) is not None]
        assert all(earlier <= later for earlier, later in pairwise(ends))

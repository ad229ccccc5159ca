"""A silence lasts at most 30 days; one that mutes much is announced when it starts and every week."""

from datetime import timedelta

import pytest

from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import WalletName
from balancebot.domain.message import SilenceMessage
from balancebot.domain.silence import Silence
from balancebot.store import silences
from tests.patterns import pattern_from
from tests.world import SHOP, World, industry

ANN = Actor(name="ann", via=Via.CLI)


@pytest.fixture
def world(database) -> World:
    world = World(database)
    world.configure(SHOP)
    world.limit(warning_below=1000, critical_below=100, warning_days=-1, critical_days=-1)
    return world


def silence(world: World, text: str, **length: float) -> Silence:
    until = world.clock.now() + timedelta(**length)
    return world.app.operate_alerts.silence(pattern_from(text), until=until, reason="moving", by=ANN)


def announced(world: World) -> list[SilenceMessage]:
    world.app.operate_alerts.tick()
    world.deliver()
    return [sent.message for sent in world.slack.messages if isinstance(sent.message, SilenceMessage)]


def test_a_silence_lasts_at_most_thirty_days(world):
    created = silence(world, "acme/shop", days=36_500)

    assert world.clock.now() + timedelta(days=30) == created.until
    with world.database.read() as conn:
        assert [created.until] == [active.until for active in silences.active(conn, world.clock.now())]


def test_a_silence_of_one_wallet_without_alerts_is_not_announced(world):
    silence(world, "acme/shop", hours=4)
    assert [] == announced(world)
    world.close()


def test_a_silence_of_everything_is_announced_in_the_default_destinations_and_again_every_week(world):
    silence(world, "*", days=15)
    assert [False] == [message.is_repeated for message in announced(world)]
    world.clock.pass_by(days=6)
    assert 1 == len(announced(world))
    world.clock.pass_by(days=1)
    assert [False, True] == [message.is_repeated for message in announced(world)]
    assert ["SilenceMessage"] * 2 == world.mail.received("finance@example.com")
    world.clock.pass_by(days=7)
    assert 3 == len(announced(world))
    world.clock.pass_by(days=7)
    assert 3 == len(announced(world)), "the silence has ended"
    world.close()


@pytest.mark.parametrize(("num", "expected"), [(20, 0), (21, 1)])
def test_a_silence_is_announced_if_it_mutes_more_than_twenty_wallets(world, num, expected):
    world.configure(*(WalletName(f"acme/app-{number}") for number in range(num)))
    silence(world, "acme/*", hours=4)
    assert expected == len(announced(world))
    world.close()


def test_a_silence_that_mutes_a_critical_alert_is_announced_now_or_when_it_becomes_critical(world):
    world.shows(industry(50))
    world.poll()
    silence(world, "acme/shop", hours=4)
    assert [(1, 1)] == [(message.num_wallets, message.num_urgent) for message in announced(world)]

    other = WalletName("acme/web")
    world.configure(SHOP, other)
    silence(world, "acme/web", hours=4)
    assert 1 == len(announced(world))
    world.shows(industry(50), wallet=other)
    world.poll()
    assert ["acme/shop", "acme/web"] == [message.pattern for message in announced(world)]
    world.close()


def test_a_restart_does_not_announce_a_silence_again(world):
    silence(world, "*", days=15)
    assert 1 == len(announced(world))
    assert 0 == world.another_app().operate_alerts.tick()
    world.close()


@pytest.mark.parametrize("back", [timedelta(hours=1), timedelta(days=60)])
def test_setting_the_clock_back_neither_ends_a_silence_nor_prolongs_it(world, back):
    world.shows(industry(50))
    silence(world, "acme/shop", hours=4)
    world.clock.at -= back
    world.poll()
    world.app.operate_alerts.tick()
    world.clock.pass_by(hours=3, minutes=55)
    world.poll()
    world.app.operate_alerts.tick()
    world.deliver()
    assert [] == [sent for sent in world.slack.received() if sent == "opened"]
    world.clock.pass_by(minutes=6)
    world.app.operate_alerts.tick()
    world.deliver()
    assert ["opened"] == [sent for sent in world.slack.received() if sent == "opened"]
    world.close()


def test_a_clock_at_1970_leaves_silences_unchanged(world):
    world.shows(industry(50))
    created = silence(world, "acme/shop", hours=4)
    right = world.clock.at
    world.clock.at = right.replace(year=1970)
    world.poll()
    world.app.operate_alerts.tick()
    world.clock.at = right
    with world.database.read() as conn:
        assert [created.until] == [active.until for active in silences.active(conn, world.clock.now())]
    world.deliver()
    assert "opened" not in world.slack.received()
    world.close()

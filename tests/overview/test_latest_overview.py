"""The overview is made anew when something changed, and remembered while nothing did."""

from datetime import timedelta

import pytest

from balancebot.domain.balance import Category
from balancebot.domain.verdict import Severity
from balancebot.overview.latest import LatestOverview, OverviewSnapshot
from balancebot.store.database import Database
from balancebot.store.thresholds import ThresholdCache
from tests.world import SHOP, World, industry


@pytest.fixture
def world(sqlite_url: str) -> World:
    world = World(Database(sqlite_url))
    world.configure(SHOP)
    world.shows(industry(800))
    world.poll()
    return world


@pytest.fixture
def latest(world: World) -> LatestOverview:
    return looking(world, wait_for_new=timedelta(seconds=30))


def looking(world: World, *, wait_for_new: timedelta) -> LatestOverview:
    return LatestOverview(
        world.database, ThresholdCache(), stale_after=timedelta(minutes=30), wait_for_new=wait_for_new
    )


def severity(look: OverviewSnapshot) -> Severity:
    return next(view.severity for view in look.views if view.key.category is Category.INDUSTRY)


def test_while_nothing_changes_the_same_look_is_given(world: World, latest: LatestOverview) -> None:
    first = latest.read(now=world.clock.now())
    assert first is latest.read(now=world.clock.now() + timedelta(seconds=59))
    assert first is not latest.read(now=world.clock.now() + timedelta(minutes=1))


def test_a_change_of_limits_shows_at_once(world: World, latest: LatestOverview) -> None:
    assert Severity.OK is severity(latest.read(now=world.clock.now()))
    world.limit(SHOP, "industry", warning_below=1000)
    assert Severity.WARNING is severity(latest.read(now=world.clock.now()))


def test_a_reading_is_shown_when_it_was_looked_at_and_nobody_waits_for_that(world: World) -> None:
    latest = looking(world, wait_for_new=timedelta(0))
    world.limit(SHOP, "industry", warning_below=1000, critical_below=500)
    first = latest.read(now=world.clock.now())
    world.shows(industry(300))
    world.clock.pass_by(minutes=1)
    world.poll()
    seen = [severity(first)]
    while seen[-1] is not Severity.CRITICAL:
        look = latest.read(now=world.clock.now())
        assert look.at in {first.at, world.clock.now()}
        seen.append(severity(look))
    assert {Severity.WARNING, Severity.CRITICAL} == set(seen)


def test_what_is_too_old_to_be_shown_is_waited_for(world: World) -> None:
    latest = looking(world, wait_for_new=timedelta(0))
    latest.read(now=world.clock.now())
    world.clock.pass_by(minutes=5)
    assert world.clock.now() == latest.read(now=world.clock.now()).at


def test_a_reading_that_grows_old_turns_unknown_though_nothing_is_read(
    world: World, latest: LatestOverview
) -> None:
    latest.read(now=world.clock.now())
    assert Severity.UNKNOWN is severity(latest.read(now=world.clock.now() + timedelta(minutes=31)))

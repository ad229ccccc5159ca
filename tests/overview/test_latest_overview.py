"""The overview is calculated again when something changed, and cached otherwise."""

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
    return latest_overview(world, wait_for_new=timedelta(seconds=30))


def latest_overview(world: World, *, wait_for_new: timedelta) -> LatestOverview:
    return LatestOverview(
        world.database, ThresholdCache(), stale_after=timedelta(minutes=30), wait_for_new=wait_for_new
    )


def severity(snapshot: OverviewSnapshot) -> Severity:
    return next(view.severity for view in snapshot.views if view.key.category is Category.INDUSTRY)


def test_the_same_overview_is_returned_while_nothing_changes(world: World, latest: LatestOverview) -> None:
    first = latest.read(now=world.clock.now())
    assert first is latest.read(now=world.clock.now() + timedelta(seconds=59))
    assert first is not latest.read(now=world.clock.now() + timedelta(minutes=1))


def test_changed_limits_show_immediately(world: World, latest: LatestOverview) -> None:
    assert Severity.OK is severity(latest.read(now=world.clock.now()))
    world.limit(SHOP, "industry", warning_below=1000)
    assert Severity.WARNING is severity(latest.read(now=world.clock.now()))


def test_a_new_reading_is_calculated_in_the_background_without_waiting(world: World) -> None:
    latest = latest_overview(world, wait_for_new=timedelta(0))
    world.limit(SHOP, "industry", warning_below=1000, critical_below=500)
    first = latest.read(now=world.clock.now())
    world.shows(industry(300))
    world.clock.pass_by(minutes=1)
    world.poll()
    severities = [severity(first)]
    while severities[-1] is not Severity.CRITICAL:
        snapshot = latest.read(now=world.clock.now())
        assert snapshot.at in {first.at, world.clock.now()}
        severities.append(severity(snapshot))
    assert {Severity.WARNING, Severity.CRITICAL} == set(severities)


def test_an_overview_that_is_too_old_is_waited_for(world: World) -> None:
    latest = latest_overview(world, wait_for_new=timedelta(0))
    latest.read(now=world.clock.now())
    world.clock.pass_by(minutes=5)
    assert world.clock.now() == latest.read(now=world.clock.now()).at


def test_an_old_reading_becomes_unknown_without_a_new_one(world: World, latest: LatestOverview) -> None:
    latest.read(now=world.clock.now())
    assert Severity.UNKNOWN is severity(latest.read(now=world.clock.now() + timedelta(minutes=31)))

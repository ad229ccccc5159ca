"""The overview is made anew when something changed, and remembered while nothing did."""

from datetime import timedelta

import pytest

from balancebot.domain.balance import Category
from balancebot.domain.verdict import Severity
from balancebot.storage.database import Database
from balancebot.usecases.limits.shelf import ThresholdShelf
from balancebot.usecases.showing.latest_overview import LatestOverview, Look
from tests.usecases.world import SHOP, World, industry


@pytest.fixture
def world(sqlite_url: str) -> World:
    world = World(Database(sqlite_url))
    world.configure(SHOP)
    world.shows(industry(800))
    world.poll()
    return world


@pytest.fixture
def latest(world: World) -> LatestOverview:
    return LatestOverview(world.database, ThresholdShelf(), stale_after=timedelta(minutes=30))


def severity(look: Look) -> Severity:
    return next(view.severity for view in look.views if view.key.category is Category.INDUSTRY)


def test_while_nothing_changes_the_same_look_is_given(world: World, latest: LatestOverview) -> None:
    first = latest.look(now=world.clock.now())
    assert first is latest.look(now=world.clock.now() + timedelta(seconds=59))
    assert first is not latest.look(now=world.clock.now() + timedelta(minutes=1))


def test_a_change_of_limits_shows_at_once(world: World, latest: LatestOverview) -> None:
    assert Severity.OK is severity(latest.look(now=world.clock.now()))
    world.limit(SHOP, "industry", warning_below=1000)
    assert Severity.WARNING is severity(latest.look(now=world.clock.now()))


def test_a_reading_that_grows_old_turns_unknown_though_nothing_is_read(
    world: World, latest: LatestOverview
) -> None:
    latest.look(now=world.clock.now())
    assert Severity.UNKNOWN is severity(latest.look(now=world.clock.now() + timedelta(minutes=31)))

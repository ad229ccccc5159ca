"""Every change of a limit is immediately judged with the latest reading."""

from datetime import timedelta

import pytest

from balancebot.domain.alert import Reason
from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import Category
from balancebot.domain.threshold import Scope
from balancebot.domain.verdict import Severity
from balancebot.store.database import Database
from balancebot.thresholds.edit import Edited
from balancebot.thresholds.sheet import read_limits
from tests.patterns import pattern_from
from tests.world import SHOP, World, industry

SCOPE = Scope(SHOP, Category.INDUSTRY)
BY = Actor(name="finance", via=Via.PAGE)


@pytest.fixture
def world(database: Database) -> World:
    """A shop with 5,000 messages, read a minute ago."""
    world = World(database)
    world.configure(SHOP)
    world.shows(industry(5_000))
    world.poll()
    world.clock.pass_by(minutes=1)
    return world


def outcomes(edited: object) -> list[tuple[Reason, Severity]]:
    assert isinstance(edited, Edited)
    assert () == edited.faults
    return [(notified.reason, notified.severity) for notified in edited.notified]


def test_a_tighter_limit_opens_an_alert_that_is_delivered_without_a_new_reading(world: World) -> None:
    edited = world.app.edit_thresholds.set(SCOPE, {"warning_below": "6k"}, by=BY)
    assert [(Reason.OPENED, Severity.WARNING)] == outcomes(edited)
    world.deliver()
    assert 1 == len(world.slack.messages)

    edited = world.app.edit_thresholds.set(SCOPE, {"critical_below": "5,500"}, by=BY)
    assert [(Reason.WORSENED, Severity.CRITICAL)] == outcomes(edited)


def test_a_looser_limit_closes_its_alert_with_the_cause_limit_changed(world: World) -> None:
    world.app.edit_thresholds.set(SCOPE, {"warning_below": "6000"}, by=BY)
    edited = world.app.edit_thresholds.set(SCOPE, {"warning_below": "1000"}, by=BY)
    assert [(Reason.CLOSED, Severity.WARNING)] == outcomes(edited)


def test_the_removal_of_a_row_is_judged_immediately(world: World) -> None:
    world.app.edit_thresholds.set(SCOPE, {"warning_below": "6000"}, by=BY)
    assert [(Reason.CLOSED, Severity.WARNING)] == outcomes(world.app.edit_thresholds.unset(SCOPE, by=BY))


def test_an_imported_row_is_judged_immediately(world: World) -> None:
    sheet, _ = read_limits(b"wallet,category,critical_below\n*,*,9000\n")
    edited = world.app.edit_thresholds.import_sheet(sheet, by=BY)
    assert [(Reason.OPENED, Severity.CRITICAL)] == outcomes(edited)


def test_a_stale_reading_is_not_judged(world: World) -> None:
    world.clock.at += world.app.settings.poll.stale_after + timedelta(seconds=1)
    assert [] == outcomes(world.app.edit_thresholds.set(SCOPE, {"warning_below": "6000"}, by=BY))


def test_a_refused_change_is_not_judged_and_a_changed_note_sends_nothing(world: World) -> None:
    edit = world.app.edit_thresholds
    edit.set(SCOPE, {"warning_below": "6000"}, by=BY)
    assert edit.set(SCOPE, {"critical_below": "7000"}, by=BY).faults
    assert [] == outcomes(edit.set(SCOPE, {"note": "call sales"}, by=BY))
    world.deliver()
    assert 1 == len(world.slack.messages)


def test_the_next_reading_sends_nothing_again(world: World) -> None:
    world.app.edit_thresholds.set(SCOPE, {"warning_below": "6000"}, by=BY)
    world.poll()
    world.deliver()
    assert 1 == len(world.slack.messages)


def test_a_silenced_alert_opens_without_a_message(world: World) -> None:
    pattern = pattern_from(SHOP)
    until = world.clock.now() + timedelta(hours=1)
    world.app.operate_alerts.silence(pattern, until=until, reason="planned", by=BY)
    assert [] == outcomes(world.app.edit_thresholds.set(SCOPE, {"warning_below": "6000"}, by=BY))
    views = world.app.latest.read(now=world.clock.now()).views
    assert ["1"] == [view.alert_id for view in views if view.alert_id]

"""Editing thresholds on pages: nobody overwrites a change unseen, and every change can be undone."""

import pytest

from balancebot.domain.audit import Act, Actor, AuditEntry, Via
from balancebot.domain.balance import Category
from balancebot.domain.threshold import Scope, ThresholdRow
from balancebot.store import audit
from balancebot.store.database import Database
from balancebot.thresholds.changes import Conflict, EditThresholds, edit_token
from tests.world import NOON, SHOP, World, industry

SCOPE = Scope(SHOP, Category.INDUSTRY)
ONE, OTHER = Actor(name="finance", via=Via.PAGE), Actor(name="audit", via=Via.PAGE)


@pytest.fixture
def edit(database: Database) -> EditThresholds:
    world = World(database)
    world.shows(industry(5_000))
    return world.app.edit_thresholds


def row(**columns: object) -> ThresholdRow:
    return ThresholdRow(wallet=SHOP, category=Category.INDUSTRY, **columns)  # type: ignore[arg-type]


def last_entry(edit: EditThresholds) -> AuditEntry:
    with edit.database.read() as conn:
        return audit.newest(conn, limit=1)[0]


def test_the_second_of_two_editors_sees_the_change_of_the_first(edit: EditThresholds) -> None:
    seen = edit_token(edit.look(SCOPE))
    edit.replace(SCOPE, {"warning_below": "1000"}, seen=seen, by=ONE)

    outcome = edit.replace(SCOPE, {"warning_below": "2000"}, seen=seen, by=OTHER)
    assert Conflict(scope=SCOPE, current=row(warning_below=1000)) == outcome
    assert row(warning_below=1000) == edit.look(SCOPE)

    edit.replace(SCOPE, {"warning_below": "2000"}, seen=edit_token(row(warning_below=1000)), by=OTHER)
    assert row(warning_below=2000) == edit.look(SCOPE)


def test_a_preview_changes_nothing(edit: EditThresholds) -> None:
    edited = edit.preview(SCOPE, {"warning_below": "1000"})
    assert (row(warning_below=1000),) == edited.rows
    assert edit.look(SCOPE) is None


def test_undoing_restores_the_row_and_is_itself_a_change(edit: EditThresholds) -> None:
    edit.set(SCOPE, {"warning_below": "1000", "critical_days": "off", "note": "call Ops"}, by=ONE)
    before = edit.look(SCOPE)
    edit.set(SCOPE, {"warning_below": "5", "note": ""}, by=ONE)

    edit.undo(last_entry(edit), by=OTHER)
    assert before == edit.look(SCOPE)
    assert AuditEntry(
        id="3",
        at=NOON,
        actor="audit",
        via=Via.PAGE,
        act=Act.SET_THRESHOLD,
        subject="acme/shop:industry",
        before={"warning_below": "5", "critical_days": "off"},
        after={"warning_below": "1000", "critical_days": "off", "note": "call Ops"},
    ) == last_entry(edit)


def test_undoing_an_addition_removes_the_row_and_undoing_a_removal_adds_it(edit: EditThresholds) -> None:
    edit.set(SCOPE, {"warning_below": "1000"}, by=ONE)
    edit.undo(last_entry(edit), by=ONE)
    assert edit.look(SCOPE) is None
    edit.undo(last_entry(edit), by=ONE)
    assert row(warning_below=1000) == edit.look(SCOPE)


def test_undoing_a_row_that_was_changed_again_asks_first(edit: EditThresholds) -> None:
    edit.set(SCOPE, {"warning_below": "1000"}, by=ONE)
    edit.set(SCOPE, {"warning_below": "2000"}, by=ONE)
    entry = last_entry(edit)
    edit.set(SCOPE, {"warning_below": "3000"}, by=OTHER)

    assert Conflict(scope=SCOPE, current=row(warning_below=3000)) == edit.undo(entry, by=ONE)
    assert row(warning_below=3000) == edit.look(SCOPE)

    edit.undo(entry, by=ONE, seen=edit_token(row(warning_below=3000)))
    assert row(warning_below=1000) == edit.look(SCOPE)

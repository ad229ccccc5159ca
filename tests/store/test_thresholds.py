"""Threshold rows are read back unchanged; the version changes with every change."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from balancebot.domain.balance import Category
from balancebot.domain.threshold import OFF, ThresholdRow
from balancebot.store import thresholds
from balancebot.store.database import Database

_NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
_ALL = ThresholdRow(wallet="acme/*", warning_days=OFF, note="ask finance")
_ONE = ThresholdRow(
    wallet="acme/checkout",
    category=Category.INDUSTRY,
    warning_below=20_000,
    critical_below=0,
    critical_days=0.5,
    lead_time_days=2.5,
)


def test_rows_are_read_back_with_actor_and_time(database: Database) -> None:
    with database.write() as conn:
        thresholds.put(conn, [_ONE], by="oncall", now=_NOW)
        thresholds.put(conn, [_ALL], by="finance", now=_NOW)
    with database.read() as conn:
        loaded = thresholds.load(conn)
    assert (_ALL, _ONE) == loaded
    assert [("finance", _NOW), ("oncall", _NOW)] == [(row.updated_by, row.updated_at) for row in loaded]


def test_setting_a_row_replaces_all_limits_of_the_same_scope(database: Database) -> None:
    with database.write() as conn:
        thresholds.put(conn, [_ONE], by="oncall", now=_NOW)
        changed = replace(_ONE, warning_below=None, note="now by finance")
        thresholds.put(conn, [changed], by="finance", now=_NOW)
        assert (changed,) == thresholds.load(conn)


def test_removing_a_row_deletes_it_and_removing_a_missing_row_is_no_error(database: Database) -> None:
    with database.write() as conn:
        thresholds.put(conn, [_ONE], by="oncall", now=_NOW)
        thresholds.remove(conn, [_ALL.scope])
        thresholds.remove(conn, [_ONE.scope])
        assert () == thresholds.load(conn)


def test_the_version_changes_with_every_change_and_with_nothing_else(database: Database) -> None:
    versions = []
    with database.write() as conn:
        versions.append(thresholds.version(conn))
        thresholds.put(conn, [_ONE], by="oncall", now=_NOW)
        versions.append(thresholds.version(conn))
        thresholds.put(conn, [replace(_ONE, note="by nobody else")], by="oncall", now=_NOW)
        versions.append(thresholds.version(conn))
        thresholds.remove(conn, [_ONE.scope])
        thresholds.put(conn, [_ALL], by="oncall", now=_NOW + timedelta(seconds=1))
        versions.append(thresholds.version(conn))
    assert 4 == len(set(versions))
    with database.read() as conn:
        assert versions[-1] == thresholds.version(conn)

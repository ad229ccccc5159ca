"""A limit in days beyond every runway becomes 365, so that an export can be imported again."""

from sqlalchemy import text

from balancebot.domain.threshold import OFF
from balancebot.store import thresholds
from balancebot.store.database import Database
from tests.databases import alembic
from tests.store.test_migration_0003 import insert

_ROWS = {"a": (9e39, 400.0), "b": (365.0, None), "c": (-1.0, 3.5), "d": (None, 366.0)}


def test_limits_above_365_days_become_365_and_all_others_stay(blank_url: str) -> None:
    alembic(blank_url, "upgrade", "0004")
    database = Database(blank_url)
    with database.write() as conn:
        for wallet, (warning, critical) in _ROWS.items():
            insert(
                conn,
                "thresholds",
                wallet=wallet,
                category="*",
                warning_days=warning,
                critical_days=critical,
                updated_at="2026-11-24 09:12:00.000000",
                updated_by="finance",
            )
    database.upgrade()
    with database.read() as conn:
        rows = {row.wallet: (row.warning_days, row.critical_days) for row in thresholds.load(conn)}
    assert {"a": (365.0, 365.0), "b": (365.0, None), "c": (OFF, 3.5), "d": (None, 365.0)} == rows
    alembic(blank_url, "downgrade", "0004")
    with database.read() as conn:
        assert 4 == conn.execute(text("SELECT count(*) FROM thresholds")).scalar_one()
    database.dispose()

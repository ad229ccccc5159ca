"""Estimates and alerts are kept both ways; an open spike still covers its low balance."""

from datetime import UTC, datetime

from sqlalchemy import text

from balancebot.domain.balance import Category
from balancebot.store import alerts, estimates
from balancebot.store.database import Database
from balancebot.store.estimates import EstimateRow
from tests.databases import alembic
from tests.store.test_migration_0003 import insert

BEFORE, AFTER = "0012", "0013"
AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
_MEASURED = '{"at": "2026-11-24T09:12:00Z"}'
KEPT = EstimateRow(
    wallet_id=1,
    category=Category.VOICE,
    ever_positive=True,
    burn_per_day=577.5,
    runway_known=True,
    p10_at=AT,
    judged_at=AT,
    spike_points=2,
    not_counted=77_000,
    not_counted_at=AT,
)


def test_estimates_are_kept_both_ways(blank: Database, blank_url: str) -> None:
    alembic(blank_url, "upgrade", AFTER)
    with blank.write() as conn:
        conn.execute(
            text(
                "INSERT INTO wallets (id, name, account, configured, next_read_at) VALUES (1, 'a', 'a', true, :at)"
            ),
            {"at": "2026-11-24 12:00:00"},
        )
        estimates.save_estimates(conn, [KEPT])
        estimates.save_spike_evidence(conn, [(1, Category.VOICE, 2, False)])
    alembic(blank_url, "downgrade", BEFORE)
    alembic(blank_url, "upgrade", AFTER)
    with blank.read() as conn:
        assert [KEPT] == estimates.all_estimates(conn)


def test_an_open_spike_covers_its_low_balance(blank: Database, blank_url: str) -> None:
    alembic(blank_url, "upgrade", BEFORE)
    rows = [
        ("low_balance", "a", None), ("burn_spike", "a", "critical"),
        ("low_balance", "b", None), ("burn_spike", "b", None), ("low_balance", "c", "warning"),
    ]  # fmt: skip
    with blank.write() as conn:
        for kind, wallet, peak in rows:
            insert(
                conn, "alerts", kind=kind, wallet=wallet, category="voice", severity="critical", peak=peak,
                opened_at="2026-11-24 09:12:00.000000", opened_by_days=True, limits="{}", measurement=_MEASURED,
            )  # fmt: skip
    alembic(blank_url, "upgrade", AFTER)
    with blank.read() as conn:
        covered = {last.alert.subject.wallet for last in alerts.all_open(conn) if last.alert.covered_until}
    assert {"a"} == covered
    alembic(blank_url, "downgrade", BEFORE)
    alembic(blank_url, "upgrade", AFTER)
    with blank.read() as conn:
        assert len(rows) == len(alerts.all_open(conn))

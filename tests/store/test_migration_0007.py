"""Top-ups in the roll-up are listed when orders are introduced; an older program finds its roll-up unchanged."""

from sqlalchemy import text

from balancebot.domain.balance import Category
from balancebot.store import orders
from balancebot.store.database import Database
from tests.databases import alembic
from tests.store.test_migration_0003 import insert

_HOUR = 498_752


def test_past_top_ups_are_listed_at_the_end_of_their_hour_or_day(blank_url: str) -> None:
    alembic(blank_url, "upgrade", "0006")
    database = Database(blank_url)
    with database.write() as conn:
        insert(
            conn,
            "wallets",
            id=1,
            name="acme",
            account="acme",
            configured=True,
            next_read_at="2026-11-24 09:12:00.000000",
        )
        insert(conn, "hourly_use", hour=_HOUR, wallet_id=1, market=700, market_used=20, market_topped_up=600)
        insert(conn, "hourly_use", hour=_HOUR + 1, wallet_id=1, market=600, market_used=100)
        insert(conn, "daily_use", day=20_000, wallet_id=1, voice=9, voice_topped_up=8)
    database.upgrade()
    with database.read() as conn:
        found = orders.top_ups_between(conn, since=0, until=10**6)
    assert [
        (20_001 * 86_400, Category.VOICE, 8),
        ((_HOUR + 1) * 3_600, Category.MARKET, 600),
    ] == [(top_up.at, top_up.category, top_up.messages) for top_up in found]
    alembic(blank_url, "downgrade", "0006")
    with database.read() as conn:
        top_ups = conn.execute(
            text("SELECT market, market_used, market_topped_up FROM hourly_use ORDER BY hour")
        )
        assert [(700, 20, 600), (600, 100, None)] == [tuple(row) for row in top_ups]
    database.dispose()

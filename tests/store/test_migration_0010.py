"""Wallets keep the time of their next reading, both ways; its reason is stored from the next reading on."""

from datetime import UTC, datetime

from sqlalchemy import text

from balancebot.domain.balance import WalletName
from balancebot.domain.next_reading import NextReading
from balancebot.store import wallets
from balancebot.store.database import Database
from tests.databases import alembic

BEFORE, AFTER = "0009", "0010"
AT = "2026-11-24 09:12:00.000000"


def test_wallets_and_their_balances_are_kept_both_ways(blank: Database, blank_url: str) -> None:
    alembic(blank_url, "upgrade", BEFORE)
    with blank.write() as conn:
        conn.execute(
            text(
                "INSERT INTO wallets (id, name, account, configured, universal, voice, industry, market,"
                " booked_universal, booked_voice, booked_industry, booked_market, next_read_at)"
                " VALUES (1, 'acme', 'acme', true, 1, 2, 3, 4, 1, 2, 3, 4, :at)"
            ),
            {"at": AT},
        )
        conn.execute(
            text(
                "INSERT INTO balances (wallet_id, category, ever_positive, runway_known)"
                " VALUES (1, 'industry', true, false)"
            )
        )
    alembic(blank_url, "upgrade", AFTER)
    with blank.read() as conn:
        wallet = wallets.find(conn, WalletName("acme"))
    assert wallet is not None
    assert NextReading(datetime(2026, 11, 24, 9, 12, tzinfo=UTC)) == wallet.next_reading
    alembic(blank_url, "downgrade", BEFORE)
    with blank.read() as conn:
        rows = conn.execute(text("SELECT name, industry FROM wallets")).all()
        assert [("acme", 3)] == [tuple(row) for row in rows]
        assert 1 == conn.execute(text("SELECT count(*) FROM balances")).scalar_one()

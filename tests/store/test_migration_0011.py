"""Top-ups and their matches are kept, both ways; usage around top-ups is stored from then on."""

from sqlalchemy import text

from balancebot.domain.order import Match
from balancebot.store import orders
from balancebot.store.database import Database
from tests.databases import alembic

BEFORE, AFTER = "0010", "0011"


def test_top_ups_and_their_matches_are_kept_both_ways(blank: Database, blank_url: str) -> None:
    alembic(blank_url, "upgrade", BEFORE)
    with blank.write() as conn:
        for statement in (
            "INSERT INTO wallets (id, name, account, configured, universal, voice, industry, market,"
            " booked_universal, booked_voice, booked_industry, booked_market, next_read_at)"
            " VALUES (1, 'acme', 'acme', true, 1, 2, 3, 4, 1, 2, 3, 4, '2026-11-24 09:12:00.000000')",
            "INSERT INTO orders (id, wallet, account, category, quantity, reference, note, ordered_at, ordered_by,"
            " expected_at, cancelled_by) VALUES (1, 'acme', 'acme', 'industry', 60000, '', '',"
            " '2026-11-23 09:12:00.000000', 'finance', '2026-11-26 09:12:00.000000', '')",
            "INSERT INTO top_ups (id, at, wallet_id, category, messages) VALUES (1, 1764000000, 1, 'industry', 59870)",
            "INSERT INTO order_matches (top_up_id, order_id, messages) VALUES (1, 1, 59870)",
        ):
            conn.execute(text(statement))
    alembic(blank_url, "upgrade", AFTER)
    with blank.read() as conn:
        top_up = orders.find_top_up(conn, "1")
        assert top_up is not None
        assert (59_870, 0) == (top_up.messages, top_up.hidden_use)
        assert {"1": [Match("1", "1", 59_870)]} == orders.matches_of(conn, ["1"])
        order = orders.find(conn, "1")
        assert order is not None
        assert (59_870, 0) == (order.arrived, order.hidden_use)
    alembic(blank_url, "downgrade", BEFORE)
    with blank.read() as conn:
        assert [(59_870,)] == conn.execute(text("SELECT messages FROM top_ups")).all()
        assert 1 == conn.execute(text("SELECT count(*) FROM order_matches")).scalar_one()

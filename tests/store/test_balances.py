"""Estimates of balances, their usage models, and single facts about the installation."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from balancebot.domain.balance import Category, WalletName
from balancebot.store import estimates, installation, wallets
from balancebot.store.database import Database
from balancebot.store.estimates import EstimateRow, ModelRow
from balancebot.store.installation import InstallationFact
from tests.patience import PATIENCE

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ESTIMATED = EstimateRow(
    wallet_id=1,
    category=Category.MARKET,
    ever_positive=True,
    burn_per_day=120.5,
    runway_known=True,
    p10_at=NOON + timedelta(hours=1),
    p50_at=NOON + timedelta(hours=2),
    p90_at=None,
    judged_at=NOON + timedelta(microseconds=1),
)


@pytest.fixture
def conn(database: Database) -> Iterator[Connection]:
    with database.write() as connection:
        wallets.sync(connection, [WalletName("acme"), WalletName("acme/shop")], now=NOON)
        yield connection


def test_all_columns_of_a_balance_are_stored_and_replaced(conn: Connection) -> None:
    estimates.save_estimates(conn, [ESTIMATED])
    assert [ESTIMATED] == estimates.all_estimates(conn)
    later = EstimateRow(wallet_id=1, category=Category.MARKET, ever_positive=True)
    estimates.save_estimates(conn, [later])
    assert [later] == estimates.of_wallets(conn, [1])
    assert [] == estimates.of_wallets(conn, [2])


def test_only_that_a_balance_was_once_positive_is_remembered(conn: Connection) -> None:
    estimates.save_estimates(conn, [replace(ESTIMATED, ever_positive=False)])
    estimates.mark_positive(conn, [(1, Category.MARKET), (2, Category.VOICE)])
    assert [
        ESTIMATED,
        EstimateRow(wallet_id=2, category=Category.VOICE, ever_positive=True),
    ] == sorted(estimates.all_estimates(conn), key=lambda row: row.wallet_id)


def test_models_are_replaced_and_deleted_by_wallet(conn: Connection) -> None:
    first = ModelRow(1, Category.MARKET, 10, b"window", None)
    second = ModelRow(2, Category.MARKET, 10, b"window", b"model")
    estimates.save_models(conn, [first, second])
    newer = ModelRow(1, Category.MARKET, 11, b"\x00\xff", b"")
    estimates.save_models(conn, [newer])
    assert [newer, second] == sorted(estimates.all_models(conn))
    estimates.forget_models(conn, [2])
    assert [newer] == estimates.models_of_wallets(conn, [1, 2])


def test_two_processes_save_models_of_the_same_balances_in_any_order(database: Database) -> None:
    with database.write() as conn:
        wallets.sync(conn, [WalletName(f"acme/{number}") for number in range(300)], now=NOON)
    rows = [ModelRow(number, Category.MARKET, 10, b"window", b"model") for number in range(1, 301)]
    together = threading.Barrier(2)

    def save(rows: Sequence[ModelRow]) -> None:
        with database.write() as conn:
            # on SQLite only one can write at a time
            if not database.is_sqlite:
                together.wait(PATIENCE)
            estimates.save_models(conn, rows)

    with ThreadPoolExecutor(2) as executor:
        for done in [executor.submit(save, rows), executor.submit(save, rows[::-1])]:
            done.result()


def test_a_fact_is_stored_until_it_is_replaced_or_deleted(conn: Connection) -> None:
    installation.note(conn, "refused:slack", "token_revoked", now=NOON)
    installation.note(conn, "refused:slack", "account_inactive", now=NOON + timedelta(hours=1))
    installation.note(conn, "cycle", "", now=NOON)
    expected = InstallationFact(key="refused:slack", value="account_inactive", at=NOON + timedelta(hours=1))
    assert expected == installation.find(conn, "refused:slack")
    installation.forget(conn, "refused:slack")
    assert installation.find(conn, "refused:slack") is None

"""The stored state of wallets; every due wallet is claimed by exactly one worker."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, bindparam, select

from balancebot.domain.balance import NEVER_READ, Absent, Readings, WalletName
from balancebot.domain.next_reading import NextReading
from balancebot.domain.sentence import NO_SENTENCE, sentence
from balancebot.ports import SourceErrorKind
from balancebot.store import readings, wallets, workers
from balancebot.store.database import Database
from balancebot.store.readings import FailedRead, GoodRead
from balancebot.store.tables import wallets as table
from balancebot.store.wallets import WalletRow
from tests.outbox_bench import let_heartbeats_age

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=5)
POOL = WalletName("acme")
CHECKOUT = WalletName("acme/checkout")
READ = Readings(5_000, Absent.UNALLOCATED, 2**63 - 1, Absent.UNREAD)


@pytest.fixture
def conn(database: Database) -> Iterator[Connection]:
    """A transaction in which `me` and `other` are alive and two wallets are configured."""
    with database.write() as connection:
        workers.register(connection, "me", kind="run", now=NOON)
        workers.register(connection, "other", kind="run", now=NOON)
        wallets.sync(connection, [POOL, CHECKOUT], now=NOON)
        yield connection


def new_wallet(wallet_id: int, name: WalletName) -> WalletRow:
    return WalletRow(
        id=wallet_id,
        name=name,
        configured=True,
        readings=NEVER_READ,
        observed_at=None,
        first_attempt_at=None,
        attempted_at=None,
        error_kind=None,
        error_message=NO_SENTENCE,
        rejections=0,
        suspect_since=None,
        next_reading=NextReading(NOON),
        booked=NEVER_READ,
        booked_at=None,
    )


def names(rows: list[WalletRow]) -> list[str]:
    return sorted(row.name for row in rows)


def test_a_configured_wallet_is_stored_and_due_immediately(conn: Connection) -> None:
    assert [new_wallet(1, POOL), new_wallet(2, CHECKOUT)] == wallets.all_wallets(conn)


def test_configuring_the_same_again_changes_nothing(conn: Connection) -> None:
    assert () == wallets.sync(conn, [CHECKOUT, POOL], now=LATER)
    assert [new_wallet(1, POOL), new_wallet(2, CHECKOUT)] == wallets.all_wallets(conn)


def test_a_wallet_removed_from_the_configuration_is_reported_once_and_not_read(conn: Connection) -> None:
    assert (CHECKOUT,) == wallets.sync(conn, [POOL], now=LATER)
    assert () == wallets.sync(conn, [POOL], now=LATER)
    assert ["acme"] == names(wallets.claim_due(conn, "me", now=LATER))
    assert replace(new_wallet(2, CHECKOUT), configured=False) == wallets.find(conn, CHECKOUT)


def test_a_wallet_added_again_is_due_with_its_readings_and_without_its_error(conn: Connection) -> None:
    readings.record_good(
        conn,
        [
            GoodRead(
                wallet_id=2,
                readings=READ,
                observed_at=NOON,
                next_reading=NextReading(NOON + timedelta(days=9)),
            )
        ],
    )
    readings.record_failed(conn, [failed(at=NOON, rejections=2)])
    wallets.sync(conn, [POOL], now=LATER)
    wallets.sync(conn, [POOL, CHECKOUT], now=LATER)
    assert (
        replace(new_wallet(2, CHECKOUT), readings=READ, observed_at=NOON, next_reading=NextReading(LATER))
    ) == wallets.find(conn, CHECKOUT)


def test_a_due_wallet_is_claimed_by_one_worker_until_it_is_recorded(conn: Connection) -> None:
    assert ["acme", "acme/checkout"] == names(wallets.claim_due(conn, "me", now=NOON))
    assert [] == wallets.claim_due(conn, "other", now=NOON)
    readings.record_good(
        conn, [GoodRead(wallet_id=1, readings=READ, observed_at=NOON, next_reading=NextReading(LATER))]
    )
    workers.renew(conn, "me", now=LATER)
    assert [] == wallets.claim_due(conn, "other", now=LATER - timedelta(seconds=1))
    assert ["acme"] == names(wallets.claim_due(conn, "other", now=LATER))


def test_failing_and_other_wallets_can_be_claimed_separately(conn: Connection) -> None:
    readings.record_failed(conn, [failed(at=NOON, rejections=0)])
    assert (True, True) == tuple(
        wallets.any_due(conn, now=LATER, failing=failing) for failing in (True, False)
    )
    assert ["acme"] == names(wallets.claim_due(conn, "me", now=LATER, failing=False))
    assert ["acme/checkout"] == names(wallets.claim_due(conn, "me", now=LATER, failing=True))


def test_the_claims_of_a_worker_without_a_heartbeat_are_released(conn: Connection) -> None:
    wallets.claim_due(conn, "me", now=NOON)
    after = NOON + workers.LEASE + timedelta(seconds=1)
    let_heartbeats_age(conn, after - NOON)
    workers.renew(conn, "other", now=after)
    assert ["acme", "acme/checkout"] == names(wallets.claim_due(conn, "other", now=after))
    both = [WalletName("acme"), WalletName("acme/checkout")]
    assert {} == wallets.named(conn, both, held_by="me")
    assert set(both) == set(wallets.named(conn, both, held_by="other"))


def test_a_worker_does_not_claim_a_wallet_that_it_is_reading(conn: Connection) -> None:
    wallets.claim_due(conn, "me", now=NOON)
    assert [] == names(wallets.claim_due(conn, "me", now=NOON))


def test_a_released_wallet_is_still_due(conn: Connection) -> None:
    wallets.claim_due(conn, "me", now=NOON)
    wallets.release_all_but(conn, "me", [2])
    wallets.release_all_but(conn, "other", [])
    assert ["acme"] == names(wallets.claim_due(conn, "other", now=NOON))


def test_the_longest_due_come_first_when_there_is_a_limit(conn: Connection) -> None:
    readings.record_good(
        conn,
        [
            GoodRead(
                wallet_id=1,
                readings=READ,
                observed_at=NOON,
                next_reading=NextReading(NOON + timedelta(seconds=1)),
            )
        ],
    )
    assert ["acme/checkout"] == names(wallets.claim_due(conn, "me", now=LATER, limit=1))
    assert ["acme"] == names(wallets.claim_due(conn, "other", now=NOON + timedelta(seconds=2), limit=1))


def test_replicas_that_claim_at_the_same_time_never_get_the_same_wallet(
    database: Database, database_url: str
) -> None:
    many = [WalletName(f"acme/{number}") for number in range(200)]
    replicas = [f"replica-{number}" for number in range(4)]
    with database.write() as connection:
        wallets.sync(connection, many, now=NOON)
        for replica in replicas:
            workers.register(connection, replica, kind="run", now=NOON)

    def claim(replica: str) -> list[str]:
        own = Database(database_url)
        taken: list[str] = []
        for _ in range(20):
            with own.write() as connection:
                rows = wallets.claim_due(connection, replica, now=NOON, limit=5)
                taken += names(rows)
                readings.record_good(
                    connection,
                    [
                        GoodRead(
                            wallet_id=row.id, readings=READ, observed_at=NOON, next_reading=NextReading(LATER)
                        )
                        for row in rows
                    ],
                )
        own.dispose()
        return taken

    with ThreadPoolExecutor(4) as pool:
        shares = list(pool.map(claim, replicas))
    assert sorted(many) == sorted(name for share in shares for name in share)


def failed(*, at: datetime, rejections: int) -> FailedRead:
    return FailedRead(
        wallet_id=2,
        at=at,
        error_kind=SourceErrorKind.CREDENTIALS,
        error_message=sentence("acme/checkout: 401"),
        rejections=rejections,
        next_reading=NextReading(at + timedelta(minutes=5)),
    )


def test_a_failure_keeps_the_readings_and_the_time_of_the_first_attempt(conn: Connection) -> None:
    readings.record_failed(conn, [failed(at=NOON, rejections=1)])
    readings.record_failed(conn, [failed(at=LATER, rejections=2)])
    assert (
        replace(
            new_wallet(2, CHECKOUT),
            first_attempt_at=NOON,
            attempted_at=LATER,
            error_kind=SourceErrorKind.CREDENTIALS,
            error_message=sentence("acme/checkout: 401"),
            rejections=2,
            next_reading=NextReading(LATER + timedelta(minutes=5)),
        )
    ) == wallets.find(conn, CHECKOUT)


def test_a_good_reading_ends_the_error_and_keeps_every_kind_of_reading(conn: Connection) -> None:
    readings.record_failed(conn, [failed(at=NOON, rejections=1)])
    readings.record_good(
        conn,
        [
            GoodRead(
                wallet_id=2,
                readings=READ,
                observed_at=LATER,
                next_reading=NextReading(LATER + timedelta(minutes=1)),
                suspect_since=LATER,
            )
        ],
    )
    assert (
        replace(
            new_wallet(2, CHECKOUT),
            readings=READ,
            observed_at=LATER,
            first_attempt_at=NOON,
            attempted_at=LATER,
            suspect_since=LATER,
            next_reading=NextReading(LATER + timedelta(minutes=1)),
        )
    ) == wallets.find(conn, CHECKOUT)


def test_booked_readings_are_stored_separately_from_the_latest_readings(conn: Connection) -> None:
    readings.record_booked(conn, [(1, READ, NOON)])
    assert replace(new_wallet(1, POOL), booked=READ, booked_at=NOON) == wallets.find(conn, POOL)


def test_wallets_are_found_by_account_and_by_name(conn: Connection) -> None:
    wallets.sync(conn, [POOL, CHECKOUT, WalletName("umbra"), WalletName("umbra/shop")], now=NOON)
    assert ["umbra", "umbra/shop"] == names(wallets.of_accounts(conn, ["umbra"]))
    assert {"acme": 1, "acme/checkout": 2, "umbra": 3, "umbra/shop": 4} == wallets.ids(conn)


def test_the_query_for_due_wallets_reads_no_other_rows(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    due = select(table.c.id).where(table.c.configured, table.c.next_read_at <= bindparam("now"))
    with database.read() as conn:
        statement = f"EXPLAIN QUERY PLAN {due.compile(conn)}"
        plan = [row.detail for row in conn.exec_driver_sql(statement, ("2026-11-24",))]
    assert ["SEARCH wallets USING INDEX ix_wallets_due (next_read_at<?)"] == plan
    database.dispose()

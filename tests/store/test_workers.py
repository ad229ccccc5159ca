"""A claim is valid as long as its worker renews its heartbeat."""

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from balancebot.clock import SystemClock
from balancebot.domain.balance import WalletName
from balancebot.store import wallets, workers
from balancebot.store.database import Database
from balancebot.store.wallets import WalletRow
from tests.outbox_bench import let_heartbeats_age
from tests.patience import PATIENCE

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("alive", "later"),
    [
        (True, timedelta(0)),
        (True, workers.LEASE),
        (False, workers.LEASE + timedelta(seconds=1)),
        (True, -workers.LEASE),
        (False, timedelta(hours=-1)),
    ],
)
def test_a_claim_is_valid_for_the_lease_even_if_the_clock_jumps(
    sqlite_url: str, alive: bool, later: timedelta
) -> None:
    with Database(sqlite_url).write() as conn:
        workers.register(conn, "a", kind="run", now=NOON)

        assert alive == workers.is_alive(conn, "a", now=NOON + later)


def test_a_heartbeat_renews_the_claims_and_deregistration_ends_them(database: Database) -> None:
    later = NOON + timedelta(minutes=1)
    with database.write() as conn:
        workers.register(conn, "a", kind="run", now=NOON)

        assert workers.renew(conn, "a", now=later)
        assert workers.is_alive(conn, "a", now=later)

        workers.leave(conn, "a")
        assert not workers.is_alive(conn, "a", now=later)
        assert not workers.renew(conn, "a", now=later)


def test_a_process_frozen_within_a_batch_of_statements_keeps_no_rows_locked(postgresql_url: str) -> None:
    database = Database(postgresql_url, frozen=timedelta(milliseconds=100))
    with database.write() as conn:
        wallets.sync(conn, [WalletName("acme")], now=NOON)
    frozen = psycopg.connect(postgresql_url.replace("+psycopg", ""), application_name="balancebot")
    with suppress(psycopg.OperationalError), frozen.pipeline():
        frozen.execute("UPDATE wallets SET claimed_by = 'frozen'")
        frozen.pgconn.send_flush_request()
        frozen.pgconn.flush()
        worker = workers.WorkerHeartbeat(database=database, clock=SystemClock(), worker_id="a", kind="run")
        until = time.monotonic() + PATIENCE
        claimed: list[WalletRow] = []
        while not claimed and time.monotonic() < until:
            time.sleep(0.1)
            worker.show()
            with database.write() as conn:
                claimed = wallets.claim_due(conn, "a", now=SystemClock().now())
    frozen.close()
    database.dispose()
    assert ["acme"] == [wallet.name for wallet in claimed]


@pytest.mark.parametrize("apart", [timedelta(0), timedelta(seconds=12), timedelta(hours=-3)])
def test_replicas_on_postgresql_agree_even_if_their_clocks_differ(
    postgresql_url: str, apart: timedelta
) -> None:
    database = Database(postgresql_url)
    with database.write() as conn:
        workers.register(conn, "a", kind="run", now=NOON)
        workers.register(conn, "b", kind="run", now=NOON + apart)
        assert workers.is_alive(conn, "a", now=NOON + apart)
        assert workers.is_alive(conn, "b", now=NOON)

        let_heartbeats_age(conn, workers.LEASE + timedelta(seconds=1))
        assert workers.renew(conn, "b", now=NOON + apart)
        assert not workers.is_alive(conn, "a", now=NOON)
        assert workers.is_alive(conn, "b", now=NOON)
    database.dispose()


def test_workers_that_ended_long_ago_are_deleted(database: Database) -> None:
    with database.write() as conn:
        workers.register(conn, "a", kind="run", now=NOON)
        let_heartbeats_age(conn, timedelta(days=2))
        workers.register(conn, "b", kind="poll", now=NOON + timedelta(days=2))

        assert not workers.renew(conn, "a", now=NOON)

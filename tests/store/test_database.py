"""Transactions on both systems, and the errors when the database fails."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError

from balancebot.store import types
from balancebot.store.database import Database
from balancebot.store.errors import DatabaseError, DatabaseErrorKind
from balancebot.store.tables import threads, users
from tests.databases import PostgreSQL

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


def add_counter(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("CREATE TABLE counter (n INTEGER)"))
        connection.execute(text("INSERT INTO counter VALUES (0)"))


def count_up(database: Database, times: int) -> None:
    for _ in range(times):
        with database.write() as connection:
            lock = "" if database.is_sqlite else " FOR UPDATE"
            value = connection.scalar(text(f"SELECT n FROM counter{lock}"))
            connection.execute(text("UPDATE counter SET n = :n"), {"n": value + 1})


def test_no_update_is_lost_between_threads_and_connections(database: Database, database_url: str) -> None:
    add_counter(database)
    other = Database(database_url)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda connected: count_up(connected, 25), [database, other, database, other]))
    with database.read() as connection:
        assert connection.scalar(text("SELECT n FROM counter")) == 100
    other.dispose()


def test_a_block_that_raises_writes_nothing(database: Database) -> None:
    add_counter(database)
    with pytest.raises(RuntimeError, match="mid-way"), database.write() as connection:
        connection.execute(text("UPDATE counter SET n = 7"))
        raise RuntimeError("mid-way")
    with database.read() as connection:
        assert connection.scalar(text("SELECT n FROM counter")) == 0


def test_a_reader_sees_one_instant_while_others_write(database: Database) -> None:
    add_counter(database)
    with database.read() as reader:
        before = reader.scalar(text("SELECT n FROM counter"))
        count_up(database, 1)
        after = reader.scalar(text("SELECT n FROM counter"))
    assert (before, after) == (0, 0)


def test_a_reader_cannot_write(database: Database) -> None:
    add_counter(database)
    with pytest.raises(DatabaseError) as caught, database.read() as reader:
        reader.execute(text("UPDATE counter SET n = 1"))
    assert caught.value.kind is DatabaseErrorKind.UNREACHABLE


def test_a_violated_constraint_is_not_reported_as_a_database_error(database: Database) -> None:
    with pytest.raises(IntegrityError), database.write() as connection:
        connection.execute(
            insert(users), {"name": "a", "role": "viewer", "password_hash": None, "created_at": NOW}
        )


def test_foreign_keys_are_enforced(database: Database) -> None:
    with pytest.raises(IntegrityError), database.write() as connection:
        connection.execute(
            text(
                "INSERT INTO burn_models (wallet_id, category, hour, use_window) VALUES (99, 'voice', 1, :blob)"
            ),
            {"blob": b""},
        )


def test_a_writer_that_waits_too_long_fails_with_locked(database: Database, database_url: str) -> None:
    add_counter(database)
    impatient = Database(database_url, wait=timedelta(milliseconds=50))
    with database.write() as holder:
        holder.execute(text("UPDATE counter SET n = 1"))
        with pytest.raises(DatabaseError) as caught, impatient.write() as connection:
            connection.execute(text("UPDATE counter SET n = 2"))
    assert caught.value.kind is DatabaseErrorKind.LOCKED
    impatient.dispose()


def test_a_second_writer_of_the_same_process_that_waits_too_long_fails_with_locked(sqlite_url: str) -> None:
    database = Database(sqlite_url, wait=timedelta(milliseconds=50))
    with database.write(), pytest.raises(DatabaseError) as caught, database.write():
        pass
    assert (DatabaseErrorKind.LOCKED, f"database {database.place}: another write did not finish in time") == (
        caught.value.kind,
        caught.value.message,
    )
    database.dispose()


def test_a_file_that_another_process_is_creating_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "balancebot.db"
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    other.execute("CREATE TABLE counter (n INTEGER)")
    database = Database(f"sqlite:///{file}")
    with ThreadPoolExecutor(1) as pool:
        upgraded = pool.submit(database.upgrade)
        time.sleep(0.1)
        other.execute("COMMIT")
        other.close()
        upgraded.result()
    with database.read() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
    database.dispose()


def failure(url: str) -> DatabaseError:
    database = Database(url, wait=timedelta(milliseconds=200))
    with pytest.raises(DatabaseError) as caught:
        database.upgrade()
    database.dispose()
    return caught.value


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    error = failure(f"sqlite:///{tmp_path}/nowhere/balancebot.db")
    assert error.kind is DatabaseErrorKind.UNREACHABLE
    assert f"database {tmp_path}/nowhere/balancebot.db: the folder {tmp_path}/nowhere does not exist" == str(
        error
    )


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    error = failure(f"sqlite:///{tmp_path}")
    assert error.kind is DatabaseErrorKind.UNREACHABLE
    assert f"database {tmp_path}: it is a folder, not a file" == str(error)


def test_a_file_that_is_not_a_database_is_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "balancebot.db"
    file.write_text("name,app_key,master_secret\n" * 100)
    error = failure(f"sqlite:///{file}")
    assert error.kind is DatabaseErrorKind.CORRUPT
    assert str(error).startswith(f"database {file}: it is damaged, or was not made by balancebot")
    assert file.read_text() == "name,app_key,master_secret\n" * 100


def test_a_full_disk_is_reported_as_such(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with pytest.raises(DatabaseError) as caught, database.write() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
        connection.execute(text("CREATE TABLE big AS SELECT zeroblob(10000000) AS blob"))
    assert caught.value.kind is DatabaseErrorKind.FULL
    database.dispose()


def test_a_server_that_is_down_is_named_without_its_password() -> None:
    error = failure("postgresql+psycopg://bot:hunter2@127.0.0.1:1/balances")
    assert error.kind is DatabaseErrorKind.UNREACHABLE
    assert str(error).startswith("database 127.0.0.1:1/balances: connection failed")
    assert "hunter2" not in str(error)


def test_a_database_that_the_server_lacks_is_named(postgresql: PostgreSQL) -> None:
    error = failure(postgresql.url("nowhere"))
    assert error.kind is DatabaseErrorKind.UNREACHABLE
    assert 'database "nowhere" does not exist' in str(error)


def test_a_database_of_another_encoding_is_refused(postgresql: PostgreSQL) -> None:
    """PostgreSQL creates databases with the encoding SQL_ASCII if the host has no locale, as in a bare container."""
    with psycopg.connect(postgresql.url("postgres").replace("+psycopg", ""), autocommit=True) as server:
        server.execute("CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    error = failure(postgresql.url("ascii"))
    assert error.kind is DatabaseErrorKind.UNREACHABLE
    assert "/ascii: its encoding is SQL_ASCII" in str(error)


def test_a_restarted_server_is_used_again(postgresql: PostgreSQL, postgresql_url: str) -> None:
    database = Database(postgresql_url)
    with database.read():
        pass
    postgresql.halt()
    with pytest.raises(DatabaseError) as caught, database.read():
        pass
    postgresql.start()
    with database.read() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    assert caught.value.kind is DatabaseErrorKind.UNREACHABLE
    database.dispose()


def test_a_connection_that_breaks_during_a_query_is_reported_as_unreachable(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    other = Database(postgresql_url)
    with pytest.raises(DatabaseError) as caught, database.read() as connection:
        with other.write() as killer:
            killer.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        connection.execute(text("SELECT 1"))
    assert caught.value.kind is DatabaseErrorKind.UNREACHABLE
    database.dispose()
    other.dispose()


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:hunter2@host/db",
        "not a url hunter2",
        "sqlite://",
        "sqlite:///:memory:",
        "postgresql://u:hunter2@h:port/x",
    ],
)
def test_an_invalid_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        Database(url)
    assert caught.value.kind is DatabaseErrorKind.UNREACHABLE
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("num_rows", [1, 3])
def test_the_locks_of_a_frozen_process_are_released_after_a_limited_time(
    postgresql_url: str, num_rows: int
) -> None:
    frozen = Database(postgresql_url, frozen=timedelta(seconds=1))
    other = Database(postgresql_url, wait=timedelta(seconds=20))
    rows = [{"subject": "alert:1", "channel": "slack", "destination": str(n)} for n in range(num_rows)]
    with ExitStack() as stack:
        stack.callback(frozen.dispose)
        stack.callback(other.dispose)
        stack.enter_context(pytest.raises(DatabaseError, match="idle-in-transaction timeout"))
        conn = stack.enter_context(frozen.write())
        types.take_lock(conn, types.ALERTS)
        conn.execute(insert(threads), rows)
        with other.write() as another:
            types.take_lock(another, types.ALERTS)


def test_locks_of_a_frozen_process_are_released_after_ten_seconds(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    with database.write() as conn:
        shown = conn.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one()
    database.dispose()
    assert "10s" == shown

"""A SQLite file that is removed, replaced or truncated under a running process is noticed and not overwritten."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from balancebot.domain.balance import WalletName
from balancebot.store import schema, wallets
from balancebot.store.backup import back_up
from balancebot.store.database import Database
from balancebot.store.errors import DatabaseError, DatabaseErrorKind

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bot.db"


@pytest.fixture
def running(file: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{file}")
    database.upgrade()
    with database.write() as conn:
        wallets.sync(conn, [WalletName("acme")], now=NOW)
    with database.read():
        pass
    yield database
    database.dispose()


def _delete(file: Path) -> None:
    file.unlink()


def _move(file: Path) -> None:
    file.rename(file.with_name("elsewhere.db"))


def _replace(file: Path) -> None:
    copy = file.with_name("copy.db")
    shutil.copyfile(file, copy)
    copy.replace(file)


def _empty(file: Path) -> None:
    os.truncate(file, 0)


def _cut(file: Path) -> None:
    os.truncate(file, 8192)


def _overwrite(file: Path) -> None:
    """Overwrite the content of the file, as `cp backup.db bot.db` does."""
    back_up(Database(f"sqlite:///{file}"), file.with_name("backup.db"))
    shutil.copyfile(file.with_name("backup.db"), file)


def _delete_log(file: Path) -> None:
    file.with_name("bot.db-wal").unlink()


def _replace_log(file: Path) -> None:
    _replace(file.with_name("bot.db-wal"))


def _delete_index_of_log(file: Path) -> None:
    file.with_name("bot.db-shm").unlink()


@pytest.mark.parametrize(
    "harm",
    [_delete, _move, _replace, _empty, _cut, _overwrite, _delete_log, _replace_log, _delete_index_of_log],
)
def test_a_change_of_the_file_under_a_running_process_is_noticed_at_the_next_transaction(
    running: Database, file: Path, harm: Callable[[Path], None]
) -> None:
    harm(file)
    there = file.read_bytes() if file.exists() else b""
    for use in (running.read, running.write):
        with pytest.raises(DatabaseError, match="db restore FILE") as caught, use():
            pass
        assert DatabaseErrorKind.REPLACED is caught.value.kind
    assert there == (file.read_bytes() if file.exists() else b"")


def test_the_process_continues_when_the_right_file_is_back(running: Database, file: Path) -> None:
    elsewhere = file.rename(file.with_name("elsewhere.db"))
    with pytest.raises(DatabaseError), running.read():
        pass
    elsewhere.rename(file)
    with running.read() as conn:
        assert ("acme",) == wallets.configured_names(conn)


def test_transactions_make_no_names_that_the_interpreter_has_to_keep(running: Database) -> None:
    """Its table of interned strings would be rebuilt again and again, and each time the heap may grow by 4 MB."""
    interned: list[object] = []

    def watch(_: object, what: str, called: object) -> None:
        if what == "c_call" and called is sys.intern:
            interned.append(called)

    sys.setprofile(watch)
    try:
        for use in (running.read, running.write):
            with use():
                pass
    finally:
        sys.setprofile(None)

    assert [] == interned


def test_an_empty_file_is_not_treated_as_a_new_database(file: Path) -> None:
    file.touch()
    database = Database(f"sqlite:///{file}")
    with pytest.raises(DatabaseError, match="the file is empty"):
        database.upgrade()
    assert 0 == file.stat().st_size


def test_a_write_ahead_log_without_its_database_is_reported(file: Path) -> None:
    file.with_name("bot.db-wal").write_bytes(b"x" * 100)
    with pytest.raises(DatabaseError, match="its write-ahead log is still there"):
        Database(f"sqlite:///{file}").upgrade()


def test_a_backup_beside_the_log_of_another_database_is_refused(running: Database, file: Path) -> None:
    back_up(running, file.with_name("backup.db"))
    other = file.with_name("other.db")
    shutil.copyfile(file.with_name("backup.db"), other)
    other.with_name("other.db-wal").write_bytes(b"x" * 100)
    with pytest.raises(DatabaseError, match="the write-ahead log of another database beside it"):
        Database(f"sqlite:///{other}").upgrade()


def test_another_database_at_the_same_address_is_reported(database: Database) -> None:
    database.upgrade()
    with database.write() as conn:
        database.verify(conn)
        conn.execute(text("UPDATE facts SET value = 'another' WHERE key = 'database_id'"))
        with pytest.raises(DatabaseError, match="another database than the one this process has opened"):
            database.verify(conn)


def test_a_database_that_a_newer_program_has_upgraded_meanwhile_is_reported(database: Database) -> None:
    database.upgrade()
    with database.write() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(DatabaseError, match="made by a newer balancebot"):
            database.verify(conn)


@pytest.mark.parametrize("version", ["0000", "d3adbeef"])
def test_an_unknown_schema_is_refused_with_a_solution(database: Database, version: str) -> None:
    with database.write() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})
    with pytest.raises(
        DatabaseError, match=r"doesn't know its schema .* run the version that made it, or put a backup"
    ):
        database.upgrade()


def test_tables_that_were_never_released_are_refused_by_their_missing_columns(database: Database) -> None:
    with database.write() as conn:
        conn.execute(text("ALTER TABLE audit DROP COLUMN before"))
    with pytest.raises(DatabaseError, match=rf"its tables of schema {schema.HEAD} lack audit.before"):
        database.upgrade()

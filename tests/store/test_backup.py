"""A backup is a complete copy, or an error and no file."""

import sqlite3
import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from balancebot.domain.balance import WalletName
from balancebot.domain.delivery import DeliveryState
from balancebot.domain.message import TestMessage
from balancebot.domain.routing import Destination
from balancebot.store import outbox, wallets
from balancebot.store.backup import BackupFailed, BackupMade, Restored, back_up, find_faults, restore
from balancebot.store.database import Database
from balancebot.store.tables import deliveries
from tests.databases import PostgreSQL

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def fill(database: Database) -> None:
    with database.write() as conn:
        wallets.sync(conn, [WalletName("acme")], now=NOW)


def test_a_copy_of_sqlite_is_a_complete_database(sqlite_url: str, tmp_path: Path) -> None:
    database, file = Database(sqlite_url), tmp_path / "copy.db"
    fill(database)
    backup = back_up(database, file)
    assert BackupMade(file=file, num_bytes=file.stat().st_size) == backup
    copy = Database(f"sqlite:///{file}")
    copy.upgrade()
    with copy.read() as conn, database.read() as original:
        assert wallets.all_wallets(original) == wallets.all_wallets(conn)
    copy.dispose()
    database.dispose()


def test_a_dump_of_postgresql_can_be_restored(
    postgresql: PostgreSQL, postgresql_url: str, tmp_path: Path
) -> None:
    database, file = Database(postgresql_url), tmp_path / "copy.dump"
    fill(database)
    backup = back_up(database, file)
    assert BackupMade(file=file, num_bytes=file.stat().st_size) == backup
    name = postgresql.create(template="template0")
    command: list[str | Path] = [
        "pg_restore",
        "--no-owner",
        f"--dbname=postgresql://tests@/{name}?host={postgresql.folder}",
        file,
    ]
    subprocess.run(command, check=True, capture_output=True)
    copy = Database(postgresql.url(name))
    with copy.read() as conn, database.read() as original:
        assert wallets.all_wallets(original) == wallets.all_wallets(conn)
    copy.dispose()
    database.dispose()
    postgresql.drop(name)


def test_an_existing_file_is_not_overwritten(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    failed = back_up(database, file)
    assert BackupFailed(message=f"{file} exists already; a backup overwrites nothing") == failed
    assert "mine" == file.read_text()


def test_only_its_owner_can_read_a_backup(database: Database, tmp_path: Path) -> None:
    back_up(database, tmp_path / "copy")
    assert 0o600 == stat.S_IMODE((tmp_path / "copy").stat().st_mode)


def test_a_missing_folder_is_reported(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "copy"
    assert BackupFailed(message=f"can't write {file}: No such file or directory") == back_up(database, file)


def test_a_damaged_database_leaves_no_copy(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    fill(database)
    database.dispose()
    original = Path(database.place)
    with sqlite3.connect(original) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    pages = bytearray(original.read_bytes())
    pages[4096 : 4096 * 20] = b"\xff" * 4096 * 19
    original.write_bytes(pages)
    failed = back_up(database, tmp_path / "copy")
    assert isinstance(failed, BackupFailed)
    assert failed.message.startswith(f"can't copy {original}: ")
    assert [] == list(tmp_path.glob("*copy*"))


def test_backing_up_a_missing_database_does_not_create_it(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/none.db")
    assert BackupFailed(message=f"there is no database {tmp_path}/none.db yet") == back_up(
        database, tmp_path / "copy"
    )
    assert [] == list(tmp_path.iterdir())


def test_a_server_that_is_down_is_reported_without_the_password(tmp_path: Path) -> None:
    database = Database("postgresql+psycopg://bot:hunter2@127.0.0.1:1/balances")
    failed = back_up(database, tmp_path / "copy")
    assert isinstance(failed, BackupFailed)
    assert failed.message.startswith("pg_dump failed on 127.0.0.1:1/balances: ")
    assert "hunter2" not in failed.message


def test_without_pg_dump_the_package_is_named(
    postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    message = "PostgreSQL's backups need pg_dump and pg_restore in PATH (the package postgresql-client)"
    assert BackupFailed(message=message) == back_up(Database(postgresql_url), tmp_path / "copy")


def waiting(database: Database) -> None:
    """Add an open alert with a pending delivery."""
    with database.write() as conn:
        outbox.enqueue_plain(
            conn, message=TestMessage(at=NOW), destinations=[Destination("slack", "#ops")], now=NOW
        )


def states(database: Database) -> list[str]:
    with database.read() as conn:
        return list(conn.scalars(select(deliveries.c.state)))


def test_a_restored_backup_sends_nothing_again_and_keeps_the_replaced_database(
    sqlite_url: str, tmp_path: Path
) -> None:
    database = Database(sqlite_url)
    fill(database)
    waiting(database)
    back_up(database, tmp_path / "backup.db")
    with database.write() as conn:
        wallets.sync(conn, [WalletName("later")], now=NOW)
    database.dispose()
    restored = restore(Database(sqlite_url), tmp_path / "backup.db", now=NOW)
    assert isinstance(restored, Restored)
    with database.read() as conn:
        assert ("acme",) == wallets.configured_names(conn)
    assert [DeliveryState.SUPERSEDED.value] == states(database)
    assert restored.kept is not None
    before = Database(f"sqlite:///{restored.kept}")
    with before.read() as conn:
        assert ("later",) == wallets.configured_names(conn)
    assert () == find_faults(database)
    assert 0o600 == stat.S_IMODE(Path(database.place).stat().st_mode)
    before.dispose()
    database.dispose()


def test_a_backup_of_postgresql_is_restored(postgresql_url: str, tmp_path: Path) -> None:
    database = Database(postgresql_url)
    fill(database)
    waiting(database)
    back_up(database, tmp_path / "copy.dump")
    with database.write() as conn:
        wallets.sync(conn, [WalletName("later")], now=NOW)
    database.dispose()
    assert Restored(kept=None) == restore(database, tmp_path / "copy.dump", now=NOW)
    with database.read() as conn:
        assert ("acme",) == wallets.configured_names(conn)
    assert [DeliveryState.SUPERSEDED.value] == states(database)
    assert () == find_faults(database)
    database.dispose()


def test_a_database_in_use_is_not_overwritten(database: Database, database_url: str, tmp_path: Path) -> None:
    fill(database)
    back_up(database, tmp_path / "backup")
    with database.read():
        refused = restore(Database(database_url), tmp_path / "backup", now=NOW)
    assert isinstance(refused, BackupFailed)
    assert f"database {database.place} is in use" in refused.message


def test_a_file_that_is_not_a_backup_is_not_restored(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    fill(database)
    database.dispose()
    for name, data in (("text", b"hello" * 1000), ("empty", b"")):
        (tmp_path / name).write_bytes(data)
        refused = restore(Database(sqlite_url), tmp_path / name, now=NOW)
        assert isinstance(refused, BackupFailed)
        assert "is no backup of balancebot" in refused.message
    with database.read() as conn:
        assert ("acme",) == wallets.configured_names(conn)
    database.dispose()


def test_a_copy_opened_as_a_database_sends_nothing_again(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    fill(database)
    waiting(database)
    back_up(database, tmp_path / "copy.db")
    copy = Database(f"sqlite:///{tmp_path / 'copy.db'}")
    copy.upgrade()
    assert ([DeliveryState.PENDING.value], [DeliveryState.SUPERSEDED.value]) == (
        states(database),
        states(copy),
    )
    copy.dispose()
    database.dispose()


def test_damage_is_found(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    fill(database)
    with database.migrating() as conn:
        conn.exec_driver_sql("PRAGMA writable_schema = ON")
        conn.exec_driver_sql("DELETE FROM sqlite_master WHERE name = 'ix_audit_at'")
    database.dispose()
    assert find_faults(database)
    database.dispose()

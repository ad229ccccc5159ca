"""The migrations create exactly `tables.py`, go both ways, and run automatically when a program starts."""

import logging
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from balancebot.store import schema
from balancebot.store.database import Database
from balancebot.store.errors import DatabaseError, DatabaseErrorKind
from balancebot.store.indices import metadata
from tests.databases import alembic

ROOT = Path(__file__).parents[2]


def shape(connection: Connection) -> list[tuple[str, ...]]:
    """Return the schema as the database describes it, without Alembic's table."""
    if connection.dialect.name == "sqlite":
        query = """SELECT type, name, tbl_name, replace(replace(replace(sql, char(10), ''), char(9), ''), '"', '')
                   FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name <> 'alembic_version' ORDER BY 1, 2"""
    else:
        query = """SELECT table_name, column_name,
                          row_number() OVER (PARTITION BY table_name ORDER BY ordinal_position)::text, data_type,
                          is_nullable,
                          coalesce(column_default, ''), coalesce(character_maximum_length, 0)::text
                   FROM information_schema.columns
                   WHERE table_schema = 'public' AND table_name <> 'alembic_version'
                   UNION ALL
                   SELECT 'index', indexname, tablename, indexdef, '', '', '' FROM pg_indexes
                   WHERE schemaname = 'public' AND tablename <> 'alembic_version'
                   UNION ALL
                   SELECT 'constraint', conname, conrelid::regclass::text, pg_get_constraintdef(oid), '', '', ''
                   FROM pg_constraint
                   WHERE connamespace = 'public'::regnamespace AND conrelid IS DISTINCT FROM to_regclass('alembic_version')
                   ORDER BY 1, 2, 3"""
    return [tuple(row) for row in connection.execute(text(query))]


def test_the_migrations_create_the_tables_of_tables_py(blank: Database) -> None:
    with blank.migrating() as connection:
        metadata.create_all(connection)
        expected = shape(connection)
        metadata.drop_all(connection)
    blank.upgrade()
    with blank.read() as connection:
        assert shape(connection) == expected


def test_every_migration_can_be_downgraded_and_upgraded_again(blank: Database, blank_url: str) -> None:
    blank.upgrade()
    with blank.read() as connection:
        upgraded = shape(connection)
    for step in (["downgrade", "base"], ["upgrade", "head"]):
        alembic(blank_url, *step)
        with blank.read() as connection:
            assert shape(connection) == ([] if step[0] == "downgrade" else upgraded)


def test_a_migration_may_take_longer_than_the_lock_timeout_of_a_frozen_process(blank_url: str) -> None:
    database = Database(blank_url, frozen=timedelta(milliseconds=100))
    with database.migrating() as connection:
        connection.execute(text("CREATE TABLE lasting (id INTEGER)"))
        time.sleep(0.5)
        connection.execute(text("DROP TABLE lasting"))
    database.dispose()


def test_the_alembic_command_shows_the_version_of_a_database(sqlite_url: str) -> None:
    command = [sys.executable, "-m", "alembic", "-x", f"url={sqlite_url}", "current"]
    answer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert answer.stdout == f"{schema.HEAD} (head)\n"


def test_the_program_knows_its_newest_migration() -> None:
    assert ScriptDirectory.from_config(Config(ROOT / "alembic.ini")).get_current_head() == schema.HEAD


def test_upgrading_twice_changes_nothing_and_needs_no_alembic(blank: Database, blank_url: str) -> None:
    blank.upgrade()
    script = (
        "import sys; from balancebot.store.database import Database\n"
        f"Database({blank_url!r}).upgrade(); print([m for m in sys.modules if m.split('.')[0] == 'alembic'])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert answer.stdout == "[]\n"


def test_many_processes_that_start_at_the_same_time_create_the_tables_once(blank_url: str) -> None:
    starters = [Database(blank_url) for _ in range(6)]
    with ThreadPoolExecutor(len(starters)) as pool:
        list(pool.map(Database.upgrade, starters))
    with starters[0].read() as connection:
        assert schema.version(connection) == schema.HEAD
    for database in starters:
        database.dispose()


def test_a_database_of_a_newer_program_is_refused_and_not_changed(blank: Database) -> None:
    blank.upgrade()
    with blank.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseError) as caught:
        blank.upgrade()
    assert caught.value.kind is DatabaseErrorKind.NEWER
    assert str(caught.value) == (
        f"database {blank.place}: made by a newer balancebot (schema 9999; this one knows up to {schema.HEAD}); "
        "upgrade the program"
    )
    with blank.read() as connection:
        assert schema.version(connection) == "9999"


def test_a_failed_upgrade_changes_nothing(blank: Database) -> None:
    with blank.write() as connection:
        connection.execute(text("CREATE TABLE audit (id INTEGER)"))
        before = shape(connection)
    with pytest.raises(Exception, match="audit"):
        blank.upgrade()
    with blank.read() as connection:
        assert shape(connection) == before
        assert schema.version(connection) is None


@pytest.mark.parametrize("version", ["0003", schema.HEAD])
def test_tables_of_an_unreleased_version_are_refused_with_a_solution(
    blank: Database, blank_url: str, version: str
) -> None:
    alembic(blank_url, "upgrade", version)
    with blank.write() as connection:
        connection.execute(text("ALTER TABLE wallets RENAME COLUMN account TO vendor"))
        before = shape(connection)
    with pytest.raises(DatabaseError) as caught:
        blank.upgrade()
    assert caught.value.kind is DatabaseErrorKind.CORRUPT
    assert "were made by a version that was never released" in str(caught.value)
    assert "`history export`" in str(caught.value)
    with blank.read() as connection:
        assert shape(connection) == before
        assert schema.version(connection) == version


def test_an_upgrade_does_not_change_the_loggers_of_the_program(blank: Database) -> None:
    logger = logging.getLogger("balancebot.poll")
    blank.upgrade()
    assert not logger.disabled

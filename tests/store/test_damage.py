"""A row with a corrupt value is named in one line, wherever it is read."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Column, text
from sqlalchemy.exc import IntegrityError

from balancebot.store.backup import find_faults
from balancebot.store.damage import find_damage
from balancebot.store.database import Database
from balancebot.store.errors import DatabaseError, DatabaseErrorKind
from balancebot.store.tables import metadata
from tests.world import SHOP, World


@pytest.fixture
def world(database: Database) -> World:
    return _watching(database)


@pytest.fixture
def on_sqlite(sqlite_url: str) -> Iterator[World]:
    world = _watching(Database(sqlite_url))
    yield world
    world.database.dispose()


def _watching(database: Database) -> World:
    """Return a world in which most tables have a row."""
    world = World(database)
    world.limit(critical_below=100)
    world.configure(SHOP)
    world.reads(500, 50)
    assert world.slack.messages
    return world


def put(world: World, column: str, value: object) -> None:
    table, _, name = column.partition(".")
    with world.database.write() as conn:
        conn.execute(text(f'UPDATE "{table}" SET "{name}" = :value'), {"value": value})


def test_an_intact_database_has_no_faults(world: World) -> None:
    with world.database.read() as conn:
        assert () == find_damage(conn)
    assert () == find_faults(world.database)


@pytest.mark.parametrize(
    "column", ["alerts.context", "alerts.severity", "notifications.message", "deliveries.state"]
)
def test_an_unreadable_value_is_named_on_both_databases(world: World, column: str) -> None:
    put(world, column, '{"x"')
    table, _, name = column.partition(".")
    with world.database.read() as conn:
        (found,) = map(str, find_damage(conn))
    assert found.startswith(f"table {table}, id ")
    assert found.endswith(f"what {name} holds can't be read")
    assert found in find_faults(world.database)


def _is_free(column: Column[object]) -> bool:
    return not column.foreign_keys and not column.primary_key


def test_a_value_of_another_type_is_found_in_every_column_of_sqlite(on_sqlite: World) -> None:
    tried = set()
    with on_sqlite.database.write() as conn:
        for table in metadata.sorted_tables:
            for column in filter(_is_free, table.columns):
                is_blob = column.type._type_affinity.__name__ == "_Binary"
                before = conn.begin_nested()
                value = "no bytes" if is_blob else b"\x00\xff"
                try:
                    changed = conn.execute(
                        text(f'UPDATE "{table.name}" SET "{column.name}" = :value'), {"value": value}
                    )
                except IntegrityError:  # it must be unique
                    changed = None
                if changed is not None and changed.rowcount > 0:
                    tried.add(table.name)
                    (found,) = map(str, find_damage(conn))
                    assert found.startswith(f"table {table.name}, ")
                    assert f": {column.name} holds something else than " in found
                before.rollback()
    assert {
        "wallets",
        "balances",
        "alerts",
        "deliveries",
        "notifications",
        "hourly_use",
        "snapshots",
    } <= tried


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("wallets.industry", "many", "id 1: industry holds something else than a whole number"),
        ("wallets.industry", -7, "id 1: industry holds something else than a whole number"),
        ("wallets.configured", 7, "id 1: configured holds something else than 0 or 1"),
        ("wallets.next_read_at", "2026-99-99", "id 1: what next_read_at holds can't be read"),
        ("wallets.next_read_at", 12, "id 1: next_read_at holds something else than an instant"),
        ("balances.burn_per_day", "fast", "burn_per_day holds something else than a number"),
        ("thresholds.warning_days", "soon", "id 1: warning_days holds something else than a number"),
        ("deliveries.attempts", "twice", "attempts holds something else than a whole number"),
    ],
)
def test_the_error_of_whatever_fails_names_the_corrupt_row_of_sqlite(
    on_sqlite: World, column: str, value: object, words: str
) -> None:
    put(on_sqlite, column, value)
    with on_sqlite.database.read() as conn:
        (found,) = map(str, find_damage(conn))
    assert words in found
    assert str(value) not in found.replace("something", "")

    with pytest.raises(DatabaseError) as raised, on_sqlite.database.read():
        raise ValueError("whatever a row that can't be read makes of itself")
    assert DatabaseErrorKind.CORRUPT is raised.value.kind
    assert found in raised.value.message


def test_an_error_of_the_program_is_not_reported_as_a_damaged_database(world: World) -> None:
    with pytest.raises(ValueError, match="ours"), world.database.read():
        raise ValueError("ours")

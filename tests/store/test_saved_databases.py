"""A database of an earlier version, with rows in every table, is upgraded and then used normally."""

import gzip
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import inspect, make_url, text

from balancebot.domain.alert import Reason
from balancebot.people.users import list_users
from balancebot.store import installation, schema
from balancebot.store.backup import find_faults
from balancebot.store.database import Database
from tests.store.save_database import LAST, SAVED
from tests.store.test_schema import shape
from tests.world import HandClock, World, industry

VERSIONS = sorted(file.name.partition(".")[0] for file in SAVED.glob("*.sqlite.sql.gz"))


@pytest.fixture(params=VERSIONS)
def saved(request: pytest.FixtureRequest, blank_url: str) -> Iterator[Database]:
    """The saved database of a version, on each of the two systems."""
    database = Database(blank_url)
    system = "sqlite" if database.is_sqlite else "postgresql"
    script = gzip.decompress((SAVED / f"{request.param}.{system}.sql.gz").read_bytes())
    url = make_url(blank_url)
    if database.is_sqlite:
        with closing(sqlite3.connect(url.database or "")) as file:
            file.executescript(script.decode())
    else:
        command = ["psql", "--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1"]
        command += ["--host", str(url.query["host"]), "--username", url.username or "", url.database or ""]
        subprocess.run(command, input=script, check=True, capture_output=True)
    yield database
    database.dispose()


def _counts(database: Database) -> dict[str, int]:
    with database.read() as conn:
        names = [name for name in inspect(conn).get_table_names() if name != "alembic_version"]
        return {name: conn.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in names}


def test_an_upgrade_loses_nothing_and_results_in_the_tables_of_a_new_database(
    saved: Database, sqlite_template: Path, request: pytest.FixtureRequest
) -> None:
    before = _counts(saved)
    assert [] == [name for name, number in before.items() if not number]
    saved.upgrade()
    assert before == {name: number for name, number in _counts(saved).items() if name in before}
    assert () == find_faults(saved)
    new_url = (
        f"sqlite:///{sqlite_template}"
        if saved.is_sqlite
        else request.getfixturevalue("postgresql_template").url("migrated")
    )
    new = Database(new_url)
    with saved.read() as conn, new.read() as other:
        assert schema.HEAD == schema.version(conn)
        assert shape(other) == shape(conn)
    new.dispose()


def upgraded_world(saved: Database, *, later: timedelta = timedelta()) -> World:
    """Upgrade a database and open it some time after its last cycle."""
    saved.upgrade()
    with saved.read() as conn:
        last = installation.find(conn, installation.LAST_CYCLE)
    assert last is not None
    return World(saved, clock=HandClock(last.at + later))


def test_pending_messages_are_sent_once_and_sent_ones_are_not_repeated(saved: Database) -> None:
    world = upgraded_world(saved, later=timedelta(minutes=5))
    for balance in (60, 50):
        world.shows(industry(balance), wallet=LAST)
        world.poll()
        world.deliver()
        assert (1, 1) == (len(world.slack.messages), len(world.mail.messages))
    world.shows(industry(90_000), wallet=LAST)
    world.poll()
    message = world.messages()[-1]
    assert (Reason.RECOVERED, LAST) == (message.reason, message.alert.subject.wallet)
    world.close()


def test_users_and_their_data_are_preserved(saved: Database) -> None:
    world = upgraded_world(saved)
    assert ["ada"] == [user.name for user in list_users(saved)]
    assert ["PO-7", ""] == [order.reference for order in reversed(world.app.operate_orders.listed())]
    assert [3_000] == [plan.messages for plan in world.app.planned_sends.standing()]
    assert "Finance orders; tell #ops" in {row.note for row in world.app.edit_thresholds.book().rows}
    statement = world.app.make_statements.make(world.clock.now().date().replace(day=1))
    assert "shop" in {row.app for row in statement.rows}

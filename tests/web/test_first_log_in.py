"""While there is no user, a link creates the first admin: once, within an hour, and never again."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from balancebot.config import Secret
from balancebot.domain.audit import Act, Actor, Via
from balancebot.domain.user import Role
from balancebot.people import first_admin, users
from balancebot.people.first_admin import SetupFault
from balancebot.store import audit
from balancebot.store.database import Database
from tests.web.conftest import NOW, Desk, pages_of
from tests.world import HandClock, World

HOUR = timedelta(hours=1)
ADMIN = {"name": "ada", "password": "a long secret"}


def link_token(database: Database) -> str:
    token = first_admin.make_link_token(database, now=NOW)
    assert token is not None
    return token.reveal()


@pytest.fixture
def fresh(sqlite_template: Path, tmp_path: Path, open_desk: Callable[..., Desk]) -> Iterator[Desk]:
    """Pages of a bot without users."""
    file = tmp_path / "fresh.db"
    shutil.copyfile(sqlite_template, file)
    world = World(Database(f"sqlite:///{file}"), clock=HandClock(NOW))
    yield replace(open_desk(pages_of(world)), world=world)
    world.database.dispose()


def test_the_link_creates_the_first_admin_and_logs_in(fresh: Desk) -> None:
    token = link_token(fresh.app.database)
    with fresh.visitor() as visitor:
        assert "Nobody can log in with a password yet." in visitor.get("/login").text
        assert 'name="password"' in visitor.get(f"/setup?token={token}").text
        answer = visitor.post("/setup", data={"token": token, **ADMIN})
        assert (303, "/") == (answer.status_code, answer.headers["location"])
        assert 200 == visitor.get("/users").status_code
        assert "Nobody can log in" not in visitor.get("/login").text
    with fresh.app.database.read() as conn:
        (entry,) = audit.newest(conn, limit=5)
    assert (Act.ADD_USER, "ada", "ada") == (entry.act, entry.actor, entry.subject)


def test_the_link_is_valid_once_and_for_an_hour(fresh: Desk) -> None:
    token, other = link_token(fresh.app.database), link_token(fresh.app.database)
    with fresh.visitor() as visitor:
        fresh.world.clock.at += HOUR
        for answer in (
            visitor.get(f"/setup?token={token}"),
            visitor.post("/setup", data={"token": token, **ADMIN}),
            visitor.get("/setup?token=guessed"),
            visitor.get("/setup"),
        ):
            assert 403 == answer.status_code
            assert "This link isn't valid any more" in answer.text
        fresh.world.clock.at = NOW
        assert 303 == visitor.post("/setup", data={"token": token, **ADMIN}).status_code
        for spent in (token, other):
            answer = visitor.post("/setup", data={"token": spent, "name": "eve", "password": "a long secret"})
            assert 403 == answer.status_code
            assert "there are users already" in answer.text
    assert ["ada"] == [user.name for user in users.list_users(fresh.app.database)]


@pytest.mark.parametrize("wrong", [{"name": ""}, {"password": "short"}, {"name": "x" * 65}])
def test_an_invalid_form_shows_its_fault_and_the_link_stays_valid(fresh: Desk, wrong: dict[str, str]) -> None:
    token = link_token(fresh.app.database)
    with fresh.visitor() as visitor:
        answer = visitor.post("/setup", data={"token": token, **ADMIN, **wrong})
        assert 422 == answer.status_code
        assert token in answer.text
        assert 303 == visitor.post("/setup", data={"token": token, **ADMIN}).status_code


def test_there_is_no_link_once_there_is_a_user(database: Database) -> None:
    by = Actor(name="root", via=Via.CLI)
    users.add_user(database, name="ada", role=Role.VIEWER, password="a long secret", by=by, now=NOW)
    assert first_admin.make_link_token(database, now=NOW) is None


def test_only_one_of_many_concurrent_requests_becomes_the_admin(database: Database) -> None:
    token = Secret(link_token(database))

    def become(number: int) -> object:
        return first_admin.make_first_admin(
            database, token=token, name=f"user {number}", password="a long secret", now=NOW
        )

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(become, range(4)))
    assert [None] + 3 * [SetupFault.STALE] == sorted(outcomes, key=lambda outcome: outcome is not None)
    assert 1 == len(users.list_users(database))


def test_the_database_contains_no_link(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    token = link_token(database)
    database.dispose()
    assert token.encode() not in Path(database.place).read_bytes()

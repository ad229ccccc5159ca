"""The pages of a bot over real HTTP on loopback, with an empty database and logged-in browsers."""

import pickle
import re
import shutil
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from starlette.applications import Starlette

from balancebot.app import App
from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import Readings, WalletName
from balancebot.domain.user import Role
from balancebot.people import users
from balancebot.ports import SourceErrorKind
from balancebot.store.database import Database
from balancebot.web.app import create_pages
from balancebot.web.request import cookie_name
from balancebot.web.server import WebServer, serve
from tests.databases import made_once
from tests.patience import PATIENCE
from tests.web import showcase
from tests.web.browser import PASSWORD
from tests.world import HandClock, World

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts no authority: nothing is encrypted on loopback, and reading the authorities takes 30 ms per client."""
METRICS = b"balancebot_outbox_pending 0.0\n"


@dataclass
class Desk:
    """Running pages with one user of each role; the user has the name of the role."""

    app: App
    world: World
    address: str
    pages: Starlette

    def visitor(self) -> httpx.Client:
        """Return a browser without a log-in."""
        return httpx.Client(base_url=self.address, trust_env=False, timeout=PATIENCE, verify=_NO_TLS)

    @contextmanager
    def user(self, role: Role) -> Iterator[httpx.Client]:
        """Yield a browser in which the user of a role has a session: to check a password takes 40 ms of CPU."""
        with self.visitor() as browser:
            token = self.app.log_in.start_session(role.value, now=self.app.clock.now())
            browser.cookies.set(cookie_name(self.app), token.reveal(), domain="127.0.0.1", path="/")
            yield browser

    @contextmanager
    def user_with_password(self, role: Role) -> Iterator[httpx.Client]:
        """Yield a browser in which the user of a role has logged in with the password, so that it is known."""
        with self.visitor() as browser:
            answer = browser.post("/login", data={"name": role.value, "password": PASSWORD})
            assert answer.status_code == 303, answer.text
            yield browser


@pytest.fixture(scope="session")
def file_with_users(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with one user of each role, who has the name of the role."""

    def add_users(file: Path) -> None:
        shutil.copyfile(sqlite_template, file)
        database = Database(f"sqlite:///{file}")
        by = Actor(name="root", via=Via.CLI)
        for role in Role:
            users.add_user(database, name=role.value, role=role, password=PASSWORD, by=by, now=NOW)
        _settle(database)

    return made_once(tmp_path_factory, "staffed.db", add_users)


@dataclass(frozen=True)
class Filled:
    """The stored database of the showcase."""

    file: Path
    at: datetime
    script: dict[WalletName, list[Readings | SourceErrorKind]]


@pytest.fixture(scope="session")
def filled(file_with_users: Path, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    def fill(file: Path) -> None:
        shutil.copyfile(file_with_users, file)
        world = World(Database(f"sqlite:///{file}"), clock=HandClock(NOW))
        showcase.set_limits(world)
        showcase.fill(world)
        _settle(world.database)
        rest = pickle.dumps((world.clock.at, world.source.script))
        file.with_name("filled.rest").write_bytes(rest)

    file = made_once(tmp_path_factory, "filled.db", fill)
    at, script = pickle.loads(file.with_name("filled.rest").read_bytes())
    return Filled(file=file, at=at, script=script)


@pytest.fixture
def world(file_with_users: Path, tmp_path: Path) -> Iterator[World]:
    """The bot of the pages, without wallets."""
    yield from _copy(file_with_users, tmp_path, NOW)


@pytest.fixture
def watching(filled: Filled, tmp_path: Path) -> Iterator[World]:
    """A bot with the showcase; a module's fixture `world` may return it."""
    for world in _copy(filled.file, tmp_path, filled.at):
        for name, lines in filled.script.items():
            world.shows(*lines, wallet=name)
        yield world


def _copy(file: Path, folder: Path, at: datetime) -> Iterator[World]:
    shutil.copyfile(file, folder / "balancebot.db")
    database = Database(f"sqlite:///{folder / 'balancebot.db'}")
    yield World(database, clock=HandClock(at))
    database.dispose()


def _settle(database: Database) -> None:
    """Write everything into one file, so that it can be copied."""
    database.dispose()  # closing the last connection writes SQLite's log into the file


def pages_of(world: World, **changes: Any) -> App:
    """Return an app for the pages of a world, with `changes` of its settings."""
    return world.another_app(timezone=ZoneInfo("Asia/Shanghai"), **changes)


@pytest.fixture
def servers() -> Iterator[list[WebServer]]:
    """The servers that a test has started; they end with the test."""
    started: list[WebServer] = []
    yield started
    for server in started:
        server.stop()


@pytest.fixture
def stop_serving(servers: list[WebServer]) -> Callable[[], None]:
    """A function that stops the servers before the end of the test."""

    def stop() -> None:
        for server in servers:
            server.stop()

    return stop


@pytest.fixture
def open_desk(world: World, servers: list[WebServer]) -> Callable[..., Desk]:
    """A function that serves the pages of an app, by default of one with `changes` of its settings."""

    def open_(app: App | None = None, **changes: Any) -> Desk:
        app = app or pages_of(world, **changes)
        pages = create_pages(app, metrics=lambda: METRICS)
        server = serve(pages, host="127.0.0.1", port=0)
        servers.append(server)
        return Desk(app=app, world=world, address=f"http://127.0.0.1:{server.port}", pages=pages)

    return open_


@pytest.fixture
def desk(open_desk: Callable[..., Desk]) -> Desk:
    return open_desk()


def csrf_token(browser: httpx.Client, page: str = "/me") -> str:
    """Return the CSRF token of the forms of a page."""
    found = re.search(r'name="csrf_token" value="([0-9a-f]+)"', browser.get(page).text)
    assert found
    return found[1]

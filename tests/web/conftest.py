"""A bot's pages over real HTTP on loopback: a site on an empty database, and browsers that are logged in."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlalchemy import Connection

from balancebot.config import AccountConfig, AppConfig, DatabaseConfig, Language, Secret, Settings
from balancebot.domain.audit import Actor, Way
from balancebot.domain.balance import Category, Readings, WalletName
from balancebot.domain.threshold import ThresholdBook
from balancebot.domain.user import Role
from balancebot.estimates.context import MessageContext
from balancebot.estimates.estimator import Estimator
from balancebot.estimates.planned_sends import PlannedSends
from balancebot.explain.explain import Explanation, explain
from balancebot.notify.resend import OperateDeliveries
from balancebot.overview.latest import LatestOverview
from balancebot.people import users
from balancebot.people.log_in import LogIn
from balancebot.ports import SourceErrorKind
from balancebot.store.database import Database
from balancebot.store.thresholds import ThresholdCache
from balancebot.thresholds.changes import EditThresholds
from balancebot.thresholds.preview import Backtest, PreviewLimits
from balancebot.web.app import create_app
from balancebot.web.context import WebContext
from balancebot.web.server import WebServer, serve
from tests.web import showcase
from tests.web.browser import PASSWORD
from tests.world import HandClock, World

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


@dataclass
class Desk:
    """A running site with one user of each role, named like it."""

    site: WebContext
    world: World
    address: str

    def visitor(self) -> httpx.Client:
        """A browser that nobody has logged in with."""
        return httpx.Client(base_url=self.address, trust_env=False)

    @contextmanager
    def user(self, role: Role) -> Iterator[httpx.Client]:
        """A browser in which the user of a role is logged in."""
        with self.visitor() as browser:
            answer = browser.post("/login", data={"name": role.value, "password": PASSWORD})
            assert answer.status_code == 303, answer.text
            yield browser


@pytest.fixture(scope="session")
def staffed(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with one user of each role, named like it."""
    file = tmp_path_factory.mktemp("staffed") / "balancebot.db"
    shutil.copyfile(sqlite_template, file)
    database = Database(f"sqlite:///{file}")
    by = Actor(who="root", way=Way.CLI)
    for role in Role:
        users.add_user(database, name=role.value, role=role, password=PASSWORD, by=by, now=NOW)
    _settle(database)
    return file


@dataclass(frozen=True)
class Filled:
    """The showcase, as it was left."""

    file: Path
    at: datetime
    script: dict[WalletName, list[Readings | SourceErrorKind]]


@pytest.fixture(scope="session")
def filled(staffed: Path, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    file = tmp_path_factory.mktemp("filled") / "balancebot.db"
    shutil.copyfile(staffed, file)
    world = World(Database(f"sqlite:///{file}"), clock=HandClock(NOW))
    showcase.set_limits(world)
    showcase.fill(world)
    _settle(world.database)
    return Filled(file=file, at=world.clock.at, script=world.source.script)


@pytest.fixture
def world(staffed: Path, tmp_path: Path) -> Iterator[World]:
    """The bot behind the pages; it watches nothing yet."""
    yield from _copy(staffed, tmp_path, NOW)


@pytest.fixture
def watching(filled: Filled, tmp_path: Path) -> Iterator[World]:
    """A bot that has watched the showcase: what a module's `world` may be instead."""
    for world in _copy(filled.file, tmp_path, filled.at):
        world.source.script.update({name: list(lines) for name, lines in filled.script.items()})
        yield world


def _copy(file: Path, folder: Path, at: datetime) -> Iterator[World]:
    shutil.copyfile(file, folder / "balancebot.db")
    database = Database(f"sqlite:///{folder / 'balancebot.db'}")
    yield World(database, clock=HandClock(at))
    database.dispose()


def _settle(database: Database) -> None:
    """Leave all in the one file, so that it can be copied."""
    database.dispose()  # the last connection that closes empties SQLite's log into the file


def site_of(world: World, **different: object) -> WebContext:
    """Return the pages of a world, with what is to be different from usual."""
    shelf = ThresholdCache()

    def explained(
        conn: Connection, wallet: WalletName, category: Category | None, book: ThresholdBook, now: datetime
    ) -> Explanation:
        return explain(conn, wallet, category, settings=settings_of(world), book=book, now=now)

    site = WebContext(
        database=world.database,
        clock=world.clock,
        log_in=LogIn(world.database, Secret("key")),
        operate_alerts=world.operate,
        operate_deliveries=OperateDeliveries(database=world.database, clock=world.clock),
        edit_thresholds=EditThresholds(
            database=world.database, clock=world.clock, known=lambda: tuple(world.source.script)
        ),
        thresholds=shelf,
        latest=LatestOverview(
            world.database, shelf, stale_after=world.stale_after, patience=timedelta(seconds=30)
        ),
        figures=MessageContext(
            estimator=Estimator(zone="Asia/Shanghai", confidence=0.75), thresholds=shelf, package_sizes={}
        ),
        stale_after=world.stale_after,
        preview=PreviewLimits(
            database=world.database,
            backtest=Backtest(zone="Asia/Shanghai", confidence=0.75, margin=0.05),
            stale_after=world.stale_after,
        ),
        announce=PlannedSends(
            database=world.database,
            clock=world.clock,
            known=lambda: tuple(world.source.script),
            estimator=world.figures.estimator,
        ),
        explain=explained,
        language=Language.ENGLISH,
        zone=ZoneInfo("Asia/Shanghai"),
        public_url="http://127.0.0.1",
        metrics=lambda: b"balancebot_outbox_pending 0.0\n",
        unready=lambda: "",
    )
    return replace(site, **different)  # type: ignore[arg-type]


def settings_of(world: World) -> Settings:
    """Return the configuration of the wallets that a world shows."""
    key, secret = Secret("k"), Secret("s")
    apps: dict[str, list[AppConfig]] = {}
    for name in world.source.script:
        account, _, app = name.partition("/")
        apps.setdefault(account, []).extend(
            [AppConfig(name=app, app_key=key, master_secret=secret)] if app else []
        )
    return Settings(
        path=Path("balancebot.toml"),
        resolved=True,
        database=DatabaseConfig(url=Secret("")),
        accounts=tuple(
            AccountConfig(name=name, dev_key=key, dev_secret=secret, apps=tuple(found))
            for name, found in apps.items()
        ),
    )


@pytest.fixture
def servers() -> Iterator[list[WebServer]]:
    """The servers that a test has started; they end with it."""
    started: list[WebServer] = []
    yield started
    for server in started:
        server.stop()


@pytest.fixture
def stop_serving(servers: list[WebServer]) -> Callable[[], None]:
    """Ends the servers before the test does."""

    def stop() -> None:
        for server in servers:
            server.stop()

    return stop


@pytest.fixture
def open_desk(world: World, servers: list[WebServer]) -> Callable[..., Desk]:
    """Opens the pages, with what is to be different from usual."""

    def open_(**different: object) -> Desk:
        site = site_of(world, **different)
        server = serve(create_app(site), host="127.0.0.1", port=0)
        servers.append(server)
        return Desk(site=site, world=world, address=f"http://127.0.0.1:{server.port}")

    return open_


@pytest.fixture
def desk(open_desk: Callable[..., Desk]) -> Desk:
    return open_desk()


def csrf_token(browser: httpx.Client, page: str = "/me") -> str:
    """Return the token that the forms of a page hold."""
    found = re.search(r'name="csrf_token" value="([0-9a-f]+)"', browser.get(page).text)
    assert found
    return found[1]

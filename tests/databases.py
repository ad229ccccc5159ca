"""A real, migrated, empty database for every test: `database` runs each test on SQLite and on PostgreSQL.

A PostgreSQL server for the tests is started once per session in a temporary folder, with a socket in that folder. Where
PostgreSQL isn't installed its tests are skipped, but never under CI.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest
from alembic.config import main

from balancebot.store.database import Database
from tests.patience import PATIENCE


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty database with every table, on each of the two systems."""
    fixture = {"sqlite": "sqlite_url", "postgresql": "postgresql_url"}[request.param]
    return request.getfixturevalue(fixture)  # type: ignore[no-any-return]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty database with every table, on each of the two systems."""
    opened = Database(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of an empty SQLite file with every table."""
    file = tmp_path / "balancebot.db"
    shutil.copyfile(sqlite_template, file)
    return f"sqlite:///{file}"


@pytest.fixture
def postgresql_url(postgresql_template: "PostgreSQL") -> Iterator[str]:
    """The URL of an empty PostgreSQL database with every table."""
    name = postgresql_template.create(template="migrated")
    yield postgresql_template.url(name)
    postgresql_template.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def blank_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables, on each of the two systems."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'blank.db'}"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    name = server.create(template="template0")
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def blank(blank_url: str) -> Iterator[Database]:
    """A database without tables, on each of the two systems."""
    opened = Database(blank_url)
    yield opened
    opened.dispose()


def alembic(url: str, *words: str) -> None:
    """Run a command of Alembic on a database, like `python -m alembic`, but in this process."""
    ini = Path(__file__).parents[1] / "alembic.ini"
    main(["-c", str(ini), "-x", f"url={url}", *words])


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a file that the first process of this run creates; the others wait for it."""
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    file = folder / name
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            unfinished = folder / f"{name}.unfinished"
            make(unfinished)
            unfinished.rename(file)
    return file


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy."""

    def migrate(file: Path) -> None:
        migrated = Database(f"sqlite:///{file}")
        migrated.upgrade()
        migrated.dispose()  # closing the last connection writes SQLite's log into the file

    return made_once(tmp_path_factory, "migrated.db", migrate)


@pytest.fixture(scope="session")
def postgresql_template(postgresql: "PostgreSQL") -> "PostgreSQL":
    """The server, with a migrated database to copy."""
    postgresql.create("migrated", template="template0")
    migrated = Database(postgresql.url("migrated"))
    migrated.upgrade()
    migrated.dispose()
    return postgresql


@pytest.fixture(scope="session")
def postgresql() -> Iterator["PostgreSQL"]:
    """A PostgreSQL server for this session."""
    programs = installed_programs()
    if programs is None:
        why = (
            "PostgreSQL is not installed: no initdb in PATH, in /usr/lib/postgresql or where pg_config points"
        )
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    with _running(programs) as server:
        yield server


@contextmanager
def run_postgresql() -> Iterator["PostgreSQL"]:
    """Run a PostgreSQL server for a program that isn't pytest; the program ends where none is installed."""
    programs = installed_programs()
    if programs is None:
        raise SystemExit("PostgreSQL is not installed")
    with _running(programs) as server:
        yield server


@contextmanager
def empty_databases(kind: str) -> Iterator[Callable[[Path], str]]:
    """Yield a function that creates an empty database for a folder and returns its URL, for a program that isn't pytest."""
    if kind == "sqlite":
        yield lambda folder: f"sqlite:///{folder}/balancebot.db"
        return
    with run_postgresql() as server:
        yield lambda folder: server.url(server.create(folder.name, template="template0"))


@contextmanager
def _running(programs: Path) -> Iterator["PostgreSQL"]:
    server = PostgreSQL(programs)
    try:
        server.start()
        yield server
    finally:
        server.stop()


class PostgreSQL:
    """A server in a temporary folder, reached by the socket in it; durable for as long as the tests run."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        # not in pytest's folder, which the server's user can't read
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        # PostgreSQL refuses to run as root
        self._user = None if os.geteuid() else "postgres"
        if self._user:
            shutil.chown(self.folder, self._user)
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)
        self._copied_by = ""

    def url(self, name: str, user: str = "tests") -> str:
        """Return the SQLAlchemy URL of the database `name`."""
        return f"postgresql+psycopg://{user}@/{name}?host={self.folder}"

    def start(self) -> None:
        """Create the server if it doesn't exist, and run it; return when it answers."""
        data = self.folder / "data"
        if not data.exists():
            command: list[str | Path] = [
                self._programs / "initdb",
                "--pgdata",
                data,
                "--username=tests",
                "--auth=trust",
            ]
            command += ["--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C"]
            subprocess.run(command, user=self._user, cwd=self.folder, check=True, capture_output=True)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "autovacuum": "off",  # autovacuum would visit each of a thousand databases
            "shared_buffers": "32MB",
            "max_connections": "200",
        }
        command = [self._programs / "postgres", "-D", data]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, user=self._user, cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self._run("SELECT 1")
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    pytest.fail(f"PostgreSQL did not start:\n{(self.folder / 'log').read_text()}")
                time.sleep(0.02)
            else:
                break
        # the default since PostgreSQL 15 writes every block to the log: 200 ms instead of 30
        if self._server_version() >= 15_00_00:
            self._copied_by = " STRATEGY file_copy"

    def _server_version(self) -> int:
        with self._connect() as connection:
            return connection.info.server_version

    def halt(self) -> None:
        """Stop the server like a crash; `start` runs it again with its data."""
        if self._process is not None:
            self._process.send_signal(3)  # SIGQUIT: without a clean shutdown
            self._process.wait(PATIENCE)
            self._process = None

    def stop(self) -> None:
        """Stop the server and remove its files."""
        self.halt()
        shutil.rmtree(self.folder, ignore_errors=True)

    def create(self, name: str | None = None, *, template: str) -> str:
        """Create a database as a copy of another; return its name."""
        name = name or f"test_{next(self._numbers)}"
        self._run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"{self._copied_by}')
        return name

    def drop(self, name: str) -> None:
        """Remove a database, even if clients are connected."""
        self._run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _run(self, statement: str) -> None:
        with self._connect() as connection:
            connection.execute(statement.encode())

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.folder),
            user="tests",
            dbname="postgres",
            autocommit=True,
            connect_timeout=int(PATIENCE),
        )


def installed_programs() -> Path | None:
    """The folder of `initdb` and `postgres`, the newest version first."""
    folders = [Path(found).parent for found in [shutil.which("initdb")] if found]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name))
    if pg_config := shutil.which("pg_config"):
        answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)
        folders.append(Path(answer.stdout.strip()))
    return next(
        (path for path in folders if (path / "initdb").exists() and (path / "postgres").exists()), None
    )

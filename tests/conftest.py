"""Fixtures for every test, and the set-up of a test run."""

import gc
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from balancebot.store.database import Database
from tests.compiled import compile_once
from tests.outbox_bench import Bench
from tests.world import SHOP, World

pytest_plugins = (
    "tests.databases",
    "tests.web.browser",
)


# a busy machine is slow, which is no fault of the tested code; and the tests empty their databases themselves
settings.register_profile(
    "any machine",
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.function_scoped_fixture,
    ],
)
settings.load_profile("any machine")

_MEMORY = Path("/dev/shm")
_MUCH = 2 << 30


def pytest_configure() -> None:
    """Put databases into memory if there is enough, and compiled modules on disk.

    A copy of PostgreSQL's template is a thousand files: 30 ms in memory, 500 ms on a disk. Every process that a test
    starts would compile the whole package again.
    """
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if "TMPDIR" not in os.environ and _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _MUCH:
        os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)
    compile_once()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exclude the collected tests from garbage collection: they all stay, and each collection would take half a second."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that updates golden files."""
    parser.addoption(
        "--update-golden", action="store_true", help="update the golden files; review the difference"
    )


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    """Restore the log handlers: a command logs to its own stderr, which ends with the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def bench(database: Database) -> Iterator[Bench]:
    """An outbox with Slack and e-mail, and one worker."""
    bench = Bench(database)
    yield bench
    bench.deliver.close(timedelta(seconds=5))


@pytest.fixture
def day(database: Database) -> Iterator[World]:
    """A world with one shop with limits in messages."""
    yield from _day(database)


@pytest.fixture
def long_day(sqlite_url: str) -> Iterator[World]:
    """The same on SQLite only, for long tests that don't depend on the database."""
    database = Database(sqlite_url)
    yield from _day(database)
    database.dispose()


def _day(database: Database) -> Iterator[World]:
    world = World(database)
    world.configure(SHOP)
    world.limit(warning_below=1000, critical_below=100, warning_days=-1, critical_days=-1)
    yield world
    world.close()

"""What every test may ask for."""

import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest

from balancebot.store.database import Database
from tests.outbox_bench import Bench
from tests.world import SHOP, World

pytest_plugins = (
    "tests.databases",
    "tests.web.browser",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch that writes golden files anew."""
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files anew: look at their difference"
    )


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    """Takes back where log lines go: a command sends them to its own stderr, which ends with the test."""
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
    """A world with one shop that has limits in messages."""
    world = World(database)
    world.configure(SHOP)
    world.limit(warning_below=1000, critical_below=100, warning_days=-1, critical_days=-1)
    yield world
    world.close()

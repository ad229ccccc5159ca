"""What the tests of use-cases may ask for."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from balancebot.storage.database import Database
from tests.usecases.day import Day
from tests.usecases.outbox_bench import Bench


@pytest.fixture
def bench(database: Database) -> Iterator[Bench]:
    """An outbox with Slack and e-mail, and one worker."""
    bench = Bench(database)
    yield bench
    bench.deliver.close(timedelta(seconds=5))


@pytest.fixture
def day(database: Database) -> Iterator[Day]:
    """A world whose news arrives at once."""
    day = Day(database)
    yield day
    day.close()

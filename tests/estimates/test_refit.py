"""Usage models are fitted again after an upgrade that fits them in another way."""

from collections.abc import Iterator

import pytest
from sqlalchemy import update

from balancebot.forecast.model import VERSION
from balancebot.store import estimates
from balancebot.store.database import Database
from balancebot.store.tables import burn_models
from tests.world import SHOP, World


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    world = World(database)
    world.configure(SHOP)
    yield world
    world.close()


def test_after_an_upgrade_models_are_fitted_again_before_the_first_reading_is_judged(world: World) -> None:
    world.reads(*range(100_000, 95_000, -100))
    before = world.usage_rate()
    assert before is not None
    with world.database.write() as conn:
        conn.execute(update(burn_models).values(model=b"\x01an older model"))

    world.app = world.another_app()
    world.reads(94_900)

    after = world.usage_rate()
    assert after is not None
    assert abs(after - before) < 0.1 * before
    with world.database.read() as conn:
        assert {VERSION} == estimates.model_versions(conn)


def test_a_database_without_models_has_no_version(database: Database) -> None:
    with database.read() as conn:
        assert set() == estimates.model_versions(conn)

"""Universal quota that begins to replace an empty category is estimated by the usage of that category at once."""

import pytest

from balancebot.domain.balance import Category
from balancebot.store.database import Database
from tests.world import SHOP, World, industry

PER_DAY = 120.0 * 24


def lasts(world: World) -> float | None:
    views = world.app.latest.read(now=world.clock.now()).views
    (runway,) = (view.estimate.runway for view in views if view.key.category is Category.UNIVERSAL)
    return None if runway is None else runway.p50 / 24


@pytest.mark.parametrize("dry", [20, 40])
def test_from_its_first_message_on_over_the_end_of_the_hour(database: Database, dry: int) -> None:
    world = World(database)
    world.configure(SHOP)
    left, universal = 120 * 30 + 2 * dry, 8_640
    for _ in range(30):
        world.shows(industry(left, universal=universal))
        world.poll()
        world.clock.pass_by(hours=1)
        left -= 120
    for minute in range(0, 150, 10):
        world.shows(industry(left, universal=universal))
        world.poll()
        if minute > dry:
            assert lasts(world) == pytest.approx(universal / PER_DAY, rel=0.2), f"after {minute} minutes"
        if left:
            left -= 20
        else:
            universal -= 20
        world.clock.pass_by(minutes=10)
    world.close()

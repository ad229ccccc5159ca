"""The history of a balance comes from the roll-up: hours with usage, top-ups and transfers, and days with their sums."""

from datetime import timedelta

import pytest

from balancebot.domain.balance import Category
from balancebot.history.balances import by_day, history_of
from balancebot.store import wallets
from balancebot.store.database import Database
from tests.web import showcase
from tests.world import World


@pytest.fixture
def world(sqlite_url: str) -> World:
    world = World(Database(sqlite_url))
    showcase.fill(world)
    return world


def test_hours_have_readings_usage_and_top_ups_and_days_add_them_up(world: World) -> None:
    now = world.clock.now()
    with world.database.read() as conn:
        row = wallets.find(conn, showcase.CHECKOUT)
        assert row is not None
        hours = history_of(conn, row.id, Category.INDUSTRY, since=now - timedelta(days=30), now=now)
        moved = history_of(conn, row.id, Category.UNIVERSAL, since=now - timedelta(days=30), now=now)
    assert 719 <= len(hours) <= 721
    assert [hour.begins_at for hour in hours] == sorted(hour.begins_at for hour in hours)
    # bought 150,000, minus the usage in the same hour
    (bought,) = [hour.topped_up for hour in hours if hour.topped_up]
    assert 149_000 < bought <= 150_000
    assert [25_000] == [hour.transferred for hour in moved if hour.transferred]
    assert [] == [hour for hour in moved if hour.topped_up]

    days = by_day(hours, now=now, days=30)
    assert sum(hour.use for hour in hours if hour.begins_at >= now - timedelta(days=30)) == sum(
        day.use for day in days
    )
    assert hours[-1].reading == days[0].reading

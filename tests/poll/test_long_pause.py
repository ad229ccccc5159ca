"""A machine that was off for a month: nothing is sent twice or deleted, and estimates are right after two readings."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from balancebot.config import DigestConfig, RetentionConfig
from balancebot.domain.balance import Category
from balancebot.domain.message import DigestMessage
from balancebot.history.prune import Pruned, prune_steadily
from balancebot.store import usage, use_totals, wallets
from balancebot.store.database import Database
from balancebot.store.tables import notifications
from tests.world import SHOP, World, industry

DAILY = DigestConfig(name="daily", cron="0 9 * * *", destinations={"slack": ("#finance",)})
RETENTION = RetentionConfig(raw=timedelta(days=31), hourly=timedelta(days=400))
HOUR = timedelta(hours=1)
USED = 100
"""Each hour."""


@pytest.fixture
def world(database: Database) -> World:
    world = World(database, digests=(DAILY,))
    world.shows(industry(100_000))
    world.configure(SHOP)
    world.limit(warning_below=96_000, warning_days=0.01, critical_days=0.005)
    return world


def _live(world: World, balance: int, hours: int) -> int:
    """Run every task of the bot each hour; return the balance at the end."""
    for _ in range(hours):
        world.shows(industry(balance))
        world.poll()
        world.app.operate_alerts.tick()
        world.app.send_digest.run_due()
        world.deliver()
        _prune(world)
        world.clock.at += HOUR
        balance -= USED
    return balance


def _prune(world: World) -> Pruned | None:
    return prune_steadily(world.database, RETENTION, zone=ZoneInfo("UTC"), now=world.clock.now())


def _digests(world: World) -> list[tuple[str, bool]]:
    with world.database.read() as conn:
        messages = conn.scalars(select(notifications.c.message).order_by(notifications.c.id))
        return [(message.slot, message.late) for message in messages if isinstance(message, DigestMessage)]


def test_a_pause_of_a_month_sends_nothing_twice_and_deletes_nothing_immediately(world: World) -> None:
    balance = _live(world, 100_000, 48)
    opened = "opened warning acme/shop:industry"
    assert [opened] == world.transitions()
    assert ["2026-11-24T09:00", "2026-11-25T09:00"] == [slot for slot, _ in _digests(world)]
    before, num_snapshots = world.usage_rate(), world.num_snapshots()
    world.close()

    world.clock.at += timedelta(days=30)
    world.app = world.another_app(digests=(DAILY,))
    balance = _live(world, balance - 30 * 24 * USED, 2)
    # one reminder instead of all missed ones
    assert [opened, "reminder warning acme/shop:industry"] == world.transitions()
    # noon: the missed slot of nine o'clock is sent late, those of earlier days aren't
    assert ("2026-12-25T09:00", True) == _digests(world)[-1]
    assert 3 == len(_digests(world))
    assert num_snapshots + 2 == world.num_snapshots()
    assert before == pytest.approx(world.usage_rate(), rel=0.2)
    with world.database.read() as conn:
        booked = sum(used[2].use for used in use_totals.of_hours(conn, since=0, until=10**6).values())
    assert 100_000 - balance - USED == booked

    _live(world, balance, 25)
    assert [opened, *["reminder warning acme/shop:industry"] * 2] == world.transitions()
    # a day has passed without a jump: readings older than 31 days are deleted now
    assert world.num_snapshots() < num_snapshots + 27


def test_usage_in_a_pause_is_spread_over_its_hours(world: World) -> None:
    balance = _live(world, 100_000, 2)
    begin = world.clock.now() - HOUR
    pause = timedelta(days=5, minutes=20)
    world.clock.at = begin + pause
    world.shows(industry(balance + USED - 5 * 24 * USED - 33))
    world.poll()
    first, last = (int(at.timestamp() // 3600) for at in (begin, begin + pause))
    with world.database.read() as conn:
        wallet_id = wallets.ids(conn)[SHOP]
        hours = usage.hours_of(conn, wallet_id, since=0, until=last + 1)
    used = [hour.of(Category.INDUSTRY) for hour in hours]
    assert USED + 5 * 24 * USED + 33 == sum(part.use for part in used)
    assert [*range(first, last + 1)] == [hour.at for hour in hours if hour.at >= first]
    used = [hour.of(Category.INDUSTRY) for hour in hours if first < hour.at < last]
    assert {(USED, 3600, -USED), (USED + 1, 3600, -USED - 1)} >= {
        (part.use, part.exposure, part.after) for part in used
    }
    world.shows(industry(balance - 5 * 24 * USED - 33))
    world.clock.at += timedelta(minutes=5)
    world.poll()
    with world.database.read() as conn:
        again = usage.hours_of(conn, wallet_id, since=0, until=last)
    assert hours[:-1] == again


def test_usage_in_a_night_without_readings_is_spread_like_usual_usage(world: World) -> None:
    usual = {hour: 300 if 8 <= hour < 20 else 10 for hour in range(24)}
    balance = 90_000
    for read in [True] * 72 + [False] * 13 + [True]:
        world.shows(industry(balance))
        if read:
            world.poll()
        balance -= usual[world.clock.at.hour]
        world.clock.at += HOUR
    end = int(world.clock.at.timestamp()) // 3600 - 1
    with world.database.read() as conn:
        rows = usage.hours_of(conn, wallets.ids(conn)[SHOP], since=end - 14, until=end)
    by_hour = {row.at: row.of(Category.INDUSTRY).use for row in rows}
    true = {hour: usual[hour % 24] for hour in range(end - 14, end)}
    assert sum(true.values()) == sum(by_hour.values())
    assert all(abs(by_hour.get(hour, 0) - used) <= 40 for hour, used in true.items()), (by_hour, true)

"""A clock that was far ahead or behind for two readings has no effect once it is right again."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from balancebot.domain.balance import Readings
from balancebot.ports import SourceErrorKind
from balancebot.store import wallets
from balancebot.store.database import Database
from balancebot.store.tables import hourly_use
from tests.world import SHOP, HandClock, World, industry

sqlite_alone = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests with many readings that don't depend on the database."""


@pytest.fixture
def world(database: Database) -> World:
    world = World(database)
    world.shows(industry(100_000))
    world.configure(SHOP)
    world.limit(warning_days=30, critical_days=10)
    return world


def _read(world: World, balance: int, **then: float) -> None:
    world.reads(balance, then=timedelta(**then))


@sqlite_alone
@pytest.mark.parametrize(
    "jumped",
    [
        lambda at: at + timedelta(days=60),
        lambda at: at + timedelta(days=30),
        lambda at: at - timedelta(days=60),
        lambda at: at.replace(year=1970),
    ],
    ids=["60 days ahead", "30 days ahead", "60 days back", "1970"],
)
def test_the_usage_rate_is_right_within_two_readings(world: World, jumped: object) -> None:
    balance = 100_000
    for _ in range(24):
        _read(world, balance, minutes=30)
        balance -= 200
    before = world.usage_rate()
    assert before == pytest.approx(9600, rel=0.05)

    right = world.clock.at
    assert callable(jumped)
    at = jumped(right)
    assert isinstance(at, datetime)
    world.clock.at = at
    for _ in range(2):
        _read(world, balance, minutes=5)
        balance -= 30
    world.clock.at = right + timedelta(minutes=10)
    for _ in range(3):
        _read(world, balance, minutes=30)
        balance -= 200
    assert world.usage_rate() == pytest.approx(9600, rel=0.15)


@pytest.mark.parametrize("days", [60, 20_000])
def test_a_clock_that_is_far_behind_deletes_no_readings(world: World, days: int) -> None:
    for _ in range(3):
        _read(world, 100_000, minutes=5)
    right = world.clock.at
    steady = HandClock(right)
    behind = world.another_app(steady=steady)
    before = world.num_snapshots()
    world.clock.at = right - timedelta(days=days)
    for _ in range(3):
        behind.poll_cycle.run_all([SHOP])
        world.clock.pass_by(minutes=5)
        steady.pass_by(minutes=5)
        world.clock.at -= timedelta(seconds=1)
    assert before <= world.num_snapshots()


def test_a_machine_whose_clock_starts_at_1970_books_no_decades(world: World) -> None:
    right = world.clock.at
    world.clock.at = right.replace(year=1970)
    _read(world, 100_000, minutes=5)
    world.clock.at = right
    for _ in range(3):
        _read(world, 99_000, minutes=5)
    with world.database.read() as conn:
        assert 3 > (conn.scalar(select(func.count()).select_from(hourly_use)) or 0)


@sqlite_alone
@pytest.mark.parametrize(
    "jump", [timedelta(hours=1), timedelta(days=60), timedelta(days=-60), timedelta(hours=-3)]
)
@pytest.mark.parametrize("fails", ["before", "meanwhile", "after"])
def test_a_wallet_that_fails_while_the_clock_is_wrong_is_not_stale(
    world: World, jump: timedelta, fails: str
) -> None:
    """Three readings before the clock is wrong, three during and three after that; two of them fail."""
    right = world.clock.at
    steady = HandClock(right)
    app = world.another_app(steady=steady)
    for number in range(9):
        world.clock.at = steady.at + (jump if 3 <= number < 6 else timedelta())
        failing = {"before": {2, 3}, "meanwhile": {4, 5}, "after": {6, 7}}[fails]
        world.shows(SourceErrorKind.TIMEOUT if number in failing else industry(100_000))
        app.poll_cycle.run_all([SHOP])
        app.operate_alerts.tick()
        steady.pass_by(minutes=5)
    assert [] == world.transitions()


def test_a_clock_that_is_briefly_ahead_books_no_extra_hours_and_loses_no_usage(world: World) -> None:
    steady = HandClock(world.clock.at)
    app = world.another_app(steady=steady)
    balance = 100_000
    for number in range(9):
        world.clock.at = steady.at + (timedelta(days=60) if 4 <= number < 6 else timedelta())
        world.shows(industry(balance))
        app.poll_cycle.run_all([SHOP])
        steady.pass_by(minutes=5)
        balance -= 100
    with world.database.read() as conn:
        rows = conn.execute(select(hourly_use.c.hour, hourly_use.c.industry_used)).all()
    assert 2 >= len(rows)
    assert 800 == sum(row.industry_used or 0 for row in rows)


def test_a_reading_dated_by_a_wrong_clock_books_no_extra_hours(world: World) -> None:
    steady = HandClock(world.clock.at)
    app = world.another_app(steady=steady)
    for balance in (100_000, 99_900, 99_800, 99_700):
        world.clock.at = steady.at
        world.shows(industry(balance))
        if balance == 99_800:
            right = world.clock.at
            world.clock.at = right + timedelta(days=60)
            world.source.meanwhile = lambda at=right: setattr(world.clock, "at", at)
        app.poll_cycle.run_all([SHOP])
        steady.pass_by(minutes=5)
    with world.database.read() as conn:
        rows = conn.execute(select(hourly_use.c.hour, hourly_use.c.industry_used)).all()
    assert 2 >= len(rows)
    assert 300 == sum(row.industry_used or 0 for row in rows)


@pytest.mark.parametrize("line", [industry(100_000), SourceErrorKind.TIMEOUT])
def test_wallets_scheduled_by_a_wrong_clock_are_read_in_time(
    world: World, line: Readings | SourceErrorKind
) -> None:
    steady = HandClock(world.clock.at)
    app = world.another_app(steady=steady)
    right = world.clock.at
    world.clock.at = right + timedelta(days=60)
    world.shows(line)
    world.source.meanwhile = lambda: setattr(world.clock, "at", right)
    app.poll_cycle.run_all([SHOP])
    with world.database.read() as conn:
        due_at = wallets.named(conn, [SHOP])[SHOP].next_reading.at
    assert due_at is not None
    assert due_at - right < timedelta(hours=1)

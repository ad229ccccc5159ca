"""A planned send counts before it is sent: it shortens the runway, messages name it, and it is no spike."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from balancebot.domain.audit import Act, Actor, AuditEntry, Via
from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.next_reading import NextReading, ReadReason
from balancebot.domain.runway import PlannedUse
from balancebot.estimates.planned_sends import PlannedSends
from balancebot.overview.balances import overview
from balancebot.store import alerts, audit, tables, wallets
from balancebot.store.planned_sends import PlannedSend
from tests.world import NOON, SHOP, World, industry

ANN = Actor(name="ann", via=Via.CLI)
BALANCE = BalanceKey(SHOP, Category.INDUSTRY)
HOUR = timedelta(hours=1)


@pytest.fixture
def world(database) -> World:
    world = World(database)
    world.configure(SHOP)
    return world


@pytest.fixture
def sends(world) -> PlannedSends:
    return PlannedSends(
        database=world.database,
        clock=world.clock,
        known=lambda: (SHOP,),
        estimator=world.app.figures.estimator,
    )


def announced(sends: PlannedSends, messages: int, *, over: timedelta = 2 * HOUR) -> PlannedSend:
    plan = sends.announce(
        BALANCE, messages=messages, starts_at=sends.clock.now() + HOUR, over=over, note="sale", by=ANN
    )
    assert isinstance(plan, PlannedSend)
    return plan


def a_day_of_use(world: World, *, left: int, an_hour: int, hours: int = 30) -> int:
    """Let the shop use `an_hour` messages an hour; return the balance at the end."""
    world.shows(industry(left))
    world.poll()
    for _ in range(hours):
        world.clock.pass_by(hours=1)
        left -= an_hour
        world.shows(industry(left))
        world.poll()
    return left


def test_a_wallet_is_read_when_a_planned_send_begins(world, sends):
    world.shows(industry(50_000))
    world.poll()
    with world.database.write() as conn:
        conn.execute(update(tables.wallets).values(next_read_at=NOON + 5 * HOUR))

    announced(replace(sends, fastest=HOUR / 60), 10_000)

    with world.database.read() as conn:
        wallet = wallets.find(conn, SHOP)
    expected = NextReading(NOON + HOUR, ReadReason.PLANNED_SEND, Category.INDUSTRY)
    assert expected == wallet.next_reading


def runway(world: World) -> float:
    with world.database.read() as conn:
        views = overview(
            conn,
            book=world.app.thresholds.book(conn),
            stale_after=world.app.settings.poll.stale_after,
            now=world.clock.now(),
        )
    estimate = next(view.estimate for view in views if view.key == BALANCE)
    assert estimate.runway is not None
    return estimate.runway.p50


def test_a_planned_send_shortens_the_runway_until_it_is_removed(world, sends):
    a_day_of_use(world, left=103_000, an_hour=100)
    before = runway(world)
    plan = announced(sends, 99_900)
    at_once = runway(world)
    world.poll()
    at_the_next_reading = runway(world)
    sends.take_back(plan.id, by=ANN)

    assert before > 500
    assert at_once < 4
    assert at_once == pytest.approx(at_the_next_reading)
    assert before == pytest.approx(runway(world))


def test_an_alert_names_the_planned_send(world, sends):
    world.limit(critical_below=1_000, warning_days=-1, critical_days=-1)
    a_day_of_use(world, left=5_000, an_hour=100, hours=2)
    plan = announced(sends, 4_000)
    world.shows(industry(900))
    world.poll()

    with world.database.read() as conn:
        [message] = alerts.listed(conn)
    assert (
        PlannedUse(messages=4_000, starts_at=plan.starts_at, ends_at=plan.ends_at, note="sale"),
    ) == message.context.planned


def test_high_usage_during_a_planned_send_is_no_spike(world, sends):
    world.limit(warning_days=-1, critical_days=-1)
    left = a_day_of_use(world, left=10_000_000, an_hour=100)
    announced(sends, 12_000, over=3 * HOUR)
    world.clock.pass_by(hours=1)
    for _ in range(3):
        world.clock.pass_by(hours=1)
        left -= 4_000
        world.shows(industry(left))
        world.poll()

    assert [] == world.transitions()


def test_the_same_usage_without_a_planned_send_is_a_spike(world):
    world.limit(warning_days=-1, critical_days=-1)
    left = a_day_of_use(world, left=10_000_000, an_hour=100)
    world.clock.pass_by(hours=1)
    for _ in range(3):
        world.clock.pass_by(hours=1)
        left -= 4_000
        world.shows(industry(left))
        world.poll()

    assert ["opened critical acme/shop:industry"] == world.transitions()


def test_adding_and_removing_a_planned_send_are_in_the_audit_log(world, sends):
    plan = announced(sends, 4_000)
    world.clock.pass_by(minutes=1)
    removed = sends.take_back(plan.id, by=ANN)

    picture: dict[str, str | int | float | bool | None] = {
        "id": plan.id,
        "messages": 4_000,
        "starts_at": "2026-11-23T13:00:00+00:00",
        "ends_at": "2026-11-23T15:00:00+00:00",
        "note": "sale",
    }
    expected = AuditEntry(
        at=NOON + timedelta(minutes=1),
        actor="ann",
        via=Via.CLI,
        act=Act.REMOVE_PLAN,
        subject="acme/shop:industry",
        before=picture,
    )
    with world.database.read() as conn:
        entries = [replace(entry, id="") for entry in audit.newest(conn, limit=10)]
    assert [expected, replace(expected, at=NOON, act=Act.ADD_PLAN, before=None, after=picture)] == entries
    assert plan == removed
    assert () == sends.standing()


def test_the_next_planned_send_is_listed_first(world, sends):
    later = sends.announce(BALANCE, messages=1, starts_at=NOON + 5 * HOUR, over=HOUR, by=ANN)
    under_way = sends.announce(BALANCE, messages=2, starts_at=NOON - HOUR, over=2 * HOUR, by=ANN)

    assert (under_way, later) == sends.standing()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            {"balance": BalanceKey(WalletName("acme/shpo"), Category.INDUSTRY)},
            "no wallet acme/shpo is configured; did you mean acme/shop?",
        ),
        ({"messages": 0}, "a send has from 1 to 9223372036854775807 messages"),
        ({"over": timedelta(0)}, "a send lasts longer than 0 and at most 31 days"),
        ({"over": timedelta(days=32)}, "a send lasts longer than 0 and at most 31 days"),
        ({"starts_at": NOON - 2 * HOUR}, "the send would have ended at 2026-11-23 12:00 UTC"),
        ({"note": "x" * 1001}, "the note has 1001 characters: at most 1000 are allowed"),
    ],
    ids=["wallet", "no messages", "no time", "too long", "over", "note"],
)
def test_an_invalid_planned_send_is_refused_and_nothing_is_stored(sends, change, fault):
    asked = {"balance": BALANCE, "messages": 10, "starts_at": NOON, "over": 2 * HOUR, "by": ANN, **change}

    assert fault == str(sends.announce(asked.pop("balance"), **asked))
    assert () == sends.standing()


def test_removing_a_planned_send_twice_removes_it_once(sends):
    plan = announced(sends, 10)

    assert [plan, None, None] == [sends.take_back(name, by=ANN) for name in (plan.id, plan.id, "no such")]

"""Orders are filled by top-ups, matched by hand, and reported once when overdue."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from balancebot.domain.audit import Act, Actor, Via
from balancebot.domain.balance import BalanceKey, Category
from balancebot.domain.message import NoticeMessage
from balancebot.domain.order import Order, OrderState
from balancebot.i18n import Wording
from balancebot.notify.render import Renderer
from balancebot.orders.orders import read_price
from balancebot.store import audit
from tests.world import POOL, SHOP, World, industry

LIN = Actor(name="finance", via=Via.CLI)


@pytest.fixture
def world(database) -> World:
    world = World(database)
    world.configure(POOL, SHOP)
    world.shows(industry(20_000), wallet=POOL)
    world.shows(industry(900))
    world.poll()
    return world


def ordered(world: World, quantity: int, days: int = 2, by: Actor = LIN) -> Order:
    added = world.app.operate_orders.add(
        BalanceKey(POOL, Category.INDUSTRY),
        quantity=quantity,
        expected_at=world.clock.at + timedelta(days=days),
        reference="PO 4711",
        by=by,
    )
    assert isinstance(added, Order)
    return added


def states(world: World) -> dict[str, tuple[OrderState, int]]:
    return {
        order.id: (order.state(world.clock.at), order.arrived) for order in world.app.operate_orders.listed()
    }


def reads(world: World, *, pool: int, shop: int) -> None:
    world.clock.at += timedelta(minutes=5)
    world.shows(industry(pool), wallet=POOL)
    world.shows(industry(shop))
    world.poll()


def test_a_top_up_fills_the_oldest_order_of_the_account(world: World) -> None:
    reads(world, pool=30_000, shop=890)  # without an order
    first = ordered(world, 50_000)
    world.clock.at += timedelta(minutes=1)
    second = ordered(world, 30_000)
    reads(world, pool=30_000, shop=40_890)
    assert {first.id: (OrderState.PARTLY, 40_000), second.id: (OrderState.OPEN, 0)} == states(world)
    reads(world, pool=70_000, shop=40_880)
    assert {first.id: (OrderState.ARRIVED, 50_000), second.id: (OrderState.ARRIVED, 30_000)} == states(world)


def test_a_transfer_fills_no_order(world: World) -> None:
    order = ordered(world, 10_000)
    reads(world, pool=10_000, shop=10_890)
    assert {order.id: (OrderState.OPEN, 0)} == states(world)


def test_a_match_changed_by_hand_is_in_the_audit_log(world: World) -> None:
    first, second = ordered(world, 50_000), ordered(world, 50_000)
    reads(world, pool=70_000, shop=890)
    ((top_up, _),) = world.app.operate_orders.top_ups_for(first)
    assert world.app.operate_orders.match(top_up.id, second.id, by=LIN) is None
    assert {first.id: (OrderState.OPEN, 0), second.id: (OrderState.ARRIVED, 50_000)} == states(world)
    assert world.app.operate_orders.match(top_up.id, "", by=LIN) is None
    assert {(OrderState.OPEN, 0)} == set(states(world).values())
    assert "no order of this account and category has the number 99" == str(
        world.app.operate_orders.match(top_up.id, "99", by=LIN)
    )
    with world.database.read() as conn:
        entries = audit.newest(conn, limit=10, acts=(Act.MATCH_ORDER,))
    assert [("2", None), ("1", "2")] == [
        (entry.before and entry.before["order"], entry.after and entry.after["order"]) for entry in entries
    ]


def test_an_overdue_order_is_reported_once_to_the_person_who_ordered(world: World) -> None:
    ordered(world, 60_000)
    assert 0 == world.app.operate_orders.tick()
    world.clock.at += timedelta(days=3)
    assert 1 == world.app.operate_orders.tick()
    assert 0 == world.app.operate_orders.tick()
    world.deliver()
    assert ["post #ops", "post finance@example.com"] == world.deliveries()
    (sent,) = (message.message for message in world.slack.messages)
    assert isinstance(sent, NoticeMessage)
    mail = Renderer(words=Wording(), public_url="https://b.example").render("email/notice.txt.j2", sent)
    assert "Order overdue: 60,000 messages of acme industry should have arrived by" in mail
    assert "finance recorded it on" in mail
    assert "https://b.example/orders/1" in mail


@pytest.mark.parametrize(("name", "mentioned"), [("ops (U024BE7LH)", ("U024BE7LH",)), ("ops (Berlin)", ())])
def test_a_person_who_ordered_in_slack_is_mentioned_when_the_order_is_overdue(
    world: World, name: str, mentioned: tuple[str, ...]
) -> None:
    ordered(world, 60_000, by=Actor(name=name, via=Via.SLACK))
    world.clock.at += timedelta(days=3)
    world.app.operate_orders.tick()
    world.deliver()
    (sent,) = (message.message for message in world.slack.messages)
    assert isinstance(sent, NoticeMessage)
    assert mentioned == sent.mentions


def test_an_overdue_order_is_dated_in_the_configured_time_zone(world: World) -> None:
    app = world.another_app(timezone=ZoneInfo("America/New_York"))
    day_end = datetime(2026, 12, 2, 4, 59, tzinfo=UTC)  # 23:59 on the first
    assert isinstance(
        app.operate_orders.add(
            BalanceKey(POOL, Category.INDUSTRY), quantity=60_000, expected_at=day_end, by=LIN
        ),
        Order,
    )
    world.clock.at = day_end + timedelta(hours=1)
    assert 1 == app.operate_orders.tick()
    world.deliver()
    (sent,) = (message.message for message in world.slack.messages)
    assert isinstance(sent, NoticeMessage)
    assert "should have arrived by 2026-12-01" in str(sent.title)


def test_an_insufficient_top_up_of_an_order_is_sent_once_as_a_reply(world: World) -> None:
    world.limit(SHOP, "industry", critical_below=80_000)
    world.reads(900)
    reads(world, pool=20_000, shop=60_000)
    world.deliver()
    assert ["opened critical acme/shop:industry"] == world.transitions()  # no order expects this one
    ordered(world, 60_000)
    world.source.script[POOL] = [industry(20_000)]
    world.reads(70_000, 70_000)
    assert ["opened", "topped_up"] == [line.split()[0] for line in world.transitions()]
    assert ["post #ops", "post finance@example.com", "reply #ops", "reply finance@example.com"] == [
        line for line in world.deliveries() if not line.startswith("edit")
    ]
    living = world.living()
    (reply,) = [message for message in world.slack.messages if message.below is not None]
    assert living.ref == reply.below
    assert 10_000 == world.messages()[-1].arrived


def test_an_expected_top_up_is_a_reply_to_the_alert_and_a_sufficient_one_recovers_it(
    world: World,
) -> None:
    world.limit(SHOP, "industry", critical_below=80_000)
    world.reads(900)
    expects_by = world.clock.at + timedelta(hours=6)
    world.app.operate_alerts.acknowledge(world.messages()[0].alert_id, by=LIN, expects_by=expects_by)
    world.reads(60_000, 160_000)
    assert ["opened", "topped_up", "recovered"] == [line.split()[0] for line in world.transitions()]


def test_usual_usage_in_a_gap_is_not_missing_from_the_order(world: World) -> None:
    for left in range(20_000, 14_000, -250):  # 3,000 an hour
        reads(world, pool=left, shop=900)
    order = ordered(world, 60_000)
    world.clock.at += timedelta(hours=2)
    reads(world, pool=68_000, shop=900)  # 53,750 more, and about 6,250 were sent
    ((top_up, _),) = world.app.operate_orders.top_ups_for(order)
    assert 53_750 == top_up.messages
    assert 5_000 < top_up.hidden_use < 8_000
    assert {order.id: (OrderState.ARRIVED, 53_750)} == states(world)


@pytest.mark.parametrize(
    ("text", "price"),
    [("2,700.00", "2700"), ("1.5万", "15000"), ("2.7k", "2700"), ("￥2,700.50", "2700.5"), ("2千元", "2000")],
)
def test_a_price_is_read_in_all_usual_notations(text: str, price: str) -> None:
    assert Decimal(price) == read_price(text)


@pytest.mark.parametrize("text", ["cheap", "-5", "元", "2,70", "1.00005", "9" * 20])
def test_an_invalid_price_is_refused(text: str) -> None:
    assert not isinstance(read_price(text), Decimal)

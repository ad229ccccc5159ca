"""Digests: one per name and local slot, even if many processes try often."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from balancebot.config import DigestConfig, DigestKind
from balancebot.digest.digest import SendDigest
from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import Absent, BalanceKey, Category
from balancebot.domain.message import Action, DigestMessage, NoticeMessage, OutgoingMessage
from balancebot.domain.order import Order
from balancebot.domain.routing import Destination
from balancebot.domain.runway import PlannedUse
from balancebot.domain.verdict import Severity
from balancebot.estimates.planned_sends import PlannedSends
from balancebot.i18n import Wording
from balancebot.notify.email.compose import address, compose
from balancebot.notify.render import Renderer
from balancebot.store import tables
from balancebot.store.types import decode_message, encode_message
from tests.world import SHOP, WEB, World, industry

NINE = datetime(2026, 11, 24, 1, tzinfo=UTC)
WEEKDAY = DigestConfig(
    name="weekday",
    cron="0 9 * * *",
    destinations={"slack": ("#finance",), "email": ("finance@example.com",)},
    language="zh-CN",
)


@pytest.fixture
def world(database) -> World:
    world = World(database)
    world.configure(SHOP, WEB)
    world.limit("acme/shop", warning_below=1000)
    world.shows(industry(500, market=9000))
    world.shows(industry(50_000), wallet=WEB)
    world.poll()
    return world


def sender(world: World) -> SendDigest:
    return SendDigest(
        database=world.database,
        clock=world.clock,
        steady=world.clock,
        digests=[WEEKDAY],
        zone=ZoneInfo("Asia/Shanghai"),
        thresholds=world.app.thresholds,
        figures=world.app.figures,
        configured=lambda: [SHOP, WEB],
        stale_after=timedelta(minutes=30),
        make_statements=world.app.make_statements,
    )


def made(world: World) -> list[DigestMessage]:
    with world.database.read() as conn:
        messages = conn.scalars(
            select(tables.notifications.c.message)
            .where(tables.notifications.c.alert_id.is_(None))
            .order_by(tables.notifications.c.id)
        )
        return [message for message in messages if isinstance(message, DigestMessage)]


def test_a_digest_is_sent_once_per_slot_if_many_processes_try(world):
    sender(world).run_due()
    world.clock.at = NINE

    names = [sender(world).run_due() for _ in range(3)]

    assert [("weekday",), (), ()] == names
    assert ["2026-11-24T09:00"] == [digest.slot for digest in made(world)]


def test_a_digest_goes_to_each_of_its_destinations(world):
    sender(world).run_due()
    world.clock.at = NINE
    sender(world).run_due()

    assert ["post #finance", "post finance@example.com"] == world.deliveries()[2:]


def test_a_new_digest_starts_with_its_next_slot(world):
    world.clock.at = NINE + timedelta(hours=1)

    assert () == sender(world).run_due()


def test_a_digest_missed_during_downtime_is_sent_late_and_marked_so(world):
    sender(world).run_due()
    world.clock.at = NINE + timedelta(hours=11)

    sender(world).run_due()

    assert [True] == [digest.late for digest in made(world)]


def test_a_digest_missed_by_half_a_day_is_not_sent(world):
    sender(world).run_due()
    world.clock.at = NINE + timedelta(hours=12)

    assert () == sender(world).run_due()


def test_the_worst_balance_is_listed_first_and_unallocated_balances_are_left_out(world):
    digest = sender(world).preview("weekday")

    assert digest is not None
    assert [
        ("acme/shop", "industry", Severity.WARNING),
        ("acme/shop", "market", Severity.OK),
        ("acme/web", "industry", Severity.OK),
    ] == [(line.wallet, line.category, line.severity) for line in digest.lines]


def test_a_digest_names_the_planned_sends_of_the_coming_days(world):
    sends = PlannedSends(
        database=world.database,
        clock=world.clock,
        known=lambda: (SHOP, WEB),
        estimator=world.app.figures.estimator,
    )
    now = world.clock.now()
    ann = Actor(name="ann", via=Via.CLI)
    for days, note in ((2, "sale"), (9, "later")):
        sends.announce(
            BalanceKey(WEB, Category.INDUSTRY),
            messages=700,
            starts_at=now + timedelta(days=days),
            over=timedelta(hours=2),
            note=note,
            by=ann,
        )

    digest = sender(world).preview("weekday")

    begin = now + timedelta(days=2)
    planned = PlannedUse(messages=700, starts_at=begin, ends_at=begin + timedelta(hours=2), note="sale")
    assert digest is not None
    assert ((WEB, Category.INDUSTRY, planned),) == digest.planned
    assert digest == decode_message(encode_message(digest))


def test_open_orders_are_listed_by_expected_date(world):
    finance, balance = Actor(name="finance", via=Via.CLI), BalanceKey(SHOP, Category.INDUSTRY)
    for days, price in ((5, None), (2, Decimal("2700.50")), (3, None)):
        made = world.app.operate_orders.add(
            balance,
            quantity=60_000,
            expected_at=world.clock.at + timedelta(days=days),
            price=price,
            by=finance,
        )
    assert isinstance(made, Order)
    world.app.operate_orders.cancel(made.id, by=finance)

    digest = sender(world).preview("weekday")

    assert isinstance(digest, DigestMessage)
    assert [Decimal("2700.50"), None] == [order.price for order in digest.orders]
    assert digest == decode_message(encode_message(digest))


def test_a_digest_compares_with_the_previous_digest(world):
    sender(world).run_due()
    world.clock.at = NINE
    world.poll()
    sender(world).run_due()
    world.shows(industry(50_000, market=Absent.UNALLOCATED))
    world.poll()

    digest = sender(world).preview("weekday")

    assert digest is not None
    shop = next(line for line in digest.lines if line.wallet == SHOP)
    assert (Severity.OK, Severity.WARNING) == (shop.severity, shop.severity_before)
    assert ["acme/shop"] == [message.alert.subject.wallet for message in digest.recovered]


def test_a_requested_digest_uses_no_slot(world):
    assert sender(world).send("weekday")
    assert not sender(world).send("nonsense")
    assert 1 == len(made(world))


def test_a_statement_is_about_the_month_before_its_slot(world: World) -> None:
    month = DigestConfig(
        name="month",
        kind=DigestKind.STATEMENT,
        cron="0 8 1 * *",
        destinations={"slack": ("#finance",), "email": ("finance@example.com",)},
        language="zh-CN",
    )
    monthly = replace(sender(world), digests=[month])
    assert () == monthly.run_due()
    world.clock.at = datetime(2026, 12, 1, 0, 5, tzinfo=UTC)  # 08:05 in Shanghai
    assert ("month",) == monthly.run_due()
    assert () == monthly.run_due()
    with world.database.read() as conn:
        (message,) = (
            found
            for found in conn.scalars(select(tables.notifications.c.message))
            if isinstance(found, NoticeMessage)
        )
    assert message.statement is not None
    assert "2026-11" == message.statement.name
    mail = compose(
        OutgoingMessage(
            delivery_id="1",
            alert_id="",
            action=Action.POST,
            destination=Destination("email", "finance@example.com"),
            message=message,
            created_at=world.clock.at,
        ),
        Renderer(words=Wording(), public_url="https://b.example"),
        sender=address("bot@example.com"),
    )
    assert "2026-11 短信对账单" == mail.subject
    (attached,) = mail.message.iter_attachments()
    assert "statement-2026-11.xlsx" == attached.get_filename()

"""Orders and top-ups: a top-up fills the oldest order first, split if necessary."""

from datetime import UTC, datetime, timedelta

import pytest

from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.order import Match, Order, OrderState, TopUp
from balancebot.domain.usage import Hour
from balancebot.store import orders, wallets
from balancebot.store.database import Database

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
SECOND = int(NOW.timestamp())
POOL, SHOP, OTHER = WalletName("acme"), WalletName("acme/shop"), WalletName("other")


@pytest.fixture(autouse=True)
def known(database: Database) -> None:
    with database.write() as conn:
        wallets.sync(conn, (POOL, SHOP, OTHER), now=NOW)


def order(
    database: Database, quantity: int, *, wallet: WalletName = POOL, at: datetime = NOW, days: int = 3
) -> str:
    added = Order(
        wallet=wallet,
        category=Category.INDUSTRY,
        quantity=quantity,
        ordered_at=at,
        ordered_by="finance",
        expected_at=NOW + timedelta(days=days),
    )
    with database.write() as conn:
        return orders.add(conn, added)


def arrives(
    database: Database,
    messages: int,
    *,
    wallet: WalletName = POOL,
    category: Category = Category.INDUSTRY,
    second: int = SECOND + 60,
    hidden_use: int = 0,
) -> list[tuple[str, int]]:
    """Return the orders that a top-up filled, with the quantities."""
    with database.write() as conn:
        ((_, matches),) = orders.add_top_ups(
            conn, [TopUp("", second, wallet, category, messages, hidden_use)]
        )
    return [(match.order_id, match.messages) for match in matches]


def states(
    database: Database, *, now: datetime = NOW + timedelta(days=1)
) -> dict[str, tuple[OrderState, int]]:
    with database.read() as conn:
        return {found.id: (found.state(now), found.arrived) for found in orders.listed(conn)}


def test_top_ups_fill_the_oldest_order_first_and_are_split(database: Database) -> None:
    first, second = order(database, 50_000), order(database, 30_000, at=NOW + timedelta(seconds=30))
    assert [(first, 40_000)] == arrives(database, 40_000)
    assert {first: (OrderState.PARTLY, 40_000), second: (OrderState.OPEN, 0)} == states(database)
    assert [(first, 10_000), (second, 5_000)] == arrives(database, 15_000, wallet=SHOP, second=SECOND + 90)
    assert [(second, 25_000)] == arrives(database, 40_000, second=SECOND + 99)
    assert {first: (OrderState.ARRIVED, 50_000), second: (OrderState.ARRIVED, 30_000)} == states(database)


def test_only_orders_of_the_account_and_category_recorded_before_are_filled(database: Database) -> None:
    later = order(database, 1_000, at=NOW + timedelta(hours=1))
    elsewhere = order(database, 1_000, wallet=OTHER)
    assert [] == arrives(database, 1_000)
    assert [] == arrives(database, 1_000, category=Category.MARKET)
    assert {later: (OrderState.OPEN, 0), elsewhere: (OrderState.OPEN, 0)} == states(database)


def test_usage_in_the_meantime_leaves_no_order_unfilled(database: Database) -> None:
    only = order(database, 60_000)
    assert [(only, 59_650)] == arrives(database, 59_650)
    assert {only: (OrderState.ARRIVED, 59_650)} == states(database)


def test_an_incomplete_order_is_overdue_after_its_date(database: Database) -> None:
    only = order(database, 60_000, days=2)
    arrives(database, 30_000)
    assert {only: (OrderState.PARTLY, 30_000)} == states(database)
    assert {only: (OrderState.OVERDUE, 30_000)} == states(database, now=NOW + timedelta(days=3))


def test_a_cancelled_order_is_not_filled(database: Database) -> None:
    only = order(database, 60_000)
    arrives(database, 30_000)
    with database.write() as conn:
        assert orders.cancel(conn, only, by="finance", now=NOW)
        assert not orders.cancel(conn, only, by="finance", now=NOW)
    assert [] == arrives(database, 30_000, second=SECOND + 90)
    assert {only: (OrderState.CANCELLED, 30_000)} == states(database)


def test_a_wrong_reading_removes_its_top_up(database: Database) -> None:
    only = order(database, 60_000)
    arrives(database, 20_000)
    arrives(database, 40_000, second=SECOND + 90)
    hour = Hour(SECOND // 3600, BalanceKey(POOL, Category.INDUSTRY))
    with database.write() as conn:
        orders.reduce_top_ups(conn, hour, 50_000)
        left = orders.top_ups_between(conn, since=hour.epoch_hour, until=hour.epoch_hour + 1)
    assert [(POOL, 10_000)] == [(top_up.wallet, top_up.messages) for top_up in left]
    assert {only: (OrderState.PARTLY, 10_000)} == states(database)


def test_a_top_up_that_is_found_again_stays_matched(database: Database) -> None:
    only = order(database, 60_000)
    arrives(database, 20_000)
    arrives(database, 30_000, second=SECOND + 90)
    with database.write() as conn:
        orders.replace_top_ups(
            conn,
            "acme",
            [
                TopUp("", SECOND + 60, POOL, Category.INDUSTRY, 20_000),
                TopUp("", SECOND + 90, POOL, Category.INDUSTRY, 35_000),
            ],
            since=SECOND // 3600,
            until=SECOND // 3600 + 1,
            is_known=lambda _: True,
        )
        top_ups = orders.top_ups_between(conn, since=SECOND // 3600, until=SECOND // 3600 + 1)
        matches = orders.matches_of(conn, [top_up.id for top_up in top_ups])
    assert [20_000, 35_000] == [top_up.messages for top_up in top_ups]
    assert [Match(top_ups[0].id, only, 20_000)] == matches[top_ups[0].id]
    assert {only: (OrderState.PARTLY, 55_000)} == states(database)


@pytest.mark.parametrize(
    ("arrived", "hidden_use", "state"),
    [
        (59_870, 0, OrderState.ARRIVED),
        (58_800, 0, OrderState.ARRIVED),
        (58_799, 0, OrderState.PARTLY),
        (55_000, 4_000, OrderState.ARRIVED),
        (55_000, 3_000, OrderState.PARTLY),
    ],
)
def test_an_order_has_arrived_if_only_two_percent_or_the_probable_usage_is_missing(
    database: Database, arrived: int, hidden_use: int, state: OrderState
) -> None:
    added = order(database, 60_000)
    arrives(database, arrived, hidden_use=hidden_use)
    assert {added: (state, arrived)} == states(database)


@pytest.mark.parametrize(("quantity", "rise", "counts"), [(60_000, 599, False), (60_000, 600, True)])
def test_a_small_rise_is_no_part_of_a_large_order(
    database: Database, quantity: int, rise: int, counts: bool
) -> None:
    added = order(database, quantity)
    assert ([(added, rise)] if counts else []) == arrives(database, rise)


def test_a_refund_fills_no_order_unless_no_more_is_missing(database: Database) -> None:
    added = order(database, 1_000)
    assert [] == arrives(database, 50)
    assert [(added, 960)] == arrives(database, 960, second=SECOND + 70)
    assert [(added, 40)] == arrives(database, 50, second=SECOND + 80)


def test_orders_and_top_ups_may_be_as_large_as_a_balance(database: Database) -> None:
    largest = 2**63 - 1
    for place in range(3):
        order(database, largest, at=NOW - timedelta(hours=3 - place))
        assert [(str(place + 1), largest)] == arrives(database, largest, second=SECOND + place)
    with database.read() as conn:
        before = orders.version(conn)
    arrives(database, 1, second=SECOND + 9)
    order(database, 5)
    arrives(database, 2, second=SECOND + 10)
    with database.read() as conn:
        assert before != orders.version(conn)

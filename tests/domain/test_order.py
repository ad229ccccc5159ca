"""An order has arrived when its quota is there, and a top-up belongs to the oldest order that it fits."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.order import (
    Match,
    Order,
    OrderState,
    Purchase,
    TopUp,
    in_packages,
    match_top_up,
    purchases,
)
from balancebot.domain.runway import OrderAdvice

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
FRIDAY = datetime(2026, 11, 27, 16, tzinfo=UTC)
SHOP, POOL, OTHER = map(WalletName, ("acme/shop", "acme", "other"))
ORDER = Order(
    id="1",
    wallet=SHOP,
    category=Category.INDUSTRY,
    quantity=100_000,
    ordered_at=NOON,
    ordered_by="Li",
    expected_at=FRIDAY,
)


def top_up(messages: int, *, wallet: WalletName = POOL, later: timedelta = timedelta(hours=2)) -> TopUp:
    at = int((NOON + later).timestamp())
    return TopUp(id="9", at=at, wallet=wallet, category=Category.INDUSTRY, messages=messages)


@pytest.mark.parametrize(
    ("arrived", "hidden_use", "missing"),
    [
        (0, 0, 100_000),
        (97_999, 0, 2_001),
        (98_000, 0, 0),  # 2 % are missing, which may have been used meanwhile
        (97_000, 1_000, 0),
        (96_999, 1_000, 3_001),
        (1_000, 100_000, 99_000),  # of 1,000 that have arrived, no more than 1,000 can hide usage
    ],
)
def test_an_order_is_complete_when_only_the_usage_of_the_meantime_is_missing(
    arrived: int, hidden_use: int, missing: int
) -> None:
    order = replace(ORDER, arrived=arrived, hidden_use=hidden_use)
    assert (missing, missing == 0) == (order.missing, order.is_complete)


def test_a_cancelled_order_has_nothing_missing() -> None:
    assert 0 == replace(ORDER, cancelled_at=NOON).missing


@pytest.mark.parametrize(
    ("order", "now", "state"),
    [
        (ORDER, FRIDAY, OrderState.OPEN),
        (ORDER, FRIDAY + timedelta(seconds=1), OrderState.OVERDUE),
        (replace(ORDER, arrived=1), FRIDAY, OrderState.PARTLY),
        (replace(ORDER, arrived=1), FRIDAY + timedelta(seconds=1), OrderState.OVERDUE),
        (replace(ORDER, arrived=100_000), FRIDAY + timedelta(days=9), OrderState.ARRIVED),
        (replace(ORDER, arrived=100_000, cancelled_at=NOON), NOON, OrderState.CANCELLED),
    ],
)
def test_an_order_is_late_after_its_day(order: Order, now: datetime, state: OrderState) -> None:
    assert state is order.state(now)


@pytest.mark.parametrize(
    ("messages", "orders", "matched"),
    [
        (100_000, [ORDER], [100_000]),
        (150_000, [ORDER], [100_000]),  # the rest belongs to no order
        (60_000, [ORDER], [60_000]),
        (1_000, [ORDER], [1_000]),  # 1 %
        (999, [ORDER], []),  # a refund, perhaps
        (100_000, [replace(ORDER, category=Category.VOICE)], []),
        (100_000, [replace(ORDER, wallet=OTHER)], []),
        (100_000, [replace(ORDER, ordered_at=NOON + timedelta(hours=2))], [100_000]),
        (100_000, [replace(ORDER, ordered_at=NOON + timedelta(hours=2, seconds=1))], []),
    ],
)
def test_a_top_up_belongs_to_an_order_that_it_fits(
    messages: int, orders: list[Order], matched: list[int]
) -> None:
    assert matched == [match.messages for match in match_top_up(top_up(messages), orders)]


def test_the_oldest_order_is_filled_first_and_of_two_of_one_instant_the_first_recorded() -> None:
    older = replace(ORDER, id="3", ordered_at=NOON - timedelta(days=1), quantity=30_000)
    twins = [replace(ORDER, id="10"), replace(ORDER, id="2")]
    assert [Match("9", "3", 30_000), Match("9", "2", 100_000), Match("9", "10", 20_000)] == match_top_up(
        top_up(150_000), [*twins, older]
    )


def test_a_top_up_at_a_full_hour_is_booked_in_the_hour_before() -> None:
    at = int(NOON.timestamp())
    hours = [top_up(1)._replace(at=second).hour.epoch_hour for second in (at, at + 1)]
    assert [at // 3600 - 1, at // 3600] == hours
    assert NOON == top_up(1, later=timedelta()).seen_at


@pytest.mark.parametrize(
    ("messages", "size", "bought"),
    [
        (1, 50_000, 50_000),
        (50_000, 50_000, 50_000),
        (50_001, 50_000, 100_000),
        (7, None, 7),
        (99, None, 99),
        (101, None, 110),
        (12_345, None, 13_000),
        (13_000, None, 13_000),
        (99.5, None, 100),
    ],
)
def test_a_purchase_is_whole_packages_or_a_number_of_two_figures(
    messages: float, size: int | None, bought: int
) -> None:
    assert bought == in_packages(messages, size)


def advised(
    messages: int, *, lacking: int = 0, move: int = 0, ordered: int = 0, days: int | None = 3
) -> OrderAdvice:
    by = None if days is None else NOON + timedelta(days=days)
    return OrderAdvice(
        messages=messages,
        order_by=by,
        until=FRIDAY,
        confidence=0.9,
        lacking=lacking,
        move=move,
        ordered=ordered,
    )


def test_the_shortfalls_of_an_account_are_added_up_before_they_are_rounded() -> None:
    week, day = timedelta(days=7), timedelta(days=1)
    (bought,) = purchases(
        {
            BalanceKey(SHOP, Category.INDUSTRY): (advised(50_000, lacking=20_000, move=5_000, days=5), week),
            BalanceKey(POOL, Category.INDUSTRY): (advised(50_000, lacking=30_000, ordered=4_000), day),
            BalanceKey(WalletName("acme/idle"), Category.INDUSTRY): (
                advised(0, days=None),
                timedelta(days=60),
            ),
        },
        {Category.INDUSTRY: 50_000},
    )
    assert ("acme", Category.INDUSTRY, 2, 5_000, 4_000) == (
        bought.account,
        bought.category,
        bought.num_balances,
        bought.move,
        bought.ordered,
    )
    assert (50_000, 1, NOON + timedelta(days=3), week) == (
        bought.messages,
        bought.num_packages,
        bought.order_by,
        bought.lead_time,
    )


def test_ordered_quota_needs_no_purchase_and_comes_last() -> None:
    found = purchases(
        {
            BalanceKey(OTHER, Category.VOICE): (advised(0, ordered=10, days=0), timedelta(days=2)),
            BalanceKey(POOL, Category.VOICE): (advised(0, move=10, days=9), timedelta(days=2)),
            BalanceKey(POOL, Category.MARKET): (advised(10, days=9), timedelta(days=2)),
            BalanceKey(POOL, Category.INDUSTRY): (advised(10, days=1), timedelta(days=2)),
        },
        {},
    )
    assert [("acme", "industry"), ("acme", "market"), ("acme", "voice"), ("other", "voice")] == [
        (purchase.account, purchase.category.value) for purchase in found
    ]
    assert [(10, 2), (10, 2), (0, 0), (0, 0)] == [
        (purchase.messages, purchase.lead_time.days) for purchase in found
    ]
    assert found[-1].order_by is None


def test_a_purchase_is_counted_in_packages_and_priced_by_the_message() -> None:
    purchase = Purchase(
        account="acme",
        category=Category.VOICE,
        num_balances=1,
        move=0,
        ordered=0,
        messages=150,
        package_size=50,
        order_by=None,
    )
    assert (3, None) == (purchase.num_packages, replace(purchase, package_size=None).num_packages)
    assert (Decimal("4.50"), None) == (
        purchase.cost({Category.VOICE: Decimal("0.03")}),
        purchase.cost({Category.MARKET: Decimal("0.03")}),
    )

"""Order advice per balance, and purchases per account after transfers from the pool and open orders."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.order import Purchase, purchases
from balancebot.domain.runway import OrderAdvice

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
SHOP, LOGIN, OTHER = (WalletName(name) for name in ("acme/shop", "acme/login", "zeta/shop"))
SIZES = {Category.INDUSTRY: 10_000}


def advice(lacking: int, *, move: int = 0, ordered: int = 0, days: float = 5) -> OrderAdvice:
    rest = lacking - move - ordered
    return OrderAdvice(
        messages=-(-rest // 10_000) * 10_000,
        order_by=NOW + timedelta(days=days),
        until=NOW + timedelta(days=30),
        confidence=0.9,
        lacking=lacking,
        move=move,
        ordered=ordered,
    )


def purchases_of(**found: OrderAdvice) -> tuple[Purchase, ...]:
    names = {"shop": SHOP, "login": LOGIN, "other": OTHER}
    return purchases(
        {
            BalanceKey(names[name], Category.INDUSTRY): (advised, timedelta(days=3))
            for name, advised in found.items()
        },
        SIZES,
    )


def test_packages_are_rounded_up_once_per_account() -> None:
    (purchase,) = purchases_of(shop=advice(300), login=advice(4_200, days=2))
    assert (10_000, 1, 2) == (purchase.messages, purchase.num_packages, purchase.num_balances)
    assert NOW + timedelta(days=2) == purchase.order_by
    assert Decimal("450.00") == purchase.cost({Category.INDUSTRY: Decimal("0.045")})
    assert purchase.cost({}) is None


def test_transfers_and_open_orders_reduce_the_purchase() -> None:
    (purchase,) = purchases_of(shop=advice(49_000, move=49_000), login=advice(8_000, ordered=8_000))
    assert (49_000, 8_000, 0, None) == (
        purchase.move,
        purchase.ordered,
        purchase.messages,
        purchase.cost({}),
    )
    assert Decimal(0) == purchase.cost({Category.INDUSTRY: Decimal("0.045")})


def test_accounts_are_separate_and_the_most_urgent_comes_first() -> None:
    assert ["zeta", "acme"] == [
        purchase.account for purchase in purchases_of(shop=advice(300), other=advice(300, days=1))
    ]


def test_a_purchase_covered_by_orders_has_no_date() -> None:
    (purchase,) = purchases_of(shop=advice(8_000, ordered=8_000))
    assert purchase.order_by is None

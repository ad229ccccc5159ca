"""Order advice: what to buy, and by when."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.order import Order
from balancebot.domain.runway import OrderAdvice
from balancebot.forecast.model import Models, fit
from balancebot.forecast.order_advice import advise_order, first_from_orders, first_from_pools, less_ordered
from balancebot.forecast.recurring import DatedSend
from balancebot.forecast.use_window import WINDOW_HOURS, UseWindow

END = 494_000
NOW = datetime.fromtimestamp(END * 3600, UTC)
MONTH = NOW + timedelta(days=30)


def model(rate: float = 10.0) -> Models:
    use = np.full(WINDOW_HOURS, rate, np.float32)
    return fit([UseWindow(end=END, use=use, exposure=np.ones(WINDOW_HOURS, np.float32))], "UTC").models


def advise(balance: int, **more: object) -> OrderAdvice | None:
    return advise_order(
        model(),
        balance=balance,
        observed_at=NOW,
        now=NOW,
        zone="UTC",
        **({"until": MONTH, "confidence": 0.9, "package_size": 1} | more),  # type: ignore[arg-type]
    )


def test_at_a_confidence_of_half_the_order_is_the_expected_usage_minus_the_balance() -> None:
    advice = advise(2400, confidence=0.5)
    assert advice is not None
    assert advice.messages == pytest.approx(7200 - 2400, rel=0.01)
    assert advice.order_by is not None
    assert (advice.order_by - NOW) / timedelta(hours=1) == pytest.approx(240, rel=0.01)


def test_a_higher_confidence_needs_a_larger_and_earlier_order() -> None:
    even, sure = advise(2400, confidence=0.5), advise(2400, confidence=0.9)
    assert even is not None
    assert sure is not None
    assert sure.messages > 1.05 * even.messages
    assert sure.order_by is not None
    assert even.order_by is not None
    assert sure.order_by < even.order_by


def test_the_order_date_allows_for_the_lead_time_but_is_never_in_the_past() -> None:
    early = advise(2400, lead_time=timedelta(days=3))
    plain = advise(2400)
    assert early is not None
    assert plain is not None
    assert plain.order_by is not None
    assert plain.order_by - timedelta(days=3) == early.order_by
    late = advise(24, lead_time=timedelta(days=3))
    assert late is not None
    assert late.order_by == NOW


def test_orders_are_whole_packages() -> None:
    advice = advise(2400, package_size=10_000)
    assert advice is not None
    assert advice.messages == 10_000


def test_no_order_is_advised_if_the_balance_suffices() -> None:
    assert advise(1_000_000) == OrderAdvice(messages=0, order_by=None, until=MONTH, confidence=0.9)


def test_no_order_is_advised_below_the_error_of_the_forecast() -> None:
    whole = advise(0)
    assert whole is not None
    nearly, short = advise(round(0.98 * whole.lacking)), advise(round(0.9 * whole.lacking))
    assert nearly is not None
    assert nearly.messages == 0
    assert short is not None
    assert short.messages == pytest.approx(0.1 * whole.lacking, abs=2)


def test_planned_sends_are_added_to_the_order() -> None:
    plan = DatedSend(
        start=(NOW + timedelta(days=2)).timestamp(),
        end=(NOW + timedelta(days=2, hours=2)).timestamp(),
        messages=50_000,
    )
    plain, planned = advise(2400, confidence=0.5), advise(2400, confidence=0.5, plans=[plan])
    assert plain is not None
    assert planned is not None
    assert planned.messages - plain.messages == pytest.approx(50_000, abs=2)
    assert planned.order_by is not None
    assert (planned.order_by - NOW) / timedelta(hours=1) == pytest.approx(48.1, abs=0.3)


def test_beyond_the_simulated_weeks_usage_continues_at_the_same_rate() -> None:
    advice = advise(0, until=NOW + timedelta(days=100), confidence=0.5)
    assert advice is not None
    assert advice.messages == pytest.approx(24_000, rel=0.01)


@pytest.mark.parametrize("balance", [0, 5])
def test_for_a_date_that_has_passed_there_is_nothing_to_order(balance: int) -> None:
    assert advise(balance, until=NOW) == OrderAdvice(messages=0, order_by=None, until=NOW, confidence=0.9)


def test_an_order_that_no_app_of_the_account_lacks_is_left_in_full() -> None:
    _, rest = first_from_orders({}, [awaited("acme", 60_000, 11), awaited("acme/shop", 1, 11)], {}, PACKAGES)
    assert {("acme", Category.INDUSTRY): 60_001} == rest


def test_a_single_message_on_order_need_not_be_bought() -> None:
    found = less_ordered({SHOP: lacking(101, 9)}, {("acme", Category.INDUSTRY): 1}, {Category.INDUSTRY: 100})
    assert (100, 1) == (found[SHOP].messages, found[SHOP].ordered)


def test_without_a_model_there_is_no_advice() -> None:
    unused = model(0.0)
    assert (
        advise_order(unused, balance=5, observed_at=NOW, now=NOW, zone="UTC", until=MONTH, confidence=0.9)
        is None
    )


def test_without_packages_an_order_is_rounded_up_to_two_figures() -> None:
    exact, round_number = advise(2400, confidence=0.5), advise(2400, confidence=0.5, package_size=None)
    assert exact is not None
    assert round_number is not None
    assert 0 <= round_number.messages - exact.messages < 100
    assert round_number.messages % 100 == 0


SHOP, WEB = (BalanceKey(WalletName(name), Category.INDUSTRY) for name in ("acme/shop", "acme/web"))
PACKAGES = {Category.INDUSTRY: 5_000}


def lacking(messages: int, days: int) -> OrderAdvice:
    by = NOW + timedelta(days=days)
    return OrderAdvice(messages=messages, order_by=by, until=MONTH, confidence=0.9, lacking=messages)


def awaited(wallet: str, quantity: int, days: int) -> Order:
    return Order(
        wallet=WalletName(wallet),
        category=Category.INDUSTRY,
        quantity=quantity,
        ordered_at=NOW,
        ordered_by="finance",
        expected_at=NOW + timedelta(days=days),
    )


@pytest.mark.parametrize(
    ("ordered", "shop", "web"),
    [
        # it counts for the app that it was ordered for, although the other app is more urgent
        ([awaited("acme/shop", 40_000, 11)], (0, 40_000), (50_000, 0)),
        # the rest counts for any app of the account that needs it
        ([awaited("acme/shop", 60_000, 11)], (0, 40_000), (30_000, 20_000)),
        ([awaited("acme", 60_000, 11)], (30_000, 10_000), (0, 50_000)),
        # it arrives after the app has run out: until then only the account's quota counts
        ([awaited("acme/shop", 40_000, 13)], (40_000, 0), (10_000, 40_000)),
        ([awaited("else", 40_000, 11)], (40_000, 0), (50_000, 0)),
    ],
)
def test_an_order_counts_first_for_the_app_that_it_is_for(
    ordered: list[Order], shop: tuple[int, int], web: tuple[int, int]
) -> None:
    """The shop lacks 40,000 messages and the web 50,000; the web needs them first."""
    advice = {SHOP: lacking(40_000, 9), WEB: lacking(50_000, 2)}
    lead_times = dict.fromkeys(advice, timedelta(days=3))

    found, rest = first_from_orders(advice, ordered, lead_times, PACKAGES)
    found = less_ordered(found, rest, PACKAGES)

    assert (shop, web) == tuple((found[key].messages, found[key].ordered) for key in (SHOP, WEB))


def test_an_order_for_one_app_leaves_the_pool_for_other_apps() -> None:
    advice = {SHOP: lacking(40_000, 9), WEB: lacking(50_000, 10)}
    lead_times = dict.fromkeys(advice, timedelta(days=3))
    found, _ = first_from_orders(advice, [awaited("acme/shop", 40_000, 11)], lead_times, PACKAGES)
    found = first_from_pools(found, {("acme", Category.INDUSTRY): 50_000}, PACKAGES)
    assert {SHOP: 0, WEB: 50_000} == {key: advice.move for key, advice in found.items()}


def test_the_pool_is_counted_once_and_the_most_urgent_app_comes_first() -> None:
    shop, web, other = (
        BalanceKey(WalletName(name), Category.INDUSTRY) for name in ("acme/shop", "acme/web", "else/app")
    )

    def lacks(messages: int, days: int) -> OrderAdvice:
        by = NOW + timedelta(days=days)
        return OrderAdvice(messages=messages, order_by=by, until=MONTH, confidence=0.9, lacking=messages - 10)

    found = first_from_pools(
        {shop: lacks(40_000, 9), web: lacks(50_000, 2), other: lacks(7_000, 1)},
        {("acme", Category.INDUSTRY): 70_000},
        {Category.INDUSTRY: 5_000},
    )

    assert {web: (50_000, 0), shop: (20_000, 20_000), other: (0, 7_000)} == {
        key: (advice.move, advice.messages) for key, advice in found.items()
    }

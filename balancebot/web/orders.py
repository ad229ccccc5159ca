"""Orders: purchases, how much of each has arrived, and the top-ups that belong to them."""

import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType

from starlette.exceptions import HTTPException
from starlette.responses import Response

from balancebot.domain.balance import BalanceKey, Category, WalletName, account_of
from balancebot.domain.local_time import read_day_end
from balancebot.domain.number_text import read_quantity
from balancebot.domain.order import AWAITED, Order
from balancebot.domain.sentence import Sentence, did_you_mean, sentence, unknown_wallet
from balancebot.orders.orders import cost_of, order_document, read_price
from balancebot.sheet_writer import Cell
from balancebot.web.downloads import MAX_IN_CSV, csv_file
from balancebot.web.paging import cut, page_number
from balancebot.web.rendering import show
from balancebot.web.request import Done, PageRequest, done

_CSV_HEADER = (
    *("id", "wallet", "category", "state", "ordered", "arrived", "expected_at", "cost", "currency"),
    *("ordered_at", "ordered_by", "reference", "note", "cancelled_at", "cancelled_by"),
)
_TYPED = ("wallet", "category", "quantity", "expected", "price", "reference", "note")


def listed(request: PageRequest) -> Response:
    """Show the orders, those that are still expected first, and the form to record one."""
    return _listed(request)


def to_csv(request: PageRequest) -> Response:
    """Send all orders as CSV, the latest first."""
    settings = request.app.settings.orders
    documents = (
        order_document(order, prices=settings.prices, currency=settings.currency, now=request.now)
        for order in request.app.operate_orders.listed()[:MAX_IN_CSV]
    )
    rows = ([_cell(document[name]) for name in _CSV_HEADER] for document in documents)
    return csv_file([_CSV_HEADER, *rows], "orders.csv")


def _cell(value: object) -> Cell:
    return "" if value is None else value if isinstance(value, int | float) else str(value)


def add(request: PageRequest) -> Response:
    """Record a purchase."""
    quantity = read_quantity(request.sent("quantity"))
    expected_at = read_day_end(request.sent("expected"), request.zone, now=request.now)
    price = read_price(request.sent("price")) if request.sent("price") else None
    category = next((found for found in Category if found.value == request.sent("category")), None)
    exactly = request.sent_exactly("wallet")
    known = request.app.operate_orders.known()
    name = WalletName(exactly if exactly in known else exactly.strip())
    names = {*known, *(WalletName(account_of(wallet)) for wallet in known)}
    if (
        isinstance(quantity, Sentence)
        or isinstance(expected_at, Sentence)
        or isinstance(price, Sentence)
        or category is None
        or name not in names
    ):
        checks: dict[str, object] = {
            "wallet": name in names or unknown_wallet(name, did_you_mean(name, names)),
            "category": category or sentence("Choose a category."),
            "quantity": quantity,
            "expected": expected_at,
            "price": price,
        }
        return _listed(
            request, faults={field: fault for field, fault in checks.items() if isinstance(fault, Sentence)}
        )
    made = request.app.operate_orders.add(
        BalanceKey(name, category),
        quantity=quantity,
        expected_at=expected_at,
        price=price,
        reference=request.sent("reference"),
        note=request.sent("note"),
        by=replace(request.actor, request=request.once),
    )
    if isinstance(made, Sentence):
        return _listed(request, made)
    # The advice page then shows that the new order counts.
    return done("/orders/advice" if request.sent("from") == "advice" else "/orders", Done.ORDER_ADDED)


def cancel(request: PageRequest) -> Response:
    """Expect no more of an order."""
    if request.app.operate_orders.cancel(request.part("id"), by=request.actor) is None:
        return _listed(request, sentence("This order doesn't exist, or is cancelled already."))
    return done("/orders", Done.ORDER_CANCELLED)


def order_page(request: PageRequest) -> Response:
    """Show an order with the top-ups of its account and category, and the orders that these are matched to."""
    order = next(
        (found for found in request.app.operate_orders.listed() if found.id == request.part("id")), None
    )
    if order is None:
        raise HTTPException(404, sentence("This order doesn't exist.").id)
    others = [
        found
        for found in request.app.operate_orders.listed()
        if (found.account, found.category) == (order.account, order.category)
    ]
    return show(
        request,
        "order.html.j2",
        order=order,
        state=order.state(request.now),
        cost=cost_of(order, request.app.settings.orders.prices),
        currency=request.app.settings.orders.currency,
        others=others,
        top_ups=request.app.operate_orders.top_ups_for(order),
    )


def match(request: PageRequest) -> Response:
    """Match a top-up to another order, or to none."""
    fault = request.app.operate_orders.match(request.sent("top_up"), request.sent("order"), by=request.actor)
    if fault is not None:
        return _listed(request, fault)
    what = Done.ORDER_MATCHED if request.sent("order") else Done.ORDER_UNMATCHED
    return done(f"/orders/{request.part('id')}", what)


def _listed(
    request: PageRequest,
    fault: Sentence | None = None,
    *,
    faults: Mapping[str, Sentence] = MappingProxyType({}),
) -> Response:
    """Show the orders; `fault` is above the form, `faults` are at its fields."""
    settings = request.app.settings.orders
    orders = sorted(
        request.app.operate_orders.listed(),
        key=lambda order: (order.state(request.now) not in AWAITED, _sort_key(order, request.now)),
    )
    shown, paging = cut(orders, page_number(request.query("page")))
    known = request.app.operate_orders.known()
    return show(
        request,
        "orders.html.j2",
        status=200 if fault is None and not faults else 422,
        fault="" if fault is None else request.words.translate(fault),
        faults={field: request.words.translate(found) for field, found in faults.items()},
        orders=[(order, order.state(request.now), cost_of(order, settings.prices)) for order in shown],
        paging=paging,
        currency=settings.currency,
        console_url=settings.console_url,
        categories=list(Category),
        known=sorted({*known[:200], *(WalletName(account_of(name)) for name in known[:200])}),
        typed={name: request.sent(name) or request.query(name) for name in _TYPED},
        once=secrets.token_urlsafe(12),
    )


def _sort_key(order: Order, now: datetime) -> float:
    """Return the sort key: expected orders by their date, then the others, the latest first."""
    if order.state(now) in AWAITED:
        return order.expected_at.timestamp()
    return -order.ordered_at.astimezone(UTC).timestamp()

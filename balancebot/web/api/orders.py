"""`orders` and `statements`: purchases, and what happened to the quota in a month."""

from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from balancebot.answers import Instant, NextCursor
from balancebot.domain.balance import MAX_BALANCE, BalanceKey, Category, WalletName
from balancebot.domain.local_time import FURTHEST_AHEAD, read_day_end
from balancebot.domain.order import OrderState
from balancebot.domain.pattern import MAX_NAME
from balancebot.domain.sentence import Sentence
from balancebot.domain.statement import StatementBy, read_month
from balancebot.domain.threshold_cell import MAX_NOTE
from balancebot.domain.user import Role
from balancebot.orders.orders import MAX_REFERENCE, TOO_EXPENSIVE, order_document, read_price
from balancebot.statements.statement import statement_document
from balancebot.web.api.problem import ApiRefusedError
from balancebot.web.api.route import (
    DAY_OR_INSTANT,
    ApiRequest,
    ApiRoute,
    Cursor,
    PageLimit,
    WalletText,
    after_cursor,
    cursor_of,
    refused_field,
)


class OrderAnswer(Struct, frozen=True, kw_only=True):
    """One purchase, and how much of it has arrived."""

    id: str
    wallet: str
    account: str
    category: Category
    state: OrderState
    ordered: int
    arrived: int
    expected_at: Instant
    ordered_at: Instant
    ordered_by: str
    price: Annotated[float | None, Meta(description="the total price, if it was entered")]
    cost: Annotated[float | None, Meta(description="the price, else by `[orders].prices`")]
    currency: str
    reference: str
    note: str
    cancelled_at: Instant | None
    cancelled_by: str | None


class OrdersAnswer(Struct, frozen=True, kw_only=True):
    """Purchases, the latest first."""

    orders: list[OrderAnswer]
    next_cursor: NextCursor


class OrdersQuery(Struct, forbid_unknown_fields=True):
    """Which orders to list."""

    state: Annotated[
        list[OrderState], Meta(description="one of these, with commas between them; default: any")
    ] = []
    limit: PageLimit = 1000
    cursor: Cursor = ""


class OrderBody(Struct, forbid_unknown_fields=True):
    """A purchase that was made."""

    wallet: WalletText
    category: Category
    quantity: Annotated[int, Meta(ge=1, le=MAX_BALANCE)]
    expected: Annotated[
        str,
        Meta(
            max_length=40,
            description=f"when it should arrive: a day, or an instant, within {FURTHEST_AHEAD.days} days",
            examples=["2026-12-01"],
            extra_json_schema={"anyOf": [*DAY_OR_INSTANT]},
        ),
    ]
    price: Annotated[float, Meta(ge=0, lt=float(TOO_EXPENSIVE), description="the total price")] | None = None
    ref: Annotated[
        str, Meta(max_length=MAX_REFERENCE, description="a purchase or invoice number, on one line")
    ] = ""
    note: Annotated[str, Meta(max_length=MAX_NOTE)] = ""


class StatementRowAnswer(Struct, frozen=True, kw_only=True):
    """What happened to one category; opening + bought + moved_in - moved_out + refunded - used + unexplained = closing."""

    day: str | UnsetType = UNSET
    account: str
    app: Annotated[str | None, Meta(description="null: the shared pool, or all of the account")]
    owner: str | None
    category: Category
    opening: int | None
    bought: int
    moved_in: int
    moved_out: int
    refunded: int
    used: int
    unexplained: int
    closing: int | None
    cost: float | None
    hours_missing: int


class TopUpAnswer(Struct, frozen=True, kw_only=True):
    """Quota that arrived."""

    at: Instant
    account: str
    app: str | None
    category: Category
    messages: int
    order: Annotated[str | None, Meta(description="the id of the matched order")]


class StatementRemark(Struct, frozen=True, kw_only=True):
    """A reading that the next one took back: neither usage nor a top-up."""

    at: Instant
    account: str
    app: str | None
    category: Category
    reading: int
    instead: Annotated[int, Meta(description="the reading before it")]


class StatementAnswer(Struct, frozen=True, kw_only=True):
    """The statement of a month."""

    month: str
    timezone: str
    currency: str
    by: StatementBy
    as_of: Instant
    starts_at: Instant
    ends_at: Instant
    is_over: bool
    days_in_utc: bool
    rows: list[StatementRowAnswer]
    totals: list[StatementRowAnswer]
    hours_missing: int
    unexplained: int
    top_ups: list[TopUpAnswer]
    orders: list[OrderAnswer]
    wrong_readings: list[StatementRemark]


class StatementQuery(Struct, forbid_unknown_fields=True):
    """The scope of the statement."""

    account: Annotated[
        Annotated[str, Meta(min_length=1, max_length=MAX_NAME, examples=["acme"])] | None,
        Meta(description="default: all"),
    ] = None
    by: Annotated[StatementBy, Meta(description="what a row is about")] = StatementBy.WALLET


def orders(request: ApiRequest) -> OrdersAnswer:
    """List the purchases that were recorded, the latest first.

    The same as `balancebot orders list --json`.
    """
    query: OrdersQuery = request.query
    found = [
        order
        for order in after_cursor(
            query.cursor, request.app.operate_orders.listed(), lambda order: (order.id,)
        )
        if not query.state or order.state(request.now) in query.state
    ]
    shown = found[: query.limit]
    return OrdersAnswer(
        orders=[_order(request, order) for order in shown],
        next_cursor=cursor_of(shown[-1].id) if len(found) > len(shown) else None,
    )


def add_order(request: ApiRequest) -> OrderAnswer:
    """Record a purchase: the order advice counts it, and it is overdue when it hasn't arrived by the date."""
    body: OrderBody = request.body
    by = read_day_end(body.expected, request.app.settings.timezone, now=request.now)
    if isinstance(by, Sentence):
        raise refused_field("expected", str(by))
    price = None if body.price is None else read_price(f"{body.price:.4f}")
    if isinstance(price, Sentence):
        raise refused_field("price", str(price))
    made = request.app.operate_orders.add(
        BalanceKey(WalletName(body.wallet), body.category),
        quantity=body.quantity,
        expected_at=by,
        price=price,
        reference=body.ref,
        note=body.note,
        by=request.actor,
    )
    if isinstance(made, Sentence):
        raise ApiRefusedError(422, str(made))
    return _order(request, made)


def statement(request: ApiRequest) -> StatementAnswer:
    """Show what was there, bought, moved, used and left in a month (`YYYY-MM`), in the configured time zone.

    The same as `balancebot statement --json`.
    """
    query: StatementQuery = request.query
    first = read_month(request.part("month"))
    if first is None:
        raise ApiRefusedError(404, "A statement is of a month such as 2026-11.")
    statements = request.app.make_statements
    if query.account is not None and query.account not in statements.accounts():
        raise refused_field("account", "no such account is known", 404)
    made = statements.make(first, account=query.account, by=query.by)
    return msgspec.convert(statement_document(made, now=made.as_of), StatementAnswer)


def _order(request: ApiRequest, order: Any) -> OrderAnswer:
    settings = request.app.settings.orders
    document = order_document(order, prices=settings.prices, currency=settings.currency, now=request.now)
    return msgspec.convert(document, OrderAnswer)


ROUTES = (
    ApiRoute(method="GET", path="/orders", handler=orders, query=OrdersQuery, answer=OrdersAnswer),
    ApiRoute(
        method="POST",
        path="/orders",
        handler=add_order,
        body=OrderBody,
        answer=OrderAnswer,
        needs=Role.FINANCE,
        status=HTTPStatus.CREATED,
    ),
    ApiRoute(
        method="GET",
        path="/statements/{month}",
        handler=statement,
        query=StatementQuery,
        answer=StatementAnswer,
        refuses=(HTTPStatus.NOT_FOUND,),
        cost=10,
    ),
)

"""`advice`: what to move and buy, so that quota lasts to a date."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from balancebot.answers import Instant, NextCursor
from balancebot.domain.balance import Category
from balancebot.domain.local_time import read_day_end
from balancebot.domain.pattern import Pattern
from balancebot.domain.sentence import Sentence
from balancebot.estimates.context import ORDER_CONFIDENCE
from balancebot.overview.advice import FARTHEST, LEAST_SURE, MOST_SURE, advice_document, default_until
from balancebot.web.api.route import (
    DAY_OR_INSTANT,
    ApiRequest,
    ApiRoute,
    Cursor,
    PageLimit,
    PatternText,
    after_cursor,
    cursor_of,
    refused_field,
)


class AdviceRowAnswer(Struct, frozen=True, kw_only=True):
    """What to do for one balance; null if too little is known of its usage."""

    wallet: str
    category: Category
    balance: int
    burn_per_day: float | None
    lead_time_days: float
    messages: Annotated[int | None, Meta(description="to buy, in whole packages")]
    lacking: Annotated[int | None, Meta(description="to buy, not rounded")]
    move: Annotated[int | None, Meta(description="to move here from the account's shared pool")]
    ordered: Annotated[int | None, Meta(description="on order, and therefore not in `messages`")]
    universal: Annotated[
        int | None,
        Meta(description="universal messages that take over when it is empty, as was seen: counted first"),
    ]
    stop_sending_first: bool
    order_by: Instant | None
    order_by_day: Annotated[str | None, Meta(description="the last working day that is early enough")]
    note: str


class PurchaseAnswer(Struct, frozen=True, kw_only=True):
    """What to buy for one category of an account; packages are rounded up once."""

    account: str
    category: Category
    balances: int
    move: int
    ordered: int
    messages: int
    packages: int | None
    package_size: int | None
    cost: float | None
    order_by: Instant | None
    order_by_day: str | None


class AdviceAnswer(Struct, frozen=True, kw_only=True):
    """What to order. `accounts`, `totals` and `cost` are of all balances, not only of those on this page."""

    as_of: Instant
    until: Instant
    confidence: float
    currency: str
    advice: list[AdviceRowAnswer]
    accounts: list[PurchaseAnswer]
    totals: dict[str, int]
    cost: float | None
    next_cursor: NextCursor


class AdviceQuery(Struct, forbid_unknown_fields=True):
    """Which balances, and how long they must last."""

    pattern: PatternText = "*"
    until: Annotated[
        str,
        Meta(
            max_length=40,
            description=f"a day, or an instant, within {FARTHEST.days} days; default: in 30 days",
            extra_json_schema={"anyOf": [*DAY_OR_INSTANT, {"maxLength": 0}]},
        ),
    ] = ""
    confidence: Annotated[
        float, Meta(ge=LEAST_SURE, le=MOST_SURE, description="how likely it is to last so long")
    ] = ORDER_CONFIDENCE
    limit: PageLimit = 1000
    cursor: Cursor = ""


def advice(request: ApiRequest) -> AdviceAnswer:
    """List what to move and buy for every balance that has a number, the nearest date first.

    The same as `balancebot advise --json`.
    """
    query: AdviceQuery = request.query
    pattern = Pattern.parse(query.pattern)
    if isinstance(pattern, Sentence):
        raise refused_field("pattern", str(pattern), 400)
    settings = request.app.settings
    until = default_until(request.now, settings.timezone)
    if query.until:
        end = read_day_end(query.until, settings.timezone, now=request.now)
        if isinstance(end, Sentence):
            raise refused_field("until", str(end))
        if not request.now < end < request.now + FARTHEST:
            raise refused_field("until", f"must be ahead, and within {FARTHEST.days} days")
        until = end
    found = request.app.latest_advice.read(until=until, confidence=query.confidence, now=request.now)
    if query.pattern != "*":
        found = found.of(pattern, settings.orders.package_sizes)
    rows = after_cursor(query.cursor, found.rows, lambda row: row.key)
    shown = rows[: query.limit]
    answer = advice_document(found, settings.orders, request.app.words, rows=shown)
    answer["next_cursor"] = cursor_of(*shown[-1].key) if len(rows) > len(shown) else None
    return msgspec.convert(answer, AdviceAnswer)


ROUTES = (
    ApiRoute(
        method="GET",
        path="/advice",
        handler=advice,
        query=AdviceQuery,
        answer=AdviceAnswer,
        cost=10,
    ),
)

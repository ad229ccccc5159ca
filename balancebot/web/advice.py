"""The advice page: every balance that needs quota, the purchases per account, and the orders recorded from them."""

import secrets
from datetime import timedelta

from starlette.responses import Response

from balancebot.domain.local_time import local_time, read_day_end
from balancebot.domain.order import Purchase
from balancebot.domain.pattern import Pattern
from balancebot.domain.sentence import Sentence, sentence
from balancebot.estimates.context import ORDER_CONFIDENCE
from balancebot.overview.advice import FARTHEST, LEAST_SURE, MOST_SURE, Advice, default_until
from balancebot.overview.advice_sheet import AdviceSheets
from balancebot.web.downloads import XLSX, csv_response, file_response
from balancebot.web.paging import cut, page_number
from balancebot.web.rendering import show
from balancebot.web.request import PageRequest

CERTAINTIES = (50, 75, 80, 90, 95, 99)
"""The probabilities that the page offers, in percent."""


def advised(request: PageRequest) -> Response:
    """Show what to move and buy so that quota lasts to the date in the address."""
    advice, fault = _requested_advice(request)
    orders = request.app.settings.orders
    shown, paging = cut(advice.shown, page_number(request.query("page")))
    with request.app.database.read() as conn:
        planned = request.app.figures.planned_of(conn, [row.key for row in shown], now=request.now)
    return show(
        request,
        "advice.html.j2",
        advice=advice,
        rows=shown,
        planned=planned,
        paging=paging,
        asked=_filters(request),
        fault="" if fault is None else request.words.translate(fault),
        until_day=f"{local_time(advice.until, request.zone):%Y-%m-%d}",
        certainty=round(advice.confidence * 100),
        certainties=CERTAINTIES,
        orders=orders,
        cost=advice.cost(orders.prices),
        expected={purchase: _expected_arrival(request, purchase) for purchase in advice.accounts},
        once=secrets.token_urlsafe(12),
    )


def to_csv(request: PageRequest) -> Response:
    """Send the balances as CSV."""
    advice, _ = _requested_advice(request)
    return csv_response(_sheets(request).csv(advice), "advice.csv")


def to_xlsx(request: PageRequest) -> Response:
    """Send the purchases and the balances as a workbook."""
    advice, _ = _requested_advice(request)
    return file_response(_sheets(request).xlsx(advice), "advice.xlsx", XLSX)


def _sheets(request: PageRequest) -> AdviceSheets:
    return AdviceSheets(words=request.words, orders=request.app.settings.orders)


def _filters(request: PageRequest) -> dict[str, str]:
    return {name: request.query(name) for name in ("q", "until", "certainty")}


def _requested_advice(request: PageRequest) -> tuple[Advice, Sentence | None]:
    """Return the advice for the values in the address, and what is wrong with them; faulty values are ignored."""
    fault: Sentence | None = None
    until = default_until(request.now, request.zone)
    if text := request.query("until"):
        end = read_day_end(text, request.zone, now=request.now)
        if isinstance(end, Sentence):
            fault = sentence("The date %(fault)s", fault=end)
        elif not request.now < end < request.now + FARTHEST:
            fault = sentence("The date must be ahead, and within %(days)s days.", days=FARTHEST.days)
        else:
            until = end
    text = request.query("certainty")
    percent = int(text) if text.isascii() and text.isdecimal() and len(text) < 3 else 0
    sure = percent / 100 if LEAST_SURE <= percent / 100 <= MOST_SURE else ORDER_CONFIDENCE
    advice = request.app.latest_advice.read(until=until, confidence=sure, now=request.now)
    if about := request.query("q"):
        # a part of a name, as on the overview, or a pattern
        pattern = Pattern.parse(about if "*" in about or ":" in about else f"*{about}*")
        if isinstance(pattern, Sentence):
            fault = sentence("The pattern %(fault)s", fault=pattern)
        else:
            advice = advice.of(pattern, request.app.settings.orders.package_sizes)
    return advice, fault


def _expected_arrival(request: PageRequest, purchase: Purchase) -> str:
    """Return the day by which an order that is placed today should arrive."""
    lead_time = timedelta(days=-(-purchase.lead_time // timedelta(days=1)))
    return request.words.arrives_on(request.now, lead_time).isoformat()

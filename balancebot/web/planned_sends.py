"""What is to come: sends that people announce, and how much to order by when."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from starlette.responses import Response

from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.local_time import read_day_end, read_instant
from balancebot.domain.number_text import read_quantity
from balancebot.domain.runway import OrderAdvice
from balancebot.domain.sentence import Sentence, sentence
from balancebot.estimates.context import ORDER_CONFIDENCE, ORDER_FOR
from balancebot.overview.balances import BalanceView
from balancebot.store import wallets
from balancebot.web.overview_lists import OverviewFilter, SortOrder
from balancebot.web.rendering import show
from balancebot.web.request import Done, PageRequest, done

_MAX_ADVISED = 20
"""So many balances are advised on: those that run out first. Each costs a few milliseconds."""
_CONFIDENCES = (0.5, 0.75, 0.9, 0.95, 0.99)
_FURTHEST = timedelta(days=366)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """One balance for which something is to be done."""

    view: BalanceView
    advice: OrderAdvice


def coming(request: PageRequest) -> Response:
    """Show announced sends and what to order."""
    return _coming(request)


def announce(request: PageRequest) -> Response:
    """Announce a send."""
    app, words = request.app, request.words
    messages = read_quantity(request.sent("messages"))
    starts_at = read_instant(request.sent("starts_at"), request.zone, now=request.now)
    hours = read_quantity(request.sent("hours"))
    category = next((category for category in Category if category.value == request.sent("category")), None)
    if not isinstance(messages, int):
        return _coming(request, fault=words.gettext("The number of messages must be a whole number."))
    if isinstance(starts_at, Sentence):
        return _coming(request, fault=words.translate(sentence("The start %(fault)s", fault=starts_at)))
    if not isinstance(hours, int):
        return _coming(request, fault=words.gettext("The duration must be a whole number of hours."))
    if category is None:
        return _coming(request, fault=words.gettext("Choose a category."))
    exactly = request.sent_exactly("wallet")
    name = WalletName(exactly if exactly in app.planned_sends.known() else exactly.strip())
    made = app.planned_sends.announce(
        BalanceKey(name, category),
        messages=messages,
        starts_at=starts_at,
        over=timedelta(hours=min(hours, 10_000)),
        note=request.sent("note"),
        by=request.actor,
    )
    return (
        _coming(request, fault=words.translate(made))
        if isinstance(made, Sentence)
        else done("/plans", Done.PLAN_ADDED)
    )


def take_back(request: PageRequest) -> Response:
    """Let a send count no more."""
    if request.app.planned_sends.take_back(request.part("id"), by=request.actor) is None:
        return _coming(request, fault=request.words.gettext("This send is already over or removed."))
    return done("/plans", Done.PLAN_REMOVED)


def _coming(request: PageRequest, fault: str = "") -> Response:
    app = request.app
    until = (
        read_day_end(request.asked("until"), request.zone, now=request.now)
        if request.asked("until")
        else request.now + ORDER_FOR
    )
    if isinstance(until, Sentence) or not request.now < until <= request.now + _FURTHEST:
        until = request.now + ORDER_FOR
        fault = fault or request.words.gettext("Choose a day within the next year.")
    asked = request.asked("confidence")
    confidence = next((share for share in _CONFIDENCES if f"{share:g}" == asked), ORDER_CONFIDENCE)
    purchases, num_looked_at = _purchases(request, until, confidence)
    totals: Counter[Category] = Counter()
    for purchase in purchases:
        totals[purchase.view.key.category] += purchase.advice.messages
    typed = ("wallet", "category", "messages", "starts_at", "hours", "note")
    return show(
        request,
        "plans.html.j2",
        status=422 if fault else 200,
        fault=fault,
        plans=app.planned_sends.standing(),
        purchases=purchases,
        totals=totals,
        num_looked_at=num_looked_at,
        until=until.astimezone(request.zone) - timedelta(seconds=1),
        confidence=confidence,
        confidences=_CONFIDENCES,
        categories=list(Category),
        known=app.planned_sends.known()[:200],
        typed={name: request.sent(name) or request.asked(name) for name in typed},
    )


def _purchases(request: PageRequest, until: datetime, confidence: float) -> tuple[list[Purchase], int]:
    """Return what to buy for the balances that run out first, and how many of these were looked at."""
    app = request.app
    look = app.latest.look(now=request.now)
    first, _ = request.lists.of(look, OverviewFilter(order=SortOrder.RUNWAY))
    used = [view for view in first[:_MAX_ADVISED] if view.estimate.runway is not None]
    with app.database.read() as conn:
        rows = wallets.named(conn, {view.key.wallet for view in used})
        advice = app.figures.advise(
            conn, list(rows.values()), now=request.now, until=until, confidence=confidence
        )
    return [
        Purchase(view=view, advice=found)
        for view in used
        if (found := advice.get(view.key)) is not None and found.is_needed
    ], len(used)

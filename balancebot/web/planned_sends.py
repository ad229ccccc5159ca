"""What is to come: sends that people announce, and how much to order by when."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from starlette.responses import Response

from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.local_time import read_day_end, read_instant
from balancebot.domain.runway import OrderAdvice
from balancebot.domain.threshold_cell import CellFault, read_count
from balancebot.estimates.context import ORDER_CONFIDENCE, ORDER_FOR
from balancebot.overview.balances import BalanceView
from balancebot.store import wallets
from balancebot.web.flash import Done, done
from balancebot.web.overview_lists import OverviewFilter, SortOrder
from balancebot.web.rendering import fault_words, phrases, show
from balancebot.web.request import PageRequest

_MAX_ADVISED = 20
"""So many balances are advised on: those that run out first. Each costs a few milliseconds."""
_CONFIDENCES = (0.5, 0.75, 0.9, 0.95, 0.99)
_FURTHEST = timedelta(days=366)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """One balance for which something is to be bought."""

    view: BalanceView
    advice: OrderAdvice


def coming(visit: PageRequest) -> Response:
    """Show announced sends and what to order."""
    return _coming(visit)


def announce(visit: PageRequest) -> Response:
    """Announce a send."""
    site, words, tell = visit.site, phrases(visit.site.language), fault_words(visit.site.language)
    messages = read_count(visit.sent("messages"))
    starts_at = read_instant(visit.sent("starts_at"), site.zone)
    hours = read_count(visit.sent("hours"))
    category = next((one for one in Category if one.value == visit.sent("category")), None)
    if isinstance(messages, CellFault) or not isinstance(messages, int):
        return _coming(visit, fault=words("The number of messages must be a whole number."))
    if isinstance(starts_at, str):
        return _coming(visit, fault=words("The start {fault}", fault=tell(starts_at)))
    if isinstance(hours, CellFault) or not isinstance(hours, int):
        return _coming(visit, fault=words("The length must be a whole number of hours."))
    if category is None:
        return _coming(visit, fault=words("Choose a category."))
    exactly = visit.sent_exactly("wallet")
    name = WalletName(exactly if exactly in site.announce.known() else exactly.strip())
    made = site.announce.announce(
        BalanceKey(name, category),
        messages=messages,
        starts_at=starts_at,
        over=timedelta(hours=min(hours, 10_000)),
        note=visit.sent("note"),
        by=visit.actor,
    )
    return _coming(visit, fault=tell(made)) if isinstance(made, str) else done("/plans", Done.PLAN_ADDED)


def take_back(visit: PageRequest) -> Response:
    """Let a send count no more."""
    if visit.site.announce.take_back(visit.part("id"), by=visit.actor) is None:
        return _coming(
            visit, fault=phrases(visit.site.language)("This send is over, or was taken back already.")
        )
    return done("/plans", Done.PLAN_REMOVED)


def _coming(visit: PageRequest, fault: str = "") -> Response:
    site = visit.site
    until = read_day_end(visit.asked("until"), site.zone) if visit.asked("until") else visit.now + ORDER_FOR
    if isinstance(until, str) or not visit.now < until <= visit.now + _FURTHEST:
        until = visit.now + ORDER_FOR
        fault = fault or phrases(site.language)("Choose a day within the next year.")
    asked = visit.asked("confidence")
    confidence = next((one for one in _CONFIDENCES if f"{one:g}" == asked), ORDER_CONFIDENCE)
    purchases, num_looked_at = _purchases(visit, until, confidence)
    totals: Counter[Category] = Counter()
    for one in purchases:
        totals[one.view.key.category] += one.advice.messages
    typed = ("wallet", "category", "messages", "starts_at", "hours", "note")
    return show(
        visit,
        "plans.html.j2",
        status=422 if fault else 200,
        fault=fault,
        plans=site.announce.standing(),
        purchases=purchases,
        totals=totals,
        num_looked_at=num_looked_at,
        until=until.astimezone(site.zone) - timedelta(seconds=1),
        confidence=confidence,
        confidences=_CONFIDENCES,
        categories=list(Category),
        known=site.announce.known()[:200],
        typed={name: visit.sent(name) or visit.asked(name) for name in typed},
    )


def _purchases(visit: PageRequest, until: datetime, confidence: float) -> tuple[list[Purchase], int]:
    """Return what to buy for the balances that run out first, and how many of these were looked at."""
    site = visit.site
    look = site.latest.look(now=visit.now)
    first, _ = site.lists.of(look, OverviewFilter(order=SortOrder.RUNWAY))
    used = [view for view in first[:_MAX_ADVISED] if view.estimate.runway is not None]
    with site.database.read() as conn:
        rows = wallets.named(conn, {view.key.wallet for view in used})
        advice = site.figures.advise(
            conn, list(rows.values()), now=visit.now, until=until, confidence=confidence
        )
    return [
        Purchase(view=view, advice=found)
        for view in used
        if (found := advice.get(view.key)) is not None and found.messages > 0
    ], len(used)

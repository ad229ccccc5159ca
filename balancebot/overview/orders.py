"""What to buy for which balance, the most urgent first: the list behind `advise`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from balancebot.domain.balance import BalanceKey, Category
from balancebot.domain.runway import Estimate, OrderAdvice
from balancebot.estimates.context import ContextReader
from balancebot.overview.balances import overview
from balancebot.store import wallets

_NEVER = timedelta.max


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceRow:
    """One balance that has a number."""

    key: BalanceKey
    balance: int
    estimate: Estimate
    lead_time: timedelta
    note: str
    advice: OrderAdvice | None
    """None: too little is known of its usage."""

    @property
    def is_needed(self) -> bool:
        """Tell whether something is to be done."""
        return self.advice is not None and self.advice.is_needed


def advice_rows(
    conn: Connection,
    keys: Sequence[BalanceKey],
    *,
    figures: ContextReader,
    until: datetime,
    confidence: float,
    now: datetime,
) -> list[AdviceRow]:
    """Return the orders for those of `keys` that have a number: what is needed first, the nearest date first."""
    names = list(dict.fromkeys(key.wallet for key in keys))
    wanted = frozenset(keys)
    advice = figures.advise(
        conn,
        list(wallets.named(conn, names, configured_only=False).values()),
        now=now,
        until=until,
        confidence=confidence,
    )
    book = figures.thresholds.book(conn)
    views = overview(
        conn, book=book, stale_after=_NEVER, now=now, names=names
    )  # advice counts from the reading on
    found = [
        AdviceRow(
            key=view.key,
            balance=view.reading,
            estimate=view.estimate,
            lead_time=timedelta(days=view.effective.lead_time_days),
            note=view.effective.note,
            advice=advice.get(view.key),
        )
        for view in views
        if view.key in wanted and isinstance(view.reading, int)
    ]
    return sorted(found, key=_urgency)


def totals(found: Sequence[AdviceRow]) -> Mapping[Category, int]:
    """Return how much is to be bought of each category."""
    return {
        category: sum(
            order.advice.messages
            for order in found
            if order.advice is not None and order.key.category is category
        )
        for category in Category
    }


def _urgency(order: AdviceRow) -> tuple[bool, float, BalanceKey]:
    by = order.advice.order_by if order.advice is not None else None
    if order.advice is not None and order.advice.stop_first:
        return (False, 0.0, order.key)
    return (by is None, 0.0 if by is None else by.timestamp(), order.key)

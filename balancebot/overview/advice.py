"""Order advice: for each balance, and for each account after what its shared pool can give and what is on order.

Quota is bought for an account and moved to its apps, so shortfalls are rounded up to packages once per account and
category.
"""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from decimal import Decimal

from sqlalchemy import Connection

from balancebot.config import OrdersConfig
from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.local_time import json_instant, local_time
from balancebot.domain.order import Purchase, purchases
from balancebot.domain.pattern import Pattern
from balancebot.domain.runway import Estimate, OrderAdvice
from balancebot.estimates.context import ORDER_FOR, ContextReader
from balancebot.i18n import Wording
from balancebot.overview.balances import overview
from balancebot.store import orders, wallets
from balancebot.store import thresholds as threshold_rows
from balancebot.store.database import Database

FARTHEST = timedelta(days=365)
"""The latest date for which advice is given, from now."""
LEAST_SURE, MOST_SURE = 0.5, 0.99
_NEVER = timedelta.max
_KEPT_FOR = timedelta(minutes=1)
_MAX_KEPT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceRow:
    """One balance that has a number."""

    key: BalanceKey
    balance: int
    estimate: Estimate
    lead_time: timedelta
    note: str
    advice: OrderAdvice | None
    """None: too little is known about its usage."""

    @property
    def is_needed(self) -> bool:
        """Return whether there is anything to do."""
        return self.advice is not None and self.advice.is_needed

    @property
    def is_shown(self) -> bool:
        """Return whether anything must be ordered, is on order, or is covered by universal quota."""
        return self.advice is not None and (
            self.advice.is_needed
            or self.advice.ordered > 0
            or self.advice.reserve > 0
            or bool(self.advice.instead_of)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What to do so that balances last until `until` with the probability `confidence`."""

    rows: Sequence[AdviceRow]
    """All balances that have a number, the earliest `order_by` first, those without one last."""
    accounts: Sequence[Purchase]
    """What to move and buy for each account and category, the earliest `order_by` first."""
    until: datetime
    confidence: float
    as_of: datetime

    @property
    def shown(self) -> list[AdviceRow]:
        """The rows with anything to do or on order."""
        return [row for row in self.rows if row.is_shown]

    @property
    def num_unknown(self) -> int:
        """How many balances have too little history or usage."""
        return sum(row.advice is None for row in self.rows)

    @property
    def num_enough(self) -> int:
        """How many balances last until then without any action."""
        return len(self.rows) - self.num_unknown - len(self.shown)

    @property
    def totals(self) -> Mapping[Category, int]:
        """How much to buy of each category."""
        return {
            category: sum(account.messages for account in self.accounts if account.category is category)
            for category in Category
        }

    def cost(self, prices: Mapping[Category, Decimal]) -> Decimal | None:
        """Return what all purchases cost; None if the price of one is unknown, or if none is needed."""
        bought = [account for account in self.accounts if account.messages]
        costs = [account.cost(prices) for account in bought]
        return sum((cost for cost in costs if cost), Decimal(0)) if costs and None not in costs else None

    def of(self, pattern: Pattern, package_sizes: Mapping[Category, int]) -> "Advice":
        """Return the advice for only the balances that match a pattern."""
        rows = [row for row in self.rows if pattern.matches(*row.key)]
        return advice_of(
            rows,
            package_sizes,
            until=self.until,
            confidence=self.confidence,
            as_of=self.as_of,
        )


def default_until(now: datetime, zone: tzinfo) -> datetime:
    """Return the end of the local day in 30 days. It is the same all day, so that advice can be cached."""
    return datetime.combine(local_time(now + ORDER_FOR, zone), time(23, 59), zone).astimezone(UTC)


def read_advice(
    conn: Connection,
    keys: Collection[BalanceKey],
    *,
    figures: ContextReader,
    until: datetime,
    confidence: float,
    now: datetime,
) -> Advice:
    """Return the advice for those of `keys` that have a number."""
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
    rows = [
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
    return advice_of(rows, figures.package_sizes, until=until, confidence=confidence, as_of=now)


def advice_of(
    rows: Collection[AdviceRow],
    package_sizes: Mapping[Category, int],
    *,
    until: datetime,
    confidence: float,
    as_of: datetime,
) -> Advice:
    """Return advice for balances, and its totals per account."""
    return Advice(
        rows=sorted(rows, key=_urgency),
        accounts=purchases(
            {row.key: (row.advice, row.lead_time) for row in rows if row.advice is not None}, package_sizes
        ),
        until=until,
        confidence=confidence,
        as_of=as_of,
    )


class LatestAdvice:
    """Caches advice for a minute: for thousands of balances it takes seconds, and a list has many pages.

    A new order, a match or a changed limit is shown at once. Thread-safe: one thread computes at a time.
    """

    def __init__(
        self, database: Database, figures: ContextReader, configured: Callable[[], Sequence[WalletName]]
    ) -> None:
        """`configured` returns the wallets that are read now."""
        self._database = database
        self._figures = figures
        self._configured = configured
        self._computing = threading.Lock()
        self._kept: dict[object, Advice] = {}

    def read(self, *, until: datetime, confidence: float, now: datetime) -> Advice:
        """Return the advice for all configured balances."""
        with self._computing, self._database.read() as conn:
            key = until, confidence, threshold_rows.version(conn), orders.version(conn)
            kept = self._kept.get(key)
            if kept is not None and timedelta(0) <= now - kept.as_of < _KEPT_FOR:
                return kept
            keys = [BalanceKey(name, category) for name in self._configured() for category in Category]
            advice = read_advice(
                conn, keys, figures=self._figures, until=until, confidence=confidence, now=now
            )
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            self._kept[key] = advice
            return advice


def advice_document(
    advice: Advice, orders: OrdersConfig, words: Wording, *, rows: Sequence[AdviceRow]
) -> dict[str, object]:
    """Return advice as values for JSON, for the command and the API, with `rows` of its rows.

    Days are in the time zone of `words`.
    """
    cost = advice.cost(orders.prices)
    return {
        "as_of": json_instant(advice.as_of),
        "until": json_instant(advice.until),
        "confidence": advice.confidence,
        "currency": orders.currency,
        "advice": [_row(row, words) for row in rows],
        "accounts": [_account(account, orders, words) for account in advice.accounts],
        "totals": {category.value: messages for category, messages in advice.totals.items()},
        "cost": None if cost is None else float(cost),
    }


def _row(row: AdviceRow, words: Wording) -> dict[str, object]:
    advice = row.advice
    return {
        "wallet": row.key.wallet,
        "category": row.key.category.value,
        "balance": row.balance,
        "burn_per_day": row.estimate.burn_per_day,
        "lead_time_days": row.lead_time.total_seconds() / 86_400,
        "messages": None if advice is None else advice.messages,
        "lacking": None if advice is None else advice.to_buy,
        "move": None if advice is None else advice.move,
        "ordered": None if advice is None else advice.ordered,
        "universal": None if advice is None else advice.reserve,
        "stop_sending_first": advice is not None and advice.stop_first,
        "order_by": _instant(None if advice is None else advice.order_by),
        "order_by_day": _day(None if advice is None else advice.order_by, words),
        "note": row.note,
    }


def _account(account: Purchase, orders: OrdersConfig, words: Wording) -> dict[str, object]:
    cost = account.cost(orders.prices)
    return {
        "account": account.account,
        "category": account.category.value,
        "balances": account.num_balances,
        "move": account.move,
        "ordered": account.ordered,
        "messages": account.messages,
        "packages": account.num_packages,
        "package_size": account.package_size,
        "cost": None if cost is None else float(cost),
        "order_by": _instant(account.order_by),
        "order_by_day": _day(account.order_by, words),
    }


def _instant(order_by: datetime | None) -> str | None:
    return None if order_by is None else json_instant(order_by)


def _day(order_by: datetime | None, words: Wording) -> str | None:
    return None if order_by is None else words.working_day(order_by).isoformat()


def _urgency(row: AdviceRow) -> tuple[bool, float, BalanceKey]:
    by = row.advice.order_by if row.advice is not None else None
    if row.advice is not None and row.advice.stop_first:
        return (False, 0.0, row.key)
    return (by is None, 0.0 if by is None else by.timestamp(), row.key)

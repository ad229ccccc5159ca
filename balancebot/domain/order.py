"""Orders: purchases that finance has recorded, and the top-ups that are matched to them, oldest first."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

from balancebot.domain.balance import BalanceKey, Category, WalletName, account_of
from balancebot.domain.runway import OrderAdvice
from balancebot.domain.usage import MAX_REFUND, SECONDS_PER_HOUR, Hour

SLACK: Final = 0.02
"""An order has arrived when at most this part of it is missing, apart from what was used while its top-ups arrived."""
LEAST_SHARE: Final = 0.01
"""A rise of less than this part of an order, or a possible refund, doesn't count as a top-up of the order."""


class OrderState(StrEnum):
    """How far an order has come."""

    OPEN = "open"
    PARTLY = "partly"
    ARRIVED = "arrived"
    OVERDUE = "overdue"
    """Not all of it has arrived by the expected date."""
    CANCELLED = "cancelled"


AWAITED: Final = frozenset({OrderState.OPEN, OrderState.PARTLY, OrderState.OVERDUE})
"""The states in which top-ups are still expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A purchase of `quantity` messages for a wallet. Top-ups of all wallets of the account count as `arrived`."""

    id: str = ""
    """'' until it is stored."""
    wallet: WalletName
    category: Category
    quantity: int
    price: Decimal | None = None
    """The total price, in the configured currency."""
    reference: str = ""
    note: str = ""
    ordered_at: datetime
    ordered_by: str
    expected_at: datetime
    """The end of the day on which it should have arrived."""
    cancelled_at: datetime | None = None
    cancelled_by: str = ""
    reminded_at: datetime | None = None
    """When the reminder that it is overdue was sent."""
    arrived: int = 0
    """Messages of the top-ups that are matched to it."""
    hidden_use: int = 0
    """Probable usage between the readings before and after these top-ups, which makes them look smaller."""

    @property
    def account(self) -> str:
        """The account for which it was bought."""
        return account_of(self.wallet)

    @property
    def is_complete(self) -> bool:
        """Whether all of it has arrived, as far as readings show."""
        hidden = min(self.hidden_use, self.arrived)
        return self.quantity - self.arrived <= self.quantity * SLACK + hidden

    @property
    def missing(self) -> int:
        """Messages that are still expected; 0 if it is complete or cancelled."""
        return 0 if self.is_complete or self.cancelled_at is not None else self.quantity - self.arrived

    @property
    def least(self) -> int:
        """The smallest top-up that counts towards it; a smaller rise may be a refund or a correction."""
        return min(self.missing, max(MAX_REFUND + 1, math.ceil(self.quantity * LEAST_SHARE)))

    def state(self, now: datetime) -> OrderState:
        """Return its state at `now`."""
        if self.cancelled_at is not None:
            return OrderState.CANCELLED
        if self.is_complete:
            return OrderState.ARRIVED
        if now > self.expected_at:
            return OrderState.OVERDUE
        return OrderState.PARTLY if self.arrived else OrderState.OPEN


class TopUp(NamedTuple):
    """Quota that was bought, as found in a reading."""

    id: str
    """'' until it is stored."""
    at: int
    """Epoch second of the reading, rounded up."""
    wallet: WalletName
    category: Category
    messages: int
    hidden_use: int = 0
    """Probable usage between the readings before and after it: the purchase was larger by this number."""

    @property
    def hour(self) -> Hour:
        """The hour under which it is booked."""
        return Hour((self.at - 1) // SECONDS_PER_HOUR, BalanceKey(self.wallet, self.category))

    @property
    def seen_at(self) -> datetime:
        """The instant of the reading, in UTC."""
        return datetime.fromtimestamp(self.at, UTC)


class Match(NamedTuple):
    """A part of a top-up that belongs to an order."""

    top_up_id: str
    order_id: str
    messages: int


def match_top_up(top_up: TopUp, orders: Sequence[Order]) -> list[Match]:
    """Assign a new top-up to orders, the oldest first, each up to what it still lacks; the rest belongs to no order.

    Only orders of the same account and category count that were recorded before the top-up was seen and for which it
    isn't too small (`Order.least`).
    """
    matches: list[Match] = []
    left = top_up.messages
    for order in sorted(orders, key=lambda order: (order.ordered_at, int(order.id))):
        fits = (
            order.account == account_of(top_up.wallet)
            and order.category is top_up.category
            and order.ordered_at <= top_up.seen_at
        )
        part = min(left, order.missing) if fits else 0
        if part and part >= order.least:
            matches.append(Match(top_up.id, order.id, part))
            left -= part
    return matches


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """The order advice of all balances of one account and category, added up."""

    account: str
    category: Category
    num_balances: int
    """How many of these balances need something moved or bought, or have something on order."""
    move: int
    """How much to move from the shared pool to apps."""
    ordered: int
    """How much is already on order."""
    messages: int
    """How much to buy, in whole packages; 0 = nothing."""
    package_size: int | None
    order_by: datetime | None
    """When the first part must be moved or bought at the latest."""
    lead_time: timedelta = timedelta(0)
    """How long the purchase takes."""

    @property
    def num_packages(self) -> int | None:
        """How many packages to buy; None if the package size is unknown."""
        return None if self.package_size is None else self.messages // self.package_size

    def cost(self, prices: Mapping[Category, Decimal]) -> Decimal | None:
        """Return what the purchase costs; None if the category has no price."""
        price = prices.get(self.category)
        return None if price is None else price * self.messages


def purchases(
    advice: Mapping[BalanceKey, tuple[OrderAdvice, timedelta]], package_sizes: Mapping[Category, int]
) -> tuple[Purchase, ...]:
    """Add up the advice (each with its lead time) per account and category, the earliest `order_by` first.

    The shortfalls are added up first and then rounded up to packages once.
    """
    groups: dict[tuple[str, Category], list[tuple[OrderAdvice, timedelta]]] = defaultdict(list)
    for key, (found, lead_time) in advice.items():
        if found.messages or found.move or found.ordered:
            groups[account_of(key.wallet), key.category].append((found, lead_time))
    summed = []
    for (account, category), members in groups.items():
        size = package_sizes.get(category)
        to_buy = sum(advised.to_buy for advised, _ in members)
        due = [
            advised.order_by for advised, _ in members if advised.order_by is not None and advised.is_needed
        ]
        summed.append(
            Purchase(
                account=account,
                category=category,
                num_balances=len(members),
                move=sum(advised.move for advised, _ in members),
                ordered=sum(advised.ordered for advised, _ in members),
                messages=in_packages(to_buy, size) if to_buy else 0,
                package_size=size,
                order_by=min(due, default=None),
                lead_time=max((time for advised, time in members if advised.messages), default=timedelta(0)),
            )
        )
    return tuple(sorted(summed, key=_most_urgent_first))


def _most_urgent_first(purchase: Purchase) -> tuple[bool, float, str, str]:
    by = purchase.order_by
    return by is None, 0.0 if by is None else by.timestamp(), purchase.account, purchase.category.value


def in_packages(messages: float, package_size: int | None) -> int:
    """Round a shortfall up to whole packages; without a package size to two figures, as it isn't known more precisely."""
    size = package_size or round_unit(messages)
    return math.ceil(messages / size) * size


def round_unit(messages: float) -> int:
    """Return the unit in which a number has two figures."""
    return int(10 ** max(0, len(str(math.ceil(messages))) - 2))

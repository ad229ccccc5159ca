"""Record and cancel orders, and change which top-up belongs to which order. Each act gets an audit entry.

Expected orders count in the order advice, but not in the runway.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from balancebot.catalogue import number
from balancebot.domain.audit import Act, Actor, Picture, slack_id_of
from balancebot.domain.balance import MAX_BALANCE, BalanceKey, Category, WalletName, account_of
from balancebot.domain.local_time import json_instant, local_time
from balancebot.domain.message import NoticeMessage
from balancebot.domain.number_text import folded, quoted, read_number
from balancebot.domain.order import Match, Order, OrderState, TopUp
from balancebot.domain.routing import Destination
from balancebot.domain.sentence import Sentence, did_you_mean, sentence, unknown_wallet
from balancebot.domain.threshold_cell import read_note
from balancebot.ports import Clock
from balancebot.store import audit, orders, outbox, types
from balancebot.store.database import Database

MAX_REFERENCE = 200
"""In characters."""
TOO_EXPENSIVE = Decimal(10**15)
"""Every price is below this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperateOrders:
    """What people do about orders."""

    database: Database
    clock: Clock
    steady: Clock
    known: Callable[[], Sequence[WalletName]]
    """The wallets that are configured now."""
    destinations: Sequence[Destination]
    """Where overdue orders are reported."""
    zone: ZoneInfo
    """In which the dates of these reports are."""

    def add(
        self,
        balance: BalanceKey,
        *,
        quantity: int,
        expected_at: datetime,
        price: Decimal | None = None,
        reference: str = "",
        note: str = "",
        by: Actor,
    ) -> Order | Sentence:
        """Record a purchase for a wallet or an account; return what is wrong. A repeated request is done only once."""
        now = self.clock.now()
        written = read_note(note)
        reference = reference.strip()
        if isinstance(written, Sentence):
            return sentence("the note %(fault)s", fault=written)
        if len(reference) > MAX_REFERENCE or not reference.isprintable():
            return sentence(
                "the reference must be one line of at most %(most)s characters", most=MAX_REFERENCE
            )
        known = self.known()
        names = {*known, *(WalletName(account_of(name)) for name in known)}
        if balance.wallet not in names:
            return unknown_wallet(balance.wallet, did_you_mean(balance.wallet, names))
        if not 0 < quantity <= MAX_BALANCE:
            return sentence("an order is for 1 to %(most)s messages", most=MAX_BALANCE)
        order = Order(
            wallet=balance.wallet,
            category=balance.category,
            quantity=quantity,
            price=price,
            reference=reference,
            note=written,
            ordered_at=now,
            ordered_by=by.name,
            expected_at=expected_at,
        )
        with self.database.write() as conn:
            types.take_lock(conn, types.BOOKING)
            done = audit.of_request(conn, by.request)
            if done is not None and done.after is not None:
                again = orders.find(conn, str(done.after["id"]))
                if again is not None:
                    return again
            kept = replace(order, id=orders.add(conn, order))
            audit.record_change(conn, by, Act.ADD_ORDER, str(balance), after=_picture(kept), now=now)
        return kept

    def listed(self) -> tuple[Order, ...]:
        """Return all orders, the latest first."""
        with self.database.read() as conn:
            return orders.listed(conn)

    def cancel(self, order_id: str, *, by: Actor) -> Order | None:
        """Cancel an order; None if there is no active order with this id. Top-ups that are matched to it stay matched."""
        now = self.clock.now()
        with self.database.write() as conn:
            types.take_lock(conn, types.BOOKING)
            order = orders.find(conn, order_id)
            if order is None or not orders.cancel(conn, order_id, by=by.name, now=now):
                return None
            balance = str(BalanceKey(order.wallet, order.category))
            audit.record_change(conn, by, Act.CANCEL_ORDER, balance, before=_picture(order), now=now)
        return replace(order, cancelled_at=now, cancelled_by=by.name)

    def tick(self) -> int:
        """Report each overdue order once; return how many were reported."""
        return self.database.apart_from_damage(self._tick)

    def _tick(self) -> int:
        now = self.steady.now()
        with self.database.read() as conn:
            if not _overdue(conn, now):
                return 0
        with self.database.write() as conn:
            types.take_lock(conn, types.BOOKING)
            due = [order for order in _overdue(conn, now) if orders.note_reminded(conn, order.id, now=now)]
            for order in due:
                outbox.enqueue_plain(
                    conn,
                    message=_overdue_notice(order, self.zone, now),
                    destinations=self.destinations,
                    now=now,
                )
        return len(due)

    def top_ups_for(self, order: Order, *, limit: int = 50) -> list[tuple[TopUp, Sequence[Match]]]:
        """Return the latest top-ups that could be matched to an order, each with its present matches."""
        with self.database.read() as conn:
            found = orders.top_ups_of(conn, order.account, order.category, limit=limit)
            matches = orders.matches_of(conn, [top_up.id for top_up in found])
        return [(top_up, matches.get(top_up.id, ())) for top_up in found]

    def match(self, top_up_id: str, order_id: str, *, by: Actor) -> Sentence | None:
        """Match a whole top-up to one order, or with '' to none; return what is wrong."""
        now = self.clock.now()
        with self.database.write() as conn:
            types.take_lock(conn, types.BOOKING)
            top_up = orders.find_top_up(conn, top_up_id)
            if top_up is None:
                return sentence("this top-up doesn't exist any more")
            order = orders.find(conn, order_id) if order_id else None
            if order_id and (
                order is None
                or (order.account, order.category) != (account_of(top_up.wallet), top_up.category)
            ):
                return sentence("no order of this account and category has the number %(id)s", id=order_id)
            before = orders.matches_of(conn, [top_up.id]).get(top_up.id, [])
            after = [] if order is None else [Match(top_up.id, order.id, top_up.messages)]
            if before == after:
                return None
            orders.rematch(conn, top_up, after)
            audit.record_change(
                conn,
                by,
                Act.MATCH_ORDER,
                str(top_up.hour.balance),
                before=_matched(top_up, before),
                after=_matched(top_up, after),
                now=now,
            )
        return None


def _overdue(conn: Connection, now: datetime) -> list[Order]:
    return [
        order
        for order in orders.awaited(conn)
        if order.reminded_at is None and order.state(now) is OrderState.OVERDUE
    ]


def _overdue_notice(order: Order, zone: ZoneInfo, now: datetime) -> NoticeMessage:
    """Return the message that an order is overdue, with the name of the person who recorded it."""
    lines = [
        sentence(
            "%(who)s recorded it on %(date)s%(reference)s. Ask the supplier, or cancel it.",
            who=order.ordered_by,
            date=f"{local_time(order.ordered_at, zone):%Y-%m-%d}",
            reference=f" ({order.reference})" if order.reference else "",
        )
    ]
    if order.arrived:
        lines.insert(0, sentence("%(arrived)s messages have arrived so far.", arrived=number(order.arrived)))
    return NoticeMessage(
        at=now,
        title=sentence(
            "Order overdue: %(count)s messages of %(wallet)s %(category)s should have arrived by %(date)s",
            count=number(order.quantity),
            wallet=order.wallet,
            category=Sentence(order.category.value),
            date=f"{local_time(order.expected_at, zone):%Y-%m-%d}",
        ),
        lines=tuple(lines),
        path=f"/orders/{order.id}",
        is_trouble=True,
        mentions=slack_id_of(order.ordered_by),
    )


def order_document(
    order: Order, *, prices: Mapping[Category, Decimal], currency: str, now: datetime
) -> dict[str, object]:
    """Return an order as values for JSON, for the commands and the API."""
    cost = cost_of(order, prices)
    return {
        "id": order.id,
        "wallet": order.wallet,
        "account": order.account,
        "category": order.category.value,
        "state": order.state(now).value,
        "ordered": order.quantity,
        "arrived": order.arrived,
        "expected_at": json_instant(order.expected_at),
        "ordered_at": json_instant(order.ordered_at),
        "ordered_by": order.ordered_by,
        "price": None if order.price is None else float(order.price),
        "cost": None if cost is None else float(cost),
        "currency": currency,
        "reference": order.reference,
        "note": order.note,
        "cancelled_at": None if order.cancelled_at is None else json_instant(order.cancelled_at),
        "cancelled_by": order.cancelled_by or None,
    }


def cost_of(order: Order, prices: Mapping[Category, Decimal]) -> Decimal | None:
    """Return what an order costs: its own price, or the price of its messages; None if no price is known."""
    if order.price is not None:
        return order.price
    price = prices.get(order.category)
    return None if price is None else price * order.quantity


def read_price(text: str) -> Decimal | Sentence:
    """Read the total price of an order, such as 2,700.00, 1.5万 or ¥2700; return what is wrong."""
    value = read_number(folded(text).strip("¥元 "), has_unit=True)
    if value is None:
        return sentence("must be a sum of money such as 2,700.00, not %(text)s", text=quoted(text))
    if isinstance(value, Sentence):
        return value
    if not 0 <= value < TOO_EXPENSIVE or value != round(value, 4):
        return sentence("must be a sum of money such as 2,700.00, not %(text)s", text=quoted(text))
    return value


def _picture(order: Order) -> Picture:
    return {
        "id": order.id,
        "messages": order.quantity,
        "expected_by": order.expected_at.isoformat(),
        "price": None if order.price is None else str(order.price),
        "reference": order.reference,
        "note": order.note,
    }


def _matched(top_up: TopUp, matches: Collection[Match]) -> Picture:
    return {
        "messages": top_up.messages,
        "at": top_up.seen_at.isoformat(),
        "order": ", ".join(match.order_id for match in matches) or None,
    }

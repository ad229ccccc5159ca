"""What a message shows beside the verdict: how the balance went lately, what to order, what was announced.

It is looked up only when something is told: thousands of readings that tell nothing pay nothing for it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import dropwhile

from sqlalchemy import Connection

from balancebot.domain.alert import Alert
from balancebot.domain.balance import BalanceKey, Category, Reading, WalletName
from balancebot.domain.message import MessageContext
from balancebot.domain.runway import OrderAdvice, PlannedUse
from balancebot.domain.threshold import ThresholdBook
from balancebot.domain.usage import SECONDS_PER_HOUR
from balancebot.estimates.estimator import Estimator
from balancebot.store import estimates, planned_sends, usage, wallets
from balancebot.store.thresholds import ThresholdCache
from balancebot.store.wallets import WalletRow

_RECENT_HOURS = 7 * 24
_RECENT_STEP = 6
ORDER_FOR = timedelta(days=30)
"""How long an order is to last where nobody says otherwise."""
ORDER_CONFIDENCE = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextReader:
    """Looks up what messages show beside a measurement."""

    estimator: Estimator
    thresholds: ThresholdCache
    package_sizes: Mapping[Category, int]

    def read(
        self, conn: Connection, shown: Sequence[tuple[Alert, Reading]], *, now: datetime
    ) -> list[MessageContext]:
        """Return the context of each alert, given what its balance reads; of a wallet's alert only the note."""
        if not shown:
            return []
        book = self.thresholds.book(conn)
        keys = {key for alert, _ in shown if (key := alert.subject.balance) is not None}
        rows = wallets.named(conn, {key.wallet for key in keys}, configured_only=False) if keys else {}
        known = {key for key in keys if key.wallet in rows}
        courses = recent_courses(conn, [(rows[key.wallet].id, key.category) for key in known], now)
        advice = self.advise(conn, list(rows.values()), now=now, only=known) if known else {}
        planned = _planned(conn, now) if known else {}

        def context_of(alert: Alert, reading: Reading) -> MessageContext:
            key = alert.subject.balance
            if key is None:
                return MessageContext(note=_wallet_note(book, (alert.members or (alert.subject.wallet,))[0]))
            if key not in known:
                return MessageContext(note=book.effective(*key).note)
            return MessageContext(
                recent=up_to_now(courses[rows[key.wallet].id, key.category], reading),
                advice=advice.get(key),
                planned=planned.get(key, ()),
                note=book.effective(*key).note,
            )

        return [context_of(alert, reading) for alert, reading in shown]

    def advise(
        self,
        conn: Connection,
        rows: list[WalletRow],
        *,
        now: datetime,
        until: datetime | None = None,
        confidence: float = ORDER_CONFIDENCE,
        only: Collection[BalanceKey] | None = None,
    ) -> Mapping[BalanceKey, OrderAdvice]:
        """Advise what to buy for every balance of the wallets (or `only` for some) that has a number and is used.

        Without `until` an order is to last 30 days from now; `confidence` is the probability that it does. While use is
        far above what is usual there is no advice: nobody should buy for a robot.
        """
        from balancebot.forecast.spike import SUSPICIOUS  # lazy: numpy

        unusual = {
            (row.wallet_id, row.category)
            for row in estimates.of_wallets(conn, [row.id for row in rows])
            if row.spike_points >= SUSPICIOUS
        }
        book = self.thresholds.book(conn)
        return self.estimator.advise(
            conn,
            [(row.id, snapshot) for row in rows if (snapshot := row.snapshot) is not None],
            now=now,
            until=until or now + ORDER_FOR,
            confidence=confidence,
            lead_times={
                BalanceKey(row.name, category): timedelta(
                    days=book.effective(row.name, category).lead_time_days
                )
                for row in rows
                for category in Category
                if (row.id, category) not in unusual
                and (only is None or BalanceKey(row.name, category) in only)
            },
            package_sizes=self.package_sizes,
        )


def recent_courses(
    conn: Connection, of: Collection[tuple[int, Category]], now: datetime
) -> Mapping[tuple[int, Category], tuple[int | None, ...]]:
    """Return what was left of balances (by their wallets' ids) at every sixth hour of the last week.

    None where nothing was read; nothing before its first reading.
    """
    hour = int(now.timestamp() // SECONDS_PER_HOUR)
    first = hour - _RECENT_HOURS
    points: dict[tuple[int, Category], list[int | None]] = {
        balance: [None] * (_RECENT_HOURS // _RECENT_STEP) for balance in of
    }
    for category in Category:
        ids = [wallet_id for wallet_id, its in of if its is category]
        for wallet_id, at, left in usage.courses(
            conn, ids, category, since=first, until=hour, every=_RECENT_STEP
        ):
            points[wallet_id, category][(at - first) // _RECENT_STEP] = left
    return {
        balance: tuple(dropwhile(lambda point: point is None, course)) for balance, course in points.items()
    }


def up_to_now(course: tuple[int | None, ...], reading: Reading) -> tuple[int | None, ...]:
    """Return a recent course with what is left now at its end, if that is a number."""
    return (*course, reading) if isinstance(reading, int) else course


def _planned(conn: Connection, now: datetime) -> Mapping[BalanceKey, tuple[PlannedUse, ...]]:
    announced: dict[BalanceKey, tuple[PlannedUse, ...]] = {}
    for plan in planned_sends.not_over(conn, now=now):
        announced[plan.balance] = (*announced.get(plan.balance, ()), plan.use)
    return announced


def _wallet_note(book: ThresholdBook, wallet: WalletName) -> str:
    """Return the note that a row sets for every category of the wallet: one of a category is about that alone."""
    for category in Category:
        effective = book.effective(wallet, category)
        origin = effective.origins.note
        if origin is not None and origin.category is None:
            return effective.note
    return ""

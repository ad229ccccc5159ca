"""What a message shows beside the verdict: how the balance went lately, what to order, what was announced.

It is looked up only when something is told: thousands of readings that tell nothing pay nothing for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from balancebot.domain.balance import Absent, BalanceKey, Category, Reading
from balancebot.domain.notification import AlertFacts
from balancebot.domain.runway import OrderAdvice, PlannedUse
from balancebot.domain.usage import SECONDS_PER_HOUR
from balancebot.storage import balances, plans, rollup, wallets
from balancebot.storage.wallets import WalletRow
from balancebot.usecases.estimating.estimates import Estimator
from balancebot.usecases.limits.shelf import ThresholdShelf

_RECENT_HOURS = 7 * 24
_RECENT_STEP = 6
ORDER_FOR = timedelta(days=30)
"""How long an order is to last where nobody says otherwise."""
ORDER_CONFIDENCE = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Fills in the figures of a message about one balance."""

    estimator: Estimator
    thresholds: ThresholdShelf
    package_sizes: Mapping[Category, int]

    def fill(self, conn: Connection, facts: AlertFacts, *, now: datetime) -> AlertFacts:
        """Return `facts` with its recent past, order advice and announced sends; a wallet's facts as they are."""
        if facts.category is None:
            return facts
        row = wallets.find(conn, facts.wallet)
        if row is None:
            return facts
        key = BalanceKey(facts.wallet, facts.category)
        return replace(
            facts,
            recent=recent_course(conn, row, facts.category, facts.reading, now),
            advice=self.advise(conn, [row], now=now).get(key),
            planned=tuple(
                PlannedUse(
                    messages=plan.messages, starts_at=plan.starts_at, ends_at=plan.ends_at, note=plan.note
                )
                for plan in plans.not_over(conn, now=now)
                if plan.balance == key
            ),
        )

    def advise(
        self,
        conn: Connection,
        rows: list[WalletRow],
        *,
        now: datetime,
        until: datetime | None = None,
        confidence: float = ORDER_CONFIDENCE,
    ) -> Mapping[BalanceKey, OrderAdvice]:
        """Advise what to buy for every balance of the wallets that has a number and is used.

        Without `until` an order is to last 30 days from now; `confidence` is the probability that it does. While use is
        far above what is usual there is no advice: nobody should buy for a robot.
        """
        unusual = {
            (row.wallet_id, row.category)
            for row in balances.of_wallets(conn, [row.id for row in rows])
            if row.spike_streak > 0
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
            },
            package_sizes=self.package_sizes,
        )


def recent_course(
    conn: Connection, row: WalletRow, category: Category, reading: Reading, now: datetime
) -> tuple[int | None, ...]:
    """Return the balance at every sixth hour of the last week, and now; nothing before its first reading."""
    hour = int(now.timestamp() // SECONDS_PER_HOUR)
    first = hour - _RECENT_HOURS
    points: list[int | None] = [None] * (_RECENT_HOURS // _RECENT_STEP)
    for at, value in rollup.course_of(conn, row.id, category, since=first, until=hour):
        if not isinstance(value, Absent):
            points[(at - first) // _RECENT_STEP] = value
    while points and points[0] is None:
        points.pop(0)
    return (*points, reading) if isinstance(reading, int) else tuple(points)

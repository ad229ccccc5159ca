"""What a message shows beside the verdict: how the balance went lately, what to order, what was announced.

It is looked up only when something is told: thousands of readings that tell nothing pay nothing for it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import dropwhile

from sqlalchemy import Connection

from balancebot.domain.balance import BalanceKey, Category, Reading
from balancebot.domain.message import AlertFacts
from balancebot.domain.runway import OrderAdvice, PlannedUse
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
class MessageContext:
    """Fills in the figures of messages about balances."""

    estimator: Estimator
    thresholds: ThresholdCache
    package_sizes: Mapping[Category, int]

    def fill(self, conn: Connection, told: Sequence[AlertFacts], *, now: datetime) -> list[AlertFacts]:
        """Return `told` with recent past, order advice and announced sends; what concerns a wallet as it is."""
        names = {facts.wallet for facts in told if facts.category is not None}
        rows = wallets.named(conn, names, configured_only=False)
        keys = {
            BalanceKey(facts.wallet, facts.category)
            for facts in told
            if facts.category is not None and facts.wallet in rows
        }
        if not keys:
            return list(told)
        courses = recent_courses(conn, [(rows[key.wallet].id, key.category) for key in keys], now)
        advice = self.advise(conn, list(rows.values()), now=now, only=keys)
        planned = _planned(conn, now)

        def filled(facts: AlertFacts) -> AlertFacts:
            if facts.category is None or facts.wallet not in rows:
                return facts
            key = BalanceKey(facts.wallet, facts.category)
            return replace(
                facts,
                recent=up_to_now(courses[rows[key.wallet].id, key.category], facts.reading),
                advice=advice.get(key),
                planned=planned.get(key, ()),
            )

        return [filled(facts) for facts in told]

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
        from balancebot.forecast.spike import SUSPICIOUS

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

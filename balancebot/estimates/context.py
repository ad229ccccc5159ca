"""The context of messages: the balance's recent history, order advice, planned sends, notes.

It is read only when a message is sent, so that the many readings without a message cost nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import dropwhile

from sqlalchemy import Connection

from balancebot.domain.alert import Alert, AlertKind
from balancebot.domain.balance import BalanceKey, Category, Reading, WalletName, account_of, app_of
from balancebot.domain.message import MessageContext
from balancebot.domain.runway import OrderAdvice, PlannedUse
from balancebot.domain.threshold import ThresholdBook
from balancebot.domain.usage import SECONDS_PER_HOUR
from balancebot.estimates.estimator import Estimator
from balancebot.store import alerts, estimates, orders, planned_sends, usage, wallets
from balancebot.store.estimates import EstimateRow
from balancebot.store.thresholds import ThresholdCache
from balancebot.store.wallets import WalletRow

_RECENT_HOURS = 7 * 24
_RECENT_STEP = 6
_FEW_APPS = 50
"""In an account of at most this many wallets, the pool is distributed among all apps, not only the requested ones."""
ORDER_FOR = timedelta(days=30)
"""How long an order should last by default."""
ORDER_CONFIDENCE = 0.9
_P10 = 0.9
"""The probability that a balance lasts at least as long as the P10 of its runway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextReader:
    """Reads what messages show in addition to a measurement."""

    estimator: Estimator
    thresholds: ThresholdCache
    package_sizes: Mapping[Category, int]

    def read(
        self, conn: Connection, shown: Sequence[tuple[Alert, Reading]], *, now: datetime
    ) -> list[MessageContext]:
        """Return the context of each alert with the reading of its balance; an alert of a wallet has only the note."""
        if not shown:
            return []
        book = self.thresholds.book(conn)
        keys = {key for alert, _ in shown if (key := alert.subject.balance) is not None}
        rows = wallets.named(conn, {key.wallet for key in keys}, configured_only=False) if keys else {}
        known = {key for key in keys if key.wallet in rows}
        histories = recent_history(conn, [(rows[key.wallet].id, key.category) for key in known], now)
        advice = self.advise(conn, list(rows.values()), now=now, only=known) if known else {}
        planned = self.planned(conn, list(rows.values()), now=now)
        # without advice, a message suggests to move some from the pool
        unadvised = {account_of(key.wallet) for key in known if key not in advice}
        movable = self.movable(conn, unadvised, now=now) if unadvised else {}

        def context_of(alert: Alert, reading: Reading) -> MessageContext:
            key = alert.subject.balance
            if key is None:
                return MessageContext(note=_wallet_note(book, (alert.members or (alert.subject.wallet,))[0]))
            if key not in known:
                return MessageContext(note=book.effective(*key).note)
            return MessageContext(
                recent=up_to_now(histories[rows[key.wallet].id, key.category], reading),
                advice=advice.get(key),
                planned=planned.get(key, ()),
                note=book.effective(*key).note,
                pool_is_empty=movable.get((account_of(key.wallet), key.category)) == 0,
            )

        return [context_of(alert, reading) for alert, reading in shown]

    def planned(
        self, conn: Connection, rows: Sequence[WalletRow], *, now: datetime
    ) -> Mapping[BalanceKey, tuple[PlannedUse, ...]]:
        """Return the announced sends of balances, then those that are expected in the next 30 days."""
        expected = self.estimator.expected_sends(
            conn,
            [(row.id, snapshot) for row in rows if (snapshot := row.snapshot) is not None],
            until=now + ORDER_FOR,
        )
        announced = _planned(conn, now) if rows else {}
        return {
            key: announced.get(key, ()) + expected.get(key, ()) for key in announced.keys() | expected.keys()
        }

    def planned_of(
        self, conn: Connection, keys: Collection[BalanceKey], *, now: datetime
    ) -> Mapping[BalanceKey, tuple[PlannedUse, ...]]:
        """Return the announced and expected sends of balances, as `planned` does."""
        rows = list(wallets.named(conn, {key.wallet for key in keys}, configured_only=False).values())
        planned = self.planned(conn, rows, now=now)
        return {key: planned[key] for key in keys if planned.get(key)}

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
        """Advise what to move and buy for every balance of the wallets (or only for `only`) that has a number and usage.

        Without `until` an order should last 30 days from now; `confidence` is the probability that it does. While usage
        is far above usual, the advice is to stop the sending first: nobody should buy for a robot. Before anything is
        bought, the shared pool and what is on order are used, each distributed once among all apps of the account (in a
        large account among those of `rows`).
        """
        until = until or now + ORDER_FOR
        members = _with_their_accounts(conn, rows)
        estimated = estimates.of_wallets(conn, [row.id for row in members])
        spiking, unusual = self._unusual(conn, members, estimated)
        book = self.thresholds.book(conn)
        names = {row.name for row in rows}
        found = self.estimator.advise(
            conn,
            [(row.id, snapshot) for row in members if (snapshot := row.snapshot) is not None],
            now=now,
            until=until,
            confidence=confidence,
            lead_times={
                key: timedelta(days=book.effective(*key).lead_time_days)
                for row in members
                for category in Category
                if (key := BalanceKey(row.name, category)) not in unusual
            },
            package_sizes=self.package_sizes,
            reserves=_reserves(members, book, unusual),
            awaited=[order for order in orders.awaited(conn) if order.expected_at <= until],
            lasting=_lasting(members, estimated, until) if confidence <= _P10 else (),
        )
        stop = OrderAdvice(messages=0, order_by=None, until=until, confidence=confidence, stop_first=True)
        return {
            key: advice
            for key, advice in {**found, **dict.fromkeys(spiking, stop)}.items()
            if key.wallet in names and (only is None or key in only)
        }

    def movable(
        self, conn: Connection, accounts: Collection[str], *, now: datetime
    ) -> Mapping[tuple[str, Category], int]:
        """Return how much the shared pools of accounts can give in the next 30 days, by account and category."""
        rows = list(wallets.named(conn, [WalletName(account) for account in accounts]).values())
        return self.estimator.spare(
            conn,
            [(row.id, snapshot) for row in rows if (snapshot := row.snapshot) is not None],
            now=now,
            until=now + ORDER_FOR,
            confidence=ORDER_CONFIDENCE,
            reserves=_reserves(
                rows,
                self.thresholds.book(conn),
                self._unusual(conn, rows, estimates.of_wallets(conn, [row.id for row in rows]))[1],
            ),
        )

    @staticmethod
    def _unusual(
        conn: Connection, rows: Collection[WalletRow], estimated: Collection[EstimateRow]
    ) -> tuple[set[BalanceKey], set[BalanceKey]]:
        """Return the balances with a usage spike, and all whose usage is suspicious."""
        from balancebot.forecast.spike import SPIKING, SUSPICIOUS  # lazy: numpy

        names = {row.id: row.name for row in rows}
        points = {BalanceKey(names[row.wallet_id], row.category): row.spike_points for row in estimated}
        with_alert = {
            message.alert.subject.balance for message in alerts.all_open(conn, kind=AlertKind.BURN_SPIKE)
        }
        spiking = {key for key, found in points.items() if found >= SPIKING or key in with_alert}
        return spiking, spiking | {key for key, found in points.items() if found >= SUSPICIOUS}


def _with_their_accounts(conn: Connection, rows: Sequence[WalletRow]) -> list[WalletRow]:
    """Return the wallets, the shared pools of their accounts, and all apps of small accounts."""
    found = {row.name: row for row in rows}
    lone = {row.account for row in rows if app_of(row.name) is not None}
    pools = [WalletName(account) for account in lone if WalletName(account) not in found]
    found.update(wallets.named(conn, pools))
    small = [account for account, size in wallets.num_members(conn, lone).items() if size <= _FEW_APPS]
    found.update({row.name: row for row in wallets.of_accounts(conn, small)})
    return list(found.values())


def _lasting(
    rows: Collection[WalletRow], estimated: Collection[EstimateRow], until: datetime
) -> set[BalanceKey]:
    """Return the balances whose runway reaches `until` by its P10."""
    names = {row.id: row.name for row in rows}
    return {
        BalanceKey(names[row.wallet_id], row.category)
        for row in estimated
        if row.runway_known and (row.p10_at is None or row.p10_at > until)
    }


def _reserves(
    rows: Collection[WalletRow], book: ThresholdBook, unusual: Collection[BalanceKey]
) -> dict[BalanceKey, int]:
    """Return the shared pools that may give quota, each with the amount that must stay because of its own limits."""
    reserves: dict[BalanceKey, int] = {}
    for row in rows:
        for category in Category:
            key = BalanceKey(row.name, category)
            if app_of(row.name) is None and key not in unusual:
                limits = book.effective(*key).limits
                reserves[key] = int(max(limits.warning_below or 0, limits.critical_below or 0))
    return reserves


def recent_history(
    conn: Connection, of: Collection[tuple[int, Category]], now: datetime
) -> Mapping[tuple[int, Category], tuple[int | None, ...]]:
    """Return the balances, given by wallet id and category, at every sixth hour of the last week, the oldest first.

    None = no reading at that time. Each history begins with the first reading.
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
    """Return a recent history with the present reading added, if that is a number."""
    return (*course, reading) if isinstance(reading, int) else course


def _planned(conn: Connection, now: datetime) -> Mapping[BalanceKey, tuple[PlannedUse, ...]]:
    announced: dict[BalanceKey, tuple[PlannedUse, ...]] = {}
    for plan in planned_sends.not_over(conn, now=now):
        announced[plan.balance] = (*announced.get(plan.balance, ()), plan.use)
    return announced


def _wallet_note(book: ThresholdBook, wallet: WalletName) -> str:
    """Return the note of a row for all categories of the wallet; a note for one category doesn't apply to the wallet."""
    for category in Category:
        effective = book.effective(wallet, category)
        origin = effective.origins.note
        if origin is not None and origin.category is None:
            return effective.note
    return ""

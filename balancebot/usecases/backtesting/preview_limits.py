"""What other limits would do: to the alerts of now, and to those of the last 30 days next to today's limits.

Nothing is changed and nobody is told. A few balances are looked back at: those that run out first.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from sqlalchemy import Connection

from balancebot.domain.balance import BalanceKey, WalletName
from balancebot.domain.pattern import WalletPattern
from balancebot.domain.threshold import Limits, Scope, ThresholdBook
from balancebot.domain.verdict import Crossed, Severity, Verdict, judge
from balancebot.storage import alerts, wallets
from balancebot.storage.database import Database
from balancebot.usecases.backtesting.backtest import Backtest, Candidate, Comparison
from balancebot.usecases.showing.overview import BalanceView, overview

MAX_COMPARED = 8
"""So many balances are looked back at: people read no more, and it takes half a second."""


class Effect(StrEnum):
    """What the next reading would do that it wouldn't do under today's limits."""

    OPENS = "opens"
    WORSENS = "worsens"
    EASES = "eases"
    CLOSES = "closes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One balance for which the change makes a difference now."""

    balance: BalanceKey
    effect: Effect
    before: Severity
    after: Severity
    crossed: Crossed | None
    """The limit that would be crossed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What a change would do now."""

    shifts: tuple[Shift, ...]
    """The worst first."""
    num_moved: int
    """Balances whose limits would be others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrospect:
    """What a change would have done in the last 30 days."""

    comparisons: tuple[Comparison, ...]
    num_left_out: int
    """Balances with a number whose limits would be others, and that weren't looked back at."""


_Moved: TypeAlias = tuple[BalanceView, Limits]
"""A balance under today's limits, and the limits that it would have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewLimits:
    """Looks ahead and back for people who are about to change limits: two sets of rows that differ in `scopes`."""

    database: Database
    backtest: Backtest
    stale_after: timedelta

    def ahead(
        self, before: ThresholdBook, after: ThresholdBook, scopes: Sequence[Scope], *, now: datetime
    ) -> Prospect:
        """Tell what the next reading would do if it found what the last one found."""
        with self.database.read() as conn:
            moved = self._moved(conn, before, after, scopes, now)
            by_days = {str(alert.id) for alert in alerts.all_open(conn) if alert.opened_by_days}
        shifts = [self._shift(view, limits, view.alert_id in by_days) for view, limits in moved]
        return Prospect(
            shifts=tuple(
                sorted(
                    (shift for shift in shifts if shift is not None),
                    key=lambda shift: (-shift.after, shift.balance),
                )
            ),
            num_moved=len(moved),
        )

    def back(
        self, before: ThresholdBook, after: ThresholdBook, scopes: Sequence[Scope], *, now: datetime
    ) -> Retrospect:
        """Tell what either would have told in the last 30 days, of those balances that run out first."""
        with self.database.read() as conn:
            pressing = _most_pressing(self._moved(conn, before, after, scopes, now))
            chosen = pressing[:MAX_COMPARED]
            rows = wallets.named(conn, {view.key.wallet for view, _ in chosen})
            candidates = [
                Candidate(
                    balance=view.key,
                    wallet_id=rows[view.key.wallet].id,
                    ever_positive=view.ever_positive,
                    before=view.effective.limits,
                    after=limits,
                )
                for view, limits in chosen
            ]
            return Retrospect(
                comparisons=self.backtest.compare(conn, candidates, now=now),
                num_left_out=len(pressing) - len(chosen),
            )

    def _moved(
        self,
        conn: Connection,
        before: ThresholdBook,
        after: ThresholdBook,
        scopes: Sequence[Scope],
        now: datetime,
    ) -> list[_Moved]:
        names = _touched(conn, scopes)
        views = overview(conn, book=before, stale_after=self.stale_after, now=now, names=names)
        pairs = [(view, after.effective(*view.key).limits) for view in views]
        return [(view, limits) for view, limits in pairs if limits != view.effective.limits]

    def _shift(self, view: BalanceView, limits: Limits, by_days: bool) -> Shift | None:
        if view.severity is Severity.UNKNOWN:
            return None
        before, after = (
            judge(
                view.reading,
                view.estimate,
                these,
                ever_positive=view.ever_positive,
                margin=self.backtest.margin,
                opened_by_days=by_days,
            )
            for these in (view.effective.limits, limits)
        )
        effect = _effect(before, after, is_open=view.alert_id is not None)
        if effect is None:
            return None
        return Shift(
            balance=view.key,
            effect=effect,
            before=before.severity,
            after=after.severity,
            crossed=after.crossed,
        )


def _effect(before: Verdict, after: Verdict, *, is_open: bool) -> Effect | None:
    if not is_open:
        return Effect.OPENS if after.severity > Severity.OK >= before.severity else None
    if after.recovered:
        return None if before.recovered else Effect.CLOSES
    if after.severity > before.severity:
        return Effect.WORSENS
    return Effect.EASES if Severity.OK < after.severity < before.severity else None


def _touched(conn: Connection, scopes: Sequence[Scope]) -> list[WalletName]:
    patterns = [WalletPattern(text=text) for text in dict.fromkeys(scope.wallet for scope in scopes)]
    exact = {pattern.text for pattern in patterns if pattern.is_exact}
    loose = [pattern for pattern in patterns if not pattern.is_exact]
    return [
        name
        for name in wallets.configured_names(conn)
        if name in exact or any(pattern.matches(name) for pattern in loose)
    ]


def _most_pressing(moved: Sequence[_Moved]) -> list[_Moved]:
    """Return the balances that have a number, those that run out first first."""
    known = [(view, limits) for view, limits in moved if isinstance(view.reading, int)]

    def pressing(pair: _Moved) -> tuple[float, BalanceKey]:
        runway = pair[0].estimate.runway
        return (math.inf if runway is None else runway.judged, pair[0].key)

    return sorted(known, key=pressing)

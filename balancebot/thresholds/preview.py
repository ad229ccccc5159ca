"""The effects of other limits: on the present alerts, and in the last 30 days next to the present limits."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from sqlalchemy import Connection

from balancebot.domain.balance import Absent, BalanceKey, Category, Reading, WalletName
from balancebot.domain.holidays import Zone
from balancebot.domain.pattern import WalletPattern
from balancebot.domain.runway import UNKNOWN, Estimate
from balancebot.domain.threshold import Limits, Scope, ThresholdBook
from balancebot.domain.usage import SECONDS_PER_HOUR
from balancebot.domain.verdict import Crossed, Severity, Verdict, judge
from balancebot.estimates.past import PastHours, past_estimates
from balancebot.forecast.backtest import Episode, Moment, episodes
from balancebot.history.balances import HistoryHour, history_of
from balancebot.overview.balances import BalanceView, overview
from balancebot.store import alerts, readings, usage, wallets
from balancebot.store.database import Database

LOOK_BACK = timedelta(days=30)
_MODEL_HOURS = 35 * 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A balance whose limits would change."""

    balance: BalanceKey
    wallet_id: int
    ever_positive: bool
    before: Limits
    after: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One balance in the last 30 days: its alerts with the present limits, and with the others."""

    balance: BalanceKey
    since: datetime
    """The start of its history, at most 30 days ago."""
    before: tuple[Episode, ...]
    after: tuple[Episode, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """Backtests limits. `zone`, `confidence` and `margin` are those by which alerts are judged."""

    zone: Zone
    confidence: float
    margin: float

    def compare(
        self, conn: Connection, candidates: Sequence[Candidate], *, now: datetime
    ) -> tuple[Comparison, ...]:
        """Compare the limits of each candidate at every past reading; leave out candidates without a history.

        Alerts that were open when the 30 days began don't count.
        """
        since = now - LOOK_BACK
        histories = [
            history_of(conn, candidate.wallet_id, candidate.balance.category, since=since, now=now)
            for candidate in candidates
        ]
        estimates = self._estimates(conn, candidates, histories, now)
        found = []
        for candidate, history, known in zip(candidates, histories, estimates, strict=True):
            read = [
                (datetime.fromtimestamp(snapshot.at, UTC), snapshot.readings.of(candidate.balance.category))
                for snapshot in readings.snapshots_of_wallet(
                    conn, candidate.wallet_id, since=int(since.timestamp()), until=int(now.timestamp()) + 1
                )
            ]
            course = _moments(history, known, read, now)
            if course:
                before, after = (
                    episodes(
                        course,
                        limits,
                        balance=candidate.balance,
                        margin=self.margin,
                        ever_positive=candidate.ever_positive,
                        read_before=course[0].at - since < timedelta(hours=1),
                    )
                    for limits in (candidate.before, candidate.after)
                )
                found.append(
                    Comparison(balance=candidate.balance, since=course[0].at, before=before, after=after)
                )
        return tuple(found)

    def _estimates(
        self,
        conn: Connection,
        candidates: Sequence[Candidate],
        histories: Sequence[Sequence[HistoryHour]],
        now: datetime,
    ) -> list[dict[int, Estimate]]:
        last = _hour(now) + 1
        first = last - int(LOOK_BACK / timedelta(hours=1))
        used: dict[tuple[int, Category], list[tuple[int, int, int]]] = {}
        wallet_ids = {candidate.wallet_id for candidate in candidates}
        for wallet_id, category, hour, use, seconds in usage.use_since(
            conn, wallet_ids, first - _MODEL_HOURS
        ):
            used.setdefault((wallet_id, category), []).append((hour, use, seconds))
        pasts = [
            PastHours(
                used=used.get((candidate.wallet_id, candidate.balance.category), ()),
                readings={
                    _hour(stretch.begins_at): stretch.reading
                    for stretch in history
                    if isinstance(stretch.reading, int)
                },
            )
            for candidate, history in zip(candidates, histories, strict=True)
        ]
        return past_estimates(pasts, first=first, last=last, zone=self.zone, confidence=self.confidence)


def _hour(at: datetime) -> int:
    return int(at.timestamp() // SECONDS_PER_HOUR)


def _moments(
    history: Sequence[HistoryHour],
    estimates: Mapping[int, Estimate],
    read: Sequence[tuple[datetime, Reading]],
    now: datetime,
) -> list[Moment]:
    """Return what was known at each reading and at the end of each hour; of equal readings in a row only the first."""
    course: list[Moment] = []
    known, of = UNKNOWN, 0
    place = 0
    for hour in history:
        topped_up = hour.topped_up > 0
        while place < len(read) and read[place][0] < hour.ends_at:
            at, reading = read[place]
            place += 1
            before = course[-1].reading if course else reading
            if reading is Absent.UNREAD or (course and before == reading):
                continue
            rose = topped_up and isinstance(before, int) and isinstance(reading, int) and before < reading
            topped_up = topped_up and not rose
            estimate = _scaled(known, reading, of)
            course.append(Moment(at=at, reading=reading, estimate=estimate, topped_up=rose))
        fresh = estimates.get(_hour(hour.begins_at))
        if fresh is not None and isinstance(hour.reading, int):
            known, of = fresh, hour.reading
        course.append(
            Moment(
                at=min(hour.ends_at, now),
                reading=hour.reading,
                estimate=_scaled(known, hour.reading, of),
                topped_up=topped_up,
            )
        )
    return course


def _scaled(estimate: Estimate, reading: Reading, of: int) -> Estimate:
    """Adapt an estimate for a balance of `of` to `reading`, for the next hours with their usage and top-ups."""
    runway = estimate.runway
    if runway is None or not isinstance(reading, int) or 0 in {reading, of}:
        return UNKNOWN  # a balance of 0 can't be scaled, and needs no runway
    share = reading / of
    return replace(
        estimate,
        runway=replace(
            runway,
            p10=runway.p10 * share,
            p50=runway.p50 * share,
            p90=runway.p90 * share,
            judged=runway.judged * share,
        ),
    )


MAX_COMPARED = 8
"""How many balances are backtested: nobody reads more, and it takes half a second."""


class Effect(StrEnum):
    """What the next reading would do with the new limits but not with the present ones."""

    OPENS = "opens"
    WORSENS = "worsens"
    EASES = "eases"
    CLOSES = "closes"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeverityChange:
    """The present effect of the change on one balance."""

    balance: BalanceKey
    effect: Effect
    before: Severity
    after: Severity
    crossed: Crossed | None
    """The limit that would be crossed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentEffects:
    """The present effects of a change."""

    shifts: tuple[SeverityChange, ...]
    """The worst first."""
    num_moved: int
    """How many balances would have other limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastEffects:
    """The effects that a change would have had in the last 30 days."""

    comparisons: tuple[Comparison, ...]
    num_left_out: int
    """How many balances with a number and other limits weren't backtested."""


_Moved: TypeAlias = tuple[BalanceView, Limits]
"""A balance with its present limits, and the limits that it would have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewLimits:
    """Previews a change of limits: the effects of two sets of rows that differ in `scopes`."""

    database: Database
    backtest: Backtest
    stale_after: timedelta

    def ahead(
        self, before: ThresholdBook, after: ThresholdBook, scopes: Sequence[Scope], *, now: datetime
    ) -> PresentEffects:
        """Return what the next reading would do if it were equal to the last one."""
        with self.database.read() as conn:
            moved = self._moved(conn, before, after, scopes, now)
            by_days = {last.alert_id for last in alerts.all_open(conn) if last.alert.opened_by_days}
        shifts = [self._shift(view, limits, view.alert_id in by_days) for view, limits in moved]
        return PresentEffects(
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
    ) -> PastEffects:
        """Return the alerts of the last 30 days with both sets of rows, for the balances that run out first."""
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
            return PastEffects(
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
        names = touched_wallets(conn, scopes)
        views = overview(conn, book=before, stale_after=self.stale_after, now=now, names=names)
        pairs = [(view, after.effective(*view.key).limits) for view in views]
        return [(view, limits) for view, limits in pairs if limits != view.effective.limits]

    def _shift(self, view: BalanceView, limits: Limits, by_days: bool) -> SeverityChange | None:
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
        return SeverityChange(
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


def touched_wallets(conn: Connection, scopes: Sequence[Scope]) -> list[WalletName]:
    """Return the configured wallets that rows of `scopes` cover."""
    patterns = [WalletPattern(text=text) for text in dict.fromkeys(scope.wallet for scope in scopes)]
    exact = {pattern.text for pattern in patterns if pattern.is_exact}
    loose = [pattern for pattern in patterns if not pattern.is_exact]
    return [
        name
        for name in wallets.configured_names(conn)
        if name in exact or any(pattern.matches(name) for pattern in loose)
    ]


def _most_pressing(moved: Sequence[_Moved]) -> list[_Moved]:
    """Return the balances that have a number, the one that runs out first first."""
    known = [(view, limits) for view, limits in moved if isinstance(view.reading, int)]

    def pressing(pair: _Moved) -> tuple[float, BalanceKey]:
        runway = pair[0].estimate.runway
        return (math.inf if runway is None else runway.judged, pair[0].key)

    return sorted(known, key=pressing)

"""What other limits would have told in the last 30 days, next to what today's would have.

Both are run over what was read, with the runway as it was known at each time; what really was told doesn't matter, since
limits may have been others then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from balancebot.domain.backtest import Episode, Moment, episodes
from balancebot.domain.balance import BalanceKey, Category, Reading
from balancebot.domain.runway import UNKNOWN, Estimate
from balancebot.domain.threshold import Limits
from balancebot.domain.usage import SECONDS_PER_HOUR
from balancebot.storage import rollup
from balancebot.usecases.estimating.past_estimates import PastHours, past_estimates
from balancebot.usecases.history.balance_history import Stretch, history_of

LOOK_BACK = timedelta(days=30)
_MODEL_HOURS = 35 * 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A balance whose limits would be others."""

    balance: BalanceKey
    wallet_id: int
    ever_positive: bool
    before: Limits
    after: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One balance in the last 30 days: what today's limits would have told, and what the others would have."""

    balance: BalanceKey
    since: datetime
    """When its history begins, at most 30 days ago."""
    before: tuple[Episode, ...]
    after: tuple[Episode, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """Looks back. `zone`, `confidence` and `margin` as alerts are judged by."""

    zone: str
    confidence: float
    margin: float

    def compare(
        self, conn: Connection, candidates: Sequence[Candidate], *, now: datetime
    ) -> tuple[Comparison, ...]:
        """Compare the limits of each candidate over its past; those without any are left out.

        Costs a tenth of a second for a balance, less for each of several.
        """
        since = now - LOOK_BACK
        histories = [
            history_of(conn, one.wallet_id, one.balance.category, since=since, now=now) for one in candidates
        ]
        estimates = self._estimates(conn, candidates, histories, now)
        found = []
        for one, history, known in zip(candidates, histories, estimates, strict=True):
            course = _course(history, known, now)
            if course:
                before, after = (
                    episodes(
                        course,
                        limits,
                        balance=one.balance,
                        margin=self.margin,
                        ever_positive=one.ever_positive,
                    )
                    for limits in (one.before, one.after)
                )
                found.append(Comparison(balance=one.balance, since=course[0].at, before=before, after=after))
        return tuple(found)

    def _estimates(
        self,
        conn: Connection,
        candidates: Sequence[Candidate],
        histories: Sequence[Sequence[Stretch]],
        now: datetime,
    ) -> list[dict[int, Estimate]]:
        last = _hour(now) + 1
        first = last - int(LOOK_BACK / timedelta(hours=1))
        used: dict[tuple[int, Category], list[tuple[int, int, int]]] = {}
        wallet_ids = {one.wallet_id for one in candidates}
        for wallet_id, category, hour, use, seconds in rollup.use_since(
            conn, wallet_ids, first - _MODEL_HOURS
        ):
            used.setdefault((wallet_id, category), []).append((hour, use, seconds))
        pasts = [
            PastHours(
                used=used.get((one.wallet_id, one.balance.category), ()),
                readings={
                    _hour(stretch.begins_at): stretch.reading
                    for stretch in history
                    if isinstance(stretch.reading, int)
                },
            )
            for one, history in zip(candidates, histories, strict=True)
        ]
        return past_estimates(pasts, first=first, last=last, zone=self.zone, confidence=self.confidence)


def _hour(at: datetime) -> int:
    return int(at.timestamp() // SECONDS_PER_HOUR)


def _course(history: Sequence[Stretch], estimates: Mapping[int, Estimate], now: datetime) -> list[Moment]:
    course: list[Moment] = []
    known, of = UNKNOWN, 0
    for one in history:
        fresh = estimates.get(_hour(one.begins_at))
        if fresh is not None and isinstance(one.reading, int):
            known, of = fresh, one.reading
        course.append(
            Moment(
                at=min(one.ends_at, now),
                reading=one.reading,
                estimate=_in_proportion(known, one.reading, of),
                topped_up=one.topped_up > 0,
            )
        )
    return course


def _in_proportion(estimate: Estimate, reading: Reading, of: int) -> Estimate:
    """Carry an estimate made for a balance of `of` over to the next hours, in which it is used, or topped up."""
    runway = estimate.runway
    if runway is None or not isinstance(reading, int) or 0 in {reading, of}:
        return UNKNOWN  # of nothing there is no share, and nothing needs no runway
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

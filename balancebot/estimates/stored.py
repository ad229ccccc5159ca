"""Stored estimates: the instants at which a balance is expected to be empty, so that reading one is a subtraction."""

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from balancebot.domain.balance import Absent, BalanceKey, Category, Reading, Snapshot
from balancebot.domain.runway import UNKNOWN, Estimate, Runway
from balancebot.estimates.estimator import Estimator
from balancebot.estimates.known_usage import KnownUsage
from balancebot.store import estimates as stored
from balancebot.store.estimates import EstimateRow, UsageEvidence
from balancebot.store.wallets import WalletRow

_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)


def store_estimates(
    conn: Connection,
    read: Sequence[tuple[int, Snapshot]],
    estimates: Mapping[BalanceKey, Estimate],
    before: Mapping[tuple[int, Category], UsageEvidence],
    *,
    now: datetime,
) -> Collection[BalanceKey]:
    """Store the estimate at `now` of each balance with a number; return those that were ever above zero.

    `before` is the evidence of earlier readings.
    """
    ever_positive: set[BalanceKey] = set()
    rows: list[EstimateRow] = []
    for wallet_id, snapshot in read:
        for category, reading in snapshot.readings.items():
            if isinstance(reading, Absent):
                continue
            key = BalanceKey(snapshot.wallet, category)
            kept = before.get((wallet_id, category))
            ever = reading > 0 or (kept is not None and kept.ever_positive)
            if ever:
                ever_positive.add(key)
            estimate = estimates.get(key, UNKNOWN)
            rows.append(_stored(wallet_id, category, estimate, ever_positive=ever, as_of=now))
    stored.save_estimates(conn, rows)
    return ever_positive


def estimate_again(
    conn: Connection, rows: Collection[WalletRow], estimator: Estimator, *, now: datetime
) -> None:
    """Estimate wallets again from their latest readings and store that, after a change that affects estimates."""
    read = [(row.id, snapshot) for row in rows if (snapshot := row.snapshot) is not None]
    ids = [wallet_id for wallet_id, _ in read]
    estimates = estimator.estimate(KnownUsage.read(conn, ids, now=now), read, now=now)
    store_estimates(conn, read, estimates, stored.evidence(conn, ids), now=now)


def _stored(
    wallet_id: int, category: Category, estimate: Estimate, *, ever_positive: bool, as_of: datetime
) -> EstimateRow:
    """Return the row for an estimate made at `as_of`."""
    runway = estimate.runway
    if runway is None:
        return EstimateRow(
            wallet_id=wallet_id,
            category=category,
            ever_positive=ever_positive,
            burn_per_day=estimate.burn_per_day,
        )

    def instant(hours: float) -> datetime | None:
        return as_of + timedelta(hours=hours) if math.isfinite(hours) else None

    return EstimateRow(
        wallet_id=wallet_id,
        category=category,
        ever_positive=ever_positive,
        burn_per_day=estimate.burn_per_day,
        runway_known=True,
        p10_at=instant(runway.p10),
        p50_at=instant(runway.p50),
        p90_at=instant(runway.p90),
        judged_at=instant(runway.judged),
        usual_burn_per_day=estimate.usual_burn_per_day,
        not_counted=estimate.not_counted,
        not_counted_at=estimate.not_counted_at,
        history_hours=runway.history_hours,
        sends=runway.sends,
    )


def estimate_at(kept: EstimateRow | None, reading: Reading, now: datetime) -> Estimate:
    """Return the stored estimate as of `now`: the time since then is subtracted, down to a minute while some is left."""
    if kept is None or isinstance(reading, Absent) or not kept.runway_known:
        return UNKNOWN

    def hours(instant: datetime | None) -> float:
        if reading == 0:
            return 0.0
        return math.inf if instant is None else max(_MINUTE, instant - now) / _HOUR

    return Estimate(
        burn_per_day=kept.burn_per_day,
        runway=Runway(
            p10=hours(kept.p10_at),
            p50=hours(kept.p50_at),
            p90=hours(kept.p90_at),
            judged=hours(kept.judged_at),
            history_hours=kept.history_hours,
            sends=kept.sends,
        ),
        usual_burn_per_day=kept.usual_burn_per_day,
        not_counted=kept.not_counted,
        not_counted_at=kept.not_counted_at,
    )

"""Estimates are kept as instants, so that whoever reads them later needs no arithmetic but a subtraction."""

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from balancebot.domain.balance import Absent, BalanceKey, Category, Reading, Snapshot
from balancebot.domain.runway import UNKNOWN, Estimate, Runway
from balancebot.estimates.estimator import Estimator, KnownUsage
from balancebot.store import estimates as estimate_rows
from balancebot.store.estimates import EstimateRow
from balancebot.store.wallets import WalletRow

_HOUR = timedelta(hours=1)


def store_estimates(
    conn: Connection,
    read: Sequence[tuple[int, Snapshot]],
    estimates: Mapping[BalanceKey, Estimate],
    before: Mapping[tuple[int, Category], EstimateRow],
    *,
    now: datetime,
) -> Collection[BalanceKey]:
    """Keep what is expected at `now` of each balance with a number; return those that were ever above zero.

    `before` is what was kept of them so far.
    """
    ever_positive: set[BalanceKey] = set()
    beliefs: list[EstimateRow] = []
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
            beliefs.append(estimate_of(wallet_id, category, estimate, ever_positive=ever, as_of=now))
    estimate_rows.save_estimates(conn, beliefs)
    return ever_positive


def estimates_of(
    conn: Connection, rows: Collection[WalletRow], estimator: Estimator, *, now: datetime
) -> None:
    """Estimate what the latest readings of wallets come to now, and keep it: after what changes an estimate."""
    read = [(row.id, snapshot) for row in rows if (snapshot := row.snapshot) is not None]
    ids = [wallet_id for wallet_id, _ in read]
    estimates = estimator.estimate(KnownUsage.read(conn, ids, now=now), read, now=now)
    store_estimates(conn, read, estimates, estimate_rows.by_balance(conn, ids), now=now)


def estimate_of(
    wallet_id: int, category: Category, estimate: Estimate, *, ever_positive: bool, as_of: datetime
) -> EstimateRow:
    """Return what is to be kept of an estimate that was made at `as_of`."""
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
    )


def estimate_at(kept: EstimateRow | None, reading: Reading, now: datetime) -> Estimate:
    """Return the estimate as it stands at `now`: what has passed since is taken off; 0 is the least."""
    if kept is None or isinstance(reading, Absent) or not kept.runway_known:
        return UNKNOWN

    def hours(instant: datetime | None) -> float:
        if reading == 0:
            return 0.0
        return math.inf if instant is None else max(0.0, (instant - now) / _HOUR)

    return Estimate(
        burn_per_day=kept.burn_per_day,
        runway=Runway(
            p10=hours(kept.p10_at),
            p50=hours(kept.p50_at),
            p90=hours(kept.p90_at),
            judged=hours(kept.judged_at),
        ),
        usual_burn_per_day=kept.usual_burn_per_day,
        not_counted=kept.not_counted,
        not_counted_at=kept.not_counted_at,
    )

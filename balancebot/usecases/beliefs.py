"""Estimates are kept as instants, so that whoever reads them later needs no arithmetic but a subtraction."""

import math
from datetime import datetime, timedelta

from balancebot.domain.balance import Absent, Category, Reading
from balancebot.domain.runway import UNKNOWN, Estimate, Runway
from balancebot.storage.balances import BalanceRow

_HOUR = timedelta(hours=1)


def belief(
    wallet_id: int, category: Category, estimate: Estimate, *, ever_positive: bool, as_of: datetime
) -> BalanceRow:
    """Return what is to be kept of an estimate that was made at `as_of`."""
    runway = estimate.runway
    if runway is None:
        return BalanceRow(
            wallet_id=wallet_id,
            category=category,
            ever_positive=ever_positive,
            burn_per_day=estimate.burn_per_day,
        )

    def instant(hours: float) -> datetime | None:
        return as_of + timedelta(hours=hours) if math.isfinite(hours) else None

    return BalanceRow(
        wallet_id=wallet_id,
        category=category,
        ever_positive=ever_positive,
        burn_per_day=estimate.burn_per_day,
        runway_known=True,
        p10_at=instant(runway.p10),
        p50_at=instant(runway.p50),
        p90_at=instant(runway.p90),
        judged_at=instant(runway.judged),
    )


def estimate_at(kept: BalanceRow | None, reading: Reading, now: datetime) -> Estimate:
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
    )

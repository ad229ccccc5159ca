"""How fast balances are used, against what their hour of the week makes likely."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from balancebot.domain.balance import BalanceKey, Category
from balancebot.storage import burn_models
from balancebot.usecases.estimating.modelled import announced_plans, open_use, use_since

_SENDS_RUN_LATE = timedelta(hours=3)
"""For so long after its end a plan may still explain the use of an interval."""


class Interval(NamedTuple):
    """What one balance used between two readings. (A named tuple: a round has tens of thousands.)"""

    balance: BalanceKey
    wallet_id: int
    since: datetime
    until: datetime
    use: int


class Pace(NamedTuple):
    """How one interval's use compares with what is likely then."""

    points: int
    """What it adds to the evidence of a spike."""
    drained: bool
    """More than a usual day's use at once."""
    expected: float
    """Messages."""
    stopped: bool
    """Traffic has stopped in hours that are never still."""


def paces(
    conn: Connection,
    intervals: Sequence[Interval],
    *,
    zone: str,
    alerts: Mapping[BalanceKey, float],
    now: datetime,
) -> Mapping[BalanceKey, Pace]:
    """Compare the use of intervals with what is likely then; a balance without a model has no answer.

    `alerts` is what is remembered of the spikes told of each balance. What was announced adds no evidence.
    """
    stored = burn_models.fitted(conn, {one.wallet_id for one in intervals})
    asked = [one for one in intervals if (one.wallet_id, one.balance.category) in stored]
    if not asked:
        return {}
    import numpy as np

    from balancebot.domain.burn_model import decode_models
    from balancebot.domain.spike import have_stopped, is_planned, judge_spikes

    fitted = [stored[one.wallet_id, one.balance.category] for one in asked]
    models, _ = decode_models([model.model for model in fitted])
    announced = announced_plans(conn, now - _SENDS_RUN_LATE)
    since = np.array([one.since.timestamp() for one in asked])
    until = np.array([one.until.timestamp() for one in asked])
    spikes = judge_spikes(
        models,
        use=np.array([one.use for one in asked], dtype=np.float64),
        since=since,
        until=until,
        zone=zone,
        alerts=np.array([alerts.get(one.balance, 0.0) for one in asked]),
        bursty=np.array([one.balance.category is Category.MARKET for one in asked]),
        planned=np.array(
            [
                is_planned(announced.get(one.balance, ()), one.since.timestamp(), one.until.timestamp())
                for one in asked
            ]
        ),
    )
    open_hours = use_since(conn, {one.wallet_id for one in asked}, min(model.hour for model in fitted))
    used, exposure = open_use(
        [
            ((one.wallet_id, one.balance.category), model.hour)
            for one, model in zip(asked, fitted, strict=True)
        ],
        open_hours,
    )
    stopped = have_stopped(models, open_use=used, open_exposure=exposure, at=until, zone=zone)
    return {
        one.balance: Pace(int(points), bool(drained), float(expected), bool(still))
        for one, points, drained, expected, still in zip(
            asked, spikes.points, spikes.drained, spikes.expected, stopped, strict=True
        )
    }

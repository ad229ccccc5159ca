"""The expected levels of a balance at instants ahead, as percentiles (the fan of a chart).

They come from the same paths as the runway, so the fan is steep by day, flat at night and ends where the runway does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from balancebot.domain.holidays import Zone
from balancebot.forecast.forecast import dated_sends
from balancebot.forecast.model import Models
from balancebot.forecast.paths import Paths
from balancebot.forecast.recurring import DatedSend


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelAhead:
    """The balance at one instant: P10, P50 and P90, never below 0."""

    at: datetime
    p10: float
    p50: float
    p90: float


def course_ahead(
    model: Models,
    *,
    balance: int,
    observed_at: datetime,
    until: datetime,
    step: timedelta,
    zone: Zone,
    plans: Sequence[DatedSend] = (),
    open_use: float = 0.0,
    open_exposure: float = 0.0,
) -> tuple[LevelAhead, ...]:
    """Return the levels of one balance (a model array of length 1) from its reading to `until`, one every `step`.

    It ends early when the balance is empty even on the slowest path. The result is empty if too little is known about
    the usage. No top-up is assumed; the arguments are as in `forecast`.
    """
    since = observed_at.timestamp()
    if until <= observed_at:
        return ()
    count = int(np.ceil((until - observed_at) / step))
    hours = np.minimum(
        np.arange(1, count + 1) * (step / timedelta(hours=1)), (until - observed_at) / timedelta(hours=1)
    )
    paths = Paths(
        model,
        np.array([since]),
        zone,
        open_use=np.array([open_use]),
        open_exposure=np.array([open_exposure]),
        dated=dated_sends(model[0], since, zone, plans, until.timestamp()),
        at=hours.tolist(),
    )
    if not paths.known[0]:
        return ()
    spans = np.array([int(np.argmin(np.abs(paths.time[0] - after))) for after in hours])
    used = paths.quantile(np.array([[0.9], [0.5], [0.1]]), spans)
    levels = np.minimum.accumulate(np.maximum(balance - used.T, 0.0), axis=0)
    alive = min(int((levels[:, 2] > 0).sum()) + 1, count)
    start = LevelAhead(at=observed_at, p10=float(balance), p50=float(balance), p90=float(balance))
    return (
        start,
        *(
            LevelAhead(at=observed_at + timedelta(hours=after), p10=p10, p50=p50, p90=p90)
            for after, (p10, p50, p90) in zip(hours[:alive].tolist(), levels[:alive].tolist(), strict=True)
        ),
    )

"""How a balance goes from here on: its level at each instant ahead, with the fan around it.

The same paths as the runways', so the fan is steep by day, flat by night and ends where the runway does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from balancebot.forecast.burn_model import Models
from balancebot.forecast.forecast import PATH_HOURS, Floats, Paths, PlannedLoad
from balancebot.forecast.replay import HORIZONS

_WEEK_HOURS = 168
_FAR_HOURS = 365 * 24.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelAhead:
    """What is left at one instant: with a probability of 10, 50 and 90 % it is at most that much. Never below 0."""

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
    zone: str,
    plans: Sequence[PlannedLoad] = (),
    open_use: float = 0.0,
    open_exposure: float = 0.0,
) -> tuple[LevelAhead, ...]:
    """Return the course of one balance (its record alone, [1]) from its reading to `until`, a level every `step`.

    It ends early where even the slowest path has used all. Empty where too little is known of its use. No top-up is
    assumed; arguments as in `forecast`.
    """
    since = np.array([observed_at.timestamp()])
    paths = Paths(model, since, zone, np.array([open_use]), np.array([open_exposure]))
    if not paths.known[0] or until <= observed_at:
        return ()
    if plans:
        paths.add_plans([plans])
    count = int(np.ceil((until - observed_at) / step))
    hours = np.minimum(
        np.arange(count + 1) * (step / timedelta(hours=1)), (until - observed_at) / timedelta(hours=1)
    )
    low, middle, high = (
        np.maximum(balance - _used(paths, hours, quantile), 0.0) for quantile in (0.9, 0.5, 0.1)
    )
    alive = int((high > 0).sum()) + 1
    return tuple(
        LevelAhead(at=observed_at + timedelta(hours=after), p10=p10, p50=p50, p90=p90)
        for after, p10, p50, p90 in zip(
            hours[:alive].tolist(), low.tolist(), middle.tolist(), high.tolist(), strict=False
        )
    )


def _used(paths: Paths, hours: Floats, quantile: float) -> Floats:
    """Return what one path has used within each of `hours`; beyond its end its last week repeats."""
    total = paths.total[0]
    ends = paths.rest[0] + np.arange(PATH_HOURS)
    weekly = float(total[-1] - total[-1 - _WEEK_HOURS]) / _WEEK_HOURS
    at = np.concatenate(([0.0], ends, [ends[-1] + _FAR_HOURS]))
    expected = np.interp(hours, at, np.concatenate(([0.0], total, [total[-1] + weekly * _FAR_HOURS])))
    factor = 2.0 ** np.interp(np.log2(np.maximum(hours, 1.0)), np.log2(HORIZONS), paths.band(quantile)[0])
    used = np.maximum.accumulate(expected * factor)
    if paths.planned is None:
        return used
    planned = np.concatenate(([0.0], paths.planned[0]))
    return np.asarray(used + np.interp(hours, np.concatenate(([0.0], ends)), planned))

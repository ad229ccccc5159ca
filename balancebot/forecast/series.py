"""Series of readings from outside: their usage per clock hour, and the estimate of one balance from these alone."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from balancebot.domain.holidays import Zone
from balancebot.domain.runway import UNKNOWN, Estimate
from balancebot.forecast.bursts import Burst, usual_use
from balancebot.forecast.forecast import Forecasts, forecast
from balancebot.forecast.model import Models, fit, leave_out, reading_gap
from balancebot.forecast.recurring import DatedSend
from balancebot.forecast.use_window import REMEMBERED_HOURS, WINDOW_HOURS, UseWindow, hourly_use

Floats = NDArray[np.float64]


class Series(NamedTuple):
    """One balance, fitted from its readings."""

    model: Models
    at: float
    balance: float
    open_use: float
    open_exposure: float
    pace: float = 0.0
    """Messages per hour between the last two readings."""


def fit_series(at: Floats, balance: Floats, zone: Zone, plans: Sequence[DatedSend] = ()) -> Series:
    """Fit one balance from readings at `at` (epoch seconds, ascending). NaN is unallocated; the last must be a number."""
    first, use, exposure = hourly_use(at, balance, float(at[-1]))
    end = first + len(use) - 1
    window = window_of(use[:-1], exposure[:-1], end, plans)
    open_use, open_exposure, pace = float(use[-1]), float(exposure[-1]), 0.0
    if any(plan.start < at[-1] and plan.end + 3600.0 > end * 3600.0 for plan in plans):
        open_use = open_exposure = 0.0
    elif len(at) > 1 and balance[-1] < balance[-2]:
        pace = float((balance[-2] - balance[-1]) * 3600.0 / (at[-1] - at[-2]))
    model = fit([window], zone, [plans]).models
    return Series(model, float(at[-1]), float(balance[-1]), open_use, open_exposure, pace)


def window_of(use: Floats, exposure: Floats, end: int, plans: Sequence[DatedSend] = ()) -> UseWindow:
    """Return the window of hourly usage and exposure up to the clock hour `end`, with older bursts.

    Older bursts are searched for in each earlier window, except those with less than a week of exposure, which don't
    show what is usual.
    """
    count = min(max(-(-len(use) // WINDOW_HOURS), 1), REMEMBERED_HOURS // WINDOW_HOURS)
    size = count * WINDOW_HOURS
    length = min(len(use), size)
    hours = np.zeros((2, size))
    if length:
        hours[0, -length:], hours[1, -length:] = use[-length:], np.minimum(exposure[-length:], 1.0)
    used = np.flatnonzero(hours[0])
    kept = hours[:, -WINDOW_HOURS:].astype(np.float32)
    bursts: list[Burst] = []
    if count > 1:
        leave_out(hours[0], hours[1], plans, end)
        before = hours.reshape(2, count, WINDOW_HOURS)
        places = np.flatnonzero(before[1, :-1].sum(1) >= 168.0)
        found = usual_use(before[0, places], before[1, places], reading_gap(before[0, places])).bursts
        bursts = [
            burst._replace(hour=burst.hour + end - size + int(place) * WINDOW_HOURS)
            for place, of in zip(places, found, strict=True)
            for burst in of
        ]
    return UseWindow(
        end=end,
        use=kept[0],
        exposure=kept[1],
        since=end - size + int(used[0]) if used.size and used[0] < size - WINDOW_HOURS else None,
        bursts=tuple(bursts),
    )


def forecast_series(
    series: Series, now: float, zone: Zone, confidence: float, plans: Sequence[DatedSend] = ()
) -> Forecasts:
    """Forecast how long the balance of a series lasts."""
    return forecast(
        series.model,
        balances=np.array([series.balance]),
        observed_at=np.array([series.at]),
        now=now,
        zone=zone,
        confidence=confidence,
        open_use=np.array([series.open_use]),
        open_exposure=np.array([series.open_exposure]),
        pace=np.array([series.pace]),
        plans=[plans],
    )


def estimate_series(
    at: Floats, balance: Floats, now: float, zone: Zone, confidence: float = 0.75
) -> Estimate:
    """Estimate one balance from its readings at `at` (epoch seconds, ascending, up to `now`); NaN is unallocated."""
    if not at.size or np.isnan(balance[-1]):
        return UNKNOWN
    return forecast_series(fit_series(at, balance, zone), now, zone, confidence).estimates()[0]

"""From models and present balances to runways: the arithmetic of every reading, for many balances at once.

The path starts at the last reading, with its balance; a top-up to come is never assumed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from balancebot.domain.runway import UNKNOWN, Estimate, Runway
from balancebot.forecast.burn_model import Models
from balancebot.forecast.level import decay, levels, schedule_weights
from balancebot.forecast.local_week import hours_of_week
from balancebot.forecast.open_hours import open_hours
from balancebot.forecast.replay import HORIZONS

Floats = NDArray[np.float64]

PATH_HOURS = 35 * 24
"""How far the path is drawn hour by hour; beyond, its last week repeats."""
NO_END_HOURS = 365 * 24.0
MIN_SEEN = 0.99
"""Hours of exposure below which nothing is said."""
_KNOTS = np.array(
    [0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48, 64, 85, 113, 151, 201, 268, 357, 476, 635, PATH_HOURS]
)
"""Between two knots the level is constant; the fan is computed at the knots."""
_SPANS = np.diff(_KNOTS)
_LEVEL_WEIGHTS = schedule_weights((_KNOTS[:-1] + _KNOTS[1:]) / 2)
_CHUNK = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forecasts:
    """The answers for N balances; hours from `now`, `inf` beyond 365 days. Meaningless where `known` is False."""

    known: NDArray[np.bool_]
    burn_per_day: Floats
    """Expected use of the next 24 hours."""
    p10: Floats
    p50: Floats
    p90: Floats
    judged: Floats

    def estimates(self) -> list[Estimate]:
        """Return the answers one by one."""
        rows = (self.known, self.burn_per_day, self.p10, self.p50, self.p90, self.judged)
        return [
            Estimate(burn_per_day=burn, runway=Runway(p10=p10, p50=p50, p90=p90, judged=judged))
            if known
            else UNKNOWN
            for known, burn, p10, p50, p90, judged in zip(*(row.tolist() for row in rows), strict=True)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLoad:
    """Use that was announced: so many messages, evenly from `start` to `end` (epoch seconds)."""

    start: float
    end: float
    messages: int


def forecast(
    models: Models,
    *,
    balances: Floats,
    observed_at: Floats,
    now: float,
    zone: str,
    confidence: float,
    open_use: Floats | None = None,
    open_exposure: Floats | None = None,
    plans: Sequence[Sequence[PlannedLoad]] | None = None,
) -> Forecasts:
    """Say how long `balances` [N], read at `observed_at` [N] (epoch seconds, up to `now`), will last.

    `open_use` and `open_exposure` (hours) are what was booked since the models' hours closed; `plans` is announced use
    per balance, on top of what is expected. Where less than an hour was seen, or no use, the answer isn't `known`.
    """
    count = len(models)
    use = np.zeros(count) if open_use is None else open_use
    exposure = np.zeros(count) if open_exposure is None else open_exposure
    parts = []
    for start in range(0, count, _CHUNK):
        rows = slice(start, start + _CHUNK)
        paths = Paths(models[rows], observed_at[rows], zone, use[rows], exposure[rows])
        if plans is not None and any(plans[rows]):
            paths.add_plans(plans[rows])
        parts.append(_forecast(paths, balances[rows], now, confidence))
    if len(parts) == 1:
        return parts[0]
    return Forecasts(
        known=np.concatenate([part.known for part in parts] or [np.zeros(0, np.bool_)]),
        **{
            name: np.concatenate([getattr(part, name) for part in parts] or [np.zeros(0)])
            for name in ("burn_per_day", "p10", "p50", "p90", "judged")
        },
    )


class Paths:
    """The expected use of N balances from `since` [N] on, and the fan around it."""

    def __init__(
        self, models: Models, since: Floats, zone: str, open_use: Floats, open_exposure: Floats
    ) -> None:
        """Draw the paths; arguments as in `forecast`."""
        hours = np.floor(since / 3600.0).astype(np.int64)
        first = int(hours.min())
        local = hours_of_week(zone, first, int(hours.max()) - first + PATH_HOURS)
        self.since = since
        self.rest = 1.0 - (since / 3600.0 - hours)
        """The part of the first clock hour that is still to come: the first step of the path."""
        seen = models["seen"] + open_exposure
        self.known = (models["version"] > 0) & (seen >= MIN_SEEN) & (models["used"][:, -1] + open_use > 0)
        fresh = models["mean"] <= 0  # the first use ever was seen in the open hour
        mean = np.where(fresh, np.maximum(open_use, 1e-9) / np.maximum(seen, 1e-2), models["mean"])
        shape = np.where(fresh[:, None], 1.0, models["shape"]) * mean[:, None]
        offsets = hours - first
        shape = shape.astype(np.float32)  # half the memory to walk through; 7 digits are plenty
        if np.all(offsets == 0):
            rate = shape[:, local]
        else:
            rate = np.take_along_axis(shape, local[offsets[:, None] + np.arange(PATH_HOURS)], axis=1)
        since_fit = open_hours(models, since, zone)
        fading = decay(np.maximum(open_exposure, since_fit.closed))
        expected = open_exposure * np.where(fresh, 1.0, since_fit.shape) * mean
        level = levels(
            models["used"] * fading + open_use[:, None] * since_fit.kept,
            models["expected"] * fading + expected[:, None] * since_fit.kept,
            mean,
            np.maximum(models["dispersion"], 0.5).astype(np.float64),
        )
        schedules = models["schedules"]
        at_knots = sum(schedules[:, k, None] * (level @ mix.T) for k, mix in enumerate(_LEVEL_WEIGHTS))
        rate *= np.repeat(at_knots.astype(np.float32), _SPANS, axis=1)
        rate[:, 0] *= self.rest
        self.total = np.cumsum(rate, axis=1, out=rate)  # in place: fresh memory costs more than the sums
        """[N, 840] expected use up to the end of each clock hour."""
        self.planned: Floats | None = None
        self._low, self._high = models["low"].astype(np.float64), models["high"].astype(np.float64)

    def add_plans(self, plans: Sequence[Sequence[PlannedLoad]]) -> None:
        """Add announced use: certain, so the fan doesn't widen it."""
        self.planned = np.zeros_like(self.total)
        ends = (np.floor(self.since / 3600.0) + 1)[:, None] * 3600.0 + np.arange(PATH_HOURS) * 3600.0
        for row, announced in enumerate(plans):
            for plan in announced:
                left = max(plan.end - self.since[row], 0.0) / max(plan.end - plan.start, 1e-9)
                share = (ends[row] - max(plan.start, self.since[row])) / max(
                    plan.end - max(plan.start, self.since[row]), 1e-9
                )
                self.planned[row] += plan.messages * min(left, 1.0) * np.clip(share, 0.0, 1.0)

    def band(self, use_quantile: float) -> Floats:
        """Return log2 of use over expected use at the horizons [N, 10], of the given quantile of use (0.1-0.9)."""
        side = self._high if use_quantile >= 0.5 else self._low
        return side * (abs(NormalDist().inv_cdf(use_quantile)) / NormalDist().inv_cdf(0.9))

    def used_by(self, hours: Floats, use_quantile: float | None = None) -> Floats:
        """Return the use within `hours` [N] of `since`, plans included: expected, or the given quantile of it."""
        expected = self._reached(self.total, hours)
        if use_quantile is not None:
            known = np.log2(HORIZONS)
            wanted = np.log2(np.maximum(hours, 1.0))
            band = self.band(use_quantile)
            expected *= 2.0 ** np.array(
                [np.interp(*at) for at in zip(wanted, [known] * len(band), band, strict=True)]
            )
        return expected if self.planned is None else expected + self._reached(self.planned, hours)

    def _reached(self, total: Floats, hours: Floats) -> Floats:
        at = hours - self.rest  # in steps, from the end of the first
        step = np.clip(np.ceil(at), 0, PATH_HOURS - 1).astype(np.intp)
        rows = np.arange(len(step))
        after = total[rows, step]
        before = np.where(step > 0, total[rows, step - 1], 0.0)
        share = np.where(step > 0, at - (step - 1), hours / self.rest)
        beyond = np.maximum(at - (PATH_HOURS - 1), 0.0) * (self.total[:, -1] - self.total[:, -169]) / 168.0
        if total is self.planned:
            beyond = np.zeros(len(step))
        return np.asarray(before + (after - before) * np.minimum(share, 1.0) + beyond)

    def lasts(self, balances: Floats, use_quantile: float) -> Floats:
        """Return the hours from `since` until `balances` are used, if use takes the path of that quantile."""
        band = _at_knots(self.band(use_quantile))
        knots = _KNOTS[1:] - 1
        at_knots = self.total[:, knots] * 2.0**band
        if self.planned is not None:
            at_knots += self.planned[:, knots]
        at_knots = np.maximum.accumulate(at_knots, axis=1)
        rows = np.arange(len(balances))
        upper = np.minimum((at_knots < balances[:, None]).sum(1), len(knots) - 1)
        lower = np.maximum(upper - 1, 0)
        low, high = at_knots[rows, lower], at_knots[rows, upper]
        share = np.clip((balances - low) / np.maximum(high - low, 1e-9), 0.0, 1.0)
        factor = 2.0 ** (band[rows, lower] + (band[rows, upper] - band[rows, lower]) * share)
        return self._crossing(balances, factor)

    def _crossing(self, balances: Floats, factor: Floats) -> Floats:
        if self.planned is None:
            total, wanted = self.total, balances / factor
        else:
            total, wanted = self.total * factor[:, None] + self.planned, balances
        rows = np.arange(len(wanted))
        steps = (total < wanted.astype(np.float32)[:, None]).sum(1)
        step = np.minimum(steps, PATH_HOURS - 1)
        after = total[rows, step]
        before = np.where(step > 0, total[rows, step - 1], 0.0)
        share = (wanted - before) / np.maximum(after - before, 1e-12)
        within = np.where(step > 0, self.rest + step - 1 + share, share * self.rest)
        weekly = (self.total[:, -1] - self.total[:, -169]) / 168.0
        if self.planned is not None:
            weekly = weekly * factor
        beyond = self.rest + PATH_HOURS - 1 + (wanted - total[:, -1]) / np.maximum(weekly, 1e-12)
        return np.asarray(np.where(steps < PATH_HOURS, within, beyond))


def _at_knots(band: Floats) -> Floats:
    """Return values at HORIZONS [N, 10] as values at the ends of the knots' spans, linear in log time."""
    known = np.log2(HORIZONS)
    wanted = np.log2(_KNOTS[1:])
    upper = np.clip(np.searchsorted(known, wanted), 1, len(known) - 1)
    share = np.clip((wanted - known[upper - 1]) / (known[upper] - known[upper - 1]), 0.0, 1.0)
    return np.asarray(band[:, upper - 1] * (1 - share) + band[:, upper] * share)


def _forecast(paths: Paths, balances: Floats, now: float, confidence: float) -> Forecasts:
    age = (now - paths.since) / 3600.0
    lasts = {
        quantile: _from_now(paths.lasts(balances, quantile), age, balances)
        for quantile in {0.9, 0.5, 0.1, confidence}
    }
    p50 = lasts[0.5]
    p10 = np.minimum(lasts[0.9], p50)
    return Forecasts(
        known=paths.known,
        burn_per_day=_next_day(paths, age),
        p10=p10,
        p50=p50,
        p90=np.maximum(lasts[0.1], p50),
        judged=np.clip(lasts[confidence], p10, p50),
    )


def _from_now(lasts: Floats, age: Floats, balances: Floats) -> Floats:
    hours = np.maximum(lasts - age, 0.0)
    hours[balances <= 0] = 0.0
    hours[hours > NO_END_HOURS] = math.inf
    return hours


def _next_day(paths: Paths, age: Floats) -> Floats:
    start = np.minimum(age, PATH_HOURS - 25.0)  # a reading a month old says what the end of the path says
    return paths.used_by(start + 24.0) - paths.used_by(start)

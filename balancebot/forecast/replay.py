"""The errors that past forecasts of this balance would have had: they weight the schedules, and set the fan's width.

At every fifth hour of the window, the usage of the next 1 to 672 hours is forecast from the data known at that time, with
a shape fitted without that week. The results are percentiles of log2(seen / forecast), per horizon.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from balancebot.forecast.level import SCHEDULES, STEP, schedule_mixes

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

HORIZONS = np.array([1, 3, 6, 12, 24, 48, 96, 168, 336, 672])
"""In hours ahead."""
PRIOR_HIGH = np.array([1.2, 1.0, 0.9, 0.8, 0.7, 0.7, 0.8, 0.9, 0.9, 0.9])
"""How far the P90 of usage is above the path, in log2, for a balance about which nothing is known ..."""
PRIOR_LOW = -0.8 * PRIOR_HIGH
"""... and how far its P10 is below: less, because usage varies more upwards."""
_SCORED = slice(1, 7)
"""The horizons by which the schedules are weighted."""
_SHARPNESS = 16.0
"""The weight of a schedule is exp(-16 x its mean absolute error in log2)."""
_QUARTILES_TO_BAND = 0.95
"""Half the width of the middle 80 % of a normal distribution, divided by the distance of its quartiles."""
_WL = 0.8
_OF_BAND = 1.0
_PRIOR_SPANS = 6.0
"""The prior has the weight of this many separate spans of the horizon's length ..."""
_AVERAGED = 0.87
"""... and is the band of the next shorter horizon; from a week on less, because varying days average out."""
_HALF = 0.5
"""In messages, added to both sides of the ratio, so that a span without usage isn't an infinite error."""
_MIN_SEEN = 72.0
"""Hours of exposure that are needed before the first past moment that counts."""
_MIN_ERRORS = 3
_EXPOSED = 0.7
"""The part of a horizon that must have exposure."""
_MIXES = schedule_mixes(np.sqrt(np.concatenate([[0.5], HORIZONS[:-1]]) * HORIZONS))
"""How each schedule mixes the half-lives between one horizon and the next."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replays:
    """The results for N balances; bands are in log2(usage / forecast), per horizon [N, 10]."""

    schedules: Floats
    """[N, 3] the weight of each schedule."""
    low: Floats
    """The P10 of usage, which is the P90 of the runway; never above 0."""
    high: Floats
    """The P90 of usage; never below 0."""
    usual_error: Floats
    """Half the width of the middle 80 % of these errors, based on quartiles, so that a change doesn't widen it."""


def replay(use: Floats, exposure: Floats, expected: Floats, level: Floats, gap: Floats) -> Replays:
    """Replay windows [N, 840] with the usage `expected` [N, 840] by the shape alone and the `level` [N, 10, 168].

    `gap` [N] is the usual time between two readings: errors over shorter horizons can't be measured.
    """
    used, exposed, shaped = _Totals(use), _Totals(exposure), _Totals(expected)
    begun = exposed.at(0) > _MIN_SEEN
    last = use.shape[1] - np.arange(0, use.shape[1], STEP)
    counts, seen = [], []
    forecasts: list[list[Floats]] = [[] for _ in SCHEDULES]
    shorter = 0
    for h, horizon in enumerate(HORIZONS.tolist()):
        counts.append(begun & (exposed.within(horizon) >= _EXPOSED * horizon) & (horizon <= last))
        seen.append(np.log2(used.within(horizon) + _HALF))
        piece = shaped.at(horizon) - shaped.at(shorter)
        for forecast, (lower, share) in zip(forecasts, _MIXES[:, h], strict=True):
            j = int(lower)
            more = piece * (level[:, j] * (1 - share) + level[:, j + 1] * share)
            forecast.append(more + forecast[-1] if forecast else more)
        shorter = horizon
    weights = _weights(seen, forecasts, counts)
    errors = [
        at_seen - np.log2(sum(weights[:, k, None] * forecasts[k][h] for k in range(len(SCHEDULES))) + _HALF)
        for h, at_seen in enumerate(seen)
    ]
    low, high, usual = _bands(errors, counts, gap)
    return Replays(schedules=weights, low=low, high=high, usual_error=usual)


class _Totals:
    """Running totals of hourly values [N, 840], as seen from every fifth hour; after the end they stay constant."""

    def __init__(self, values: Floats) -> None:
        self._hours = values.shape[1]
        self._total = np.zeros((len(values), self._hours + int(HORIZONS[-1]) + 1))
        np.cumsum(values, axis=1, out=self._total[:, 1 : self._hours + 1])
        self._total[:, self._hours + 1 :] = self._total[:, self._hours, None]

    def at(self, hours: int) -> Floats:
        """Return the totals this many hours after each moment, [N, 168]."""
        return self._total[:, hours : hours + self._hours : STEP]

    def within(self, hours: int) -> Floats:
        """Return the sum of the values within this many hours after each moment."""
        return self.at(hours) - self.at(0)


def _weights(seen: list[Floats], forecasts: list[list[Floats]], counts: list[Bools]) -> Floats:
    """Return the weight of each schedule, [N, 3]."""
    num = np.maximum(sum(count.sum(1) for count in counts[_SCORED]), 1)
    errors = np.zeros((len(num), len(forecasts)))
    for k, forecast in enumerate(forecasts):
        for at_seen, expected, count in zip(seen[_SCORED], forecast[_SCORED], counts[_SCORED], strict=True):
            error = np.minimum(np.abs(at_seen - np.log2(expected + _HALF)), 3.0)
            errors[:, k] += np.einsum("ij,ij->i", error, count)
        errors[:, k] /= num
    weights = np.exp(-_SHARPNESS * (errors - errors.min(1, keepdims=True)))
    return np.asarray(weights / weights.sum(1, keepdims=True))


def _bands(errors: list[Floats], counts: list[Bools], gap: Floats) -> tuple[Floats, Floats, Floats]:
    """Blend the percentiles of past errors ([N, 168] per horizon) with the prior, from short horizons to long ones."""
    num = np.stack([count.sum(1) for count in counts], axis=1)
    own_low, own_high, quartiles = (np.empty(num.shape) for _ in range(3))
    for h, (error, count) in enumerate(zip(errors, counts, strict=True)):
        error[~count] = np.inf
        error.sort(axis=1)
        own_low[:, h] = _percentile(error, num[:, h], 0.1)
        own_high[:, h] = _percentile(error, num[:, h], 0.9)
        quartiles[:, h] = _percentile(error, num[:, h], 0.75) - _percentile(error, num[:, h], 0.25)
    resolved = (num >= _MIN_ERRORS) & (gap[:, None] <= HORIZONS)
    spans = np.where(resolved, num * STEP / HORIZONS, 0.0)
    own = spans / (spans + _PRIOR_SPANS)
    low = _blended(own, _WL * own_low, PRIOR_LOW)
    high = _blended(own, own_high, PRIOR_HIGH)
    usual = (
        own * np.maximum(_QUARTILES_TO_BAND * quartiles, _OF_BAND * np.maximum(own_high, -own_low))
        + (1 - own) * PRIOR_HIGH
    )
    return np.minimum(low, 0.0), np.maximum(high, 0.0), usual


def _blended(own: Floats, seen: Floats, prior: Floats) -> Floats:
    band = np.empty(seen.shape)
    expected = np.full(len(seen), prior[0])
    for h in range(len(HORIZONS)):
        if h:
            expected = band[:, h - 1] * (_AVERAGED if HORIZONS[h] >= 168 else 1.0)
        band[:, h] = own[:, h] * seen[:, h] + (1 - own[:, h]) * expected
    return band


def _percentile(ordered: Floats, num: NDArray[np.int64], q: float) -> Floats:
    """Return the q-quantile of the first `num` [N] of `ordered` [N, M]; 0 if there are too few."""
    at = q * np.maximum(num - 1, 0)
    lower = np.floor(at).astype(np.intp)
    upper = np.minimum(lower + 1, np.maximum(num - 1, 0))
    rows = np.arange(len(num))
    enough = num >= _MIN_ERRORS
    below, above = np.where(enough, ordered[rows, lower], 0.0), np.where(enough, ordered[rows, upper], 0.0)
    return np.asarray(below + (above - below) * (at - lower))

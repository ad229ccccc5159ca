"""How wrong this balance's own past forecasts would have been: the schedule to trust, and how wide the fan must be.

At every fifth hour of the window the use of the next 1 to 672 hours is forecast with what was known then, and with a
shape that hadn't seen that week. What is kept are percentiles of log2(seen / forecast), per horizon.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from balancebot.domain.level import SCHEDULES, STEP, schedule_weights

Floats = NDArray[np.float64]

HORIZONS = np.array([1, 3, 6, 12, 24, 48, 96, 168, 336, 672])
"""Hours ahead."""
PRIOR_HIGH = np.array([1.2, 1.0, 0.9, 0.8, 0.7, 0.7, 0.8, 0.9, 0.9, 0.9])
"""How far P90 of use lies above the path, in log2, for a balance of which nothing is known ..."""
PRIOR_LOW = -0.8 * PRIOR_HIGH
"""... and P10 below it: use bursts upwards."""
_SCORED = slice(1, 7)
"""The horizons by which schedules are chosen."""
_SHARPNESS = 16.0
"""Weight of a schedule: exp(-16 x its mean absolute error in log2)."""
_WIDEN_HIGH = 1.05
_WIDEN_LOW = 0.85
"""How much of the balance's own past percentiles is taken. Lulls of the past rarely last as long as the balance."""
_PRIOR_SPANS = 6.0
"""The prior weighs as much as so many separate stretches of the horizon's length ..."""
_CARRIED = 0.9
"""... and so much of it is what the next shorter horizon showed."""
_HALF = 0.5
"""Added on both sides of the ratio, in messages: a stretch without use is no infinite error."""
_MIN_SEEN = 72.0
"""Hours of exposure before the first past moment that counts."""
_MIN_ERRORS = 3
_EXPOSED = 0.7
"""The part of a horizon that must have been seen."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replays:
    """What the past of N balances teaches; bands are in log2(use / forecast), per horizon [N, 10]."""

    schedules: Floats
    """[N, 3] the weight of each schedule."""
    low: Floats
    """P10 of use, so P90 of the runway; never above 0."""
    high: Floats
    """P90 of use; never below 0."""


def replay(use: Floats, exposure: Floats, expected: Floats, level: Floats) -> Replays:
    """Replay windows [N, 840] with `expected` [N, 840] use by the shape alone and `level` [N, 168, 10]."""
    moments = np.arange(0, use.shape[1], STEP)
    ends = np.minimum(moments[:, None] + HORIZONS, use.shape[1])
    total_exposed, total_expected, total_used = _totals(exposure), _totals(expected), _totals(use)
    exposed = total_exposed[:, ends] - total_exposed[:, moments, None]
    counts = (exposed >= _EXPOSED * HORIZONS) & (total_exposed[:, moments, None] > _MIN_SEEN)
    counts &= moments[:, None] + HORIZONS <= use.shape[1]
    pieces = np.diff(total_expected[:, ends], axis=2, prepend=total_expected[:, moments, None])
    seen = np.log2(total_used[:, ends] - total_used[:, moments, None] + _HALF)

    shorter = np.concatenate([[0.5], HORIZONS[:-1]])
    mixes = schedule_weights(np.sqrt(shorter * HORIZONS))
    forecasts = [np.cumsum(pieces * (level @ mix.T), axis=2) for mix in mixes]
    scored = counts[:, :, _SCORED]
    num_scored = np.maximum(scored.sum((1, 2)), 1)
    errors = np.empty((len(use), len(SCHEDULES)))
    for k, forecast in enumerate(forecasts):
        error = np.abs(seen[:, :, _SCORED] - np.log2(forecast[:, :, _SCORED] + _HALF))
        errors[:, k] = np.where(scored, np.minimum(error, 3.0), 0.0).sum((1, 2)) / num_scored
    weights = np.exp(-_SHARPNESS * (errors - errors.min(1, keepdims=True)))
    weights /= weights.sum(1, keepdims=True)
    mixed = sum(weights[:, k, None, None] * forecast for k, forecast in enumerate(forecasts))
    low, high = _bands(seen - np.log2(mixed + _HALF), counts)
    return Replays(schedules=weights, low=low, high=high)


def _totals(values: Floats) -> Floats:
    return np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)


def _bands(errors: Floats, counts: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Blend the percentiles of past errors [N, moments, 10] with the prior, from short horizons to long ones."""
    num = counts.sum(1)
    ordered = np.sort(np.where(counts, errors, np.inf), axis=1)
    spans = np.where(num >= _MIN_ERRORS, num * STEP / HORIZONS, 0.0)
    own = spans / (spans + _PRIOR_SPANS)
    low = _blended(own, _WIDEN_LOW * _percentile(ordered, num, 0.1), PRIOR_LOW)
    high = _blended(own, _WIDEN_HIGH * _percentile(ordered, num, 0.9), PRIOR_HIGH)
    return np.minimum(low, 0.0), np.maximum(high, 0.0)


def _blended(own: Floats, seen: Floats, prior: Floats) -> Floats:
    band = np.empty(seen.shape)
    expected = np.full(len(seen), prior[0])
    for h in range(len(HORIZONS)):
        if h:
            expected = _CARRIED * band[:, h - 1] + (1 - _CARRIED) * prior[h]
        band[:, h] = own[:, h] * seen[:, h] + (1 - own[:, h]) * expected
    return band


def _percentile(ordered: Floats, num: NDArray[np.int64], q: float) -> Floats:
    """Return the q-quantile of the first `num` [N, 10] of `ordered` [N, M, 10]; 0 where there are too few."""
    at = q * np.maximum(num - 1, 0)
    lower = np.floor(at).astype(np.intp)
    upper = np.minimum(lower + 1, np.maximum(num - 1, 0))
    below = np.take_along_axis(ordered, lower[:, None], 1)[:, 0]
    above = np.take_along_axis(ordered, upper[:, None], 1)[:, 0]
    enough = num >= _MIN_ERRORS
    below, above = np.where(enough, below, 0.0), np.where(enough, above, 0.0)
    return np.asarray(below + (above - below) * (at - lower))

"""How wrong this balance's own past forecasts would have been: the schedule to trust, and how wide the fan must be.

At every fourth hour of the window the use of the next 1 to 672 hours is forecast with what was known then, and with a
shape that hadn't seen that week. What is kept are percentiles of log2(seen / forecast), per horizon.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from balancebot.domain.level import SCHEDULES, STEP, schedule_weights

Floats = NDArray[np.float64]

HORIZONS = np.array([1, 3, 6, 12, 24, 48, 96, 168, 336, 672])
"""Hours ahead."""
PRIOR = np.array([1.2, 1.0, 0.9, 0.8, 0.7, 0.6, 0.6, 0.6, 0.6, 0.6])
"""Half the width of an 80 % interval, in log2 of use, of a balance of which nothing is known."""
_SCORED = slice(2, 8)
"""The horizons by which schedules are chosen."""
_SHARPNESS = 8.0
"""Weight of a schedule: exp(-8 x its mean absolute error in log2)."""
_WIDEN = 1.1
"""Errors of a replay are smaller than those to come."""
_PRIOR_SPANS = 4.0
"""The prior weighs as much as so many separate stretches of the horizon's length."""
_CARRIED = 0.7
"""How much of the prior is what the next shorter horizon showed ..."""
_NARROWS = 0.95
"""... which narrows by so much from one horizon to the next."""
_CENTRE = 0.5
"""How much of the median's own past bias is believed."""
_HALF = 0.5
"""Added on both sides of the ratio, in messages: a stretch without use is no infinite error."""
_MIN_SEEN = 24.0
"""Hours of exposure before the first past moment that counts."""
_EXPOSED = 0.7
"""The part of a horizon that must have been seen."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replays:
    """What the past of N balances teaches; bands are in log2(use / forecast), per horizon [N, 10]."""

    schedules: Floats
    """[N, 3] the weight of each schedule."""
    low: Floats
    """P10 of use, so P90 of the runway."""
    middle: Floats
    high: Floats


def replay(use: Floats, exposure: Floats, expected: Floats, level: Floats) -> Replays:
    """Replay windows [N, 840] with `expected` [N, 840] use by the shape alone and `level` [N, 210, 10]."""
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
    low, middle, high = _bands(seen - np.log2(mixed + _HALF), counts)
    return Replays(schedules=weights, low=low, middle=middle, high=high)


def _totals(values: Floats) -> Floats:
    return np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)


def _bands(errors: Floats, counts: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Blend the percentiles of past errors [N, moments, 10] with the prior, from short horizons to long ones."""
    num = counts.sum(1)
    ordered = np.sort(np.where(counts, errors, 99.0), axis=1)
    own_low, own_middle, own_high = (_percentile(ordered, num, q) for q in (0.1, 0.5, 0.9))
    spans = np.where(num > 2, num * STEP / HORIZONS, 0.0)
    own = spans / (spans + _PRIOR_SPANS)
    middle = own * own_middle * _CENTRE
    low, high = np.empty(num.shape), np.empty(num.shape)
    for h, width in enumerate(PRIOR):
        carried = _CARRIED if h else 0.0
        before = (low[:, h - 1], high[:, h - 1]) if h else (0.0, 0.0)
        prior_low = carried * _NARROWS * before[0] - (1 - carried) * width
        prior_high = carried * _NARROWS * before[1] + (1 - carried) * width
        low[:, h] = own[:, h] * own_low[:, h] * _WIDEN + (1 - own[:, h]) * prior_low
        high[:, h] = own[:, h] * own_high[:, h] * _WIDEN + (1 - own[:, h]) * prior_high
    return np.minimum(low, middle), middle, np.maximum(high, middle)


def _percentile(ordered: Floats, num: NDArray[np.int64], q: float) -> Floats:
    """Return the q-quantile of the first `num` [N, 10] of `ordered` [N, M, 10]; 0 where there are fewer than 3."""
    at = q * np.maximum(num - 1, 0)
    lower = np.floor(at).astype(np.intp)
    upper = np.minimum(lower + 1, np.maximum(num - 1, 0))
    below = np.take_along_axis(ordered, lower[:, None], 1)[:, 0]
    above = np.take_along_axis(ordered, upper[:, None], 1)[:, 0]
    return np.where(num > 2, below + (above - below) * (at - lower), 0.0)

"""Changes of the usage level that seem to last; steady growth or decline; and stretches of unusual days."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from balancebot.forecast.distribution import P90
from balancebot.forecast.level import STEP
from balancebot.forecast.replay import HORIZONS, Replays

Floats = NDArray[np.float64]

_LOOKED_AT = 7
"""A change is searched for over the last hour to 4 days, which are the first horizons."""
_MEMORY = 7
"""The index of the half-life for the level before a change: 256 hours."""
_NOTICED = 1.5
_CLEAR = 3.0
"""The ratio of a change to the balance's own error of that horizon, from which it counts partly, and in full."""
_NOISE_BAND = 1.85
_PATIENCE = 10.0
"""After this many hours, a clear rise lasts with a probability of 50 % ..."""
_PATIENCE_DOWN = 20.0
"""... and a clear fall after this many, because holidays end."""
_STEEPEST = 0.2
"""In log2 per week."""
_NOISE = 0.06
"""In log2: the least variation of a week's level."""
_GROWS = 0.5
"""The prior probability that a balance grows or declines steadily ..."""
_GROWTH = 0.08
"""... and the standard deviation of its growth, in log2 per week."""
_FASTER = 0.5
"""The range reaches this part of the slope further in its direction, because only a part of a slope is believed."""
_WORTH = 10.0
"""The variation of days weighs as much as this many weeks."""
_MOST_PERSISTENT = 0.8
BLOCK = 12
"""In hours: the unit in which unusual days begin and end ..."""
_LENGTHS = (3, 4, 6, 8, 10, 12, 14, 16, 20, 24)
"""... and the possible lengths of such a stretch, in blocks."""
_BESIDE = 14
"""How many blocks before and after it are compared with it."""
FIRST = 10
"""How many blocks must precede it."""
APART = 0.5
"""The least difference, in log2, of unusual days from the days before and after them ..."""
_SPREADS = 2.5
"""... and the least difference in standard deviations of days."""


class Change(NamedTuple):
    """The latest change of N balances; `weight` 0 means none."""

    hours: Floats
    before: Floats
    """The level before it."""
    level: Floats
    """The level since then."""
    weight: Floats


def lasting_change(
    use: Floats,
    exposure: Floats,
    expected: Floats,
    *,
    past: Floats,
    replays: Replays,
    dispersion: Floats,
    gap: Floats,
) -> Change:
    """Find the latest change in windows [N, 840] of `use`, relative to the usage `expected` by the shape alone.

    `past` are the past levels [N, 10, 168]. The level of the last c hours is compared with the level before them, in units
    of the usual error of this balance's forecasts of c hours. It is no change if half of it is gone in any shorter span up
    to now; and if less than half of it shows in the older part of the c hours, the change is more recent.
    """
    count, hours = use.shape
    seen = exposure.sum(1)
    mean = np.maximum(expected.sum(1) / np.maximum(seen, 1e-9), 1e-9)
    best = np.zeros(count)
    newer = np.zeros(count), np.zeros(count)
    goes_on_up, goes_on_down = np.full(count, np.inf), np.full(count, np.inf)
    change = Change(np.ones(count), np.ones(count), np.ones(count), np.zeros(count))
    for place, c in enumerate(HORIZONS[:_LOOKED_AT].tolist()):
        known = (gap <= 1.0) | (c + 2.0 >= gap)  # at least one reading, with an hour's tolerance at both ends
        used, shaped = use[:, -c:].sum(1), expected[:, -c:].sum(1)
        before = np.maximum(past[:, _MEMORY, (hours - c) // STEP], 1e-6)
        level = (used + dispersion * before) / (shaped + dispersion)
        rise = np.log2(np.maximum(level, 1e-6) / np.maximum(before, 1e-6))
        noise = _NOISE_BAND**2 * dispersion / np.maximum(shaped * before, 1e-3)
        error = np.sqrt(replays.usual_error[:, place] ** 2 + noise)
        goes_on = np.where(rise > 0, goes_on_up > rise / 2, goes_on_down > -rise / 2)
        goes_on_up = np.where(known, np.minimum(goes_on_up, rise + error), goes_on_up)
        goes_on_down = np.where(known, np.minimum(goes_on_down, error - rise), goes_on_down)
        older = np.log2(
            np.maximum(used - newer[0] + dispersion * before, 1e-6)
            / (shaped - newer[1] + dispersion)
            / before
        )
        newer = used, shaped
        goes_on &= older * np.sign(rise) >= np.abs(rise) / 2
        score = np.where(goes_on, np.abs(rise) / error, 0.0)
        clear = np.clip((score - _NOTICED) / (_CLEAR - _NOTICED), 0.0, 1.0)
        # in hours weighted by their expected usage, at most c: quiet hours say little
        lasted = np.minimum(shaped / mean, c)
        patience = np.where(rise > 0, _PATIENCE, _PATIENCE_DOWN)
        weight = np.where((seen >= 4 * c + 72) & known, clear * how_sure(lasted, patience), 0.0)
        better = weight * np.abs(rise) > best
        best = np.where(better, weight * np.abs(rise), best)
        change = Change(
            np.where(better, float(c), change.hours),
            np.where(better, before, change.before),
            np.where(better, level, change.level),
            np.where(better, weight, change.weight),
        )
    return change


def how_sure(hours: Floats | NDArray[np.intp], patience: Floats | float = _PATIENCE) -> Floats:
    """Return the probability that a clear change lasts that has lasted for this many hours."""
    return np.asarray(hours**2 / (hours**2 + patience**2))


def weekly_trend(use: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """Return the growth of windows [N, 840] relative to their shape, in log2 per week, and how far P10 and P90 are from it.

    The second result is [2, N]: below and above.

    It is the posterior mean for a balance that grows or declines with the probability `_GROWS`, by `_GROWTH` a week or so.
    How much of the slope of weekly levels may be noise is known from them, and from the variation of days and its
    persistence.
    """
    count = len(use)
    days_used, days_shaped = (values.reshape(count, 35, 24).sum(2) for values in (use, expected))
    used, shaped = (values.reshape(count, 5, 7).sum(2) for values in (days_used, days_shaped))
    overall = shaped.sum(1, keepdims=True)
    known = (shaped > 0.12 * overall).all(1) & (overall[:, 0] > 50.0)
    level = np.log2(np.maximum(used, 0.5) / np.maximum(shaped, 0.5))
    at = np.arange(5) - 2.0
    slope = (level * at).sum(1) / 10.0
    rest = level - level.mean(1, keepdims=True) - slope[:, None] * at
    by_days = _variance_of_weeks(days_used, days_shaped, level.mean(1), slope)
    variance = ((rest**2).sum(1) + _WORTH * by_days) / (3.0 + _WORTH)
    error = (variance + _NOISE**2) / 10.0
    likely = _GROWTH**2 + error  # the variance of the slope of a balance that grows
    odds = _GROWS / (1 - _GROWS) * np.sqrt(error / likely)
    odds *= np.exp(np.minimum(slope**2 / 2 * (1 / error - 1 / likely), 50.0))
    chance, grows = odds / (1 + odds), slope * _GROWTH**2 / likely
    trend = np.clip(chance * grows, -_STEEPEST, _STEEPEST)
    # it may grow by more or less than believed, or not at all
    likely_error = P90 * np.sqrt(chance * _GROWTH**2 * error / likely + chance * (1 - chance) * grows**2)
    unclear = likely_error + _FASTER * np.maximum([-slope, slope], 0.0)
    return np.where(known, trend, 0.0), np.where(known, np.minimum(unclear, _STEEPEST), 0.0)


def _variance_of_weeks(used: Floats, shaped: Floats, middle: Floats, slope: Floats) -> Floats:
    """Return the variance of a week's mean level by the variation of days [N, 35] around a line, in log2^2."""
    seen = shaped > 0.25 * shaped.sum(1, keepdims=True) / np.maximum((shaped > 0).sum(1, keepdims=True), 1)
    line = middle[:, None] + slope[:, None] * (np.arange(35) - 17) / 7
    off = np.where(seen, np.log2((used + 0.5) / (shaped + 0.5)) - line, 0.0)
    both = (seen[:, 1:] & seen[:, :-1]).sum(1)
    variance = (off**2).sum(1) / np.maximum(seen.sum(1) - 2, 1)
    together = (off[:, 1:] * off[:, :-1]).sum(1) / np.maximum(both, 1)
    persistence = np.clip(together / np.maximum(variance, 1e-9), 0.0, _MOST_PERSISTENT)
    return np.asarray(variance / 7 * (1 + persistence) / (1 - persistence))


def blocks(use: Floats, expected: Floats) -> tuple[Floats, Floats, Floats]:
    """Return hourly `use` and `expected` [N, T] summed by blocks, and the usual expected usage of a block, [N, 1]."""
    used, shaped = (values.reshape(len(use), -1, BLOCK).sum(2) for values in (use, expected))
    return used, shaped, shaped.sum(1, keepdims=True) / np.maximum((shaped > 0).sum(1, keepdims=True), 1)


def unusual_days(use: Floats, expected: Floats) -> NDArray[np.bool_]:
    """Return the hours of windows [N, 840] within a stretch of unusual days that has ended: a holiday, a busy week.

    Its level is above, or below, both the level before and the level after it, by more than days usually differ. It has
    ended only after at least about a usual day. The most striking stretch per window counts.
    """
    count, hours = use.shape
    num = hours // BLOCK
    unusual = np.zeros((count, hours), np.bool_)
    used, shaped, usual = blocks(use, expected)
    spread, farthest = _days(used, shaped, usual)
    rows = np.flatnonzero(farthest > np.maximum(APART, 2 * spread))
    if not rows.size:
        return unusual
    used, shaped, usual, spread = used[rows], shaped[rows], usual[rows], spread[rows, None]
    total_used, total_shaped = (
        np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1) for values in (used, shaped)
    )

    def level(first: NDArray[np.intp], last: NDArray[np.intp]) -> tuple[Floats, Floats]:
        weight = total_shaped[:, last] - total_shaped[:, first]
        return np.log2((total_used[:, last] - total_used[:, first] + 1.0) / (weight + 1.0)), weight

    best = np.zeros(len(rows))
    begin, end = np.zeros((2, len(rows)), np.intp)
    for length in _LENGTHS:
        first = np.arange(FIRST, num - length)
        last = first + length
        inside, weight = level(first, last)
        before, weight_before = level(np.maximum(first - _BESIDE, 0), first)
        after, weight_after = level(last, np.minimum(last + _BESIDE, num))
        depth = np.maximum(np.minimum(before, after) - inside, inside - np.maximum(before, after))
        days, days_after = length / 2, np.minimum(num - last, _BESIDE) / 2
        least = np.maximum(APART, _SPREADS * spread * np.sqrt(days**-0.5 + days_after**-0.5))
        known = (weight > 1.4 * usual) & (weight_after > 0.7 * usual) & (weight_before > 5.0 * usual)
        score = np.where(known & (depth > least), depth * np.sqrt(length), 0.0)
        place = score.argmax(1)
        top = score[np.arange(len(rows)), place]
        begin, end = np.where(top > best, first[place], begin), np.where(top > best, last[place], end)
        best = np.maximum(best, top)
    block = np.arange(hours) // BLOCK
    unusual[rows] = (block >= begin[:, None]) & (block < end[:, None])
    return unusual


def _days(used: Floats, shaped: Floats, usual: Floats) -> tuple[Floats, Floats]:
    """Return how much days vary, in log2: the standard deviation, based on quartiles, and the largest difference.

    0 if there are few days.
    """
    used, shaped = (values.reshape(len(values), -1, 2).sum(2) for values in (used, shaped))
    seen = shaped > usual / 2
    num = seen.sum(1)
    daily = np.log2((used + 1.0) / (shaped + 1.0))
    ordered = np.sort(np.where(seen, daily, np.inf), axis=1)
    rows, few = np.arange(len(used)), num < FIRST
    ordered[few] = 0.0
    lower, middle, upper = (ordered[rows, part * num // 4] for part in (1, 2, 3))
    farthest = np.where(seen, np.abs(daily - middle[:, None]), 0.0).max(1)
    return (upper - lower) / 1.35, np.where(few, 0.0, farthest)

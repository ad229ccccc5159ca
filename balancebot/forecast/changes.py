"""Changes of the level that seem to last, and steady growth or decline."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from balancebot.forecast.level import STEP
from balancebot.forecast.replay import HORIZONS, Replays

Floats = NDArray[np.float64]

_LOOKED_AT = 7
"""A change is looked for over the last 1 hour to 4 days: the first so many horizons."""
_MEMORY = 7
"""What was before: the half-life of 256 hours."""
_NOTICED = 1.5
_CLEAR = 3.0
"""A change counts from 1.2 times what the balance's own errors of that length reach in one of ten, in full from 2.2."""
_NOISE_BAND = 1.85
_PATIENCE = 10.0
"""Hours after which a clear rise is as likely to last as not ..."""
_PATIENCE_DOWN = 20.0
"""... and a clear fall: holidays end."""
_STEEPEST = 0.2
"""log2 per week."""
_DOUBT = 1.3
_NOISE = 0.06
"""log2; what a week's level varies at least."""


class Change(NamedTuple):
    """The latest change of N balances; `weight` 0 is none."""

    hours: Floats
    before: Floats
    """The level before it ..."""
    level: Floats
    """... and since."""
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
    """Look for the latest change in windows [N, 840] of `use` over what the shape alone `expected`.

    `past` are the levels on the way [N, 10, 168]. The level of the last c hours is compared with the one before them
    in units of the errors that this balance's forecasts of c hours usually have. What is over by half in any shorter
    stretch up to now is no change, and what had not begun by half in the older part of the c hours is a younger one.
    """
    count, hours = use.shape
    seen = exposure.sum(1)
    mean = np.maximum(expected.sum(1) / np.maximum(seen, 1e-9), 1e-9)
    best = np.zeros(count)
    newer = np.zeros(count), np.zeros(count)
    goes_on_up, goes_on_down = np.full(count, np.inf), np.full(count, np.inf)
    change = Change(np.ones(count), np.ones(count), np.ones(count), np.zeros(count))
    for place, c in enumerate(HORIZONS[:_LOOKED_AT].tolist()):
        known = (gap <= 1.0) | (c >= 2 * gap)  # two readings at least
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
        lasted = shaped / mean  # hours, by how much of a usual hour was to come in them
        patience = np.where(rise > 0, _PATIENCE, _PATIENCE_DOWN)
        weight = np.where((seen >= 4 * c + 72) & known, clear * lasted**2 / (lasted**2 + patience**2), 0.0)
        better = weight * np.abs(rise) > best
        best = np.where(better, weight * np.abs(rise), best)
        change = Change(
            np.where(better, float(c), change.hours),
            np.where(better, before, change.before),
            np.where(better, level, change.level),
            np.where(better, weight, change.weight),
        )
    return change


def weekly_trend(use: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """Return the growth of windows [N, 840] over their shape, in log2 per week, 0 where it isn't clear; and its error."""
    count = len(use)
    used, shaped = (np.asarray(values.reshape(count, 5, 168).sum(2)) for values in (use, expected))
    overall = shaped.sum(1, keepdims=True)
    known = (shaped > 0.12 * overall).all(1) & (overall[:, 0] > 50.0)
    level = np.log2(np.maximum(used, 0.5) / np.maximum(shaped, 0.5))
    at = np.arange(5) - 2.0
    slope = (level * at).sum(1) / 10.0
    rest = level - level.mean(1, keepdims=True) - slope[:, None] * at
    error = np.sqrt(((rest**2).sum(1) / 3.0 + _NOISE**2) / 10.0)
    sure = np.maximum(1.0 - (_DOUBT * error / np.maximum(np.abs(slope), 1e-9)) ** 2, 0.0)
    trend = np.where(known, np.clip(slope, -_STEEPEST, _STEEPEST) * sure, 0.0)
    return trend, np.where(known, np.minimum(np.abs(slope - trend), _STEEPEST), 0.0)

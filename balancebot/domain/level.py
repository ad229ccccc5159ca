"""How busy a balance is beside the shape of its week, remembered over several half-lives.

The level reverts: what the last hours showed says much about the next hours and little about the next weeks, so the
memory used for a moment grows with its distance. How fast it grows is a *schedule*; a balance weighs three of them.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HALF_LIVES = np.array([2.0, 4, 8, 16, 32, 64, 128, 256, 512, 1e5])
"""Hours. The last one is the whole window."""
SCHEDULES = ((1.0, 0.2), (4.0, 1.0), (24.0, 6.0))
"""(a, b): the half-life for a moment h hours away is a + b h."""
STEP = 5
"""Hours between the past moments at which the level is known; divides the window, and meets every hour of the day."""


def decay(hours: Floats | float) -> Floats:
    """Return what is left after so many hours, per half-life: [..., 10]."""
    return np.asarray(2.0 ** (-np.asarray(hours)[..., None] / HALF_LIVES))


def remembered(values: Floats) -> Floats:
    """Return the decayed sums of hourly `values` [N, T]: before every fifth hour, and at the end.

    [N, T / 5 + 1, 10].
    """
    blocks = values.reshape(len(values), -1, STEP)
    sums = blocks @ decay(np.arange(STEP - 1, -1, -1.0))
    # Growing weights instead of a loop: 2^(840 / 2) is far within a double's range.
    growth = decay(-STEP * np.arange(1.0, blocks.shape[1] + 1))
    totals = np.cumsum(sums * growth, axis=1) / growth
    return np.concatenate([np.zeros((len(values), 1, len(HALF_LIVES))), totals], axis=1)


def levels(used: Floats, expected: Floats, mean: Floats, dispersion: Floats) -> Floats:
    """Return the level per half-life from remembered use and remembered shape, [N, ..., 10]; 1 is as the shape says.

    Each is drawn towards the next longer memory by as much expected use as its noise deserves.
    """
    level = np.empty(used.shape)
    pull = (2.0 * mean + 1e-9).reshape(-1, *(1,) * (used.ndim - 2))
    level[..., -1] = (used[..., -1] + pull) / (expected[..., -1] + pull)
    pull = dispersion.reshape(pull.shape)
    for j in range(len(HALF_LIVES) - 2, -1, -1):
        level[..., j] = (used[..., j] + pull * level[..., j + 1]) / (expected[..., j] + pull)
    return level


def schedule_weights(distance: Floats) -> Floats:
    """Return how each schedule mixes the half-lives for moments `distance` hours away: [schedules, D, 10]."""
    wanted = np.log2(np.array([[a + b * h for h in distance] for a, b in SCHEDULES]))
    known = np.log2(HALF_LIVES)
    upper = np.clip(np.searchsorted(known, wanted), 1, len(known) - 1)
    share = np.clip((wanted - known[upper - 1]) / (known[upper] - known[upper - 1]), 0.0, 1.0)
    weights = np.zeros((*wanted.shape, len(known)))
    np.put_along_axis(weights, upper[..., None], share[..., None], -1)
    np.put_along_axis(weights, upper[..., None] - 1, 1 - share[..., None], -1)
    return weights

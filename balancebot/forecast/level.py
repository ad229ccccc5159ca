"""The level of usage relative to the shape of the week, as averages with several half-lives.

The level reverts to its mean: the last hours say much about the next hours and little about the next weeks. So the
half-life that is used for a moment grows with its distance. How fast it grows is a *schedule*; each balance has its own
weights of three schedules.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HALF_LIVES = np.array([2.0, 4, 8, 16, 32, 64, 128, 256, 512, 1e5])
"""In hours. The last one covers the whole window."""
SCHEDULES = ((1.0, 0.2), (4.0, 1.0), (24.0, 6.0))
"""(a, b): the half-life for a moment h hours away is a + b h (1 + h / 300)."""
_FAR = 300.0
"""In hours. A few busy days say little about weeks ahead, so the half-life grows faster than the distance."""
STEP = 5
"""Hours between the past moments at which the level is computed. It divides the window, and hits every hour of the day."""


def decay(hours: Floats) -> Floats:
    """Return the part that remains after this many hours, per half-life: [..., 10]."""
    return np.asarray(2.0 ** (-hours[..., None] / HALF_LIVES))


_WITHIN = decay(np.arange(STEP - 1, -1, -1.0)).T.copy()


def remembered(values: Floats) -> Floats:
    """Return the decayed sums of hourly `values` [N, T]: [N, 10]."""
    return np.asarray(values @ decay(np.arange(values.shape[1] - 1, -1, -1.0)))


def remembered_on_the_way(values: Floats) -> Floats:
    """Return the decayed sums of hourly `values` [N, T] before every fifth hour: [N, 10, T / 5]."""
    blocks = values.reshape(len(values), -1, STEP).transpose(0, 2, 1)
    sums = _WITHIN @ blocks
    # Growing weights instead of a loop: 2^(840 / 2) is far within a double's range.
    growth = decay(-STEP * np.arange(1.0, sums.shape[2] + 1)).T
    sums *= growth
    np.cumsum(sums, axis=2, out=sums)
    sums /= growth
    before = np.zeros(sums.shape)
    before[:, :, 1:] = sums[:, :, :-1]
    return before


def levels(used: Floats, expected: Floats, mean: Floats, dispersion: Floats) -> Floats:
    """Return the level per half-life from the decayed sums of usage and of the shape, [N, 10, ...]; 1 = as expected.

    Each level is shrunk towards that of the next longer half-life, with a weight (in expected usage) according to its
    noise.
    """
    level = np.empty(used.shape)
    pull = (2.0 * mean + 1e-9).reshape(-1, *(1,) * (used.ndim - 2))
    level[:, -1] = (used[:, -1] + pull) / (expected[:, -1] + pull)
    pull = dispersion.reshape(pull.shape)
    for j in range(len(HALF_LIVES) - 2, -1, -1):
        np.multiply(pull, level[:, j + 1], out=level[:, j])
        level[:, j] += used[:, j]
        level[:, j] /= expected[:, j] + pull
    return level


def schedule_mixes(distance: Floats) -> Floats:
    """Return the half-life of each schedule for moments `distance` hours away: [schedules, D, 2].

    As (j, share): half-life j with weight 1 - share and half-life j + 1 with weight share, linear in their logarithms.
    """
    wanted = np.log2(np.array([a + b * distance * (1.0 + distance / _FAR) for a, b in SCHEDULES]))
    known = np.log2(HALF_LIVES)
    lower = np.clip(np.searchsorted(known, wanted) - 1, 0, len(known) - 2)
    share = np.clip((wanted - known[lower]) / (known[lower + 1] - known[lower]), 0.0, 1.0)
    return np.stack([lower.astype(np.float64), share], axis=-1)


def schedule_weights(distance: Floats) -> Floats:
    """Return the same as `schedule_mixes`, as weights of all half-lives: [schedules, D, 10]."""
    mixes = schedule_mixes(distance)
    lower, share = mixes[..., 0].astype(np.intp), mixes[..., 1]
    weights = np.zeros((*share.shape, len(HALF_LIVES)))
    np.put_along_axis(weights, lower[..., None], 1 - share[..., None], -1)
    np.put_along_axis(weights, lower[..., None] + 1, share[..., None], -1)
    return weights

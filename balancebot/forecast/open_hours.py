"""The hours since a model was fitted: mostly the one that is still open, many after a pause or an import.

Of them only totals are known, so their use is taken to have come as the shape of the week has it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from balancebot.domain.usage import SECONDS_PER_HOUR
from balancebot.forecast.burn_model import Models, shape_at
from balancebot.forecast.level import HALF_LIVES, decay
from balancebot.forecast.local_week import hours_of_week
from balancebot.forecast.use_window import WINDOW_HOURS

Floats = NDArray[np.float64]


class OpenHours(NamedTuple):
    """What N balances were to use since their models were fitted, and how much of it is remembered."""

    shape: Floats
    """[N] the mean shape of these hours; times the mean use and the exposure it is what they were expected to use."""
    kept: Floats
    """[N, 10] the part of it that each half-life remembers."""
    closed: Floats
    """[N] how many of them are closed."""


def open_hours(models: Models, at: Floats, zone: str) -> OpenHours:
    """Look at the hours from each model's end up to `at` [N] (epoch seconds), when they were read last."""
    hours = np.floor(at / SECONDS_PER_HOUR).astype(np.int64)
    shape = shape_at(models, hours, zone)
    kept = np.ones((len(models), len(HALF_LIVES)))
    closed = np.where(
        models["version"] > 0, np.clip(hours - models["end"].astype(np.int64), 0, WINDOW_HOURS), 0
    )
    for row in np.flatnonzero(closed):
        count = int(closed[row]) + 1
        course = models["shape"][row, hours_of_week(zone, int(hours[row]) - count + 1, count)].astype(
            np.float64
        )
        passed = np.ones(count)
        passed[-1] = at[row] / SECONDS_PER_HOUR - hours[row]
        used = course * passed
        shape[row] = used.sum() / passed.sum()
        if shape[row] > 0:
            kept[row] = used @ decay(np.arange(count - 1.0, -1.0, -1.0)) / used.sum()
    return OpenHours(shape=shape, kept=kept, closed=closed.astype(np.float64))

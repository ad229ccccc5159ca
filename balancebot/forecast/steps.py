"""Steps: lasting changes of the usage level, a day old or more. Usage before a step is scaled to the level after it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from balancebot.forecast.changes import APART, BLOCK, FIRST, blocks
from balancebot.forecast.profile import HOURS_OF_WEEK

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

_SETTLED = 2
"""The least age of a step in blocks: one day."""
_LEAST_HOURS = 18
_SPREADS = 3.5
"""A step must be at least this many standard deviations of its error ..."""
_NEAR = 6
"""... sharp: the levels of this many blocks just before and just after it differ by more than half of it ..."""
_BETTER = 1.2
"""... and explain this many times as much as a straight line, which would be a trend."""
_LOOKED_BACK = 28
"""The level before a step is that of this many blocks."""
_WEEKS = 4
"""The size of a step is measured against the same hours of this many weeks before it."""
_SEEN = 0.3
"""The least exposure of such an hour, in hours."""
_LEAST_BEFORE = 2.5
_LEAST_AFTER = 0.3
"""The least exposure before and after a step, in usual days."""


class Steps(NamedTuple):
    """The latest step in each of N windows; 0 hours means none."""

    hours: Places
    """How many hours ago it was."""
    factor: Floats
    """The ratio of the level after it to the level before it."""


def settled_steps(use: Floats, exposure: Floats, expected: Floats) -> Steps:
    """Find the clearest step in windows [N, 840] of `use`, relative to the `expected` usage; `exposure` is in hours.

    The levels before and after it differ by more than days usually do, suddenly, and up to now. The size is reduced by
    what may be noise.
    """
    count, hours = use.shape
    steps = Steps(np.zeros(count, np.intp), np.ones(count))
    used, shaped, usual = blocks(use, expected)
    num = used.shape[1]
    seen = np.minimum(shaped / np.maximum(usual, 1e-9), 1.0) * (BLOCK / 24)
    height = np.log2((used + 1.0) / (shaped + 1.0))
    all_days, heights = (_running(values) for values in (seen, seen * height))

    def level(first: Places, last: Places) -> tuple[Floats, Floats]:
        days = all_days[:, last] - all_days[:, first]
        return (heights[:, last] - heights[:, first]) / np.maximum(days, 1e-9), days

    at, end = np.arange(FIRST, num), np.full(num - FIRST, num)
    before, days_before = level(np.maximum(at - _LOOKED_BACK, 0), at)
    after, days_after = level(at, end)
    step = after - before
    near = level(at, np.minimum(at + _NEAR, num))[0] - level(at - _NEAR, at)[0]
    latest = level(np.maximum(end - _SETTLED, at), end)[0] - before
    error = _between_days(used, shaped, usual)[:, None] * np.sqrt(
        np.maximum(days_before, 1.0) ** -0.5 + np.maximum(days_after, _LEAST_AFTER) ** -0.5
    )
    is_one = (days_before > _LEAST_BEFORE) & (days_after > _LEAST_AFTER)
    is_one &= np.minimum(near * np.sign(step), latest * np.sign(step)) > np.abs(step) / 2
    is_one &= np.abs(step) > np.maximum(APART, _SPREADS * error)
    all_before = all_days[:, at]
    explains = step**2 * all_before * days_after / np.maximum(all_before + days_after, 1e-9)
    place = np.where(is_one, explains, 0.0).argmax(1)
    row = np.arange(count)
    better = explains[row, place] > _BETTER * _explained_by_line(seen, height)
    rows = np.flatnonzero(is_one[row, place] & better & (at[place] <= num - _SETTLED))
    if rows.size:
        place = place[rows]
        first = _hour_of(use[rows], expected[rows], at[place], before[rows, place], after[rows, place])
        exact = _step_at(use[rows], exposure[rows], first)
        # a change by a few hours of one day is no step
        exact = np.where(
            (hours - first >= _LEAST_HOURS) & (np.abs(exact) < 1.5 * np.abs(step[rows, place])), exact, 0.0
        )
        first = np.where(exact == 0.0, hours, first)
        exact *= np.maximum(1.0 - (error[rows, place] / np.maximum(np.abs(exact), 1e-9)) ** 2, 0.0)
        steps.hours[rows], steps.factor[rows] = hours - first, 2.0**exact
    return steps


def level_errors(use: Floats, expected: Floats, hours: Places) -> Floats:
    """Return the standard deviation, in log2, of levels that are based on this many hours [N]."""
    return np.asarray(_between_days(*blocks(use, expected)) * np.maximum(hours / 24.0, 1.0) ** -0.25)


def _explained_by_line(seen: Floats, height: Floats) -> Floats:
    """Return how much of the sum of squares of `height` [N, blocks] a straight line explains."""
    at = np.arange(seen.shape[1])
    off = at - (seen * at).sum(1, keepdims=True) / np.maximum(seen.sum(1, keepdims=True), 1e-9)
    return np.asarray((seen * off * height).sum(1) ** 2 / np.maximum((seen * off**2).sum(1), 1e-9))


def _hour_of(use: Floats, expected: Floats, block: Places, before: Floats, after: Floats) -> Places:
    """Return the first hour of each step, near the beginning of a block, by maximum likelihood of Poisson counts."""
    about = BLOCK * (block - 1)[:, None] + np.arange(2 * BLOCK)
    used, shaped = (np.take_along_axis(values, about, 1) for values in (use, expected))
    falls = np.log(2.0) * (before - after)[:, None] * used - (2.0**before - 2.0**after)[:, None] * shaped
    return np.asarray(about[np.arange(len(use)), np.cumsum(falls, axis=1).argmax(1)] + 1)


def _step_at(use: Floats, exposure: Floats, first: Places) -> Floats:
    """Return log2 of the ratio of usage from the hour `first` [N] on to that in the same hours of the four weeks before."""
    hour = np.arange(use.shape[1])
    since = hour >= first[:, None]
    before = ~since & (hour >= first[:, None] - _WEEKS * HOURS_OF_WEEK)
    used, seen = (
        np.where(before, values, 0.0).reshape(len(use), -1, HOURS_OF_WEEK).sum(1)
        for values in (use, exposure)
    )
    rate = np.tile(used / np.maximum(seen, 1e-9), use.shape[1] // HOURS_OF_WEEK)
    compared = since & np.tile(seen > _SEEN, use.shape[1] // HOURS_OF_WEEK)
    expected = np.where(compared, exposure * rate, 0.0).sum(1)
    return np.asarray(np.log2((np.where(compared, use, 0.0).sum(1) + 1.0) / (expected + 1.0)))


def _between_days(used: Floats, shaped: Floats, usual: Floats) -> Floats:
    """Return the standard deviation of the difference between successive days, in log2; infinite if there are few days.

    It is based on the 80th percentile, so that a step, which is one difference of many, doesn't affect it.
    """
    used, shaped = (values.reshape(len(values), -1, 2).sum(2) for values in (used, shaped))
    seen = shaped > usual / 2
    daily = np.log2((used + 1.0) / (shaped + 1.0))
    both = seen[:, 1:] & seen[:, :-1]
    change = np.sort(np.where(both, np.abs(np.diff(daily, axis=1)), np.inf), axis=1)
    num = both.sum(1)
    place = np.minimum(4 * num // 5, change.shape[1] - 1)
    return np.where(num >= FIRST, change[np.arange(len(used)), place] / 1.28, np.inf)


def _running(values: Floats) -> Floats:
    return np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)

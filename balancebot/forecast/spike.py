"""Use far above what this hour of the week makes likely, and its opposite: traffic that stopped altogether.

Evidence is gathered over readings, in points: far above the bar two, above it one, and what is usual takes two away.
The bar is the balance's own: how far its own hours have risen in the last 35 days, and what was told of it lately.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.holidays import Zone
from balancebot.forecast.level import levels, schedule_weights
from balancebot.forecast.model import SMOOTHING, Models, shape_at
from balancebot.forecast.paths import open_hours
from balancebot.forecast.recurring import DatedSend
from balancebot.forecast.stand_in import stands_in_now

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SPIKING = 4
"""Points that are a spike: two readings far above the bar, or four above it."""
SUSPICIOUS = 2
"""Points from which on use isn't taken for usual."""
REMEMBERED_DAYS = 90
"""For so long an alert raises the bar of its balance, less and less: who bursts again and again is known to burst."""

_MIN_SEEN = 23.9
"""Hours of exposure: a day of readings, less what rounding takes."""
_MAX_INTERVAL = 2 * 3600.0
"""Seconds; the mean over a longer gap says nothing about the present."""
_DRAINED = 100.0
"""Messages; of a balance that uses less a day nothing is drained at once."""
_NEW_SECONDS = 3 * 86400.0
_OWN = 0.4
_MARGIN = 0.2
"""The bar, in log2 of use over expected use: 0.4 x the second highest hour of the last 35 days + 0.2 ..."""
_LOWEST = 1.3
"""... but never lower: 2.5 times what is expected ..."""
_EARLY = 0.5
"""... and higher by 0.5 / sqrt(days) in the first weeks ..."""
PER_ALERT = 0.8
"""... by so much for an alert that was told just now ..."""
_BURSTY = 1.0
"""... and for categories that may burst."""
_FAR = 1.3
_FAR_SECONDS = 300.0
"""Far above the bar: 2.5 times as much again in five minutes, less in more: a longer mean hides a short burst."""
_NEAR = 0.75
"""From here up to the bar (three quarters of it) a reading says nothing; below, it is usual."""
_LEVEL_WEIGHTS = schedule_weights(np.array([10.0]))[:, 0]
_STILL_TIMES = 2.0
_STILL_LEAST = 5.0
"""Traffic has stopped once twice the expected use of the longest lull passed unused, and five messages more."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spikes:
    """What the latest interval of N balances says; scores and bars in log2 of use over expected use."""

    seen: Floats
    """Messages used in the interval."""
    expected: Floats
    score: Floats
    bar: Floats
    points: NDArray[np.int64]
    """What the interval adds to the evidence of a spike, -2 to 2; 0 where it can't be judged."""
    drained: Bools
    """Above the bar, and more than a whole day usually takes; never what may burst: a campaign is sent at once."""

    @property
    def factor(self) -> Floats:
        """How many times the expected use was seen."""
        return self.seen / np.maximum(self.expected, 1e-9)


def judge_spikes(
    models: Models,
    *,
    use: Floats,
    since: Floats,
    until: Floats,
    zone: Zone,
    alerts: Floats | None = None,
    bursty: Bools | None = None,
    planned: Bools | None = None,
    stands_in: Mapping[int, Sequence[int]] | None = None,
    left: Floats | None = None,
    notified: Bools | None = None,
) -> Spikes:
    """Compare `use` [N] of the intervals from `since` to `until` [N] (epoch seconds) with what is likely then.

    `alerts` is what is remembered of the spikes told of each balance, `bursty` whether its category may burst
    (`market`), `planned` whether a plan covers the interval, `stands_in` for which others a balance may be used besides
    (`stands_in_for`), `left` what is left, and `notified` whose spike was told within the last day and is on: that one is
    compared with the 35-day level alone, or it would soon be taken for usual. What was never used before, or not for a
    day, is no spike unless it empties the balance within three days. Intervals over two hours, planned ones and balances
    with less than a day of readings add nothing.
    """
    count = len(models)
    level = _level(models, whole=notified)
    expected = _rate(models, level, (since + until) / 2, zone) * (until - since) / 3600.0
    for row, others in (stands_in or {}).items():
        level[row] += level[others].sum()
        expected[row] += expected[others].sum()
    days = np.maximum(models["seen"] / 24.0, 1.0)
    may_burst = np.zeros(count, np.bool_) if bursty is None else bursty
    bar = np.maximum(_OWN * models["burst"] + _MARGIN, _LOWEST) + _EARLY / np.sqrt(days)
    if alerts is not None:
        bar += PER_ALERT * alerts
    bar += _BURSTY * may_burst
    score = np.log2((use + SMOOTHING) / (expected + SMOOTHING))
    judged = (models["version"] > 0) & (models["seen"] >= _MIN_SEEN) & (until - since <= _MAX_INTERVAL)
    if planned is not None:
        judged &= ~planned
    points = np.where(judged, points_of(score, bar, until - since), 0)
    if left is not None:
        is_new = (models["version"] > 0) & ((models["used"][:, -1] <= 0) | (models["seen"] < _MIN_SEEN))
        slow = left * (until - since) > _NEW_SECONDS * use
        points = np.where(is_new & slow, -2, points)
    return Spikes(
        seen=use,
        expected=expected,
        score=score,
        bar=bar,
        points=points,
        drained=judged & (score > bar) & ~may_burst & (use > np.maximum(24.0 * level, _DRAINED)),
    )


def points_of(score: Floats, bar: Floats, seconds: Floats) -> NDArray[np.int64]:
    """Return how far the score of an interval of so many seconds speaks for a spike, or against it."""
    far = bar + _FAR * np.sqrt(_FAR_SECONDS / np.maximum(seconds, _FAR_SECONDS))
    return np.asarray((score > bar).astype(np.int64) + (score > far) - 2 * (score < _NEAR * bar))


def gather(before: int, points: int, *, drained: bool = False) -> int:
    """Return the evidence after one more reading: a cumulative sum, `SPIKING` is a spike and 0 its end.

    E. S. Page, Continuous inspection schemes, Biometrika 41 (1954). `drained` is a spike by itself.
    """
    return SPIKING if drained else min(max(before + points, 0), SPIKING)


def stands_in_for(keys: Sequence[BalanceKey], left: Sequence[int], models: Models) -> dict[int, list[int]]:
    """Return which balances (by place) are sent from instead of which that are empty: universal of the same wallet.

    Where its model knows that already, it expects the use of both.
    """
    empty: dict[WalletName, list[int]] = {}
    for place, (key, balance) in enumerate(zip(keys, left, strict=True)):
        if balance == 0 and key.category is not Category.UNIVERSAL:
            empty.setdefault(key.wallet, []).append(place)
    return {
        place: [other for other in empty[key.wallet] if keys[other].category not in known]
        for place, key in enumerate(keys)
        if key.category is Category.UNIVERSAL and key.wallet in empty
        for known in [stands_in_now(models[place])]
    }


def remembered(days_ago: Iterable[float]) -> float:
    """Return what is remembered of alerts that were told so many days ago: 1 each at first, 0 after 90 days."""
    return sum(max(0.0, 1.0 - days / REMEMBERED_DAYS) for days in days_ago)


def is_planned(plans: Sequence[DatedSend], since: float, until: float) -> bool:
    """Whether any of the plans overlaps the interval, or ended within the hour before: sends run late."""
    return any(plan.start < until and plan.end + 3600.0 > since for plan in plans)


def have_stopped(models: Models, *, open_use: Floats, open_exposure: Floats, at: Floats, zone: Zone) -> Bools:
    """Return whose traffic has stopped [N]: still for longer than ever, in hours that would have used some.

    `open_use` and `open_exposure` (hours) are those since the models' hours closed, `at` [N] the last readings.
    """
    rate = open_hours(models, at, zone)[0] * _level(models)
    expected = models["still"] + rate * open_exposure
    judged = (models["version"] > 0) & (models["seen"] >= _MIN_SEEN) & (open_use == 0)
    return np.asarray(judged & (expected > _STILL_TIMES * models["lull"] + _STILL_LEAST))


def _level(models: Models, *, whole: Bools | None = None) -> Floats:
    """Return the mean use per hour: of the last day or of the whole window, the higher; of those of `whole` the latter."""
    mean = np.maximum(models["mean"].astype(np.float64), 1e-9)
    level = levels(
        models["used"].astype(np.float64),
        models["expected"].astype(np.float64),
        mean,
        np.maximum(models["dispersion"], 0.5).astype(np.float64),
    )
    recent = (models["schedules"] * (level @ _LEVEL_WEIGHTS.T)).sum(1)
    higher = np.maximum(recent, level[:, -1])
    return np.asarray(mean * (higher if whole is None else np.where(whole, level[:, -1], higher)))


def _rate(models: Models, level: Floats, at: Floats, zone: Zone) -> Floats:
    """Return the expected use per hour at `at`."""
    return np.asarray(shape_at(models, np.floor(at / 3600.0).astype(np.int64), zone) * level)

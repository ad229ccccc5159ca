"""Usage spikes: usage far above what is likely at this hour of the week; and the opposite: usage that stopped.

Evidence is gathered over readings, in points: two for usage far above the bar, one for usage above it, minus two for
usual usage. Each balance has its own bar, which depends on its highest hours in the last 35 days and on recent alerts.
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
"""The points of a spike: two readings far above the bar, or four above it."""
_MOST = 2 * SPIKING
"""While a spike continues, points are added up to this many: two usual readings in it don't end it."""
SUSPICIOUS = 2
"""From this many points on, usage isn't considered usual."""
REMEMBERED_DAYS = 90
"""How long an alert raises the bar of its balance, with decreasing effect, because repeated bursts are known."""

_MIN_SEEN = 23.9
"""In hours of exposure: a day of readings, minus rounding."""
_MAX_INTERVAL = 2 * 3600.0
"""In seconds; the mean over a longer interval says nothing about the present."""
_DRAINED = 100.0
"""In messages; less usage than this is never drained at once."""
_NEW_SECONDS = 3 * 86400.0
_OWN = 0.4
_MARGIN = 0.2
"""The bar, in log2 of usage over expected usage, is 0.4 x the second highest hour of the last 35 days + 0.2 ..."""
_LOWEST = 1.3
"""... but at least this, 2.5 times the expected usage ..."""
_EARLY = 0.5
"""... and higher by 0.5 / sqrt(days) in the first weeks ..."""
PER_ALERT = 0.8
"""... by this much for an alert that was just sent ..."""
_BURSTY = 1.0
"""... and for categories that may burst."""
_FAR = 1.3
_FAR_SECONDS = 300.0
"""Far above the bar is another 2.5 times in five minutes, less in a longer interval, whose mean hides a short burst, ..."""
_ALWAYS_FAR = 3.4
"""... or ten times the expected usage, however high the bar is, ..."""
_FEW_ALERTS = 3.0
"""... until more alerts than this are remembered: each one beyond raises the ten times, too."""
_HIGHER = 1.5
"""Usage of at least this multiple is on a higher level ..."""
_JUST = 96.0
"""... and a change is of just now if it is this many hours old."""
_STILL_HIGH = 2.5
_STILL_MORE = 1.5, 2.0
"""During a spike, usage above this multiple of the expected doesn't count as usual, however few messages these are; nor does
usage above the lower multiple and so many messages more."""
_YOUNG = 72.0
"""With fewer hours of readings each hour of the day was seen once or twice: usage is compared at least with the mean."""
_NEAR = 0.75
"""Between this part of the bar and the bar, a reading adds no points; below, usage is usual."""
_LEVEL_WEIGHTS = schedule_weights(np.array([10.0]))[:, 0]
_STILL_TIMES = 2.0
_STILL_LEAST = 5.0
"""Usage has stopped when twice the expected usage of the longest lull, plus five messages, was expected but not used."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spikes:
    """The evidence of the latest intervals of N balances; scores and bars are in log2 of usage over expected usage."""

    seen: Floats
    """Messages used in the interval."""
    expected: Floats
    score: Floats
    bar: Floats
    points: NDArray[np.int64]
    """The points that the interval adds to the evidence of a spike, -2 to 2; 0 if it can't be judged."""
    drained: Bools
    """Above the bar, and more than a usual day. Never in a category that may burst, where campaigns are sent at once."""

    @property
    def factor(self) -> Floats:
        """The ratio of usage to expected usage."""
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
    """Compare `use` [N] of the intervals from `since` to `until` [N] (epoch seconds) with what is likely at that time.

    `alerts` is the memory of earlier spike alerts of each balance (`remembered`); `bursty`: its category may burst
    (`market`); `planned`: a planned send covers the interval; `stands_in`: the other balances that it may be used for
    (`stands_in_for`); `left`: the present balance; `notified`: it has a spike that was notified within the last day. Such
    a spike is compared only with the 35-day level, otherwise it would soon count as usual. First usage, or usage after a
    day without, is no spike unless it empties the balance within three days. Intervals over two hours, planned ones and
    balances with less than a day of readings add no points.
    """
    count = len(models)
    level = _level(models, whole=notified)
    expected = _rate(models, level, (since + until) / 2, zone) * (until - since) / 3600.0
    mean = level * (until - since) / 3600.0
    expected = np.where(models["seen"] < _YOUNG, np.maximum(expected, mean), expected)
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
    far = far_above(bar, until - since, 0.0 if alerts is None else alerts, bursty=may_burst)
    points = np.where(judged, points_of(score, bar, far), 0)
    if notified is not None:
        factor, more = _STILL_MORE
        is_high = (use > _STILL_HIGH * expected) | (use > factor * expected + more)
        points = np.where(notified & (points < 0) & is_high, 0, points)
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


def stay_high(models: Models, *, use: Floats, since: Floats, until: Floats, zone: Zone) -> Bools:
    """Return whether `use` [N] of the intervals from `since` to `until` [N] is more than usual on a level that has risen.

    That is so if it is clearly above the 35-day level, or if that level was just scaled to a higher one since a change.
    """
    level = _level(models, whole=np.ones(len(models), np.bool_))
    expected = _rate(models, level, (since + until) / 2, zone) * (until - since) / 3600.0
    ratio = models["changed_level"] / np.maximum(models["changed_from"], 1e-6).astype(np.float64)
    rose = (models["changed"] <= _JUST) & (models["changed_weight"] > 0.5) & (ratio > _HIGHER)
    return np.asarray(
        (use > _HIGHER * expected + 3.0 * np.sqrt(expected + 1.0))
        | (rose & (use * np.sqrt(ratio) > expected))
    )


def far_above(
    bar: Floats, seconds: Floats, alerts: Floats | float = 0.0, *, bursty: Bools | bool = False
) -> Floats:
    """Return the score from which an interval of this many seconds is far above its bar; arguments as in `judge_spikes`."""
    far = bar + _FAR * np.sqrt(_FAR_SECONDS / np.maximum(seconds, _FAR_SECONDS))
    always = _ALWAYS_FAR + PER_ALERT * np.maximum(alerts - _FEW_ALERTS, 0.0) + _BURSTY * np.asarray(bursty)
    return np.asarray(np.minimum(far, always))


def points_of(score: Floats, bar: Floats, far: Floats) -> NDArray[np.int64]:
    """Return the points for the score of an interval: positive for a spike, negative against it."""
    points = (score > bar).astype(np.int64) - 2 * (score < _NEAR * bar)
    return np.asarray(np.where(score > far, 2, points))


def gather(before: int, points: int, *, drained: bool = False) -> int:
    """Return the evidence after one more reading: a cumulative sum, where `SPIKING` is a spike and 0 is its end.

    E. S. Page, Continuous inspection schemes, Biometrika 41 (1954). `drained` alone is a spike.
    """
    return max(before, SPIKING) if drained else min(max(before + points, 0), _MOST)


def stands_in_for(keys: Sequence[BalanceKey], left: Sequence[int], models: Models) -> dict[int, list[int]]:
    """Return which balance (by position) is used instead of which empty ones: `universal` for those of its wallet.

    Without the categories that its model includes already.
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
    """Return the memory of alerts that were sent this many days ago: 1 for each new one, decreasing to 0 after 90 days."""
    return sum(max(0.0, 1.0 - days / REMEMBERED_DAYS) for days in days_ago)


def is_planned(plans: Sequence[DatedSend], since: float, until: float) -> bool:
    """Whether any of the plans overlaps the interval, or ended within the hour before: sends run late."""
    return any(plan.start < until and plan.end + 3600.0 > since for plan in plans)


def have_stopped(models: Models, *, open_use: Floats, open_exposure: Floats, at: Floats, zone: Zone) -> Bools:
    """Return whether usage has stopped [N]: no usage for longer than ever before, in hours in which some is expected.

    `open_use` and `open_exposure` (hours) are those since the models' last closed hours, `at` [N] the last readings.
    """
    rate = open_hours(models, at, zone)[0] * _level(models)
    expected = models["still"] + rate * open_exposure
    judged = (models["version"] > 0) & (models["seen"] >= _MIN_SEEN) & (open_use == 0)
    return np.asarray(judged & (expected > _STILL_TIMES * models["lull"] + _STILL_LEAST))


def _level(models: Models, *, whole: Bools | None = None) -> Floats:
    """Return the mean usage per hour, of the last day or of the whole window if that is higher or `whole` is set."""
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
    """Return the expected usage per hour at `at`."""
    return np.asarray(shape_at(models, np.floor(at / 3600.0).astype(np.int64), zone) * level)

"""Usage far above what is usual at its time of day: how much of it counts in the level, and what is a burst.

An hour counts up to a cap. The cap of high usage that continues grows with every hour. So a single mailing hardly changes
the level, a lasting change counts in full within a day, and of high usage that has ended only the usual part counts. The
excess above the cap is a *burst* if it is as much as a usual day or more; smaller excess is noise and counts in full.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CAP = 5.0
"""An hour counts up to this multiple of the usual usage at its time of day; in n continuous hours up to n times that."""
LEAST_CAP = 1.5
"""If readings are rare, the cap is lower, at least this."""
_ALONE = 1.5
"""If readings are rare, fewer high intervals than this are a single one: it may be a burst, so only its usual part
counts until the next reading."""
BURST_DAYS = 1.0
"""Excess of at least this many usual days is a burst."""
_CALM_HOURS = 1
"""High usage has ended after this many hours with less than half the cap. Hours in which little is usually sent (nights,
an office's weekends) don't count."""
_APART = 3
"""A burst ends after this many hours without excess."""
_TYPICAL_SHARE = 0.8
"""The usual usage at a time of day is the mean of the lower 80 % of its hours, without bursts and busy days."""
_FEW = 5
"""With fewer days, all but the highest value of a time of day are usual."""
_LEAST = 3.0
"""Messages per hour that are never excess."""


class Burst(NamedTuple):
    """One burst."""

    hour: int
    """The clock hour in which it began."""
    hours: int
    """How many clock hours it lasted."""
    messages: float
    """The usage above the cap."""


class UsualUse(NamedTuple):
    """The usage of N windows without bursts."""

    use: Floats
    """[N, T] the usage that counts in the level."""
    bursts: list[list[Burst]]
    """Per window, the earliest first, including those that continue at its end; `hour` counts from its first hour."""


def usual_use(use: Floats, exposure: Floats, gap: Floats) -> UsualUse:
    """Separate usual usage [N, T] from bursts; T is a number of whole days, `exposure` is in hours.

    `gap` [N] is the usual time between two readings, in hours: if it is long, a burst is spread over it and less visible.
    """
    typical, own = _typical(use, exposure)
    gap = np.maximum(gap, 1.0)[:, None]
    cap = LEAST_CAP + (CAP - LEAST_CAP) / np.sqrt(gap)
    cap = np.maximum(cap * np.tile(typical, use.shape[1] // 24) * exposure, _LEAST)
    hot = use > cap
    kept = np.minimum(use, cap)
    lasting = np.zeros(use.shape, np.bool_)
    expected = np.tile(own, use.shape[1] // 24) * exposure
    if hot.any():
        due = np.minimum(expected, _last_week(use, exposure) * exposure)
        calm = (use < CAP / 2 * due) & (due > typical.mean(1)[:, None] / 4)
        lasting = hot & (np.cumsum(calm[:, ::-1], axis=1)[:, ::-1] < _CALM_HOURS)
        lasted = lasting.sum(1)[:, None] / gap
        # if readings are rare, it may have begun late in the first interval, but it lasted through all others
        hours = np.maximum(lasted, (lasted - 1.0) * gap)
        kept = np.where(lasting, np.minimum(use, cap * np.maximum(hours, 1.0)), kept)
        kept = np.where(lasting & (gap > 1.0) & (lasted < _ALONE), np.minimum(use, expected), kept)
    bursts: list[list[Burst]] = [[] for _ in use]
    usual_day = 24.0 * kept.sum(1) / np.maximum(exposure.sum(1), 1e-9)
    for row in np.flatnonzero((use > kept).any(1)):
        bursts[row] = _bursts(use[row], kept[row], expected[row], lasting[row], BURST_DAYS * usual_day[row])
    return UsualUse(use=kept, bursts=bursts)


def _typical(use: Floats, exposure: Floats) -> tuple[Floats, Floats]:
    """Return the usual usage per hour of exposure by time of day [N, 24]: once at least half the day's mean, once raw.

    In the first days the highest value of each time of day is left out, because it may be a burst; on the first day the
    usual usage of all hours stands for it.
    """
    seen = exposure > 0.3
    rate = np.where(seen, use / np.maximum(exposure, 0.3), np.inf)
    by_time = np.sort(rate.reshape(len(use), use.shape[1] // 24, 24), axis=1)
    count = seen.reshape(by_time.shape).sum(1)
    lower = _lower(count, least=0)
    sums = np.where(np.arange(by_time.shape[1])[:, None] < lower[:, None, :], by_time, 0.0).sum(1)
    overall = sums.sum(1, keepdims=True) / np.maximum(lower.sum(1, keepdims=True), 1.0)
    young = np.flatnonzero(count.max(1) < _FEW)
    if young.size:
        num = _lower(count[young].sum(1), least=1)
        rates = np.sort(rate[young], axis=1)[:, : _FEW * 24]
        taken = np.arange(rates.shape[1]) < num[:, None]
        overall[young] = (np.where(taken, rates, 0.0).sum(1) / np.maximum(num, 1.0))[:, None]
    own = (sums + 2.0 * overall) / (lower + 2.0)
    raw = np.where(lower > 0, sums / np.maximum(lower, 1.0), overall)
    return np.maximum(own, overall / 2), raw


def _lower(count: NDArray[np.int64], *, least: int) -> Floats:
    """Return how many of `count` values are the lower 80 %: all but one at most, and `least` if there are any."""
    most = np.minimum(np.ceil(_TYPICAL_SHARE * count), count - 1)
    return np.asarray(np.clip(most, np.minimum(count, least), None))


def _last_week(use: Floats, exposure: Floats) -> Floats:
    """Return the mean of the same hours one and two weeks before, [N, T]; a huge number where they weren't read."""
    week, before = exposure[:, 168:-168] > 0, exposure[:, :-336] > 0
    earlier = np.full(use.shape, 1e18)
    earlier[:, 336:] = np.where(
        week | before, (use[:, 168:-168] + use[:, :-336]) / np.maximum(week.astype(int) + before, 1), 1e18
    )
    return earlier


def _bursts(
    use: Floats, kept: Floats, expected: Floats, lasting: NDArray[np.bool_], least: float
) -> list[Burst]:
    """Return the bursts of one window. `kept` is updated: excess that is too small for a burst counts in full."""
    places = np.flatnonzero(use > kept)
    found = []
    for part in np.split(places, np.flatnonzero(np.diff(places) > _APART) + 1):
        if (use[part] - kept[part]).sum() < least:
            kept[part] = use[part]
            continue
        over = part[~lasting[part]]
        kept[over] = np.minimum(use[over], expected[over])
        found.append(Burst(int(part[0]), int(part[-1] - part[0]) + 1, float((use[part] - kept[part]).sum())))
    return found


_PRIOR = 2.0, 16.0
"""(bursts, days): the prior for a balance that is mostly used in bursts ..."""
_PRIOR_SHARE = 2
"""... weighted by this power of their share in all usage, and by how much they recur."""
_AS_IF_SEEN = 35.0
"""In days: usual usage counts as if it had been seen for so long, because all usage of the first days may be one burst."""
_MOSTLY = 5
"""A single burst counts by this power of the share of bursts in all usage, so that nearly all must be in bursts."""
_UNSEEN = 0.5
"""Bursts that recur count half a one more, because orders must suffice although few were seen (Jeffreys' prior)."""


class BurstRate(NamedTuple):
    """How often a balance has bursts, and how large they are."""

    per_day: float
    mean: float
    spread: float
    """The standard deviation of the size."""
    evidence: float
    """How many bursts the rate was estimated from: the rate has a gamma distribution with that shape."""


def burst_rate(bursts: Sequence[Burst], days: float, usual: float) -> BurstRate:
    """Return the rate of `bursts` in this many days, which had `usual` messages of usual usage per day too.

    A single burst hardly counts, recurring ones count in full; if nearly all usage is in bursts, a single one counts too.
    """
    if not bursts or days <= 0:
        return BurstRate(0.0, 0.0, 0.0, 1.0)
    sizes = np.array([burst.messages for burst in bursts])
    count = len(sizes)
    mean = float(sizes.mean())
    prior = (0.5 * mean) ** 2
    spread = float(np.sqrt((prior + ((sizes - mean) ** 2).sum()) / count))
    share = float(sizes.sum()) / max(float(sizes.sum()) + usual * max(days, _AS_IF_SEEN), 1e-9)
    rare = 1.0 - share**_MOSTLY
    counted = count - rare / count**2 + (_UNSEEN * rare if count > 1 else 0.0)
    before = share**_PRIOR_SHARE * counted / count
    evidence = counted + before * _PRIOR[0]
    return BurstRate(evidence / (max(days, 7.0) + before * _PRIOR[1]), mean, spread, max(evidence, 1.0))

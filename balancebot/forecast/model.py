"""Usage models: one record of fixed size per balance, fitted when an hour closes.

A record is derived from the balance's use window and its earlier bursts, and can be fitted again at any time. The records
of many balances are one structured array, and everything here is computed for all of them at once.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from balancebot.domain.holidays import Zone, zone_name
from balancebot.forecast.bursts import Burst, burst_rate, usual_use
from balancebot.forecast.changes import Change, how_sure, lasting_change, unusual_days, weekly_trend
from balancebot.forecast.level import (
    HALF_LIVES,
    SCHEDULES,
    STEP,
    levels,
    remembered,
    remembered_on_the_way,
)
from balancebot.forecast.profile import (
    HOURS_OF_WEEK,
    LEAST_SEEN,
    WORKED_WEEKEND,
    Profiles,
    fit_with_holidays,
    hours_of_week,
    with_holidays,
)
from balancebot.forecast.recurring import MOST_RULES, DatedSend, recurring
from balancebot.forecast.replay import HORIZONS, replay
from balancebot.forecast.steps import Steps, level_errors, settled_steps
from balancebot.forecast.use_window import WINDOW_HOURS, UseWindow

VERSION = 9

RULE = np.dtype(
    [
        ("repeats", "u1"),
        ("day", "u1"),
        ("hour", "u1"),
        ("hours", "u1"),
        ("chance", "<f4"),
        ("messages", "<f4"),
        ("spread", "<f4"),
    ]
)
MODEL = np.dtype(
    [
        ("version", "u1"),
        ("rules", "u1"),  # how many of the recurring bursts are set
        ("end", "<u4"),  # the first clock hour after its data
        ("begun", "<u4"),  # the clock hour of the first known usage
        ("seen", "<f4"),  # hours of exposure since the first use
        ("gap", "<f4"),  # usual hours between two readings, if these are rare; otherwise 0
        ("mean", "<f4"),  # usual usage per hour
        ("dispersion", "<f4"),
        ("shape", "<f2", HOURS_OF_WEEK),  # usage by hour of the week, relative to the mean
        ("day_off", "<f4"),  # usage on a public holiday, relative to a weekend day
        ("used", "<f4", len(HALF_LIVES)),  # decayed sums of usage ...
        ("expected", "<f4", len(HALF_LIVES)),  # ... and of the usage expected by the shape alone
        ("schedules", "<f4", len(SCHEDULES)),
        ("low", "<f2", len(HORIZONS)),
        ("high", "<f2", len(HORIZONS)),
        ("trend", "<f4"),  # log2 per week ...
        ("trend_errors", "<f4", 2),  # ... and how far its P10 and P90 are from it
        ("changed", "<f4"),  # hours since a change that seems to last ...
        ("changed_from", "<f4"),  # ... the level before ...
        ("changed_level", "<f4"),  # ... the level since then ...
        ("changed_weight", "<f4"),  # ... and the probability that it lasts
        ("level_error", "<f4"),  # standard deviation of the level since a step, in log2
        ("bursts_per_day", "<f4"),
        ("burst_mean", "<f4"),
        ("burst_spread", "<f4"),
        ("burst_evidence", "<f4"),  # how many bursts the rate was estimated from
        ("recurring", RULE, MOST_RULES),
        ("not_counted", "<f4"),  # messages of the latest burst that the level leaves out ...
        ("not_counted_hour", "<u4"),  # ... and the clock hour in which it began
        ("busiest", "<f4"),  # the highest usual usage per day in seven successive days
        ("daily_spread", "<f4"),  # standard deviation of usual usage per day
        ("persistence", "<f4"),  # correlation of one day with the next
        ("burst", "<f4"),  # log2 of usage over expected usage in the second highest hour
        (
            "stands_in",
            "u1",
        ),  # universal only: the categories it replaces now, as bits ...
        ("drawn", "<u4", 3),  # ... and the last clock hour in which it replaced each; 0 = never
        ("still", "<f4"),  # expected usage of the hours without usage at the end ...
        ("lull", "<f4"),  # ... and of the longest earlier stretch without usage
    ]
)
"""About 650 bytes, little-endian, without padding; stored and used in computations in the same form."""

Models = NDArray[np.void]
Floats = NDArray[np.float64]
_RECENT = 3
"""The index of the half-life by which bursts are measured: 16 hours."""
SMOOTHING = 3.0
"""Messages added to both sides of a burst's ratio, so that a few messages instead of none aren't a burst."""
_LATE = 1
"""Hours after the end of a planned send that belong to it, because sends run late."""
_SPREAD_BACK = 900.0
"""In seconds: the first reading after the start of a planned send spreads its usage over up to so much time before it."""
_NOT_COUNTED_FOR = 7 * 24
"""For how many hours a burst is shown as not counted."""
_SPREAD_LEAST = 3.0
_MOSTLY = 0.62
"""Readings are hours apart if this part of the hours with at least three messages equals the hour before."""
_ENDS = 3
_CHUNK = 64
"""How many balances are fitted at a time, so that their arrays fit into the processor's cache."""


class Fitted(NamedTuple):
    """Models, and the windows with the bursts that were found in them."""

    models: Models
    windows: list[UseWindow]


def fit(
    windows: Sequence[UseWindow], zone: Zone, announced: Sequence[Sequence[DatedSend]] | None = None
) -> Fitted:
    """Fit the models of windows that all end at the same hour; `zone` defines the hours of the week.

    `announced` are the planned sends of each balance, including past ones: their hours are left out.
    """
    models = np.zeros(len(windows), MODEL)
    if not windows:
        return Fitted(models, [])
    end = windows[0].end
    if any(window.end != end for window in windows):
        raise ValueError("windows must end at the same hour; move them first")
    first = end - WINDOW_HOURS
    hours, kinds = (hours_of_week(of, first, WINDOW_HOURS) for of in (zone_name(zone), zone))
    fitted: list[UseWindow] = []
    for start in range(0, len(windows), _CHUNK):
        rows = slice(start, start + _CHUNK)
        use = np.stack([window.use for window in windows[rows]]).astype(np.float64)
        exposure = np.stack([window.exposure for window in windows[rows]]).astype(np.float64)
        if announced is not None:
            for row, sends in enumerate(announced[rows]):
                leave_out(use[row], exposure[row], sends, end)
        _start_at_first_use(use, exposure)
        models[rows], bursts = _fit(use, exposure, hours, kinds)
        for row, (window, found) in enumerate(zip(windows[rows], bursts, strict=True), start):
            if not found and not window.bursts:
                fitted.append(window)
                continue
            fitted.append(window.with_bursts(burst._replace(hour=burst.hour + first) for burst in found))
            _set_bursts(models[row : row + 1], fitted[-1], zone_name(zone))
    models["end"] = end
    models["begun"] = [window.begun for window in windows]
    return Fitted(models, fitted)


def leave_out(use: Floats, exposure: Floats, sends: Sequence[DatedSend], end: int) -> None:
    """Clear the hours of planned sends in hourly `use` and `exposure`, which end before the clock hour `end`."""
    for send in sends:
        first = int((send.start - _SPREAD_BACK) // 3600) - end + len(use)
        last = int(-(-send.end // 3600)) + _LATE - end + len(use)
        if last > 0 and first < len(use):
            use[max(first, 0) : last] = 0.0
            exposure[max(first, 0) : last] = 0.0


def reading_gap(use: Floats) -> Floats:
    """Return the usual hours between two readings [N]. A fall that is spread over hours is equal in each of them."""
    busy = (use[:, 1:] >= _SPREAD_LEAST) & (use[:, :-1] >= _SPREAD_LEAST)
    same = np.logical_and(busy, np.abs(np.diff(use, axis=1)) <= 1.0)
    count, num_same = busy.sum(1), same.sum(1)
    ends = np.logical_and(same[:, :-1], busy[:, 1:] & ~same[:, 1:]).sum(1)
    # usage that never changes is steady, and says nothing about the readings
    rare = (num_same > _MOSTLY * count) & (ends >= _ENDS)
    return np.asarray(np.where(rare, count / np.maximum(ends, 1), 0.0))


def _start_at_first_use(use: Floats, exposure: Floats) -> None:
    """Clear the exposure before the first usage, which isn't evidence of low usage."""
    used = use > 0
    first = np.argmax(used, axis=1)
    exposure[(np.arange(WINDOW_HOURS) < first[:, None]) & np.any(used, axis=1, keepdims=True)] = 0.0


def _fit(
    use: Floats, exposure: Floats, hours: NDArray[np.int16], kinds: NDArray[np.int16]
) -> tuple[Models, list[list[Burst]]]:
    gap = reading_gap(use)
    usual = usual_use(use, exposure, gap)
    kept = usual.use
    profiles, over = fit_with_holidays(kept, exposure, hours, kinds)
    shaped = np.where(over, 0.0, exposure * profiles.at(kinds))
    over = over | unusual_days(np.where(over, 0.0, kept), shaped)
    if over.any():
        shaped = np.where(over, 0.0, shaped)
    unseen = exposure * profiles.left_out
    steps = settled_steps(*(np.where(over, 0.0, hourly) for hourly in (kept, exposure, unseen)))
    rows = np.flatnonzero(steps.hours)
    if rows.size:
        _read_at_level_since(steps, use, kept, exposure=exposure, profiles=profiles, hours=hours, kinds=kinds)
        shaped[rows] = np.where(over[rows], 0.0, exposure[rows] * profiles.at(kinds)[rows])
        unseen[rows] = exposure[rows] * profiles.left_out[rows]
    trend, trend_errors = weekly_trend(np.where(over, 0.0, kept), shaped)
    growth = 2.0 ** (-trend[:, None] * (np.arange(WINDOW_HOURS) - WINDOW_HOURS) / 168.0)
    today = kept * growth
    past = levels(
        remembered_on_the_way(today), remembered_on_the_way(unseen), profiles.mean, profiles.dispersion
    )
    replays = replay(today, exposure, unseen, past, gap)
    odd = np.flatnonzero(over.any(1))
    counted = unseen
    if odd.size:  # these days count for the range and for the bar of spikes, but not for the level
        today, counted = np.where(over, 0.0, today), np.where(over, 0.0, unseen)
        past[odd] = levels(
            remembered_on_the_way(today[odd]),
            remembered_on_the_way(counted[odd]),
            profiles.mean[odd],
            profiles.dispersion[odd],
        )
    change = lasting_change(
        today, exposure, counted, past=past, replays=replays, dispersion=profiles.dispersion, gap=gap
    )
    models = np.zeros(len(use), MODEL)
    models["version"] = VERSION
    models["seen"] = exposure.sum(1)
    models["gap"] = gap
    models["mean"] = profiles.mean
    models["dispersion"] = profiles.dispersion
    models["shape"] = profiles.rate / np.maximum(profiles.mean, 1e-9)[:, None]
    models["day_off"] = profiles.day_off
    models["used"] = remembered(today)
    models["expected"] = remembered(shaped)
    models["schedules"] = replays.schedules
    models["low"], models["high"] = replays.low, replays.high
    models["trend"] = trend * (1 - change.weight)
    models["trend_errors"] = (trend_errors * (1 - change.weight)).T
    _set_change(models, change, steps)
    if rows.size:
        models["level_error"][rows] = level_errors(kept[rows], unseen[rows], steps.hours[rows])
    _set_days(models, kept, exposure)
    models["burst"] = _burst(use, exposure, unseen, past)
    models["still"], models["lull"] = _stillness(use, shaped)
    return models, usual.bursts


def _read_at_level_since(
    steps: Steps,
    use: Floats,
    kept: Floats,
    *,
    exposure: Floats,
    profiles: Profiles,
    hours: NDArray[np.int16],
    kinds: NDArray[np.int16],
) -> None:
    """Scale the usage before a step to the level after it, in place, and fit the shapes again."""
    rows = np.flatnonzero(steps.hours)
    before = np.arange(WINDOW_HOURS) < WINDOW_HOURS - steps.hours[rows, None]
    scale = np.where(before, steps.factor[rows, None], 1.0)
    use[rows] *= scale
    kept[rows] *= scale
    profiles.replace(rows, fit_with_holidays(kept[rows], exposure[rows], hours, kinds)[0])


def _set_change(models: Models, change: Change, steps: Steps) -> None:
    """Set the latest change: a recent one, or else the latest settled step."""
    settled = (steps.hours > 0) & (change.weight == 0)
    models["changed"] = np.where(settled, steps.hours, change.hours)
    models["changed_from"] = np.where(settled, 1.0 / steps.factor, change.before)
    models["changed_level"] = np.where(settled, 1.0, change.level)
    models["changed_weight"] = np.where(settled, how_sure(steps.hours), change.weight)


def _set_bursts(model: Models, window: UseWindow, zone: str) -> None:
    rules, left = recurring(window.bursts, window.end, zone)
    model["rules"] = len(rules)
    if left and window.end - left[-1].hour <= _NOT_COUNTED_FOR:
        model["not_counted"], model["not_counted_hour"] = left[-1].messages, left[-1].hour
    for place, rule in enumerate(rules):
        model["recurring"][0, place] = tuple(rule)
    days = (window.end - window.begun) / 24.0
    rate = burst_rate(left, days, float(model["mean"][0]) * 24.0)
    model["bursts_per_day"], model["burst_mean"], model["burst_spread"], model["burst_evidence"] = rate


def _set_days(models: Models, kept: Floats, exposure: Floats) -> None:
    """Set what the upper limit of orders is based on: the busiest week, and the spread and persistence of days."""
    days = kept.reshape(len(kept), -1, 24).sum(2)
    seen = exposure.reshape(days.shape[0], -1, 24).sum(2)
    whole = seen >= 18.0
    rate = np.where(whole, days * 24.0 / np.maximum(seen, 1.0), 0.0)
    count = np.maximum(whole.sum(1), 1)
    mean = rate.sum(1) / count
    off = np.where(whole, rate - mean[:, None], 0.0)
    variance = (off**2).sum(1) / np.maximum(count - 1, 1)
    pairs = np.maximum((whole[:, 1:] & whole[:, :-1]).sum(1), 1)
    models["daily_spread"] = np.sqrt(variance)
    models["persistence"] = np.clip(
        (off[:, 1:] * off[:, :-1]).sum(1) / pairs / np.maximum(variance, 1e-9), 0.0, 0.9
    )
    total = np.concatenate([np.zeros((len(days), 1)), np.cumsum(days, axis=1)], axis=1)
    time = np.concatenate([np.zeros((len(days), 1)), np.cumsum(seen, axis=1)], axis=1)
    week = (total[:, 7:] - total[:, :-7]) * 24.0 / np.maximum(time[:, 7:] - time[:, :-7], 24.0)
    models["busiest"] = week.max(1)


def _burst(use: Floats, exposure: Floats, unseen: Floats, past: Floats) -> Floats:
    """Return log2 of usage over expected usage in the second highest hour; the highest may be an accident."""
    level = np.maximum(past[:, _RECENT], past[:, -1])
    expected = unseen * np.repeat(level, STEP, axis=1)
    score = np.where(exposure > 0.5, np.log2((use + SMOOTHING) / (expected + SMOOTHING)), 0.0)
    return np.asarray(np.partition(score, -2, axis=1)[:, -2])


def _stillness(use: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """Return the expected usage of the hours since the last usage, and of the longest earlier stretch without usage."""
    total = np.cumsum(expected, axis=1)
    since_use = total - np.maximum.accumulate(np.where(use > 0, total, 0.0), axis=1)
    last = WINDOW_HOURS - 1 - np.argmax(use[:, ::-1] > 0, axis=1)
    before = np.arange(WINDOW_HOURS) < last[:, None]
    return since_use[:, -1], np.where(before, since_use, 0.0).max(1)


def week_shape(models: Models, zone: Zone) -> Floats:
    """Return the shapes by hour of the week [N, 168]; with holidays [N, 216]."""
    last = 0 if isinstance(zone, str) else WORKED_WEEKEND
    return with_holidays(models["shape"], models["day_off"], last)


def shape_at(models: Models, hours: NDArray[np.int64], zone: Zone) -> Floats:
    """Return the shape of each of N models at its own clock hour [N]: usage relative to the mean."""
    first = int(hours.min()) if hours.size else 0
    local = hours_of_week(zone, first, int(hours.max()) - first + 1 if hours.size else 1)
    shape = week_shape(models, zone)
    return np.asarray(shape[np.arange(len(models)), local[hours - first]].astype(np.float64))


def usual_course(models: Models, *, zone: Zone, first: int, count: int) -> list[float] | None:
    """Return the usual usage of one model [1] in each of `count` clock hours from `first` on, over the mean hour.

    None if less than a day was read since the first use.
    """
    if models["seen"][0] < LEAST_SEEN:
        return None
    shape = week_shape(models, zone)[0]
    course: list[float] = shape[hours_of_week(zone, first, count)].astype(np.float64).tolist()
    return course


def encode_models(models: Models) -> list[bytes]:
    """Return each record as bytes."""
    return [model.tobytes() for model in models]


def decode_models(blobs: Sequence[bytes | None]) -> tuple[Models, NDArray[np.bool_]]:
    """Return the records, and which of them could be read.

    None and records of another version or length can't be read: such a record is all zeros, whose forecast is *unknown*,
    and must be fitted again.
    """
    readable = np.array(
        [blob is not None and len(blob) == MODEL.itemsize and blob[0] == VERSION for blob in blobs], np.bool_
    )
    blank = bytes(MODEL.itemsize)
    whole = b"".join(
        blob if ok and blob is not None else blank for blob, ok in zip(blobs, readable, strict=True)
    )
    return np.frombuffer(whole, MODEL), readable

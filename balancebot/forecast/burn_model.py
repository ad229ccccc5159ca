"""What is believed of a balance's use, fitted when an hour closes: one record of fixed size per balance.

A record is derived from the balance's use window and can be fitted anew at any time. Records of many balances are
one structured array: everything here is done for all of them at once.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from balancebot.forecast.level import HALF_LIVES, SCHEDULES, STEP, levels, remembered, remembered_on_the_way
from balancebot.forecast.local_week import HOURS_OF_WEEK, hours_of_week
from balancebot.forecast.profile import fit_profiles
from balancebot.forecast.replay import HORIZONS, replay
from balancebot.forecast.use_window import WINDOW_HOURS, UseWindow

VERSION = 1

MODEL = np.dtype(
    [
        ("version", "u1"),
        ("end", "<u4"),  # the first clock hour that it hasn't seen
        ("seen", "<f4"),  # hours of exposure
        ("mean", "<f4"),  # use per hour
        ("dispersion", "<f4"),
        ("shape", "<f2", HOURS_OF_WEEK),  # use by hour of the week, over the mean
        ("used", "<f4", len(HALF_LIVES)),  # remembered use ...
        ("expected", "<f4", len(HALF_LIVES)),  # ... and what the shape alone expected
        ("schedules", "<f4", len(SCHEDULES)),
        ("low", "<f2", len(HORIZONS)),
        ("high", "<f2", len(HORIZONS)),
        ("burst", "<f4"),  # log2 of use over expected use in the second highest hour
        ("still", "<f4"),  # expected use of the hours without use at the end ...
        ("lull", "<f4"),  # ... and of the longest stretch without use before
    ]
)
"""About 500 bytes, little-endian, without padding: what is stored is what is computed with."""

Models = NDArray[np.void]
Floats = NDArray[np.float64]
_RECENT = 3
"""The half-life, of 16 hours, by which bursts are measured."""
SMOOTHING = 3.0
"""Messages added on both sides of a burst's ratio, so that a few instead of none are no burst."""
_CHUNK = 64
"""Balances fitted at a time: their arrays stay within the processor's cache, and memory bounded."""


def fit(windows: Sequence[UseWindow], zone: str) -> Models:
    """Fit the models of windows that all end at the same hour; `zone` decides what an hour of the week is."""
    models = np.zeros(len(windows), MODEL)
    if not windows:
        return models
    end = windows[0].end
    if any(window.end != end for window in windows):
        raise ValueError("windows must end at the same hour; move them first")
    hours = hours_of_week(zone, end - WINDOW_HOURS, WINDOW_HOURS)
    for start in range(0, len(windows), _CHUNK):
        chunk = windows[start : start + _CHUNK]
        use = np.stack([window.use for window in chunk]).astype(np.float64)
        exposure = np.stack([window.exposure for window in chunk]).astype(np.float64)
        models[start : start + _CHUNK] = _fit(use, exposure, hours)
    models["end"] = end
    return models


def _fit(use: Floats, exposure: Floats, hours: NDArray[np.int16]) -> Models:
    profiles = fit_profiles(use, exposure, hours)
    unseen = exposure * profiles.left_out
    past = levels(
        remembered_on_the_way(use), remembered_on_the_way(unseen), profiles.mean, profiles.dispersion
    )
    replays = replay(use, exposure, unseen, past)
    models = np.zeros(len(use), MODEL)
    models["version"] = VERSION
    models["seen"] = exposure.sum(1)
    models["mean"] = profiles.mean
    models["dispersion"] = profiles.dispersion
    models["shape"] = profiles.rate / np.maximum(profiles.mean, 1e-9)[:, None]
    models["used"] = remembered(use)
    models["expected"] = remembered(exposure * profiles.rate[:, hours])
    models["schedules"] = replays.schedules
    models["low"], models["high"] = replays.low, replays.high
    models["burst"] = _burst(use, exposure, unseen, past)
    models["still"], models["lull"] = _stillness(use, exposure * profiles.rate[:, hours])
    return models


def _burst(use: Floats, exposure: Floats, unseen: Floats, past: Floats) -> Floats:
    """Return how far the second highest hour rose above what was expected of it; the highest may be an accident."""
    level = np.maximum(past[:, _RECENT], past[:, -1])
    expected = unseen * np.repeat(level, STEP, axis=1)
    score = np.where(exposure > 0.5, np.log2((use + SMOOTHING) / (expected + SMOOTHING)), 0.0)
    return np.asarray(np.partition(score, -2, axis=1)[:, -2])


def _stillness(use: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """Return the expected use of the hours since the last use, and of the longest stretch without use before it."""
    total = np.cumsum(expected, axis=1)
    since_use = total - np.maximum.accumulate(np.where(use > 0, total, 0.0), axis=1)
    last = WINDOW_HOURS - 1 - np.argmax(use[:, ::-1] > 0, axis=1)
    before = np.arange(WINDOW_HOURS) < last[:, None]
    return since_use[:, -1], np.where(before, since_use, 0.0).max(1)


def shape_at(models: Models, hours: NDArray[np.int64], zone: str) -> Floats:
    """Return the shape of each of N models at a clock hour of its own [N]: use over the mean."""
    first = int(hours.min()) if hours.size else 0
    local = hours_of_week(zone, first, int(hours.max()) - first + 1 if hours.size else 1)
    return np.asarray(models["shape"][np.arange(len(models)), local[hours - first]].astype(np.float64))


def encode_models(models: Models) -> list[bytes]:
    """Return each record as bytes."""
    return [model.tobytes() for model in models]


def decode_models(blobs: Sequence[bytes | None]) -> tuple[Models, NDArray[np.bool_]]:
    """Return the records, and which of them could be read.

    None, another version, or another length can't: that record is all zeros, which forecasts *unknown*; fit it anew.
    """
    readable = np.array(
        [blob is not None and len(blob) == MODEL.itemsize and blob[0] == VERSION for blob in blobs], np.bool_
    )
    blank = bytes(MODEL.itemsize)
    whole = b"".join(
        blob if ok and blob is not None else blank for blob, ok in zip(blobs, readable, strict=True)
    )
    return np.frombuffer(whole, MODEL), readable

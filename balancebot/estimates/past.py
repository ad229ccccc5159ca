"""Past estimates of the runway: the same models, fitted only to the data that were available at the time."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING

from balancebot.domain.holidays import Zone
from balancebot.domain.runway import Estimate
from balancebot.domain.usage import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from balancebot.forecast.use_window import UseWindow

STEP_HOURS = 6
"""How often the runway is estimated; in between it changes in proportion to the balance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastHours:
    """One balance's past, by epoch hour."""

    used: Sequence[tuple[int, int, int]]
    """(hour, usage, seconds of exposure), oldest first; it must reach as far back as the models do."""
    readings: Mapping[int, int]
    """The balance at the end of each hour."""

    def between(self, first: int, end: int) -> Sequence[tuple[int, int, int]]:
        """Return the usage booked in the hours `[first, end)`."""
        start, stop = (bisect_left(self.used, hour, key=itemgetter(0)) for hour in (first, end))
        return self.used[start:stop]


def past_estimates(
    pasts: Sequence[PastHours], *, first: int, last: int, zone: Zone, confidence: float
) -> list[dict[int, Estimate]]:
    """Return for each balance hour -> estimate at the end of that hour, every `STEP_HOURS` of `[first, last)`.

    Models are fitted again at each step, as they are when an hour closes: an older model with the usage since then would
    mistake the time of day for a change of the usage rate.
    """
    import numpy as np  # lazy: numpy

    from balancebot.forecast.forecast import forecast  # lazy: numpy
    from balancebot.forecast.model import fit  # lazy: numpy
    from balancebot.forecast.use_window import (  # lazy: numpy
        WINDOW_HOURS,
        empty_window,
    )

    found: list[dict[int, Estimate]] = [{} for _ in pasts]
    windows: list[UseWindow] = [
        empty_window(first).moved_to(first, past.between(first - WINDOW_HOURS, first)) for past in pasts
    ]
    for hour in range(first, last, STEP_HOURS):
        end = hour + 1
        windows = [
            window.moved_to(end, past.between(window.end, end))
            for window, past in zip(windows, pasts, strict=True)
        ]
        known = [index for index, past in enumerate(pasts) if hour in past.readings]
        if not known:
            continue
        now = float(end * SECONDS_PER_HOUR)
        estimates = forecast(
            fit([windows[index] for index in known], zone).models,
            balances=np.array([float(pasts[index].readings[hour]) for index in known]),
            observed_at=np.full(len(known), now),
            now=now,
            zone=zone,
            confidence=confidence,
        ).estimates()
        for index, estimate in zip(known, estimates, strict=True):
            found[index][hour] = estimate
    return found

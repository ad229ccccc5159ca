"""What was known of a balance's runway at each time of the past: the same models, shown only what had been seen by then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from balancebot.domain.runway import Estimate

if TYPE_CHECKING:
    from balancebot.domain.use_window import UseWindow

STEP_HOURS = 6
"""How often the runway is estimated anew; in between it shrinks by what passes."""
_HOURS_PER_DAY = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class PastHours:
    """One balance's past, by epoch hour."""

    used: Sequence[tuple[int, int, int]]
    """(hour, use, seconds of exposure), oldest first; reaching as far back as the models look."""
    readings: Mapping[int, int]
    """The number it had at the end of an hour."""


def past_estimates(
    pasts: Sequence[PastHours], *, first: int, last: int, zone: str, confidence: float
) -> list[dict[int, Estimate]]:
    """Return for each balance hour -> estimate as of that hour's end, every `STEP_HOURS` of `[first, last)`.

    Models are fitted once a day, as of its beginning, with the use since then on top.
    """
    import numpy as np

    from balancebot.domain.burn_model import fit
    from balancebot.domain.forecast import forecast
    from balancebot.domain.use_window import WINDOW_HOURS, empty_window

    found: list[dict[int, Estimate]] = [{} for _ in pasts]
    windows: list[UseWindow] = [
        empty_window(first).moved_to(first, _between(past, first - WINDOW_HOURS, first)) for past in pasts
    ]
    for day in range(first, last, _HOURS_PER_DAY):
        windows = [
            window.moved_to(day, _between(past, window.end, day))
            for window, past in zip(windows, pasts, strict=True)
        ]
        models = fit(windows, zone)
        for hour in range(day, min(day + _HOURS_PER_DAY, last), STEP_HOURS):
            known = [index for index, past in enumerate(pasts) if hour in past.readings]
            if not known:
                continue
            end = float((hour + 1) * 3600)
            since = [_between(pasts[index], day, hour + 1) for index in known]
            estimates = forecast(
                models[known],
                balances=np.array([float(pasts[index].readings[hour]) for index in known]),
                observed_at=np.full(len(known), end),
                now=end,
                zone=zone,
                confidence=confidence,
                open_use=np.array([float(sum(use for _, use, _ in hours)) for hours in since]),
                open_exposure=np.array([sum(seconds for *_, seconds in hours) / 3600 for hours in since]),
            ).estimates()
            for index, estimate in zip(known, estimates, strict=True):
                found[index][hour] = estimate
    return found


def _between(past: PastHours, first: int, end: int) -> list[tuple[int, int, int]]:
    return [one for one in past.used if first <= one[0] < end]

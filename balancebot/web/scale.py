"""Axes: where a value stands on the paper, and which round values deserve a line."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

_STEPS = tuple(timedelta(hours=hours) for hours in (1, 3, 6, 12)) + tuple(
    timedelta(days=days) for days in (1, 2, 7, 14, 28, 91, 182, 364)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A linear scale from `low` to `high` on the paper from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return where `value` stands, also beyond the ends."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def round_values(highest: float, *, about: int) -> list[float]:
    """Return 0, then multiples of 1, 2 or 5 times a power of ten: `about` steps until `highest` is reached.

    The last is at least `highest`. Balances are whole numbers, so no step is below 1.
    """
    raw = max(highest, 1.0) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = max(1.0, next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999))
    return (
        [step * index for index in range(math.ceil(highest / step - 1e-9) + 1)] if highest > 0 else [0.0, 1.0]
    )


def round_instants(start: datetime, end: datetime, zone: tzinfo, *, at_most: int) -> Iterator[datetime]:
    """Yield local midnights (or hours, in a short range) within a range, evenly, no more than `at_most`."""
    step = next((step for step in _STEPS if (end - start) / step <= at_most), _STEPS[-1])
    local = start.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    if step >= timedelta(days=7):
        local -= timedelta(days=local.weekday())
    while True:
        # wall-clock arithmetic: a midnight stays one over a change of the clocks
        instant = local.astimezone(UTC)
        if instant > end:
            return
        if instant >= start:
            yield instant
        local += step

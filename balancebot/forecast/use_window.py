"""The input of a model: the last 35 days of one balance (usage and exposure per clock hour), and its bursts of 13 months.

A window contains only closed hours. It is derived: it can be built again from the hourly roll-up at any time.
"""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from balancebot.domain.usage import (
    CORRECTED_TO,
    MAX_CORRECTION_SECONDS,
    MAX_REFUND,
    MAX_REFUND_SHARE,
    SECONDS_PER_HOUR,
)
from balancebot.forecast.bursts import Burst

WINDOW_HOURS = 35 * 24
REMEMBERED_HOURS = 400 * 24
"""How long bursts are remembered, so that month ends and yearly days are recognised."""
_MOST_BURSTS = 60
_VERSION = 2
_HEAD = struct.Struct("<BBHII")
_BURST = struct.Struct("<IHf")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UseWindow:
    """`use[i]` messages were used in `exposure[i]` of hour `end - 840 + i`; both are 0 if nothing was seen."""

    end: int
    """The first clock hour that isn't in it (epoch hours, UTC)."""
    use: NDArray[np.float32]
    exposure: NDArray[np.float32]
    """In hours, 0 to 1."""
    since: int | None = None
    """The clock hour of the first known usage, if it is before the window."""
    bursts: tuple[Burst, ...] = ()
    """The bursts, the oldest first; `hour` is the clock hour. Those within the window are found again at each fit."""

    def moved_to(self, end: int, hours: Iterable[tuple[int, float, float]] = ()) -> "UseWindow":
        """Return the window that ends at `end` (not earlier than now), with what was booked since then.

        `hours` are (epoch hour, usage, exposure in seconds); each replaces the hour in the window. Hours outside the
        window are ignored.
        """
        shift = min(end - self.end, WINDOW_HOURS)
        use = np.zeros(WINDOW_HOURS, np.float32)
        exposure = np.zeros(WINDOW_HOURS, np.float32)
        use[: WINDOW_HOURS - shift] = self.use[shift:]
        exposure[: WINDOW_HOURS - shift] = self.exposure[shift:]
        for hour, used, seconds in hours:
            i = hour - end + WINDOW_HOURS
            if 0 <= i < WINDOW_HOURS:
                use[i] = used
                exposure[i] = min(seconds / SECONDS_PER_HOUR, 1.0)
        begun = self.begun
        return replace(
            self, end=end, use=use, exposure=exposure, since=begun if begun < end - WINDOW_HOURS else None
        )

    @property
    def begun(self) -> int:
        """The clock hour of the first known usage; `end` if there is none."""
        if self.since is not None:
            return self.since
        used = np.flatnonzero(self.use)
        return self.end - WINDOW_HOURS + int(used[0]) if used.size else self.end

    def with_bursts(self, found: Iterable[Burst]) -> "UseWindow":
        """Return the window with the bursts that were found in it; older ones are kept for `REMEMBERED_HOURS`."""
        first = self.end - WINDOW_HOURS
        kept = [burst for burst in self.bursts if self.end - REMEMBERED_HOURS <= burst.hour < first]
        return replace(
            self,
            bursts=(*kept, *found)[-_MOST_BURSTS:],
            since=None if self.since is None else max(self.since, self.end - REMEMBERED_HOURS),
        )


def empty_window(end: int) -> UseWindow:
    """Return a window without data."""
    return UseWindow(
        end=end,
        use=np.zeros(WINDOW_HOURS, np.float32),
        exposure=np.zeros(WINDOW_HOURS, np.float32),
    )


def encode_window(window: UseWindow) -> bytes:
    """Return the window as bytes: 1-2 KB for a balance in use. Exposure is rounded to 1/240 of an hour."""
    seen = np.flatnonzero(window.exposure + window.use)
    start = int(seen[0]) if seen.size else WINDOW_HOURS
    use = np.rint(window.use[start:])
    kind = "<u2" if not use.size or use.max() < 2**16 else "<f4"
    body = use.astype(kind).tobytes() + np.rint(window.exposure[start:] * 240).astype(np.uint8).tobytes()
    bursts = b"".join(_BURST.pack(*burst) for burst in window.bursts)
    head = _HEAD.pack(
        _VERSION + (0 if kind == "<u2" else 128), len(window.bursts), start, window.end, window.since or 0
    )
    return head + bursts + zlib.compress(body, 1)


def decode_window(blob: bytes) -> UseWindow | None:
    """Return the window, or None if another version wrote it: then it must be built again from the roll-up."""
    if not blob or blob[0] & 127 != _VERSION:
        return None
    version, num_bursts, start, end, since = _HEAD.unpack_from(blob)
    body_at = _HEAD.size + num_bursts * _BURST.size
    bursts = tuple(Burst(*kept) for kept in _BURST.iter_unpack(blob[_HEAD.size : body_at]))
    body = zlib.decompress(blob[body_at:])
    kind, width = ("<f4", 4) if version & 128 else ("<u2", 2)
    count = WINDOW_HOURS - start
    use = np.zeros(WINDOW_HOURS, np.float32)
    exposure = np.zeros(WINDOW_HOURS, np.float32)
    use[start:] = np.frombuffer(body, kind, count)
    exposure[start:] = np.frombuffer(body, np.uint8, count, count * width) / np.float32(240)
    return UseWindow(end=end, use=use, exposure=exposure, since=since or None, bursts=bursts)


def hourly_use(
    at: NDArray[np.float64], balance: NDArray[np.float64], until: float
) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """Book one balance's readings by the rules of `usage.book_category`, vectorised.

    `at` are epoch seconds, ascending; NaN is an unallocated reading. Returns the epoch hour of the first element, then
    usage and exposure (in hours) per clock hour up to that of `until`, which is still open. Usage isn't rounded.
    """
    at, balance = without_wrong_readings(at, balance)
    change = np.diff(balance)
    seconds = np.diff(at)
    before, after = balance[:-1], balance[1:]
    refund = (change > 0) & (change <= np.minimum(MAX_REFUND, before * MAX_REFUND_SHARE))
    seen = (change <= 0) | refund
    use = np.where(seen & (change < 0), -change, 0.0)
    exposed = np.where(seen & (before > 0), np.where(after == 0, seconds / 2, seconds), 0.0)
    first, last = int(at[0] // SECONDS_PER_HOUR), int(until // SECONDS_PER_HOUR)
    edges = np.arange(first, last + 2, dtype=np.float64) * SECONDS_PER_HOUR
    total_use = np.interp(edges, at, np.concatenate([[0.0], np.cumsum(use)]))
    total_exposed = np.interp(edges, at, np.concatenate([[0.0], np.cumsum(exposed)]))
    return first, np.diff(total_use), np.diff(total_exposed) / SECONDS_PER_HOUR


def without_wrong_readings(
    at: NDArray[np.float64], balance: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leave out single readings that the next one reverses (`usage.is_taken_back`) within two hours."""
    if len(at) < 3:
        return at, balance
    before, between, after = balance[:-2], balance[1:-1], balance[2:]
    change, rest = np.abs(between - before), before - after
    wrong = (
        (before > 0)
        & (change > np.maximum(MAX_REFUND, before * MAX_REFUND_SHARE))
        & (rest >= 0)
        & (rest <= np.minimum(CORRECTED_TO * change, before / 2))
        & (at[2:] - at[:-2] <= MAX_CORRECTION_SECONDS)
    )
    if not wrong.any():
        return at, balance
    last = -2
    for place in np.flatnonzero(wrong).tolist():
        # of two in a row, the second one is the correction of the first
        wrong[place] = place != last + 1
        last = place if wrong[place] else last
    kept = np.concatenate([[True], ~wrong, [True]])
    return at[kept], balance[kept]

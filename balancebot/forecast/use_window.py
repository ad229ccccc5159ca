"""The last 35 days of one balance: use and exposure per clock hour. All that the estimate ever looks at.

A window holds closed hours only and is derived: it can be built anew from the hourly roll-up at any time.
"""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from balancebot.domain.usage import MAX_REFUND, MAX_REFUND_SHARE, SECONDS_PER_HOUR

WINDOW_HOURS = 35 * 24

_VERSION = 1
_HEAD = struct.Struct("<BxHI")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UseWindow:
    """`use[i]` messages were used in `exposure[i]` of hour `end - 840 + i`; both are 0 where nothing was seen."""

    end: int
    """The first clock hour that isn't in it: epoch hours, UTC."""
    use: NDArray[np.float32]
    exposure: NDArray[np.float32]
    """Hours, 0 to 1."""

    def moved_to(self, end: int, hours: Iterable[tuple[int, float, float]] = ()) -> "UseWindow":
        """Return the window that ends at `end` (never earlier), with what was booked since.

        `hours` are (epoch hour, use, exposure in seconds); each replaces what the window had, if anything.
        Hours outside the window are ignored.
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
        return UseWindow(end=end, use=use, exposure=exposure)


def empty_window(end: int) -> UseWindow:
    """Return a window in which nothing was seen."""
    return UseWindow(
        end=end, use=np.zeros(WINDOW_HOURS, np.float32), exposure=np.zeros(WINDOW_HOURS, np.float32)
    )


def encode_window(window: UseWindow) -> bytes:
    """Return the window as bytes: 1-2 KB for a balance in use. Exposure is kept to 1/240 of an hour."""
    seen = np.flatnonzero(window.exposure + window.use)
    start = int(seen[0]) if seen.size else WINDOW_HOURS
    use = np.rint(window.use[start:])
    kind = "<u2" if not use.size or use.max() < 2**16 else "<f4"
    body = use.astype(kind).tobytes() + np.rint(window.exposure[start:] * 240).astype(np.uint8).tobytes()
    return _HEAD.pack(_VERSION + (0 if kind == "<u2" else 128), start, window.end) + zlib.compress(body, 1)


def decode_window(blob: bytes) -> UseWindow | None:
    """Return the window, or None if it was written by another version: build it anew from the roll-up."""
    version, start, end = _HEAD.unpack_from(blob)
    if version & 127 != _VERSION:
        return None
    body = zlib.decompress(blob[_HEAD.size :])
    kind, width = ("<f4", 4) if version & 128 else ("<u2", 2)
    count = WINDOW_HOURS - start
    use = np.zeros(WINDOW_HOURS, np.float32)
    exposure = np.zeros(WINDOW_HOURS, np.float32)
    use[start:] = np.frombuffer(body, kind, count)
    exposure[start:] = np.frombuffer(body, np.uint8, count, count * width) / np.float32(240)
    return UseWindow(end=end, use=use, exposure=exposure)


def hourly_use(
    at: NDArray[np.float64], balance: NDArray[np.float64], until: float
) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """Book one balance's readings by the rules of `usage.book_category`, all at once.

    `at` are epoch seconds, rising; NaN is an unallocated reading. Returns the epoch hour of the first element, then
    use and exposure (hours) per clock hour up to the one of `until`, which is still open. Use isn't rounded.
    """
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

"""Which hour of the local week a clock hour is: use follows the wall clock, over changes of the clocks too.

Clock hours are whole hours since 1970 in UTC. Where the zone's offset isn't whole (Kolkata), a clock hour counts
as the local hour in which its middle lies.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

HOURS_OF_WEEK = 168
_BLOCK = 1024
"""Clock hours per cached table: about six weeks."""


def hours_of_week(zone: str, first: int, count: int) -> NDArray[np.int16]:
    """Return the hour of the week (0 = Monday 00:00, to 167) of `count` clock hours from `first` on."""
    blocks = range(first // _BLOCK, (first + count - 1) // _BLOCK + 1)
    table = np.concatenate([_block(zone, block) for block in blocks])
    start = first - blocks[0] * _BLOCK
    return table[start : start + count]


@lru_cache(maxsize=64)
def _block(zone: str, block: int) -> NDArray[np.int16]:
    local = ZoneInfo(zone)
    middle = datetime.fromtimestamp(block * _BLOCK * 3600, UTC) + timedelta(minutes=30)
    hours = np.empty(_BLOCK, np.int16)
    for i in range(_BLOCK):
        at = (middle + timedelta(hours=i)).astimezone(local)
        hours[i] = at.weekday() * 24 + at.hour
    hours.setflags(write=False)
    return hours

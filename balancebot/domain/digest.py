"""When a digest is due: cron in local time, and each local time once, whatever the clocks do there.

A local time that doesn't exist (clocks went forward) is due at the next that does; one that comes twice is due the
first time. What was missed is due for half a day, and only the latest of it: a digest says how things stand now.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim

from balancebot.domain.local_time import first_instant

MISSED_FOR = timedelta(hours=12)
"""How long a slot that was missed may still be made up for."""
LATE_AFTER = timedelta(minutes=15)
"""From when on a digest says that it is late."""

_MOST_OVERLAP = timedelta(hours=3)
_MOST_SLOTS_AHEAD = 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One local time at which a digest is due."""

    local: str
    """`2026-11-23T09:00`: the slot's name, unique per digest."""
    at: datetime
    """The instant from which on it is due, in UTC."""

    def is_late(self, now: datetime) -> bool:
        """Tell whether the digest must say that it comes late."""
        return now - self.at > LATE_AFTER


def latest_slot(cron: str, zone: ZoneInfo, *, now: datetime) -> Slot | None:
    """Return the latest slot of `cron` (checked before) that is due at `now`, if it isn't older than half a day.

    0 and 7 are Sunday, as in every cron; names and ranges too.
    """
    # Slots are walked backwards in naive local time, from beyond an hour that may come twice.
    local = (now.astimezone(zone) + _MOST_OVERLAP).replace(tzinfo=None)
    for slot in islice(CronSim(cron, local, reverse=True), _MOST_SLOTS_AHEAD):
        at = first_instant(slot, zone)
        if at <= now:
            return Slot(local=slot.isoformat(timespec="minutes"), at=at) if now - at < MISSED_FOR else None
    return None

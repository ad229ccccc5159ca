"""When a digest is due: a cron expression in local time. Each local time counts once, also when the clocks change.

A local time that doesn't exist (clocks went forward) is due at the next one that does; one that occurs twice is due the
first time. A missed digest stays due for half a day, and only the latest one: a digest shows the present state.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim

from balancebot.domain.local_time import first_instant

MISSED_FOR = timedelta(hours=12)
"""How long after its time a missed slot may still be sent."""
LATE_AFTER = timedelta(minutes=15)
"""A digest that is later than this says so."""

_MOST_OVERLAP = timedelta(hours=3)
_MOST_SLOTS_AHEAD = 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One local time at which a digest is due."""

    local: str
    """`2026-11-23T09:00`: the slot's name, unique per digest."""
    at: datetime
    """When it becomes due, in UTC."""

    def is_late(self, now: datetime) -> bool:
        """Return whether the digest must say that it is late."""
        return now - self.at > LATE_AFTER


def latest_slot(cron: str, zone: ZoneInfo, *, now: datetime) -> Slot | None:
    """Return the latest slot of `cron` (already validated) that is due at `now` and less than half a day old.

    As in every cron, 0 and 7 are Sunday, also in ranges; names of days work too.
    """
    # Go backwards through the slots in naive local time. Start late enough to include an hour that occurs twice.
    local = (now.astimezone(zone) + _MOST_OVERLAP).replace(tzinfo=None)
    for slot in islice(CronSim(cron, local, reverse=True), _MOST_SLOTS_AHEAD):
        at = first_instant(slot, zone)
        if at <= now:
            return Slot(local=slot.isoformat(timespec="minutes"), at=at) if now - at < MISSED_FOR else None
    return None

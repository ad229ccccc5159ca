"""How one delivery lives: its states, when it is tried again, when it is given up, how long it is doubted.

Everything here is arithmetic on values; `now` is given. What these figures promise stands in docs/delivery.md.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from balancebot.domain.notification import Receipt

GIVE_UP_AFTER = timedelta(hours=24)
"""How long a delivery is tried, from its first attempt."""
GIVE_UP_ATTEMPTS = 50
"""How often it is tried at the least: a bot that was off for a day, or a clock that jumped, gives up nothing."""

_FIRST_DELAYS = (1, 2, 4, 8)
_DELAYS = (
    # while the first attempt is younger than this, it is tried again after so long; an attempt itself lasts up
    # to 10 s, and two of them shall be no more than 30 s apart in the first minutes
    (timedelta(minutes=10), timedelta(seconds=15)),
    (timedelta(hours=1), timedelta(minutes=1)),
)
_SLOWEST = timedelta(minutes=5)

_CLOCK_SLACK = timedelta(hours=2)
"""How far apart this machine's clock and the other side's may be when a message is looked for."""
CLOCK_JUMP = timedelta(minutes=1)
"""An instant of our own that lies further ahead than this was written before the clock was set back."""

_VERIFICATIONS = (timedelta(minutes=1), timedelta(minutes=10))
"""How long after it settled a delivery that had been in doubt is looked for again, to delete what stands twice."""


class DeliveryState(StrEnum):
    """Where one delivery stands. The last three are settled."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    GAVE_UP = "gave_up"
    SUPERSEDED = "superseded"
    """Another delivery carries what this one would have told, or it isn't true any more."""


class Outcome(StrEnum):
    """What came of one attempt, where it wasn't a failure of the channel."""

    DELIVERED = "delivered"
    FOUND = "found"
    """It was in doubt, and it stands."""
    NOT_FOUND = "not_found"
    """It was in doubt, and it doesn't stand."""
    TAKEN_OVER = "taken_over"
    """The process that was sending it is dead or frozen: in doubt from here on."""


def retry_delay(attempts: int, age: timedelta) -> timedelta:
    """Return how long to wait after the `attempts`-th failure, `age` after the first attempt."""
    if attempts <= len(_FIRST_DELAYS):
        return timedelta(seconds=_FIRST_DELAYS[attempts - 1])
    return next((delay for limit, delay in _DELAYS if age < limit), _SLOWEST)


def is_hopeless(attempts: int, age: timedelta) -> bool:
    """Return whether a delivery that failed `attempts` times in `age` is given up."""
    return attempts >= GIVE_UP_ATTEMPTS and age >= GIVE_UP_AFTER


def is_due(next_attempt_at: datetime, last_touched_at: datetime, now: datetime) -> bool:
    """Return whether a delivery may be tried; a clock that was set back doesn't make it wait."""
    return next_attempt_at <= now or last_touched_at > now + CLOCK_JUMP


def look_since(first_attempt_at: datetime) -> datetime:
    """Return how far back a message is looked for that may stand since `first_attempt_at`."""
    return first_attempt_at - _CLOCK_SLACK


def next_verification(settled_at: datetime, now: datetime) -> datetime | None:
    """Return when a delivery that had been in doubt is looked for next; None when it was often enough."""
    return next((settled_at + after for after in _VERIFICATIONS if settled_at + after > now), None)


def surplus(found: Sequence[Receipt], stands_at: str | None) -> Sequence[Receipt]:
    """Return what stands twice of the messages `found` for one delivery, oldest first.

    `stands_at` is the ref of the one that is kept; the oldest is where that one is gone. None: another delivery
    carries the news, so none is kept.
    """
    if stands_at is None or not found:
        return found
    refs = [receipt.ref for receipt in found]
    kept = refs.index(stands_at) if stands_at in refs else 0
    return [receipt for position, receipt in enumerate(found) if position != kept]

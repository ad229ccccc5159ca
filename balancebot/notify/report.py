"""What a pass over the outbox did, collected from the threads that work on its destinations."""

import threading
from dataclasses import dataclass
from datetime import datetime

from balancebot.domain.delivery import DeliveryState, Outcome
from balancebot.ports import ChannelErrorKind


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptReport:
    """One attempt at one delivery, and what came of it."""

    at: datetime
    channel: str
    destination: str
    delivery_id: str
    alert_id: str
    """The alert's (or the group's) id; '' for messages of no alert."""
    number: int
    outcome: Outcome | ChannelErrorKind
    state: DeliveryState | None
    """Where the delivery stands now; None when another worker has taken it over."""
    message: str = ""
    may_stand_twice: bool = False
    """It was sent again without knowing whether it had arrived: the channel can't look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverReport:
    """What was tried since the last report."""

    attempts: tuple[AttemptReport, ...] = ()
    withdrawn: int = 0
    """Messages that stood twice and were deleted."""
    faults: tuple[str, ...] = ()
    """What went wrong on our side or while looking for duplicates, one line each; nothing is lost by it."""
    num_pending: int | None = None
    """Deliveries that still wait; None when it wasn't asked or can't be known."""


class DeliverNotes:
    """Collects what happens in several threads until it is reported."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._attempts: list[AttemptReport] = []
        self._faults: list[str] = []
        self._withdrawn = 0

    def attempt(self, attempt: AttemptReport) -> None:
        """Note an attempt."""
        with self._lock:
            self._attempts.append(attempt)

    def fault(self, message: str) -> None:
        """Note a fault."""
        with self._lock:
            self._faults.append(message)

    def withdrawal(self) -> None:
        """Note that a message which stood twice was deleted."""
        with self._lock:
            self._withdrawn += 1

    def report(self, *, num_pending: int | None = None) -> DeliverReport:
        """Return what was noted since the last report."""
        with self._lock:
            report = DeliverReport(
                attempts=tuple(self._attempts),
                withdrawn=self._withdrawn,
                faults=tuple(self._faults),
                num_pending=num_pending,
            )
            self._attempts, self._faults, self._withdrawn = [], [], 0
        return report

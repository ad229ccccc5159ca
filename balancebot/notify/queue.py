"""The queue of one destination: its messages are sent one after another, and each outcome is stored, by one worker.

No transaction is open while a message is sent. The outcome of one message and the claim of the next are stored in one
transaction, so that the worker always holds a claim and no other one sends to the destination.
"""

import logging
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from balancebot.domain.delivery import (
    MAX_QUICK_REPEATS,
    DeliveryMethod,
    DeliveryState,
    Outcome,
    QueuedDelivery,
    Step,
    duplicates,
)
from balancebot.domain.message import (
    Action,
    ChannelFailureMessage,
    Message,
    MessageRef,
    NoticeMessage,
    OutgoingMessage,
    TestMessage,
)
from balancebot.domain.routing import Destination
from balancebot.domain.sentence import sentence
from balancebot.ports import Channel as ChannelPort
from balancebot.ports import ChannelError, ChannelErrorKind, Clock
from balancebot.store import channel_failures, deliveries, living_messages, outbox, queues
from balancebot.store.database import Database
from balancebot.store.deliveries import ClaimedDelivery, SettledDelivery
from balancebot.store.errors import DatabaseError

log = logging.getLogger(__name__)

_BATCH = 5
"""How many messages are sent by one plan. An alert that opens or worsens meanwhile waits at most for these."""
_OUTAGE = frozenset({ChannelErrorKind.UNREACHABLE, ChannelErrorKind.IN_DOUBT, ChannelErrorKind.SERVER})
_REFUSED = frozenset({ChannelErrorKind.AUTH, ChannelErrorKind.NO_SUCH_DESTINATION})
_MAX_OUTAGES = 2
"""After this many failures in a row that look like an outage, the destination is left until its next turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptReport:
    """One attempt at one delivery, and its outcome."""

    at: datetime
    channel: str
    destination: str
    delivery_id: str
    alert_id: str
    """The alert's (or the group's) id; '' for messages of no alert."""
    number: int
    outcome: Outcome | ChannelErrorKind
    state: DeliveryState | None
    """The delivery's state now; None if another worker has taken it over."""
    message: str = ""
    may_stand_twice: bool = False
    """It was sent again without knowing whether it had arrived, because the channel can't search for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverReport:
    """The attempts since the last report."""

    attempts: tuple[AttemptReport, ...] = ()
    deleted: int = 0
    """How many duplicates were deleted."""
    faults: tuple[str, ...] = ()
    """Internal faults, and faults of the search for duplicates, one line each; no message is lost by them."""
    num_pending: int | None = None
    """Deliveries that still wait; None if that wasn't counted."""


class DeliverNotes:
    """Collects what happens in the threads until it is reported."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._attempts: list[AttemptReport] = []
        self._faults: list[str] = []
        self._deleted = 0

    def attempt(self, attempt: AttemptReport) -> None:
        """Note an attempt."""
        with self._lock:
            self._attempts.append(attempt)

    def fault(self, message: str) -> None:
        """Note a fault."""
        with self._lock:
            self._faults.append(message)

    def deletion(self) -> None:
        """Note that a duplicate was deleted."""
        with self._lock:
            self._deleted += 1

    def report(self, *, num_pending: int | None = None) -> DeliverReport:
        """Return what was noted since the last report."""
        with self._lock:
            report = DeliverReport(
                attempts=tuple(self._attempts),
                deleted=self._deleted,
                faults=tuple(self._faults),
                num_pending=num_pending,
            )
            self._attempts, self._faults, self._deleted = [], [], 0
        return report


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """The outcome of one message, until it is stored. `answer` None: it was searched for and doesn't exist."""

    claimed: ClaimedDelivery
    answer: MessageRef | ChannelError | None
    duplicates: tuple[MessageRef, ...] = ()
    may_stand_twice: bool = False

    @property
    def outcome(self) -> Outcome | ChannelErrorKind:
        """The outcome in one word."""
        match self.answer:
            case ChannelError() as error:
                return error.kind
            case None:
                return Outcome.NOT_FOUND
            case MessageRef():
                was_sent = not self.claimed.in_doubt or self.may_stand_twice
                return Outcome.DELIVERED if was_sent else Outcome.FOUND


class DestinationQueue:
    """Sends to one destination until nothing is due there, or until it can't be reached."""

    def __init__(
        self,
        destination: Destination,
        *,
        database: Database,
        channel: ChannelPort,
        clock: Clock,
        worker_id: str,
        group_over: int,
        others: Sequence[Destination],
        notes: DeliverNotes,
        is_closing: Callable[[], bool],
    ) -> None:
        """`others` are notified if this destination fails; `is_closing` ends the work after the present message."""
        self.destination = destination
        self._database = database
        self._channel = channel
        self._clock = clock
        self._worker_id = worker_id
        self._group_over = group_over
        self._others = others
        self._notes = notes
        self._is_closing = is_closing
        self._steps: deque[Step] = deque()
        self._tried: set[tuple[str, DeliveryMethod]] = set()
        self._outages = 0
        self._has_left = False
        self.unsaved: AttemptResult | None = None
        """The outcome that isn't stored yet; nothing else is sent to the destination before it is."""
        self.notified: set[Destination] = set()
        """The other destinations to which the failure of this one is reported."""

    def run(self) -> None:
        """Send everything that is due, each delivery once; then search for duplicates."""
        try:
            while not self._has_ended() and (current := self._open()) is not None:
                while current is not None:
                    self.unsaved = self._attempt(current)
                    self._decide_whether_to_continue(self.unsaved)
                    current = self.save()
            if not self._is_closing():
                self._verify()
        except DatabaseError as error:
            self._has_left = True
            self._notes.fault(str(error.message))

    def save(self) -> ClaimedDelivery | None:
        """Store the last outcome; claim and return the next message of the plan, unless the work has ended.

        Raises DatabaseError if the database can't be written; then call it again later. An outcome that can't be stored
        because of a bug is stored as a failure in doubt instead, so that it doesn't block the messages after it.
        """
        result = self.unsaved
        if result is None:
            return None
        now = self._clock.now()
        try:
            settled, upcoming = self._store(result, now)
        except DatabaseError:
            raise
        except Exception as error:
            log.exception("deliver.internal_error")
            result = replace(result, answer=_internal_error(error), duplicates=())
            self._has_left = True
            self.unsaved = None  # if this fails too, the claim is taken over like that of a dead process
            settled, upcoming = self._store(result, now)
        self.unsaved = None
        self._report(result, settled.state, now)
        for ref in (*result.duplicates, *((settled.duplicate,) if settled.duplicate else ())):
            self._delete(ref)
        return upcoming

    def _store(self, result: AttemptResult, now: datetime) -> tuple[SettledDelivery, ClaimedDelivery | None]:
        with self._database.write() as conn:
            return self._settle(conn, result, now), None if self._has_ended() else self._claim_next(conn, now)

    def _open(self) -> ClaimedDelivery | None:
        """Plan the queue and claim the first message; None if nothing is due, or another worker serves the queue."""
        now, can = self._clock.now(), self._channel.capabilities
        with self._database.write() as conn:
            allowed = _BATCH
            if can.rate is not None:
                # don't plan what may not be sent yet: meanwhile more deliveries can be combined
                allowed = min(_BATCH, deliveries.num_allowed(conn, self.destination, can.rate, now=now))
            self._steps.clear()
            if allowed == 0:
                return None
            plan = queues.open_queue(
                conn,
                self.destination,
                worker_id=self._worker_id,
                group_over=sys.maxsize if can.one_by_one else self._group_over,
                can_edit=can.can_edit,
                has_threads=can.has_threads,
                now=now,
            )
            ready = () if plan is None else plan.ready(now)
            self._steps = deque([step for step in ready if _key(step) not in self._tried][:allowed])
            return self._claim_next(conn, now)

    def _claim_next(self, conn: Connection, now: datetime) -> ClaimedDelivery | None:
        while self._steps:
            step = self._steps.popleft()
            current = queues.claim(conn, self.destination, step, worker_id=self._worker_id, now=now)
            if current is not None:
                self._tried.add(_key(step))
                return current
        return None

    def _attempt(self, current: ClaimedDelivery) -> AttemptResult:
        if not current.in_doubt:
            outgoing = current.outgoing
            return AttemptResult(
                claimed=current, answer=self._send(outgoing), may_stand_twice=outgoing.may_stand_twice
            )
        found = self._find(current)
        match found:
            case ChannelError(kind=ChannelErrorKind.REJECTED):
                again = replace(current.outgoing, may_stand_twice=True)
                return AttemptResult(claimed=current, answer=self._send(again), may_stand_twice=True)
            case ChannelError():
                return AttemptResult(claimed=current, answer=found)
            case []:
                return AttemptResult(claimed=current, answer=None)
            case [first, *more]:
                return AttemptResult(claimed=current, answer=first, duplicates=tuple(more))
        raise AssertionError(found)

    def _send(self, outgoing: OutgoingMessage) -> MessageRef | ChannelError:
        def holds_claim() -> bool:
            try:
                with self._database.read() as conn:
                    return deliveries.holds_claim(
                        conn, outgoing.delivery_id, worker_id=self._worker_id, now=self._clock.now()
                    )
            except DatabaseError:
                return False

        try:
            return self._channel.send(outgoing, holds_claim=holds_claim)
        except Exception as error:
            # a bug must neither lose the message nor stop the queue
            log.exception("deliver.internal_error")
            return _internal_error(error)

    def _find(self, current: ClaimedDelivery) -> Sequence[MessageRef] | ChannelError:
        if not self._channel.capabilities.can_find:
            return ChannelError(
                kind=ChannelErrorKind.REJECTED, message=sentence("this channel can't look for its messages")
            )
        try:
            found = self._channel.find(current.outgoing, after=current.stood_before)
        except Exception as error:
            log.exception("deliver.internal_error")
            return _internal_error(error)
        return found if isinstance(found, ChannelError) else list(found)

    def _settle(self, conn: Connection, result: AttemptResult, now: datetime) -> SettledDelivery:
        current, worker_id = result.claimed, self._worker_id
        match result.answer:
            case None:
                return deliveries.not_found(conn, current, worker_id=worker_id, now=now)
            case MessageRef() as ref:
                channel_failures.clear(conn, self.destination, subject=current.about)
                if current.outgoing.action is Action.EDIT:
                    age = living_messages.age(conn, current.subject, self.destination, now)
                    channel_failures.clear_uneditable(conn, self.destination, age=age)
                outcome = Outcome(result.outcome)
                return deliveries.arrived(conn, current, ref, outcome=outcome, worker_id=worker_id, now=now)
            case ChannelError() as error:
                can_look = self._channel.capabilities.can_find and not result.may_stand_twice
                settled = deliveries.failed(
                    conn, current, error, can_look=can_look, worker_id=worker_id, now=now
                )
                self._notify_others(conn, current, error, settled, now)
                return settled

    def _notify_others(
        self,
        conn: Connection,
        current: ClaimedDelivery,
        error: ChannelError,
        settled: SettledDelivery,
        now: datetime,
    ) -> None:
        """Record a permanent failure, a give-up, a long delay or repeated doubt, and report it once through others."""
        if error.kind is ChannelErrorKind.NOT_EDITABLE:
            age = living_messages.age(conn, current.subject, self.destination, now)
            if channel_failures.record_uneditable(
                conn, self.destination, age=age, message=error.message, now=now
            ):
                self._enqueue_for_others(conn, _uneditable(self.destination, error, now), now)
            return
        gave_up = settled.state is DeliveryState.GAVE_UP
        is_still_in_doubt = settled.num_doubts > MAX_QUICK_REPEATS
        is_edit = current.outgoing.action is Action.EDIT and error.kind is ChannelErrorKind.REJECTED
        # the person who sends a test sees its result
        is_test = isinstance(current.outgoing.message, TestMessage)
        if is_edit or is_test or not (error.needs_attention or gave_up or is_still_in_doubt):
            return
        kind = ChannelErrorKind.NO_SUCH_DESTINATION if gave_up else error.kind
        new = channel_failures.record(
            conn, self.destination, kind=kind, subject=current.about, message=error.message, now=now
        )
        if new:
            channel, address = self.destination
            failure = ChannelFailureMessage(
                at=now, channel=channel, destination=address, message=error.message
            )
            self._enqueue_for_others(conn, failure, now)

    def _enqueue_for_others(self, conn: Connection, message: Message, now: datetime) -> None:
        self.notified.update(self._others)
        outbox.enqueue_plain(conn, message=message, destinations=self._others, now=now)

    def _decide_whether_to_continue(self, result: AttemptResult) -> None:
        """End the work if the destination can't be reached; after a rate limit, drop the steps of that kind."""
        error = result.answer
        if not isinstance(error, ChannelError):
            self._outages = 0
            return
        self._outages = self._outages + 1 if error.kind in _OUTAGE else 0
        self._has_left = self._has_left or error.kind in _REFUSED or self._outages >= _MAX_OUTAGES
        if error.kind is ChannelErrorKind.RATE_LIMITED:
            paused = result.claimed.method
            self._steps = deque(step for step in self._steps if step.method is not paused)
        elif error.kind is ChannelErrorKind.NOT_EDITABLE:
            self._steps.clear()  # replies are planned instead

    def _verify(self) -> None:
        """Search once more for deliveries that had been in doubt, and delete duplicates."""
        with self._database.write() as conn:
            due = queues.due_verifications(conn, self.destination, now=self._clock.now())
        for claimed in due:
            found = self._find(claimed)
            if isinstance(found, ChannelError) and found.kind is not ChannelErrorKind.REJECTED:
                self._notes.fault(f"{self.destination.channel}: looking for duplicates: {found.message}")
                continue
            refs = () if isinstance(found, ChannelError) else found
            if all(self._delete(ref) for ref in duplicates(refs, claimed.delivered_ref)):
                with self._database.write() as conn:
                    deliveries.verified(conn, claimed, now=self._clock.now())

    def _delete(self, ref: MessageRef) -> bool:
        try:
            error = self._channel.delete(ref)
        except Exception as fault:
            log.exception("deliver.internal_error")
            error = _internal_error(fault)
        if error is None:
            self._notes.deletion()
        else:
            self._notes.fault(f"{self.destination.channel}: deleting a duplicate: {error.message}")
        return error is None

    def _report(self, result: AttemptResult, state: DeliveryState | None, now: datetime) -> None:
        outgoing = result.claimed.outgoing
        self._notes.attempt(
            AttemptReport(
                at=now,
                channel=self.destination.channel,
                destination=self.destination.address,
                delivery_id=outgoing.delivery_id,
                alert_id=outgoing.alert_id,
                number=outgoing.attempt,
                outcome=result.outcome,
                state=state,
                message=str(result.answer.message) if isinstance(result.answer, ChannelError) else "",
                may_stand_twice=result.may_stand_twice,
            )
        )

    def _has_ended(self) -> bool:
        return self._has_left or self._is_closing()


def _key(step: Step) -> tuple[str, DeliveryMethod]:
    return (step.id if isinstance(step, QueuedDelivery) else step.carrier.id), step.method


def _uneditable(destination: Destination, error: ChannelError, now: datetime) -> NoticeMessage:
    return NoticeMessage(
        at=now,
        title=sentence("Older messages in %(destination)s can't be edited", destination=destination.address),
        lines=(
            sentence("%(error)s.", error=error.message),
            sentence(
                "Nothing is lost: what changes is sent as a reply to such a message. But the message itself keeps showing "
                "the alert as it was before."
            ),
        ),
    )


def _internal_error(error: Exception) -> ChannelError:
    return ChannelError(
        kind=ChannelErrorKind.IN_DOUBT,
        message=sentence("unexpected error: %(name)s", name=type(error).__name__),
    )

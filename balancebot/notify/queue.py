"""One worker in one destination: sends what is due there, one message after the other, and keeps what came of each.

No transaction is open while something is sent. What came of one message and the claim of the next are one
transaction: while the destination is worked on it always holds a claim, so nobody else sends there.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from balancebot.domain.delivery import (
    DeliveryMethod,
    DeliveryState,
    Outcome,
    QueuedDelivery,
    Step,
    surplus,
)
from balancebot.domain.message import ChannelFailureFacts, MessageRef, OutgoingMessage
from balancebot.domain.routing import Destination
from balancebot.notify.report import AttemptReport, DeliverNotes
from balancebot.ports import Channel as ChannelPort
from balancebot.ports import ChannelError, ChannelErrorKind, Clock
from balancebot.store import channel_failures, outbox, outcomes, queues, sending
from balancebot.store.database import Database
from balancebot.store.errors import DatabaseError
from balancebot.store.outcomes import Settled
from balancebot.store.sending import ClaimedDelivery

log = logging.getLogger(__name__)

_AT_ONCE = 20
"""How many messages are sent by one plan: what opens meanwhile waits no longer than for these."""
_OUTAGE = frozenset({ChannelErrorKind.UNREACHABLE, ChannelErrorKind.IN_DOUBT, ChannelErrorKind.SERVER})
_REFUSED = frozenset({ChannelErrorKind.AUTH, ChannelErrorKind.NO_SUCH_DESTINATION})
_STRIKES = 2
"""After so many failures of an outage's kind in a row the destination is left alone until its next turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one message, until the database has it. No receipt and no error: it was looked for in vain."""

    sending: ClaimedDelivery
    outcome: MessageRef | ChannelError | None
    surplus: tuple[MessageRef, ...] = ()
    may_stand_twice: bool = False

    @property
    def word(self) -> Outcome | ChannelErrorKind:
        """The outcome in one word."""
        match self.outcome:
            case ChannelError() as error:
                return error.kind
            case None:
                return Outcome.NOT_FOUND
            case MessageRef():
                was_sent = not self.sending.in_doubt or self.may_stand_twice
                return Outcome.DELIVERED if was_sent else Outcome.FOUND


class DestinationQueue:
    """The work on one destination until nothing is due there, or its destination can't be reached."""

    def __init__(
        self,
        destination: Destination,
        *,
        database: Database,
        channel: ChannelPort,
        clock: Clock,
        worker_id: str,
        group_over: int,
        instead: Sequence[Destination],
        notes: DeliverNotes,
        is_closing: Callable[[], bool],
    ) -> None:
        self.destination = destination
        self._database = database
        self._channel = channel
        self._clock = clock
        self._worker_id = worker_id
        self._group_over = group_over
        self._instead = instead
        self._notes = notes
        self._is_closing = is_closing
        self._steps: deque[Step] = deque()
        self._begun: set[tuple[str, DeliveryMethod]] = set()
        self._strikes = 0
        self._has_left = False
        self.unsaved: Result | None = None
        """What the database couldn't be told; nothing else happens in the destination until it was."""

    def run(self) -> None:
        """Send everything that is due, each delivery once; then look for what may stand twice."""
        try:
            while not self._is_over() and (current := self._begin()) is not None:
                while current is not None:
                    self.unsaved = self._attempt(current)
                    self._judge(self.unsaved)
                    current = self.save()
            if not self._is_closing():
                self._verify()
        except DatabaseError as error:
            self._has_left = True
            self._notes.fault(error.message)

    def save(self) -> ClaimedDelivery | None:
        """Tell the database what came of the last message; claim the next one of the plan, unless it is over."""
        result = self.unsaved
        if result is None:
            return None
        now = self._clock.now()
        with self._database.write() as conn:
            settled = self._settle(conn, result, now)
            upcoming = None if self._is_over() else self._start(conn, now)
        self.unsaved = None
        self._report(result, settled.state, now)
        for receipt in (*result.surplus, *((settled.surplus,) if settled.surplus else ())):
            self._withdraw(receipt)
        return upcoming

    def _begin(self) -> ClaimedDelivery | None:
        """Plan the destination and claim the first message; None when nothing is due, or somebody else is at it."""
        now = self._clock.now()
        with self._database.write() as conn:
            plan = queues.open_queue(
                conn,
                self.destination,
                worker_id=self._worker_id,
                group_over=self._group_over,
                can_edit=self._channel.capabilities.can_edit,
                now=now,
            )
            ready = (
                [] if plan is None else [step for step in plan.ready(now) if _key(step) not in self._begun]
            )
            self._steps = deque(ready[:_AT_ONCE])
            return self._start(conn, now)

    def _start(self, conn: Connection, now: datetime) -> ClaimedDelivery | None:
        while self._steps:
            step = self._steps.popleft()
            current = sending.start(conn, self.destination, step, worker_id=self._worker_id, now=now)
            if current is not None:
                self._begun.add(_key(step))
                return current
        return None

    def _attempt(self, current: ClaimedDelivery) -> Result:
        if not current.in_doubt:
            return Result(sending=current, outcome=self._deliver(current.parcel))
        found = self._look(current)
        if isinstance(found, ChannelError):
            if found.kind is not ChannelErrorKind.REJECTED:
                return Result(sending=current, outcome=found)
            parcel = replace(current.parcel, may_stand_twice=True)
            return Result(sending=current, outcome=self._deliver(parcel), may_stand_twice=True)
        if not found:
            return Result(sending=current, outcome=None)
        return Result(sending=current, outcome=found[0], surplus=tuple(found[1:]))

    def _deliver(self, parcel: OutgoingMessage) -> MessageRef | ChannelError:
        def still_mine() -> bool:
            try:
                with self._database.read() as conn:
                    return sending.is_mine(
                        conn, parcel.delivery_id, worker_id=self._worker_id, now=self._clock.now()
                    )
            except DatabaseError:
                return False

        try:
            return self._channel.deliver(parcel, still_mine=still_mine)
        except Exception as error:
            # our own bug must neither lose the message nor stop the destination
            log.exception("deliver.internal_error")
            return ChannelError(
                kind=ChannelErrorKind.IN_DOUBT, message=f"internal error: {type(error).__name__}"
            )

    def _look(self, current: ClaimedDelivery) -> Sequence[MessageRef] | ChannelError:
        try:
            return self._channel.look_for(current.parcel, since=current.look_since)
        except Exception as error:
            log.exception("deliver.internal_error")
            return ChannelError(
                kind=ChannelErrorKind.IN_DOUBT, message=f"internal error: {type(error).__name__}"
            )

    def _settle(self, conn: Connection, result: Result, now: datetime) -> Settled:
        current, mine = result.sending, self._worker_id
        match result.outcome:
            case None:
                return outcomes.not_found(conn, current, worker_id=mine, now=now)
            case MessageRef() as receipt:
                channel_failures.clear(conn, self.destination, subject=current.about)
                return outcomes.arrived(
                    conn, current, receipt, outcome=Outcome(result.word), worker_id=mine, now=now
                )
            case ChannelError() as error:
                settled = outcomes.failed(conn, current, error, worker_id=mine, now=now)
                self._complain(conn, current, error, settled.state, now)
                return settled

    def _complain(
        self,
        conn: Connection,
        current: ClaimedDelivery,
        error: ChannelError,
        state: DeliveryState | None,
        now: datetime,
    ) -> None:
        """Keep in mind what is refused for good, or was given up, and let the other channel tell it, once."""
        gave_up = state is DeliveryState.GAVE_UP
        if not (error.permanent or gave_up):
            return
        kind = ChannelErrorKind.NO_SUCH_DESTINATION if gave_up else error.kind
        new = channel_failures.arise(
            conn, self.destination, kind=kind, subject=current.about, message=error.message, now=now
        )
        if new:
            channel, address = self.destination
            outbox.enqueue_plain(
                conn,
                facts=ChannelFailureFacts(
                    at=now, channel=channel, destination=address, message=error.message
                ),
                destinations=self._instead,
                dedup_key=f"trouble:{channel}:{address}:{now.isoformat()}",
                now=now,
            )

    def _judge(self, result: Result) -> None:
        """Leave the destination when its destination can't be reached; spare it what it asked us to spare."""
        error = result.outcome
        if not isinstance(error, ChannelError):
            self._strikes = 0
            return
        self._strikes = self._strikes + 1 if error.kind in _OUTAGE else 0
        self._has_left = self._has_left or error.kind in _REFUSED or self._strikes >= _STRIKES
        if error.kind is ChannelErrorKind.RATE_LIMITED:
            spared = result.sending.method
            self._steps = deque(step for step in self._steps if step.method is not spared)

    def _verify(self) -> None:
        """Look once more for what had been in doubt, and delete what stands twice."""
        with self._database.write() as conn:
            due = sending.due_verifications(conn, self.destination, now=self._clock.now())
        for each in due:
            found = self._look(each)
            if isinstance(found, ChannelError) and found.kind is not ChannelErrorKind.REJECTED:
                self._notes.fault(f"{self.destination.channel}: looking for duplicates: {found.message}")
                continue
            receipts = () if isinstance(found, ChannelError) else found
            if all(self._withdraw(receipt) for receipt in surplus(receipts, each.stands_at)):
                with self._database.write() as conn:
                    sending.verified(conn, each, now=self._clock.now())

    def _withdraw(self, receipt: MessageRef) -> bool:
        error = self._channel.withdraw(receipt)
        if error is None:
            self._notes.withdrawal()
        else:
            self._notes.fault(f"{self.destination.channel}: deleting what stands twice: {error.message}")
        return error is None

    def _report(self, result: Result, state: DeliveryState | None, now: datetime) -> None:
        parcel = result.sending.parcel
        self._notes.attempt(
            AttemptReport(
                at=now,
                channel=self.destination.channel,
                destination=self.destination.address,
                delivery_id=parcel.delivery_id,
                alert_id=parcel.alert_id,
                number=parcel.attempt,
                outcome=result.word,
                state=state,
                message=result.outcome.message if isinstance(result.outcome, ChannelError) else "",
                may_stand_twice=result.may_stand_twice,
            )
        )

    def _is_over(self) -> bool:
        return self._has_left or self._is_closing()


def _key(step: Step) -> tuple[str, DeliveryMethod]:
    return (step.id if isinstance(step, QueuedDelivery) else step.carrier.id), step.method

"""The rows of deliveries: what came of each attempt, what is carried by another, what is looked for again.

Only the worker that claimed a delivery settles it; one that comes late, because it was frozen and replaced, learns which
message to delete.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select, update

from balancebot.domain.delivery import (
    MAX_QUICK_REPEATS,
    DeliveryMethod,
    DeliveryState,
    Outcome,
    QueuedDelivery,
    is_hopeless,
    next_verification,
    repeat_delay,
    retry_delay,
)
from balancebot.domain.message import (
    Action,
    AlertMessage,
    GroupMessage,
    Message,
    MessageRef,
    OutgoingMessage,
    merged,
)
from balancebot.domain.routing import Destination
from balancebot.domain.sentence import NO_SENTENCE, Sentence
from balancebot.ports import ChannelError, ChannelErrorKind, SendRate
from balancebot.store import living_messages, outbox, workers
from balancebot.store.tables import attempts, deliveries, notifications

_RATE_WITHIN = timedelta(minutes=1)
_LATEST = 500
"""How many attempts, at all destinations, are looked through for those of the last minute."""
_STANDS_ELSEWHERE = (DeliveryState.DELIVERED, DeliveryState.SUPERSEDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedDelivery:
    """A delivery that this worker has claimed, with the message that is sent for it."""

    outgoing: OutgoingMessage
    subject: str
    """Whose living message it makes, answers or edits; '' for a message of no alert."""
    group_id: str | None
    first_attempt_at: datetime
    in_doubt: bool
    stands_at: str | None
    """The ref of its message, once it was delivered."""
    stood_before: MessageRef | None = None
    """In doubt: a message that stood at the destination before this one was first tried."""

    @property
    def about(self) -> str:
        """What it is about: an alert, a group, or only itself."""
        return self.subject or self.outgoing.delivery_id

    @property
    def method(self) -> DeliveryMethod:
        """What is being done at the destination."""
        if self.in_doubt:
            return DeliveryMethod.FIND
        return DeliveryMethod.EDIT if self.outgoing.action is Action.EDIT else DeliveryMethod.SEND


_MESSAGE = func.coalesce(deliveries.c.message, notifications.c.message)


def note_attempt(
    conn: Connection,
    delivery_id: str,
    *,
    outcome: Outcome | ChannelErrorKind,
    message: Sentence = NO_SENTENCE,
    now: datetime,
) -> None:
    """Keep what came of one attempt."""
    conn.execute(
        insert(attempts).values(delivery_id=delivery_id, at=now, outcome=outcome.value, message=message)
    )


def take_over(conn: Connection, ids: Sequence[str], *, now: datetime) -> None:
    """Free what a dead process was sending: it may have arrived, so it is in doubt; an edit can be made twice."""
    for delivery_id in ids:
        note_attempt(conn, delivery_id, outcome=Outcome.TAKEN_OVER, now=now)
    conn.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(ids))
        .values(
            state=DeliveryState.PENDING.value,
            in_doubt=or_(deliveries.c.in_doubt, deliveries.c.action != Action.EDIT),
            claimed_by=None,
            next_attempt_at=now,
        )
    )


def supersede(
    conn: Connection, superseded: Sequence[QueuedDelivery], *, by: str | None, now: datetime
) -> None:
    """Settle deliveries whose news another one carries, or (None) that have nothing left to do."""
    ids = [item.id for item in superseded if item.id != by]
    if not ids:
        return
    settled = {"state": DeliveryState.SUPERSEDED.value, "superseded_by": by, "settled_at": now}
    conn.execute(update(deliveries).where(deliveries.c.id.in_(ids)).values(settled))
    conn.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(ids), was_in_doubt(deliveries.c.id))
        .values(verify_at=next_verification(now, now))
    )


_DOUBTS = (ChannelErrorKind.IN_DOUBT.value, Outcome.TAKEN_OVER.value)


def was_in_doubt(delivery_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that some attempt of a delivery may have arrived without our knowing."""
    doubted = select(attempts.c.id).where(
        attempts.c.delivery_id == delivery_id, attempts.c.outcome.in_(_DOUBTS)
    )
    return doubted.exists()


def _num_doubts(conn: Connection, delivery_id: str) -> int:
    doubted = attempts.c.delivery_id == delivery_id, attempts.c.outcome.in_(_DOUBTS)
    return conn.execute(select(func.count()).select_from(attempts).where(*doubted)).scalar_one()


def num_allowed(conn: Connection, destination: Destination, rate: SendRate, *, now: datetime) -> int:
    """Return how many messages may be sent to a destination now, by all workers together."""
    latest = (
        select(attempts.c.delivery_id, attempts.c.at).order_by(attempts.c.id.desc()).limit(_LATEST).subquery()
    )
    sent_at = conn.scalars(
        select(latest.c.at)
        .join(deliveries, deliveries.c.id == latest.c.delivery_id)
        .where(
            deliveries.c.channel == destination.channel,
            deliveries.c.destination == destination.address,
            latest.c.at.between(now - _RATE_WITHIN, now),
        )
    ).all()
    if len(sent_at) < rate.burst:
        return rate.burst - len(sent_at)
    return 1 if max(sent_at) <= now - rate.gap else 0


def stood_before(conn: Connection, destination: Destination, delivery_id: str) -> MessageRef | None:
    """Return the last message that stood at a destination before a delivery was first tried; None if none is known.

    The order is the one in which attempts were stored: nothing is sent to a destination before the last outcome is.
    """
    first = select(func.min(attempts.c.id)).where(attempts.c.delivery_id == delivery_id).scalar_subquery()
    earlier = (
        select(attempts.c.id, attempts.c.delivery_id)
        .where(attempts.c.id < first, attempts.c.outcome.in_((Outcome.DELIVERED, Outcome.FOUND)))
        .order_by(attempts.c.id.desc())
        .limit(_LATEST)
        .subquery()
    )
    row = conn.execute(
        select(deliveries.c.channel_id, deliveries.c.ref)
        .join(earlier, deliveries.c.id == earlier.c.delivery_id)
        .where(
            deliveries.c.channel == destination.channel,
            deliveries.c.destination == destination.address,
            deliveries.c.action != Action.EDIT,
            deliveries.c.state == DeliveryState.DELIVERED,
        )
        .order_by(earlier.c.id.desc())
        .limit(1)
    ).first()
    return None if row is None else MessageRef(channel_id=row.channel_id, message_id=row.ref)


def message_of(conn: Connection, delivery_id: str) -> Message:
    """Return what the delivery sends: its notification's message, or what was merged into it."""
    message: Message = conn.execute(
        select(_MESSAGE).join(notifications).where(deliveries.c.id == delivery_id)
    ).scalar_one()
    return message


def latest_messages(
    conn: Connection, carried: Sequence[QueuedDelivery], *, delivered: bool
) -> list[AlertMessage]:
    """Return what `carried` say of each alert, as one message of each; a group's own say nothing of one alone.

    `delivered` tells whether this destination was told of the alerts before.
    """
    rows = conn.execute(
        select(deliveries.c.id, _MESSAGE.label("message"))
        .join(notifications)
        .where(deliveries.c.id.in_([delivery.id for delivery in carried if delivery.alert_id is not None]))
    )
    by_id = {row.id: row.message for row in rows}
    by_alert: dict[str, list[AlertMessage]] = {}
    for delivery in carried:
        message = by_id.get(delivery.id)
        if isinstance(message, AlertMessage):
            by_alert.setdefault(message.alert_id, []).append(message)
    return [merged(messages, delivered=delivered) for messages in by_alert.values()]


def holds_claim(conn: Connection, delivery_id: str, *, worker_id: str, now: datetime) -> bool:
    """Return whether the worker still holds the delivery: nobody has taken it over, nor may from now on."""
    held = select(deliveries.c.id).where(
        deliveries.c.id == delivery_id,
        deliveries.c.state == DeliveryState.SENDING,
        deliveries.c.claimed_by == worker_id,
    )
    return conn.execute(held).first() is not None and workers.is_alive(conn, worker_id, now=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledDelivery:
    """What became of a delivery; None when somebody else had taken it over, and `duplicate` is then to be deleted."""

    state: DeliveryState | None
    duplicate: MessageRef | None = None
    num_doubts: int = 0
    """At how many attempts it may have arrived, where nobody can look whether it did."""


def arrived(
    conn: Connection,
    claimed: ClaimedDelivery,
    ref: MessageRef,
    *,
    outcome: Outcome,
    worker_id: str,
    now: datetime,
) -> SettledDelivery:
    """Settle a delivery that stands; one that somebody else took over meanwhile leaves `ref` as a duplicate."""
    outgoing = claimed.outgoing
    note_attempt(conn, outgoing.delivery_id, outcome=outcome, now=now)
    is_ours = _release(
        conn,
        claimed,
        worker_id,
        {
            "state": DeliveryState.DELIVERED.value,
            "in_doubt": False,
            "settled_at": now,
            "channel_id": ref.channel_id,
            "ref": ref.message_id,
            "error_kind": None,
            "error_message": None,
        },
    )
    if not is_ours:
        return _too_late(conn, claimed, ref, now)
    conn.execute(
        update(deliveries)
        .where(
            deliveries.c.id == outgoing.delivery_id,
            deliveries.c.action != Action.EDIT,
            was_in_doubt(deliveries.c.id),
        )
        .values(verify_at=next_verification(now, now))
    )
    if claimed.subject and outgoing.action is Action.POST:
        living_messages.record_ref(conn, claimed.subject, claimed.outgoing.destination, ref, now)
    message = outgoing.message
    if isinstance(message, GroupMessage) and outgoing.action is not Action.EDIT:
        introduced = message.new or [member.alert_id for member in message.members]
        living_messages.mark_reachable(
            conn, [int(alert_id) for alert_id in introduced], claimed.outgoing.destination, now
        )
    return SettledDelivery(state=DeliveryState.DELIVERED)


def not_found(
    conn: Connection, claimed: ClaimedDelivery, *, worker_id: str, now: datetime
) -> SettledDelivery:
    """Free a delivery that was in doubt and doesn't stand: it may be sent, or merged, like any other."""
    note_attempt(conn, claimed.outgoing.delivery_id, outcome=Outcome.NOT_FOUND, now=now)
    changes = {
        "state": DeliveryState.PENDING.value,
        "in_doubt": False,
        "next_attempt_at": now,
        "error_kind": None,
    }
    is_ours = _release(conn, claimed, worker_id, changes)
    return SettledDelivery(state=DeliveryState.PENDING if is_ours else None)


def failed(
    conn: Connection,
    claimed: ClaimedDelivery,
    error: ChannelError,
    *,
    can_look: bool,
    worker_id: str,
    now: datetime,
) -> SettledDelivery:
    """Put a delivery off, or give it up when it was tried for long enough; what the error says of it is kept.

    What may have arrived is looked for before anything else of its alert is sent. Where nobody `can_look` it is repeated
    once; from then on it is repeated ever more rarely, and later news of its alert doesn't wait for it.
    """
    outgoing = claimed.outgoing
    note_attempt(conn, outgoing.delivery_id, outcome=error.kind, message=error.message, now=now)
    age = now - claimed.first_attempt_at
    delay = max(retry_delay(outgoing.attempt, age), error.wait)
    changes: dict[str, Any] = {
        "state": DeliveryState.PENDING.value,
        "error_kind": error.kind.value,
        "error_message": error.message,
        "next_attempt_at": now + delay,
    }
    is_gone = error.kind is ChannelErrorKind.MESSAGE_GONE and outgoing.thread is not None
    num_doubts = 0
    match error.kind:
        case ChannelErrorKind.LEASE_LOST:
            changes["next_attempt_at"] = now
        case ChannelErrorKind.MESSAGE_GONE if is_gone:
            changes["next_attempt_at"] = now
        case ChannelErrorKind.REJECTED if outgoing.action is Action.EDIT:
            # nothing was lost: whatever it would have shown was sent in a message of its own
            changes |= {"state": DeliveryState.GAVE_UP.value, "settled_at": now}
        case _ if is_hopeless(outgoing.attempt, age):
            changes |= {"state": DeliveryState.GAVE_UP.value, "settled_at": now}
        case ChannelErrorKind.IN_DOUBT if outgoing.action is not Action.EDIT:
            num_doubts = 0 if can_look else _num_doubts(conn, outgoing.delivery_id)
            changes["in_doubt"] = num_doubts < MAX_QUICK_REPEATS
            if num_doubts >= MAX_QUICK_REPEATS:
                changes["next_attempt_at"] = now + max(repeat_delay(num_doubts), error.wait)
        case _:
            pass
    if not _release(conn, claimed, worker_id, changes):
        return SettledDelivery(state=None)
    if is_gone:
        living_messages.mark_deleted(conn, claimed.subject, claimed.outgoing.destination)
    return SettledDelivery(state=DeliveryState(changes["state"]), num_doubts=num_doubts)


def _release(conn: Connection, claimed: ClaimedDelivery, worker_id: str, changes: dict[str, Any]) -> bool:
    claimed_row = update(deliveries).where(
        deliveries.c.id == claimed.outgoing.delivery_id,
        deliveries.c.state == DeliveryState.SENDING,
        deliveries.c.claimed_by == worker_id,
    )
    return conn.execute(claimed_row.values({**changes, "claimed_by": None})).rowcount == 1


def _too_late(conn: Connection, claimed: ClaimedDelivery, ref: MessageRef, now: datetime) -> SettledDelivery:
    """Return what to take back; an edit that came late may show what is past, so the latest one is made again."""
    outgoing = claimed.outgoing
    if outgoing.action is Action.EDIT:
        if claimed.group_id is not None:
            group = outbox.load_group(conn, claimed.group_id)
            outbox.enqueue_group(
                conn, group=group, destination=claimed.outgoing.destination, actions=[Action.EDIT], now=now
            )
        else:
            outbox.enqueue_refresh(
                conn, alert_id=int(outgoing.alert_id), destination=claimed.outgoing.destination, now=now
            )
        return SettledDelivery(state=None)
    row = conn.execute(
        select(deliveries.c.state, deliveries.c.ref).where(deliveries.c.id == outgoing.delivery_id)
    ).one()
    settled_without_it = row.state in _STANDS_ELSEWHERE and row.ref != ref.message_id
    return SettledDelivery(state=None, duplicate=ref if settled_without_it else None)


def verified(conn: Connection, looked_for: ClaimedDelivery, *, now: datetime) -> None:
    """Note that nothing stands twice; when it is looked for again, if ever, follows from when it settled."""
    this = deliveries.c.id == looked_for.outgoing.delivery_id
    settled_at = conn.execute(select(deliveries.c.settled_at).where(this)).scalar_one()
    conn.execute(update(deliveries).where(this).values(verify_at=next_verification(settled_at, now)))


def give_up_destination(
    conn: Connection, destination: Destination, *, message: Sentence, now: datetime
) -> None:
    """Give up all that waits for a destination which can't be reached any more."""
    here = and_(deliveries.c.channel == destination.channel, deliveries.c.destination == destination.address)
    conn.execute(update(deliveries).where(here, deliveries.c.verify_at.is_not(None)).values(verify_at=None))
    given_up = {
        "state": DeliveryState.GAVE_UP.value,
        "settled_at": now,
        "claimed_by": None,
        "error_kind": None,
        "error_message": message,
    }
    conn.execute(update(deliveries).where(here, deliveries.c.settled_at.is_(None)).values(given_up))

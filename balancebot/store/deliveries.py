"""The rows of deliveries: the outcome of attempts, deliveries carried by others, and the search for duplicates.

Only the worker that claimed a delivery settles it. A worker that is late, because it was frozen and replaced, gets the
message that it must delete.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select, update

from balancebot.domain.alert import ENDINGS
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
"""How many of the latest attempts, at all destinations, are searched."""
_SENT_OTHERWISE = (DeliveryState.DELIVERED, DeliveryState.SUPERSEDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedDelivery:
    """A delivery that this worker has claimed, with the message that is sent for it."""

    outgoing: OutgoingMessage
    subject: str
    """The subject whose living message it posts, replies to or edits; '' if it isn't about an alert."""
    group_id: str | None
    first_attempt_at: datetime
    in_doubt: bool
    delivered_ref: str | None
    """The ref of its message, if it was delivered."""
    stood_before: MessageRef | None = None
    """In doubt: the last message that was at the destination before this one was first tried."""

    @property
    def about(self) -> str:
        """What it is about: an alert, a group, or only itself."""
        return self.subject or self.outgoing.delivery_id

    @property
    def method(self) -> DeliveryMethod:
        """The kind of request that is made."""
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
    """Store the outcome of one attempt."""
    conn.execute(
        insert(attempts).values(delivery_id=delivery_id, at=now, outcome=outcome.value, message=message)
    )


def take_over(conn: Connection, ids: Sequence[str], *, now: datetime) -> None:
    """Release what a dead process was sending. It may have arrived, so it is in doubt, except edits, which may repeat."""
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
    """Settle deliveries whose content another one carries, or (`by` None) which have become obsolete."""
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
    """Return the condition that any attempt of a delivery was in doubt."""
    in_doubt = select(attempts.c.id).where(
        attempts.c.delivery_id == delivery_id, attempts.c.outcome.in_(_DOUBTS)
    )
    return in_doubt.exists()


def _num_doubts(conn: Connection, delivery_id: str) -> int:
    in_doubt = attempts.c.delivery_id == delivery_id, attempts.c.outcome.in_(_DOUBTS)
    return conn.execute(select(func.count()).select_from(attempts).where(*in_doubt)).scalar_one()


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
    """Return the last message at a destination from before a delivery was first tried; None if none is known.

    The order of stored attempts counts: nothing is sent to a destination before the last outcome is stored.
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
    """Return the message that the delivery sends: its notification's, or a merged one."""
    message: Message = conn.execute(
        select(_MESSAGE).join(notifications).where(deliveries.c.id == delivery_id)
    ).scalar_one()
    return message


def latest_messages(
    conn: Connection, carried: Sequence[QueuedDelivery], *, delivered: bool
) -> list[AlertMessage]:
    """Return one merged message per alert of the `carried` deliveries; those of a group itself are skipped.

    `delivered`: this destination was notified of the alerts before.
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
    """Return whether the worker still holds the delivery: no other has taken it over, or may do so now."""
    held = select(deliveries.c.id).where(
        deliveries.c.id == delivery_id,
        deliveries.c.state == DeliveryState.SENDING,
        deliveries.c.claimed_by == worker_id,
    )
    return conn.execute(held).first() is not None and workers.is_alive(conn, worker_id, now=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledDelivery:
    """The new state of a delivery; None if another worker has taken it over, then `duplicate` must be deleted."""

    state: DeliveryState | None
    duplicate: MessageRef | None = None
    num_doubts: int = 0
    """How many of its attempts are in doubt, if the channel can't search for messages."""


def arrived(
    conn: Connection,
    claimed: ClaimedDelivery,
    ref: MessageRef,
    *,
    outcome: Outcome,
    worker_id: str,
    now: datetime,
) -> SettledDelivery:
    """Settle a delivered delivery. If another worker has taken it over meanwhile, `ref` may be a duplicate."""
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
    """Release a delivery in doubt that was not found: it may be sent or merged like any other."""
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
    """Postpone a delivery, or give it up if it was tried for long enough; the error is stored.

    A delivery in doubt is searched for before anything else about its alert is sent. If the channel can't search
    (`can_look` False), it is repeated once; then it is repeated more and more rarely, and later messages about its
    alert don't wait for it.
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
        case ChannelErrorKind.REJECTED | ChannelErrorKind.NOT_EDITABLE if outgoing.action is Action.EDIT:
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
    if error.kind is ChannelErrorKind.NOT_EDITABLE:
        _reply_instead(conn, claimed, now)
    return SettledDelivery(state=DeliveryState(changes["state"]), num_doubts=num_doubts)


def _reply_instead(conn: Connection, claimed: ClaimedDelivery, now: datetime) -> None:
    """Send what a refused edit would have shown as replies, unless replies say it already.

    The waiting replies about the end of an alert are sent to the channel too: the message above them doesn't show it.
    """
    destination = claimed.outgoing.destination
    here = and_(deliveries.c.channel == destination.channel, deliveries.c.destination == destination.address)
    edited = or_(
        deliveries.c.id == claimed.outgoing.delivery_id,
        deliveries.c.superseded_by == claimed.outgoing.delivery_id,
    )
    ended = select(notifications.c.id).where(notifications.c.reason.in_(ENDINGS))
    conn.execute(
        update(deliveries)
        .where(
            here,
            deliveries.c.alert_id.in_(select(deliveries.c.alert_id).where(edited)),
            deliveries.c.action != Action.EDIT,
            deliveries.c.state == DeliveryState.PENDING,
            deliveries.c.notification_id.in_(ended),
        )
        .values(broadcast=True)
    )
    sent_too = select(deliveries.c.notification_id).where(here, deliveries.c.action != Action.EDIT)
    conn.execute(
        update(deliveries)
        .where(
            edited,
            deliveries.c.action == Action.EDIT,
            deliveries.c.alert_id.is_not(None),
            deliveries.c.notification_id.not_in(sent_too),
        )
        .values(
            action=Action.REPLY,
            state=DeliveryState.PENDING,
            message=None,
            superseded_by=None,
            settled_at=None,
            next_attempt_at=now,
        )
    )


def _release(conn: Connection, claimed: ClaimedDelivery, worker_id: str, changes: dict[str, Any]) -> bool:
    claimed_row = update(deliveries).where(
        deliveries.c.id == claimed.outgoing.delivery_id,
        deliveries.c.state == DeliveryState.SENDING,
        deliveries.c.claimed_by == worker_id,
    )
    return conn.execute(claimed_row.values({**changes, "claimed_by": None})).rowcount == 1


def _too_late(conn: Connection, claimed: ClaimedDelivery, ref: MessageRef, now: datetime) -> SettledDelivery:
    """Return the duplicate to delete, if any. A late edit may show an old state, so the latest one is enqueued again."""
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
    settled_without_it = row.state in _SENT_OTHERWISE and row.ref != ref.message_id
    return SettledDelivery(state=None, duplicate=ref if settled_without_it else None)


def verified(conn: Connection, claimed: ClaimedDelivery, *, now: datetime) -> None:
    """Record that there are no duplicates; the next search, if any, depends on when the delivery was settled."""
    this = deliveries.c.id == claimed.outgoing.delivery_id
    settled_at = conn.execute(select(deliveries.c.settled_at).where(this)).scalar_one()
    conn.execute(update(deliveries).where(this).values(verify_at=next_verification(settled_at, now)))


def give_up_destination(
    conn: Connection, destination: Destination, *, message: Sentence, now: datetime
) -> None:
    """Give up everything that waits for a destination whose channel no longer exists."""
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

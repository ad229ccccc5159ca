"""One delivery on its way: claimed, made into the message that is sent for it or looked for, and what came of it.

What the message says is settled when it is claimed, and kept: every further attempt sends the same unless it is merged
into a newer delivery. Only the worker that claimed a delivery settles it; one that comes late, because it was frozen and
replaced, learns which message to delete.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, func, select, update

from balancebot.domain.delivery import (
    DeliveryMethod,
    DeliveryState,
    Outcome,
    PlannedMessage,
    QueuedDelivery,
    Step,
    is_hopeless,
    look_since,
    next_verification,
    retry_delay,
)
from balancebot.domain.message import (
    Action,
    ChannelFailureMessage,
    GroupMessage,
    Message,
    MessageRef,
    OutgoingMessage,
    most_urgent,
    with_members,
)
from balancebot.domain.routing import Destination
from balancebot.ports import ChannelError, ChannelErrorKind
from balancebot.store import (
    channel_failures,
    deliveries,
    groups,
    living_messages,
    outbox,
    workers,
)
from balancebot.store.living_messages import LivingMessage
from balancebot.store.tables import deliveries as rows

_VERIFIED_FOR = timedelta(hours=1)
"""How long after it settled a delivery that can't be looked for is left at that."""
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

    @property
    def about(self) -> str:
        """What it is about: an alert, a group, or only itself."""
        return self.subject or self.outgoing.delivery_id

    @property
    def method(self) -> DeliveryMethod:
        """What is being done at the destination."""
        if self.in_doubt:
            return DeliveryMethod.LOOK
        return DeliveryMethod.EDIT if self.outgoing.action is Action.EDIT else DeliveryMethod.NEWS

    @property
    def look_since(self) -> datetime:
        """How far back its message is looked for."""
        return look_since(self.first_attempt_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Living:
    """The living message that a delivery makes or belongs to."""

    subject: str
    group_id: str | None
    living: LivingMessage


def claim(
    conn: Connection, destination: Destination, step: Step, *, worker_id: str, now: datetime
) -> ClaimedDelivery | None:
    """Claim what is to be sent, settling all else that it carries, or to be looked for; None if the plan is outdated."""
    if isinstance(step, QueuedDelivery):
        row = _claim(conn, step, worker_id, now, {})
        return None if row is None else _claimed_before(conn, destination, row)
    message = _living(conn, destination, step.carrier.alert_id, step.group_id)
    if (step.action is Action.POST) == (message.living.ref is not None):
        return None
    sent = _message(conn, step, delivered=message.living.told_at is not None, now=now)
    if isinstance(sent, ChannelFailureMessage) and not channel_failures.stands(conn, sent):
        # it was mended before anybody could be told
        deliveries.supersede(conn, step.carries, by=None, now=now)
        return None
    news = [each for each in step.carries if each.action is not Action.EDIT]
    spoken = most_urgent([each.reason for each in news])
    changes: dict[str, Any] = {
        "action": step.action.value,
        "broadcast": step.action is Action.REPLY
        and any(each.broadcast for each in news if each.reason is spoken),
    }
    if sent != deliveries.message_of(conn, step.carrier.id):
        changes["message"] = sent
    row = _claim(conn, step.carrier, worker_id, now, changes)
    if row is None:
        return None
    deliveries.supersede(conn, step.carries, by=step.carrier.id, now=now)
    return _claimed(conn, destination, row, message)


def due_verifications(
    conn: Connection, destination: Destination, *, now: datetime
) -> tuple[ClaimedDelivery, ...]:
    """Return what had been in doubt and is to be looked for once more, each claimed for a minute."""
    here = and_(rows.c.channel == destination.channel, rows.c.destination == destination.address)
    conn.execute(
        update(rows)
        .where(here, rows.c.verify_at <= now, rows.c.settled_at < now - _VERIFIED_FOR)
        .values(verify_at=None)
    )
    claimed = conn.execute(
        update(rows)
        .where(here, rows.c.verify_at <= now)
        .values(verify_at=now + timedelta(minutes=1))
        .returning(rows)
    ).all()
    return tuple(_claimed_before(conn, destination, row) for row in claimed)


def verified(conn: Connection, looked_for: ClaimedDelivery, *, now: datetime) -> None:
    """Note that nothing stands twice; when it is looked for again, if ever, follows from when it settled."""
    this = rows.c.id == looked_for.outgoing.delivery_id
    settled_at = conn.execute(select(rows.c.settled_at).where(this)).scalar_one()
    conn.execute(update(rows).where(this).values(verify_at=next_verification(settled_at, now)))


def holds_claim(conn: Connection, delivery_id: str, *, worker_id: str, now: datetime) -> bool:
    """Return whether the worker still holds the delivery: nobody has taken it over, nor may from now on."""
    held = select(rows.c.id).where(
        rows.c.id == delivery_id, rows.c.state == DeliveryState.SENDING, rows.c.claimed_by == worker_id
    )
    return conn.execute(held).first() is not None and workers.is_alive(conn, worker_id, now=now)


def _living(
    conn: Connection, destination: Destination, alert_id: int | None, group_id: str | None
) -> _Living:
    if group_id is not None:
        subject = living_messages.group_subject(group_id)
    else:
        subject = "" if alert_id is None else living_messages.alert_subject(alert_id)
    return _Living(
        subject=subject, group_id=group_id, living=living_messages.read(conn, [subject], destination)[subject]
    )


def _message(conn: Connection, send: PlannedMessage, *, delivered: bool, now: datetime) -> Message:
    """Return what is sent: the latest truth of all that is carried."""
    carrier = send.carrier
    if carrier.alert_id is None and send.group_id is None:
        return deliveries.message_of(conn, carrier.id)
    latest = deliveries.latest_messages(conn, send.carries, delivered=delivered)
    if send.group_id is None:
        return latest[0]
    if send.action is Action.REPLY and carrier.alert_id is not None:
        return latest[0]
    group = with_members(groups.load(conn, send.group_id), latest, now)
    if send.action is not Action.REPLY:
        # an answer that waited must not turn back what later edits have shown
        groups.save(conn, group)
    if send.action is Action.EDIT or not delivered:
        return group
    joined = [deliveries.message_of(conn, delivery.id) for delivery in send.carries]
    new = dict.fromkeys(
        alert_id for message in joined if isinstance(message, GroupMessage) for alert_id in message.new
    )
    return replace(group, new=tuple(new))


def _claim(
    conn: Connection, waiting: QueuedDelivery, worker_id: str, now: datetime, changes: dict[str, Any]
) -> Row[Any] | None:
    return conn.execute(
        update(rows)
        .where(rows.c.id == waiting.id, rows.c.state == DeliveryState.PENDING)
        .values(
            {
                **changes,
                "state": DeliveryState.SENDING.value,
                "claimed_by": worker_id,
                "claimed_at": now,
                "attempts": rows.c.attempts + 1,
                "first_attempt_at": func.coalesce(rows.c.first_attempt_at, now),
            }
        )
        .returning(rows)
    ).first()


def _claimed_before(conn: Connection, destination: Destination, row: Row[Any]) -> ClaimedDelivery:
    """Return the delivery as its last attempt sent it."""
    message = _living(conn, destination, row.alert_id, row.group_id)
    if message.living.group_id is not None and row.action != Action.POST:
        message = _living(conn, destination, None, message.living.group_id)
    return _claimed(conn, destination, row, message)


def _claimed(conn: Connection, destination: Destination, row: Row[Any], message: _Living) -> ClaimedDelivery:
    action = Action(row.action)
    of_group = message.group_id is not None and (row.alert_id is None or action is Action.EDIT)
    alert_id = message.group_id if of_group else row.alert_id
    outgoing = OutgoingMessage(
        delivery_id=row.id,
        alert_id="" if alert_id is None else str(alert_id),
        action=action,
        destination=destination,
        message=deliveries.message_of(conn, row.id),
        thread=None if action is Action.POST else message.living.ref,
        broadcast=row.broadcast,
        created_at=row.created_at,
        attempt=row.attempts,
    )
    return ClaimedDelivery(
        outgoing=outgoing,
        subject=message.subject,
        group_id=message.group_id,
        first_attempt_at=row.first_attempt_at,
        in_doubt=row.in_doubt,
        stands_at=row.ref if row.state == DeliveryState.DELIVERED else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledDelivery:
    """What became of a delivery; None when somebody else had taken it over, and `duplicate` is then to be deleted."""

    state: DeliveryState | None
    duplicate: MessageRef | None = None


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
    deliveries.note_attempt(conn, outgoing.delivery_id, outcome=outcome, now=now)
    mine = _release(
        conn,
        claimed,
        worker_id,
        {
            "state": DeliveryState.DELIVERED.value,
            "in_doubt": False,
            "settled_at": now,
            "room": ref.channel_id,
            "ref": ref.message_id,
            "error_kind": None,
            "error_message": None,
        },
    )
    if not mine:
        return _too_late(conn, claimed, ref, now)
    conn.execute(
        update(rows)
        .where(
            rows.c.id == outgoing.delivery_id,
            rows.c.action != Action.EDIT,
            deliveries.was_in_doubt(rows.c.id),
        )
        .values(verify_at=next_verification(now, now))
    )
    if claimed.subject and outgoing.action is Action.POST:
        living_messages.record_ref(conn, claimed.subject, claimed.outgoing.destination, ref, now)
    told = outgoing.message
    if isinstance(told, GroupMessage) and outgoing.action is not Action.EDIT:
        introduced = told.new or [member.alert_id for member in told.members]
        living_messages.mark_reachable(
            conn, [int(alert_id) for alert_id in introduced], claimed.outgoing.destination, now
        )
    return SettledDelivery(state=DeliveryState.DELIVERED)


def not_found(
    conn: Connection, claimed: ClaimedDelivery, *, worker_id: str, now: datetime
) -> SettledDelivery:
    """Free a delivery that was in doubt and doesn't stand: it may be sent, or merged, like any other."""
    deliveries.note_attempt(conn, claimed.outgoing.delivery_id, outcome=Outcome.NOT_FOUND, now=now)
    changes = {
        "state": DeliveryState.PENDING.value,
        "in_doubt": False,
        "next_attempt_at": now,
        "error_kind": None,
    }
    mine = _release(conn, claimed, worker_id, changes)
    return SettledDelivery(state=DeliveryState.PENDING if mine else None)


def failed(
    conn: Connection, claimed: ClaimedDelivery, error: ChannelError, *, worker_id: str, now: datetime
) -> SettledDelivery:
    """Put a delivery off, or give it up when it was tried for long enough; what the error says of it is kept."""
    outgoing = claimed.outgoing
    deliveries.note_attempt(
        conn, outgoing.delivery_id, outcome=error.kind, message=error.message.stored(), now=now
    )
    age = now - claimed.first_attempt_at
    delay = max(retry_delay(outgoing.attempt, age), error.wait)
    changes: dict[str, Any] = {
        "state": DeliveryState.PENDING.value,
        "error_kind": error.kind.value,
        "error_message": error.message.stored(),
        "next_attempt_at": now + delay,
    }
    is_gone = error.kind is ChannelErrorKind.MESSAGE_GONE and outgoing.thread is not None
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
            changes["in_doubt"] = True
        case _:
            pass
    if not _release(conn, claimed, worker_id, changes):
        return SettledDelivery(state=None)
    if is_gone:
        living_messages.mark_deleted(conn, claimed.subject, claimed.outgoing.destination)
    return SettledDelivery(state=DeliveryState(changes["state"]))


def _release(conn: Connection, claimed: ClaimedDelivery, worker_id: str, changes: dict[str, Any]) -> bool:
    mine = update(rows).where(
        rows.c.id == claimed.outgoing.delivery_id,
        rows.c.state == DeliveryState.SENDING,
        rows.c.claimed_by == worker_id,
    )
    return conn.execute(mine.values({**changes, "claimed_by": None})).rowcount == 1


def _too_late(conn: Connection, claimed: ClaimedDelivery, ref: MessageRef, now: datetime) -> SettledDelivery:
    """Return what to take back; an edit that came late may show what is past, so the latest one is made again."""
    outgoing = claimed.outgoing
    if outgoing.action is Action.EDIT:
        if claimed.group_id is not None:
            group = groups.load(conn, claimed.group_id)
            outbox.enqueue_group(
                conn, group=group, destination=claimed.outgoing.destination, actions=[Action.EDIT], now=now
            )
        else:
            outbox.enqueue_refresh(
                conn, alert_id=int(outgoing.alert_id), destination=claimed.outgoing.destination, now=now
            )
        return SettledDelivery(state=None)
    row = conn.execute(select(rows.c.state, rows.c.ref).where(rows.c.id == outgoing.delivery_id)).one()
    settled_without_it = row.state in _STANDS_ELSEWHERE and row.ref != ref.message_id
    return SettledDelivery(state=None, duplicate=ref if settled_without_it else None)

"""One delivery on its way: claimed, and made into the parcel that is sent for it or looked for.

What is told is settled at this moment, and kept: every further attempt sends the same unless it is merged into newer news.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, func, select, update

from balancebot.domain.delivery import (
    DeliveryMethod,
    DeliveryState,
    PlannedMessage,
    QueuedDelivery,
    Step,
    look_since,
    next_verification,
)
from balancebot.domain.message import (
    Action,
    ChannelFailureFacts,
    Facts,
    GroupFacts,
    OutgoingMessage,
    most_urgent,
    with_members,
)
from balancebot.domain.routing import Destination
from balancebot.store import channel_failures, deliveries, groups, living_messages, message_codec, workers
from balancebot.store.living_messages import LivingMessage
from balancebot.store.tables import deliveries as rows

_VERIFIED_FOR = timedelta(hours=1)
"""How long after it settled a delivery that can't be looked for is left at that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedDelivery:
    """A delivery that this worker has claimed, with the parcel that is sent for it."""

    destination: Destination
    parcel: OutgoingMessage
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
        return self.subject or self.parcel.delivery_id

    @property
    def method(self) -> DeliveryMethod:
        """What is being done at the destination."""
        if self.in_doubt:
            return DeliveryMethod.LOOK
        return DeliveryMethod.EDIT if self.parcel.action is Action.EDIT else DeliveryMethod.NEWS

    @property
    def look_since(self) -> datetime:
        """How far back its message is looked for."""
        return look_since(self.first_attempt_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Living:
    """The living message that a delivery makes or belongs to."""

    subject: str
    group_id: str | None
    thread: LivingMessage


def start(
    conn: Connection, destination: Destination, step: Step, *, worker_id: str, now: datetime
) -> ClaimedDelivery | None:
    """Claim what is to be sent, settling all else that it carries, or to be looked for; None if the plan is outdated."""
    if isinstance(step, QueuedDelivery):
        row = _claim(conn, step, worker_id, now, {})
        return None if row is None else _as_sent(conn, destination, row)
    message = _living(conn, destination, step.carrier.alert_id, step.group_id)
    if (step.action is Action.POST) == (message.thread.receipt is not None):
        return None
    told = _facts(conn, step, told=message.thread.told_at is not None, now=now)
    if isinstance(told, ChannelFailureFacts) and not channel_failures.stands(conn, told):
        # it was mended before anybody could be told
        deliveries.supersede(conn, step.carries, by=None, now=now)
        return None
    facts = message_codec.encode_facts(told)
    news = [each for each in step.carries if each.action is not Action.EDIT]
    spoken = most_urgent([each.reason for each in news])
    changes: dict[str, Any] = {
        "action": step.action.value,
        "broadcast": step.action is Action.REPLY
        and any(each.broadcast for each in news if each.reason is spoken),
    }
    if facts != deliveries.told(conn, step.carrier.id):
        changes["facts"] = facts
    row = _claim(conn, step.carrier, worker_id, now, changes)
    if row is None:
        return None
    deliveries.supersede(conn, step.carries, by=step.carrier.id, now=now)
    return _sending(conn, destination, row, message)


def due_verifications(
    conn: Connection, destination: Destination, *, now: datetime
) -> tuple[ClaimedDelivery, ...]:
    """Return what had been in doubt and is to be looked for once more, each claimed for a minute."""
    at_lane = and_(rows.c.channel == destination.channel, rows.c.destination == destination.address)
    conn.execute(
        update(rows)
        .where(at_lane, rows.c.verify_at <= now, rows.c.settled_at < now - _VERIFIED_FOR)
        .values(verify_at=None)
    )
    claimed = conn.execute(
        update(rows)
        .where(at_lane, rows.c.verify_at <= now)
        .values(verify_at=now + timedelta(minutes=1))
        .returning(rows)
    ).all()
    return tuple(_as_sent(conn, destination, row) for row in claimed)


def verified(conn: Connection, looked_for: ClaimedDelivery, *, now: datetime) -> None:
    """Note that nothing stands twice; when it is looked for again, if ever, follows from when it settled."""
    this = rows.c.id == looked_for.parcel.delivery_id
    settled_at = conn.execute(select(rows.c.settled_at).where(this)).scalar_one()
    conn.execute(update(rows).where(this).values(verify_at=next_verification(settled_at, now)))


def is_mine(conn: Connection, delivery_id: str, *, worker_id: str, now: datetime) -> bool:
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
        subject=subject, group_id=group_id, thread=living_messages.read(conn, [subject], destination)[subject]
    )


def _facts(conn: Connection, send: PlannedMessage, *, told: bool, now: datetime) -> Facts:
    """Return what is told: the latest truth of all that is carried."""
    carrier = send.carrier
    if carrier.alert_id is None and send.group_id is None:
        return message_codec.decode_facts(deliveries.told(conn, carrier.id))
    latest = deliveries.latest_news(conn, send.carries, heard=told)
    if send.group_id is None:
        return latest[0]
    if send.action is Action.REPLY and carrier.alert_id is not None:
        return latest[0]
    group = with_members(groups.load(conn, send.group_id), latest, now)
    if send.action is not Action.REPLY:
        # an answer that waited must not turn back what later edits have shown
        groups.save(conn, group)
    if send.action is Action.EDIT or not told:
        return group
    joined = [message_codec.decode_facts(deliveries.told(conn, each.id)) for each in send.carries]
    new = dict.fromkeys(
        alert_id for facts in joined if isinstance(facts, GroupFacts) for alert_id in facts.new
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


def _as_sent(conn: Connection, destination: Destination, row: Row[Any]) -> ClaimedDelivery:
    """Return the delivery as its last attempt sent it."""
    message = _living(conn, destination, row.alert_id, row.group_id)
    if message.thread.group_id is not None and row.action != Action.POST:
        message = _living(conn, destination, None, message.thread.group_id)
    return _sending(conn, destination, row, message)


def _sending(conn: Connection, destination: Destination, row: Row[Any], message: _Living) -> ClaimedDelivery:
    action = Action(row.action)
    of_group = message.group_id is not None and (row.alert_id is None or action is Action.EDIT)
    alert_id = message.group_id if of_group else row.alert_id
    parcel = OutgoingMessage(
        delivery_id=row.id,
        alert_id="" if alert_id is None else str(alert_id),
        action=action,
        destination=destination.address,
        facts=message_codec.decode_facts(deliveries.told(conn, row.id)),
        thread=None if action is Action.POST else message.thread.receipt,
        broadcast=row.broadcast,
        created_at=row.created_at,
        attempt=row.attempts,
    )
    return ClaimedDelivery(
        destination=destination,
        parcel=parcel,
        subject=message.subject,
        group_id=message.group_id,
        first_attempt_at=row.first_attempt_at,
        in_doubt=row.in_doubt,
        stands_at=row.ref if row.state == DeliveryState.DELIVERED else None,
    )

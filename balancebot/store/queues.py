"""The queues of destinations: one worker at a time plans a destination and claims its messages.

Planning locks the unsettled rows of a destination, and has no result while a living worker is sending there. So messages
keep their order, and nothing is merged while it is being sent, with any number of processes. Too many openings become
one message of a group, which later ones join. The content of a message is fixed when it is claimed: every further
attempt sends the same, unless it is merged into a newer delivery.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, and_, func, insert, not_, or_, select, union, update

from balancebot.domain import delivery as planning
from balancebot.domain.alert import Reason
from balancebot.domain.delivery import (
    CLOCK_JUMP,
    GROUP_STAYS_OPEN,
    DeliveryState,
    PlannedMessage,
    QueuedDelivery,
    QueuePlan,
    Step,
)
from balancebot.domain.message import (
    Action,
    ChannelFailureMessage,
    GroupMessage,
    Message,
    OutgoingMessage,
    most_urgent,
    with_members,
)
from balancebot.domain.routing import Destination
from balancebot.ports import ChannelErrorKind
from balancebot.store import alerts, channel_failures, deliveries, living_messages, outbox, workers
from balancebot.store.deliveries import ClaimedDelivery
from balancebot.store.living_messages import LivingMessage
from balancebot.store.tables import deliveries as rows
from balancebot.store.tables import groups, notifications

_WINDOW = 2000
"""How many of a destination's deliveries are planned at once, the oldest first."""
_VERIFIED_FOR = timedelta(hours=1)
"""How long after it settled a delivery is searched for at most, if the channel can't answer."""


def due_destinations(conn: Connection, *, worker_id: str, now: datetime) -> tuple[Destination, ...]:
    """Return the destinations where something may be due and no other living worker is sending."""
    columns = (rows.c.channel, rows.c.destination)
    waiting = select(*columns).where(
        rows.c.settled_at.is_(None),
        or_(
            rows.c.next_attempt_at <= now,
            func.coalesce(rows.c.claimed_at, rows.c.created_at) > now + CLOCK_JUMP,
        ),
        or_(rows.c.claimed_by == worker_id, workers.is_free(rows.c.claimed_by, now)),
    )
    to_verify = select(*columns).where(rows.c.verify_at <= now)
    found = conn.execute(union(waiting, to_verify).order_by("channel", "destination"))
    return tuple(Destination(row.channel, row.destination) for row in found)


def destinations_of_others(conn: Connection, *, worker_id: str, now: datetime) -> frozenset[Destination]:
    """Return the destinations where another living worker is sending."""
    found = conn.execute(
        select(rows.c.channel, rows.c.destination)
        .where(
            rows.c.settled_at.is_(None),
            rows.c.claimed_by != worker_id,
            not_(workers.is_free(rows.c.claimed_by, now)),
        )
        .distinct()
    )
    return frozenset(Destination(row.channel, row.destination) for row in found)


def open_queue(
    conn: Connection,
    destination: Destination,
    *,
    worker_id: str,
    group_over: int,
    can_edit: bool,
    has_threads: bool,
    now: datetime,
) -> QueuePlan | None:
    """Return what can be sent to the destination; None while another living worker is sending there.

    What a dead worker was sending is in doubt from now on, and so is what this worker left unfinished: it must not open
    a queue that it is still working on. Too many first messages are combined into a group here, and edits without a
    message are settled. The rows stay locked until the end of the transaction.
    """
    waiting = _locked(conn, destination, worker_id, now)
    if waiting is None:
        return None
    waiting = _without_acknowledged(conn, destination, waiting, now)
    plan = _planned(conn, destination, waiting, now)
    deliveries.supersede(conn, plan.obsolete, by=None, now=now)
    group_id = _open_group(conn, destination, now)
    post = next(
        (item for item in waiting if group_id and item.group_id == group_id and item.action is Action.POST),
        None,
    )
    if post is None and group_id and not _is_notified(conn, group_id, destination):
        group_id = None
    gathered = planning.to_gather(
        plan.sends, open_group=group_id, group_over=group_over, has_threads=has_threads
    )
    if not gathered:
        return plan
    if any(send.notified for send in gathered):
        # only new alerts may join an existing group
        post, group_id = None, None
    if post is not None and post.in_doubt:
        # it isn't known yet whether the group's message exists: until then nothing can join it
        return replace(plan, sends=tuple(send for send in plan.sends if send not in gathered))
    if group_id is None:
        _form_group(conn, destination, gathered, now=now)
    else:
        _join_group(conn, destination, gathered, group_id=group_id, post=post, can_edit=can_edit, now=now)
    return _planned(conn, destination, _locked(conn, destination, worker_id, now) or (), now)


def _locked(
    conn: Connection, destination: Destination, worker_id: str, now: datetime
) -> list[QueuedDelivery] | None:
    unsettled = and_(
        rows.c.channel == destination.channel,
        rows.c.destination == destination.address,
        rows.c.settled_at.is_(None),
    )
    found = conn.execute(
        select(rows, notifications.c.reason)
        .join(notifications)
        .where(unsettled)
        .order_by(rows.c.notification_id, rows.c.id)
        .limit(_WINDOW)
        .with_for_update(of=rows)
    ).all()
    # A query of its own: while the one above waited for its locks, another worker may have made a row and claimed it.
    others = conn.scalars(
        select(rows.c.claimed_by)
        .where(unsettled, rows.c.state == DeliveryState.SENDING, rows.c.claimed_by != worker_id)
        .distinct()
    )
    if any(workers.is_alive(conn, other, now=now) for other in others.all()):
        return None
    sending = [row for row in found if row.state == DeliveryState.SENDING]
    if sending:
        deliveries.take_over(conn, [row.id for row in sending], now=now)
    return [_waiting(row, now) for row in found]


def _without_acknowledged(
    conn: Connection, destination: Destination, waiting: list[QueuedDelivery], now: datetime
) -> list[QueuedDelivery]:
    """Settle escalations of alerts that were acknowledged or silenced before they could be sent.

    A destination that would first have been notified of the alert by the escalation isn't notified at all.
    """
    escalated = {item.alert_id for item in waiting if _escalates(item) and item.alert_id is not None}
    settled: list[QueuedDelivery] = []
    for alert_id in alerts.answered(conn, escalated) if escalated else ():
        subject = living_messages.alert_subject(alert_id)
        living = living_messages.read(conn, [subject], destination)[subject]
        about = [item for item in waiting if item.alert_id == alert_id]
        is_known = living.told_at is not None or living.group_id is not None
        if is_known or any(
            item.in_doubt or item.reason in {Reason.OPENED, Reason.WORSENED} for item in about
        ):
            settled += [item for item in about if _escalates(item)]
        else:
            settled += about
            living_messages.withdraw(conn, subject, destination)
    deliveries.supersede(conn, settled, by=None, now=now)
    return [item for item in waiting if item not in settled]


def _escalates(item: QueuedDelivery) -> bool:
    return item.reason is Reason.ESCALATED and not item.in_doubt


def _waiting(row: Any, now: datetime) -> QueuedDelivery:
    abandoned = row.state == DeliveryState.SENDING
    action = Action(row.action)
    return QueuedDelivery(
        id=row.id,
        order=row.notification_id,
        action=action,
        alert_id=row.alert_id,
        group_id=row.group_id,
        reason=None if row.reason is None else Reason(row.reason),
        broadcast=row.broadcast,
        together=row.together,
        in_doubt=row.in_doubt or (abandoned and action is not Action.EDIT),
        rate_limited=row.error_kind == ChannelErrorKind.RATE_LIMITED,
        next_attempt_at=now if abandoned else row.next_attempt_at,
        touched_at=row.claimed_at or row.created_at,
    )


def _planned(
    conn: Connection, destination: Destination, waiting: Sequence[QueuedDelivery], now: datetime
) -> QueuePlan:
    alert_ids = {item.alert_id for item in waiting if item.alert_id is not None}
    of_alerts = living_messages.read(
        conn, [living_messages.alert_subject(alert_id) for alert_id in alert_ids], destination
    )
    group_ids = {item.group_id for item in waiting if item.group_id is not None}
    group_ids |= {living.group_id for living in of_alerts.values() if living.group_id is not None}
    of_groups = living_messages.read(
        conn, [living_messages.group_subject(group_id) for group_id in group_ids], destination
    )
    return planning.plan_queue(
        waiting,
        {alert_id: of_alerts[living_messages.alert_subject(alert_id)].place for alert_id in alert_ids},
        {group_id: of_groups[living_messages.group_subject(group_id)].place for group_id in group_ids},
        now=now,
    )


def _is_notified(conn: Connection, group_id: str, destination: Destination) -> bool:
    subject = living_messages.group_subject(group_id)
    return living_messages.read(conn, [subject], destination)[subject].told_at is not None


def _open_group(conn: Connection, destination: Destination, now: datetime) -> str | None:
    """Return the group at the destination that is recent enough for openings to join it; None if there is none."""
    found: str | None = conn.execute(
        select(groups.c.id)
        .where(
            groups.c.channel == destination.channel,
            groups.c.destination == destination.address,
            groups.c.opened_at.between(now - GROUP_STAYS_OPEN, now + CLOCK_JUMP),
        )
        .order_by(groups.c.opened_at.desc())
        .limit(1)
    ).scalar()
    return found


def _form_group(
    conn: Connection, destination: Destination, gathered: Sequence[PlannedMessage], *, now: datetime
) -> None:
    """Replace the `gathered` messages by one message of a new group."""
    members = [
        message
        for is_delivered in (False, True)
        for message in deliveries.latest_messages(
            conn,
            _carried([send for send in gathered if send.notified is is_delivered]),
            delivered=is_delivered,
        )
    ]
    group = GroupMessage(group_id=uuid4().hex, at=now, members=tuple(members))
    conn.execute(
        insert(groups).values(
            id=group.group_id,
            channel=destination.channel,
            destination=destination.address,
            opened_at=now,
            message=group,
        )
    )
    living_messages.start(conn, [(living_messages.group_subject(group.group_id), destination)])
    post = outbox.enqueue_group(conn, group=group, destination=destination, actions=[Action.POST], now=now)
    _hand_over(conn, destination, gathered, group_id=group.group_id, by=post, now=now)


def _join_group(
    conn: Connection,
    destination: Destination,
    gathered: Sequence[PlannedMessage],
    *,
    group_id: str,
    post: QueuedDelivery | None,
    can_edit: bool,
    now: datetime,
) -> None:
    """Add the `gathered` messages to a group: to its `post` if that still waits, otherwise by a reply and an edit."""
    members = deliveries.latest_messages(conn, _carried(gathered), delivered=False)
    group = with_members(outbox.load_group(conn, group_id), members, now)
    outbox.save_group(conn, group)
    if post is not None:
        by = post.id
    else:
        reply = replace(group, new=tuple(member.alert_id for member in members))
        actions = [Action.REPLY, Action.EDIT] if can_edit else [Action.REPLY]
        by = outbox.enqueue_group(conn, group=reply, destination=destination, actions=actions, now=now)
    _hand_over(conn, destination, gathered, group_id=group_id, by=by, now=now)


def _hand_over(
    conn: Connection,
    destination: Destination,
    gathered: Sequence[PlannedMessage],
    *,
    group_id: str,
    by: str,
    now: datetime,
) -> None:
    carried = _carried(gathered)
    living_messages.join(
        conn, {item.alert_id for item in carried if item.alert_id is not None}, group_id, destination
    )
    deliveries.supersede(conn, carried, by=by, now=now)


def _carried(gathered: Sequence[PlannedMessage]) -> list[QueuedDelivery]:
    return [item for send in gathered for item in send.carries]


def claim(
    conn: Connection, destination: Destination, step: Step, *, worker_id: str, now: datetime
) -> ClaimedDelivery | None:
    """Claim a delivery to send, settling the others that it carries, or one to search for; None if the plan is outdated."""
    if isinstance(step, QueuedDelivery):
        row = _claim(conn, step, worker_id, now, {})
        return None if row is None else _claimed_before(conn, destination, row)
    message = _living(conn, destination, step.carrier.alert_id, step.group_id)
    if (step.action is Action.POST) == (message.living.ref is not None):
        return None
    if len(step.carries) > 1 and not _are_pending(conn, [item.id for item in step.carries]):
        return None
    sent = _message(conn, step, delivered=message.living.told_at is not None, now=now)
    if isinstance(sent, ChannelFailureMessage) and not channel_failures.is_current(conn, sent):
        # the failure ended before it could be reported
        deliveries.supersede(conn, step.carries, by=None, now=now)
        return None
    new = [item for item in step.carries if item.action is not Action.EDIT]
    shown = most_urgent([item.reason for item in new])
    changes: dict[str, Any] = {
        "action": step.action.value,
        "broadcast": step.action is Action.REPLY
        and any(item.broadcast for item in new if item.reason is shown),
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
    """Return the deliveries that had been in doubt and must be searched for once more, each claimed for a minute."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Living:
    """The living message that a delivery posts or belongs to."""

    subject: str
    group_id: str | None
    living: LivingMessage


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
    """Return the message to send: the carried ones merged, in their latest state."""
    carrier = send.carrier
    if carrier.alert_id is None and send.group_id is None:
        return deliveries.message_of(conn, carrier.id)
    latest = deliveries.latest_messages(conn, send.carries, delivered=delivered)
    if send.group_id is None:
        return latest[0]
    if send.action is Action.REPLY and carrier.alert_id is not None:
        return latest[0]
    group = with_members(outbox.load_group(conn, send.group_id), latest, now)
    if send.action is not Action.REPLY:
        # not for a reply: one that waited must not undo what later edits have shown
        outbox.save_group(conn, group)
    if send.action is Action.EDIT or not delivered:
        return group
    joined = [deliveries.message_of(conn, delivery.id) for delivery in send.carries]
    new = dict.fromkeys(
        alert_id for message in joined if isinstance(message, GroupMessage) for alert_id in message.new
    )
    return replace(group, new=tuple(new))


def _are_pending(conn: Connection, ids: Sequence[str]) -> bool:
    pending = select(func.count()).where(rows.c.id.in_(ids), rows.c.state == DeliveryState.PENDING)
    return conn.execute(pending).scalar_one() == len(ids)


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
    claimed = _claimed(conn, destination, row, message)
    return replace(claimed, stood_before=deliveries.stood_before(conn, destination, row.id))


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
        may_stand_twice=row.error_kind == ChannelErrorKind.IN_DOUBT
        and action is not Action.EDIT
        and not row.in_doubt,
    )
    return ClaimedDelivery(
        outgoing=outgoing,
        subject=message.subject,
        group_id=message.group_id,
        first_attempt_at=row.first_attempt_at,
        in_doubt=row.in_doubt,
        delivered_ref=row.ref if row.state == DeliveryState.DELIVERED else None,
    )

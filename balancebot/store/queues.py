"""Which destinations have something to be sent, and what: each is planned by one worker at a time.

Whoever plans a destination locks its unsettled rows, and finds nothing to do while a living worker is sending there. So the
order of news is kept and nothing is merged under a sender's hands, however many processes share the work.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, not_, or_, select, union

from balancebot.domain import delivery as planning
from balancebot.domain.alert import Reason
from balancebot.domain.delivery import CLOCK_JUMP, DeliveryState, QueuedDelivery, QueuePlan
from balancebot.domain.message import Action
from balancebot.domain.routing import Destination
from balancebot.ports import ChannelErrorKind
from balancebot.store import deliveries, groups, living_messages, workers
from balancebot.store.tables import deliveries as rows
from balancebot.store.tables import notifications

_WINDOW = 2000
"""How many of a destination's deliveries are planned at once, the oldest first."""


def due_destinations(conn: Connection, *, worker_id: str, now: datetime) -> tuple[Destination, ...]:
    """Return the destinations in which something may be due that no other living worker is sending."""
    columns = (rows.c.channel, rows.c.destination)
    waiting = select(*columns).where(
        rows.c.settled_at.is_(None),
        or_(
            rows.c.next_attempt_at <= now,
            func.coalesce(rows.c.claimed_at, rows.c.created_at) > now + CLOCK_JUMP,
        ),
        or_(rows.c.claimed_by == worker_id, workers.is_free(rows.c.claimed_by, now)),
    )
    doubted = select(*columns).where(rows.c.verify_at <= now)
    found = conn.execute(union(waiting, doubted).order_by("channel", "destination"))
    return tuple(Destination(row.channel, row.destination) for row in found)


def destinations_of_others(conn: Connection, *, worker_id: str, now: datetime) -> frozenset[Destination]:
    """Return the destinations in which another living worker is sending."""
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
    now: datetime,
) -> QueuePlan | None:
    """Return what can be sent to the destination; None while another living worker is sending there.

    What a dead worker was sending becomes in doubt, and so does what this one left behind: it opens no queue in which
    it is still at work. First messages that are too many are gathered into one here, and what has nothing to edit is
    settled. The rows stay locked until the end of the transaction.
    """
    waiting = _locked(conn, destination, worker_id, now)
    if waiting is None:
        return None
    plan = _planned(conn, destination, waiting, now)
    deliveries.supersede(conn, plan.obsolete, by=None, now=now)
    group_id = groups.young(conn, destination, now)
    post = next(
        (each for each in waiting if group_id and each.group_id == group_id and each.action is Action.POST),
        None,
    )
    if post is None and group_id and not _told(conn, group_id, destination):
        group_id = None
    firsts = planning.to_gather(plan.sends, open_group=group_id, group_over=group_over)
    if not firsts:
        return plan
    if post is not None and post.in_doubt:
        # whether the group's message stands is about to be known: until then nobody can join it
        return replace(plan, sends=tuple(send for send in plan.sends if send not in firsts))
    if group_id is None:
        groups.form(conn, destination, firsts, now=now)
    else:
        groups.join(conn, destination, firsts, group_id=group_id, post=post, can_edit=can_edit, now=now)
    return _planned(conn, destination, _locked(conn, destination, worker_id, now) or (), now)


def _locked(
    conn: Connection, destination: Destination, worker_id: str, now: datetime
) -> list[QueuedDelivery] | None:
    found = conn.execute(
        select(rows, notifications.c.reason)
        .join(notifications)
        .where(
            rows.c.channel == destination.channel,
            rows.c.destination == destination.address,
            rows.c.settled_at.is_(None),
        )
        .order_by(rows.c.notification_id, rows.c.id)
        .limit(_WINDOW)
        .with_for_update(of=rows)
    ).all()
    sending = [row for row in found if row.state == DeliveryState.SENDING]
    others = [row.claimed_by for row in sending if row.claimed_by != worker_id]
    if any(workers.is_alive(conn, other, now=now) for other in others):
        return None
    if sending:
        deliveries.take_over(conn, [row.id for row in sending], now=now)
    return [_waiting(row, now) for row in found]


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
        in_doubt=row.in_doubt or (abandoned and action is not Action.EDIT),
        rate_limited=row.error_kind == ChannelErrorKind.RATE_LIMITED,
        next_attempt_at=now if abandoned else row.next_attempt_at,
        touched_at=row.claimed_at or row.created_at,
    )


def _planned(
    conn: Connection, destination: Destination, waiting: Sequence[QueuedDelivery], now: datetime
) -> QueuePlan:
    alert_ids = {each.alert_id for each in waiting if each.alert_id is not None}
    alerts = living_messages.read(
        conn, [living_messages.alert_subject(alert_id) for alert_id in alert_ids], destination
    )
    group_ids = {each.group_id for each in waiting if each.group_id is not None}
    group_ids |= {thread.group_id for thread in alerts.values() if thread.group_id is not None}
    standing = living_messages.read(
        conn, [living_messages.group_subject(group_id) for group_id in group_ids], destination
    )
    return planning.plan_queue(
        waiting,
        {alert_id: alerts[living_messages.alert_subject(alert_id)].place for alert_id in alert_ids},
        {group_id: standing[living_messages.group_subject(group_id)].place for group_id in group_ids},
        now=now,
    )


def _told(conn: Connection, group_id: str, destination: Destination) -> bool:
    subject = living_messages.group_subject(group_id)
    return living_messages.read(conn, [subject], destination)[subject].told_at is not None

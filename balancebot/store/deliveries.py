"""The rows of deliveries and of what was tried for them: what is taken over, carried by another, listed, sent again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, or_, select, update

from balancebot.domain.alert import Reason
from balancebot.domain.delivery import DeliveryState, Outcome, QueuedDelivery, next_verification
from balancebot.domain.message import Action, AlertMessage, Message, merged
from balancebot.domain.routing import Destination
from balancebot.ports import ChannelErrorKind
from balancebot.store.tables import attempts, deliveries, notifications


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One delivery as a person asks for it."""

    id: str
    channel: str
    destination: str
    action: Action
    reason: Reason | None
    alert_id: str | None
    created_at: datetime
    state: DeliveryState
    in_doubt: bool
    num_attempts: int
    next_attempt_at: datetime | None
    """None once it is settled."""
    settled_at: datetime | None
    error: str
    """What the last attempt failed by; '' where it didn't."""
    superseded_by: str | None
    """The delivery that carries its news."""


_MESSAGE = func.coalesce(deliveries.c.message, notifications.c.message)


def note_attempt(
    conn: Connection,
    delivery_id: str,
    *,
    outcome: Outcome | ChannelErrorKind,
    message: str = "",
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
    ids = [each.id for each in superseded if each.id != by]
    if not ids:
        return
    settled = {"state": DeliveryState.SUPERSEDED.value, "superseded_by": by, "settled_at": now}
    conn.execute(update(deliveries).where(deliveries.c.id.in_(ids)).values(settled))
    conn.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(ids), was_in_doubt(deliveries.c.id))
        .values(verify_at=next_verification(now, now))
    )


def was_in_doubt(delivery_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that some attempt of a delivery may have arrived without our knowing."""
    doubts = (ChannelErrorKind.IN_DOUBT.value, Outcome.TAKEN_OVER.value)
    doubted = select(attempts.c.id).where(
        attempts.c.delivery_id == delivery_id, attempts.c.outcome.in_(doubts)
    )
    return doubted.exists()


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


def give_up_destination(conn: Connection, destination: Destination, *, message: str, now: datetime) -> None:
    """Give up all that waits for a destination which can't be reached any more."""
    at_lane = and_(
        deliveries.c.channel == destination.channel, deliveries.c.destination == destination.address
    )
    conn.execute(
        update(deliveries).where(at_lane, deliveries.c.verify_at.is_not(None)).values(verify_at=None)
    )
    given_up = {
        "state": DeliveryState.GAVE_UP.value,
        "settled_at": now,
        "claimed_by": None,
        "error_kind": None,
        "error_message": message,
    }
    conn.execute(update(deliveries).where(at_lane, deliveries.c.settled_at.is_(None)).values(given_up))


def listed(conn: Connection, *, every: bool = False, limit: int) -> tuple[Delivery, ...]:
    """Return deliveries, the newest first: those that wait or were given up, or `every` one."""
    wanted = (
        select(deliveries, notifications.c.reason)
        .join(notifications)
        .order_by(deliveries.c.notification_id.desc(), deliveries.c.id)
        .limit(limit)
    )
    if not every:
        wanted = wanted.where(
            or_(deliveries.c.settled_at.is_(None), deliveries.c.state == DeliveryState.GAVE_UP)
        )
    return tuple(_delivery(row) for row in conn.execute(wanted))


def resend(conn: Connection, delivery_id: str, *, now: datetime) -> DeliveryState | None:
    """Let a delivery that was given up, or waits, be tried at once; return where it stood, None if it is unknown.

    One that is under way, has arrived or is carried by another is left alone.
    """
    this = deliveries.c.id == delivery_id
    found = conn.execute(select(deliveries.c.state).where(this).with_for_update()).scalar()
    if found is None:
        return None
    state = DeliveryState(found)
    if state in {DeliveryState.GAVE_UP, DeliveryState.PENDING}:
        fresh = {
            "state": DeliveryState.PENDING.value,
            "settled_at": None,
            "next_attempt_at": now,
            "attempts": 0,
            "error_kind": None,
            "error_message": None,
        }
        conn.execute(update(deliveries).where(this).values(fresh))
    return state


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        channel=row.channel,
        destination=row.destination,
        action=Action(row.action),
        reason=None if row.reason is None else Reason(row.reason),
        alert_id=None if row.alert_id is None else str(row.alert_id),
        created_at=row.created_at,
        state=DeliveryState(row.state),
        in_doubt=row.in_doubt,
        num_attempts=row.attempts,
        next_attempt_at=row.next_attempt_at if row.settled_at is None else None,
        settled_at=row.settled_at,
        error=row.error_message or "",
        superseded_by=row.superseded_by,
    )

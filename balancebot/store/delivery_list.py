"""Deliveries for people: listing them, giving one up by hand, sending one again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, or_, select, update

from balancebot.domain.alert import Reason
from balancebot.domain.delivery import DeliveryState
from balancebot.domain.message import Action
from balancebot.domain.sentence import Sentence
from balancebot.store.tables import deliveries, notifications


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One delivery as people see it."""

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
    """None if it is settled."""
    settled_at: datetime | None
    error: Sentence
    """The error of the last attempt; empty if there was none."""
    superseded_by: str | None
    """The delivery that carries its content."""


def listed(conn: Connection, *, every: bool = False, limit: int) -> tuple[Delivery, ...]:
    """Return the deliveries that wait or were given up, or with `every` all, the newest first."""
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


def find(conn: Connection, delivery_id: str) -> Delivery | None:
    """Return one delivery; None if there is none with this id."""
    wanted = select(deliveries, notifications.c.reason).join(notifications)
    row = conn.execute(wanted.where(deliveries.c.id == delivery_id)).first()
    return None if row is None else _delivery(row)


def give_up(conn: Connection, delivery_id: str, *, now: datetime) -> None:
    """Give up a delivery that waits."""
    waiting = and_(deliveries.c.id == delivery_id, deliveries.c.state == DeliveryState.PENDING)
    conn.execute(update(deliveries).where(waiting).values(state=DeliveryState.GAVE_UP.value, settled_at=now))


def resend(conn: Connection, delivery_id: str, *, now: datetime) -> DeliveryState | None:
    """Make a delivery due that waits or was given up; return its previous state, None if the id is unknown.

    A delivery that is being sent, was delivered or is carried by another isn't changed.
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
        error=row.error_message,
        superseded_by=row.superseded_by,
    )

"""The rows of deliveries and of what was tried for them: what is taken over, carried by another, listed, sent again."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select, update

from balancebot.domain.delivery import DeliveryState, Outcome, next_verification
from balancebot.domain.lane import Lane, Waiting
from balancebot.domain.notification import Action, AlertFacts
from balancebot.ports import ChannelErrorKind
from balancebot.storage import facts_codec
from balancebot.storage.tables import attempts, deliveries, notifications

_TOLD = func.coalesce(deliveries.c.facts, notifications.c.facts)


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


def supersede(conn: Connection, superseded: Sequence[Waiting], *, by: str | None, now: datetime) -> None:
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


def told(conn: Connection, delivery_id: str) -> str:
    """Return, encoded, what the delivery tells: its notification's facts, or what was merged into them."""
    facts: str = conn.execute(
        select(_TOLD).join(notifications).where(deliveries.c.id == delivery_id)
    ).scalar_one()
    return facts


def alert_facts(conn: Connection, carries: Sequence[Waiting]) -> list[AlertFacts]:
    """Return what each of `carries` says of its alert, in their order; a group's own say nothing of one alone."""
    rows = conn.execute(
        select(deliveries.c.id, _TOLD.label("told"))
        .join(notifications)
        .where(deliveries.c.id.in_([each.id for each in carries if each.alert_id is not None]))
    )
    by_id = {row.id: facts_codec.decode(row.told) for row in rows}
    return [facts for each in carries if isinstance(facts := by_id.get(each.id), AlertFacts)]


def give_up_lane(conn: Connection, lane: Lane, *, message: str, now: datetime) -> None:
    """Give up all that waits for a destination which can't be reached any more."""
    at_lane = and_(deliveries.c.channel == lane.channel, deliveries.c.destination == lane.destination)
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

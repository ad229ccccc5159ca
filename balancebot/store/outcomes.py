"""What came of a delivery: it stands, it doesn't, or it is put off.

Only the worker that claimed a delivery settles it; one that comes late, because it was frozen and replaced, learns
which message to take back.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from balancebot.domain.delivery import DeliveryState, Outcome, is_hopeless, next_verification, retry_delay
from balancebot.domain.message import Action, GroupFacts, MessageRef
from balancebot.ports import ChannelError, ChannelErrorKind
from balancebot.store import deliveries, groups, living_messages, outbox
from balancebot.store.sending import ClaimedDelivery
from balancebot.store.tables import deliveries as rows

_STANDS_ELSEWHERE = (DeliveryState.DELIVERED, DeliveryState.SUPERSEDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of a delivery; None when somebody else had taken it over, and `surplus` then stands twice."""

    state: DeliveryState | None
    surplus: MessageRef | None = None


def arrived(
    conn: Connection,
    sending: ClaimedDelivery,
    receipt: MessageRef,
    *,
    outcome: Outcome,
    worker_id: str,
    now: datetime,
) -> Settled:
    """Settle a delivery that stands; one that somebody else took over meanwhile leaves `receipt` as surplus."""
    parcel = sending.parcel
    deliveries.note_attempt(conn, parcel.delivery_id, outcome=outcome, now=now)
    mine = _release(
        conn,
        sending,
        worker_id,
        {
            "state": DeliveryState.DELIVERED.value,
            "in_doubt": False,
            "settled_at": now,
            "room": receipt.room,
            "ref": receipt.ref,
            "error_kind": None,
            "error_message": None,
        },
    )
    if not mine:
        return _too_late(conn, sending, receipt, now)
    conn.execute(
        update(rows)
        .where(
            rows.c.id == parcel.delivery_id, rows.c.action != Action.EDIT, deliveries.was_in_doubt(rows.c.id)
        )
        .values(verify_at=next_verification(now, now))
    )
    if sending.subject and parcel.action is Action.POST:
        living_messages.record_ref(conn, sending.subject, sending.destination, receipt, now)
    if isinstance(parcel.facts, GroupFacts) and parcel.action is not Action.EDIT:
        introduced = parcel.facts.new or [member.alert_id for member in parcel.facts.members]
        living_messages.mark_reachable(
            conn, [int(alert_id) for alert_id in introduced], sending.destination, now
        )
    return Settled(state=DeliveryState.DELIVERED)


def not_found(conn: Connection, sending: ClaimedDelivery, *, worker_id: str, now: datetime) -> Settled:
    """Free a delivery that was in doubt and doesn't stand: it may be sent, or merged, like any other."""
    deliveries.note_attempt(conn, sending.parcel.delivery_id, outcome=Outcome.NOT_FOUND, now=now)
    changes = {
        "state": DeliveryState.PENDING.value,
        "in_doubt": False,
        "next_attempt_at": now,
        "error_kind": None,
    }
    mine = _release(conn, sending, worker_id, changes)
    return Settled(state=DeliveryState.PENDING if mine else None)


def failed(
    conn: Connection, sending: ClaimedDelivery, error: ChannelError, *, worker_id: str, now: datetime
) -> Settled:
    """Put a delivery off, or give it up when it was tried for long enough; what the error says of it is kept."""
    parcel = sending.parcel
    deliveries.note_attempt(conn, parcel.delivery_id, outcome=error.kind, message=error.message, now=now)
    age = now - sending.first_attempt_at
    delay = max(retry_delay(parcel.attempt, age), error.wait)
    changes: dict[str, Any] = {
        "state": DeliveryState.PENDING.value,
        "error_kind": error.kind.value,
        "error_message": error.message,
        "next_attempt_at": now + delay,
    }
    is_gone = error.kind is ChannelErrorKind.MESSAGE_GONE and parcel.thread is not None
    match error.kind:
        case ChannelErrorKind.LEASE_LOST:
            changes["next_attempt_at"] = now
        case ChannelErrorKind.MESSAGE_GONE if is_gone:
            changes["next_attempt_at"] = now
        case _ if is_hopeless(parcel.attempt, age):
            changes |= {"state": DeliveryState.GAVE_UP.value, "settled_at": now}
        case ChannelErrorKind.IN_DOUBT if parcel.action is not Action.EDIT:
            changes["in_doubt"] = True
        case _:
            pass
    if not _release(conn, sending, worker_id, changes):
        return Settled(state=None)
    if is_gone:
        living_messages.mark_deleted(conn, sending.subject, sending.destination)
    return Settled(state=DeliveryState(changes["state"]))


def _release(conn: Connection, sending: ClaimedDelivery, worker_id: str, changes: dict[str, Any]) -> bool:
    held = update(rows).where(
        rows.c.id == sending.parcel.delivery_id,
        rows.c.state == DeliveryState.SENDING,
        rows.c.claimed_by == worker_id,
    )
    return conn.execute(held.values({**changes, "claimed_by": None})).rowcount == 1


def _too_late(conn: Connection, sending: ClaimedDelivery, receipt: MessageRef, now: datetime) -> Settled:
    """Return what to take back; an edit that came late may show what is past, so the latest one is made again."""
    parcel = sending.parcel
    if parcel.action is Action.EDIT:
        if sending.group_id is not None:
            facts = groups.load(conn, sending.group_id)
            outbox.enqueue_group(
                conn, facts=facts, destination=sending.destination, actions=[Action.EDIT], now=now
            )
        else:
            outbox.enqueue_refresh(
                conn, alert_id=int(parcel.alert_id), destination=sending.destination, now=now
            )
        return Settled(state=None)
    row = conn.execute(select(rows.c.state, rows.c.ref).where(rows.c.id == parcel.delivery_id)).one()
    settled_without_it = row.state in _STANDS_ELSEWHERE and row.ref != receipt.ref
    return Settled(state=None, surplus=receipt if settled_without_it else None)

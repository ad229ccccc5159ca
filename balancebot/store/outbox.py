"""The outbox: what is to be told, written in the very transaction that decided it.

A notification is stored once (its dedup key is unique) with one delivery per destination. Whether a delivery becomes
a new message or an answer is settled when its destination is planned: here stands what is right if nothing else waits.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, func, insert, select

from balancebot.domain.alert import Reason
from balancebot.domain.delivery import DeliveryState
from balancebot.domain.message import Action, AlertFacts, Facts, GroupFacts
from balancebot.domain.routing import Destination
from balancebot.store import living_messages, message_codec
from balancebot.store.tables import deliveries, notifications
from balancebot.store.types import insert_into


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEntry:
    """What is to be told of one alert, and to whom."""

    alert_id: int
    facts: AlertFacts
    reason: Reason | None
    """None: nothing is told, living messages get the look of `facts`."""
    dedup_key: str = field(default_factory=lambda: uuid4().hex)
    """The same key is enqueued once."""
    destinations: Sequence[Destination] | None = None
    """None: every destination that was told of the alert or is about to be."""
    broadcast: bool = False

    def sends(
        self, told: Sequence[Destination], editable: Collection[str]
    ) -> list[tuple[Destination, Action]]:
        """Return what it comes to: a full message where the alert is new, else an answer in its thread.

        The living messages of all destinations that were `told` are edited, also of those that get no answer, where
        the channel is one of the `editable`.
        """
        edits = [(destination, Action.EDIT) for destination in told if destination.channel in editable]
        if self.reason is None:
            return edits
        wanted = tuple(dict.fromkeys(told if self.destinations is None else self.destinations))
        return [
            *((destination, Action.POST) for destination in wanted if destination not in told),
            *((destination, Action.REPLY) for destination in wanted if destination in told),
            *edits,
        ]


def enqueue(
    conn: Connection, news: Sequence[OutboxEntry], *, editable: Collection[str], now: datetime
) -> int:
    """Tell of alerts, in this order; return how many notifications that came to.

    `editable` are the channels whose messages can be edited.
    What was enqueued before, and a new look where no living message is, comes to none.
    """
    subjects = [living_messages.alert_subject(one.alert_id) for one in news]
    told = living_messages.destinations(conn, subjects)
    planned = [
        (one, subject, sends)
        for one, subject in zip(news, subjects, strict=True)
        if (sends := one.sends(told[subject], editable)) or one.reason is not None
    ]
    ids = _record(
        conn,
        [
            _notification(one.facts, now, one.dedup_key, alert_id=one.alert_id, reason=one.reason)
            for one, _, _ in planned
        ],
    )
    new = [each for each in planned if each[0].dedup_key in ids]
    _add_deliveries(
        conn,
        [
            _delivery(
                ids[one.dedup_key], destination, action, now, alert_id=one.alert_id, broadcast=one.broadcast
            )
            for one, _, sends in new
            for destination, action in sends
        ],
    )
    living_messages.start(
        conn,
        [
            (subject, destination)
            for _, subject, sends in new
            for destination, action in sends
            if action is Action.POST
        ],
    )
    return len(new)


def enqueue_plain(
    conn: Connection, *, facts: Facts, destinations: Sequence[Destination], dedup_key: str, now: datetime
) -> bool:
    """Send a message that belongs to no alert: a digest, a test, a channel's trouble.

    Returns False, and does nothing, when `dedup_key` was enqueued before.
    """
    ids = _record(conn, [_notification(facts, now, dedup_key)])
    wanted = dict.fromkeys(destinations)
    _add_deliveries(
        conn,
        [
            _delivery(notification_id, destination, Action.POST, now)
            for notification_id in ids.values()
            for destination in wanted
        ],
    )
    return bool(ids)


def enqueue_group(
    conn: Connection,
    *,
    facts: GroupFacts,
    destination: Destination,
    actions: Sequence[Action],
    now: datetime,
) -> str:
    """Send the message of a group, news below it, or its new look; return the delivery of the first action."""
    reason = None if actions[0] is Action.EDIT else Reason.OPENED
    (notification_id,) = _record(conn, [_notification(facts, now, uuid4().hex, reason=reason)]).values()
    rows = [
        _delivery(notification_id, destination, action, now, group_id=facts.group_id) for action in actions
    ]
    _add_deliveries(conn, rows)
    return str(rows[0]["id"])


def enqueue_refresh(conn: Connection, *, alert_id: int, destination: Destination, now: datetime) -> None:
    """Give a living message the look of the latest news of its alert once more."""
    latest = conn.execute(
        select(func.max(deliveries.c.notification_id)).where(
            deliveries.c.alert_id == alert_id,
            deliveries.c.channel == destination.channel,
            deliveries.c.destination == destination.address,
        )
    ).scalar_one()
    _add_deliveries(conn, [_delivery(latest, destination, Action.EDIT, now, alert_id=alert_id)])


def num_pending(conn: Connection) -> int:
    """Return how many deliveries are neither delivered nor given up."""
    return conn.execute(
        select(func.count()).select_from(deliveries).where(deliveries.c.settled_at.is_(None))
    ).scalar_one()


def _record(conn: Connection, rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Store notifications; return the ids of those whose dedup key didn't stand already, by that key."""
    if not rows:
        return {}
    statement = (
        insert_into(conn, notifications)
        .on_conflict_do_nothing(index_elements=["dedup_key"])
        .returning(notifications.c.dedup_key, notifications.c.id)
    )
    return {row.dedup_key: row.id for row in conn.execute(statement, rows)}


def _notification(
    facts: Facts,
    now: datetime,
    dedup_key: str,
    *,
    alert_id: int | None = None,
    reason: Reason | None = None,
) -> dict[str, Any]:
    return {
        "alert_id": alert_id,
        "reason": None if reason is None else reason.value,
        "dedup_key": dedup_key,
        "created_at": now,
        "facts": message_codec.encode_facts(facts),
    }


def _add_deliveries(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        conn.execute(insert(deliveries), rows)


def _delivery(
    notification_id: int,
    destination: Destination,
    action: Action,
    now: datetime,
    *,
    alert_id: int | None = None,
    group_id: str | None = None,
    broadcast: bool = False,
) -> dict[str, Any]:
    return {
        "id": uuid4().hex,
        "notification_id": notification_id,
        "alert_id": alert_id,
        "group_id": group_id,
        "channel": destination.channel,
        "destination": destination.address,
        "action": action.value,
        "broadcast": broadcast and action is Action.REPLY,
        "state": DeliveryState.PENDING.value,
        "created_at": now,
        "next_attempt_at": now,
    }

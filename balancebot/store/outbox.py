"""The outbox: the messages to send, written in the transaction that decided them.

A notification is stored once, with one delivery per destination. Whether a delivery becomes a new message or a reply is
decided when its destination is planned; the action stored here applies if nothing else waits.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, func, insert, select, update

from balancebot.domain.alert import Reason
from balancebot.domain.delivery import DeliveryState
from balancebot.domain.message import Action, AlertMessage, GroupMessage, Message
from balancebot.domain.routing import Destination
from balancebot.store import living_messages
from balancebot.store.tables import deliveries, groups, notifications


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEntry:
    """A message about an alert, and its destinations. Without a reason, living messages are only edited."""

    message: AlertMessage
    destinations: Sequence[Destination] | None = None
    """None: every destination that was or will be notified of the alert."""
    channels: Collection[str] | None = None
    """Only destinations of these channels; None: of every channel."""
    broadcast: bool = False
    together: bool = False
    """Its first messages are combined with others that have this flag, even if there are only two."""

    @property
    def alert_id(self) -> int:
        """The id of the alert, which must already be stored."""
        alert_id = self.message.alert.id
        if alert_id is None:
            raise ValueError("an alert is stored before its messages")
        return alert_id

    def deliveries(
        self, notified: Sequence[Destination], editable: Collection[str]
    ) -> list[tuple[Destination, Action]]:
        """Return the deliveries: a post if the alert is new at the destination, otherwise a reply in its thread.

        The living messages of all `notified` destinations are edited too, also of those that get no reply, if their
        channel is one of `editable`.
        """
        edits = [(destination, Action.EDIT) for destination in notified if destination.channel in editable]
        if self.message.reason is None:
            return edits
        wanted = tuple(
            destination
            for destination in dict.fromkeys(notified if self.destinations is None else self.destinations)
            if self.channels is None or destination.channel in self.channels
        )
        return [
            *((destination, Action.POST) for destination in wanted if destination not in notified),
            *((destination, Action.REPLY) for destination in wanted if destination in notified),
            *edits,
        ]


def enqueue(
    conn: Connection, entries: Sequence[OutboxEntry], *, editable: Collection[str], now: datetime
) -> int:
    """Enqueue messages about alerts, at most one per alert, in this order; return the number of notifications.

    `editable` are the channels whose messages can be edited. Without a living message, an edit makes no notification.
    """
    subjects = [living_messages.alert_subject(entry.alert_id) for entry in entries]
    notified = living_messages.destinations(conn, subjects)
    planned = [
        (entry, subject, wanted)
        for entry, subject in zip(entries, subjects, strict=True)
        if (wanted := entry.deliveries(notified[subject], editable)) or entry.message.reason is not None
    ]
    ids = _record(
        conn, [_notification(entry.message, now, alert_id=entry.alert_id) for entry, _, _ in planned]
    )
    _add_deliveries(
        conn,
        [
            _delivery(
                ids[entry.alert_id],
                destination,
                action,
                now,
                alert_id=entry.alert_id,
                broadcast=entry.broadcast,
                together=entry.together,
            )
            for entry, _, wanted in planned
            for destination, action in wanted
        ],
    )
    living_messages.start(
        conn,
        [
            (subject, destination)
            for _, subject, wanted in planned
            for destination, action in wanted
            if action is Action.POST
        ],
    )
    return len(planned)


def enqueue_plain(
    conn: Connection, *, message: Message, destinations: Sequence[Destination], now: datetime
) -> tuple[str, ...]:
    """Enqueue a message that isn't about an alert: a digest, a test, a channel's failure; return its deliveries."""
    notification_id = _record(conn, [_notification(message, now)])[None]
    rows = [
        _delivery(notification_id, destination, Action.POST, now)
        for destination in dict.fromkeys(destinations)
    ]
    _add_deliveries(conn, rows)
    return tuple(str(row["id"]) for row in rows)


def enqueue_group(
    conn: Connection,
    *,
    group: GroupMessage,
    destination: Destination,
    actions: Sequence[Action],
    now: datetime,
) -> str:
    """Enqueue the message of a group, a reply to it, or an edit; return the delivery of the first action."""
    reason = None if actions[0] is Action.EDIT else Reason.OPENED
    notification_id = _record(conn, [_notification(group, now, reason=reason)])[None]
    rows = [
        _delivery(notification_id, destination, action, now, group_id=group.group_id) for action in actions
    ]
    _add_deliveries(conn, rows)
    return str(rows[0]["id"])


def enqueue_refresh(conn: Connection, *, alert_id: int, destination: Destination, now: datetime) -> None:
    """Enqueue an edit of a living message, to show the latest message of its alert again."""
    latest = conn.execute(
        select(func.max(deliveries.c.notification_id)).where(
            deliveries.c.alert_id == alert_id,
            deliveries.c.channel == destination.channel,
            deliveries.c.destination == destination.address,
        )
    ).scalar_one()
    _add_deliveries(conn, [_delivery(latest, destination, Action.EDIT, now, alert_id=alert_id)])


def load_group(conn: Connection, group_id: str) -> GroupMessage:
    """Return the group as its living message shows it, or will after the next edit."""
    group = find_group(conn, group_id)
    if group is None:
        raise LookupError(f"there is no group {group_id}")
    return group


def find_group(conn: Connection, group_id: str) -> GroupMessage | None:
    """Return the group as `load_group` does; None if there is no group with this id."""
    group = conn.scalars(select(groups.c.message).where(groups.c.id == group_id)).one_or_none()
    if group is not None and not isinstance(group, GroupMessage):
        raise TypeError(f"group {group_id} holds a message of type {type(group).__name__}")
    return group


def save_group(conn: Connection, group: GroupMessage) -> None:
    """Store what the group's living message should show."""
    conn.execute(update(groups).where(groups.c.id == group.group_id).values(message=group))


def num_pending(conn: Connection) -> int:
    """Return how many deliveries are neither delivered nor given up."""
    return conn.execute(
        select(func.count()).select_from(deliveries).where(deliveries.c.settled_at.is_(None))
    ).scalar_one()


def _record(conn: Connection, rows: Sequence[dict[str, Any]]) -> dict[int | None, int]:
    """Store notifications, at most one per alert; return their ids, which are ascending, by alert id."""
    if not rows:
        return {}
    statement = insert(notifications).returning(notifications.c.alert_id, notifications.c.id)
    # the rows are returned in any order
    return {row.alert_id: row.id for row in conn.execute(statement, rows)}


def _notification(
    message: Message, now: datetime, *, alert_id: int | None = None, reason: Reason | None = None
) -> dict[str, Any]:
    reason = message.reason if isinstance(message, AlertMessage) else reason
    return {
        "alert_id": alert_id,
        "reason": None if reason is None else reason.value,
        "created_at": now,
        "message": message,
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
    together: bool = False,
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
        "together": together and action is Action.POST,
        "state": DeliveryState.PENDING.value,
        "created_at": now,
        "next_attempt_at": now,
    }

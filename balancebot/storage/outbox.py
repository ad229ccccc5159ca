"""The outbox: what is to be told, written in the very transaction that decided it.

A notification is stored once (its dedup key is unique) with one delivery per destination. Whether a delivery becomes
a new message or an answer is settled when its lane is planned: here stands what is right if nothing else waits.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeAlias
from uuid import uuid4

from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from balancebot.domain.alert import Reason
from balancebot.domain.delivery import DeliveryState
from balancebot.domain.notification import Action, AlertFacts, Channel, Facts
from balancebot.storage import facts_codec
from balancebot.storage.tables import deliveries, notifications, threads

Destination: TypeAlias = tuple[Channel, str]


def alert_subject(alert_id: int) -> str:
    """Return the name under which the thread of an alert is kept."""
    return f"alert:{alert_id}"


def told_destinations(conn: Connection, alert_id: int) -> tuple[Destination, ...]:
    """Return every destination that was told of the alert or is about to be, in a stable order."""
    rows = conn.execute(
        select(threads.c.channel, threads.c.destination)
        .where(threads.c.subject == alert_subject(alert_id))
        .order_by(threads.c.channel, threads.c.destination)
    )
    return tuple((Channel(row.channel), row.destination) for row in rows)


def enqueue(
    conn: Connection,
    *,
    facts: AlertFacts,
    reason: Reason,
    alert_id: int,
    dedup_key: str,
    destinations: Sequence[Destination],
    now: datetime,
    edit_told: bool = False,
    broadcast: bool = False,
) -> bool:
    """Tell `destinations` of the alert: a full message where it is new, else an answer in its thread.

    A Slack destination that gets an answer also gets its living message edited; `edit_told` edits those of all
    other told Slack destinations too. Returns False, and does nothing, when `dedup_key` was enqueued before.
    """
    notification_id = _record(conn, facts, dedup_key, now, alert_id=alert_id, reason=reason)
    if notification_id is None:
        return False
    told = told_destinations(conn, alert_id)
    wanted = tuple(dict.fromkeys(destinations))
    new = [destination for destination in wanted if destination not in told]
    sends = [
        *((destination, Action.POST) for destination in new),
        *((destination, Action.REPLY) for destination in wanted if destination in told),
        *((destination, Action.EDIT) for destination in told if edit_told or destination in wanted),
    ]
    _add_deliveries(conn, notification_id, sends, now, alert_id=alert_id, broadcast=broadcast)
    if new:
        conn.execute(
            insert(threads),
            [
                {"subject": alert_subject(alert_id), "channel": channel.value, "destination": name}
                for channel, name in new
            ],
        )
    return True


def enqueue_edit(conn: Connection, *, facts: AlertFacts, alert_id: int, now: datetime) -> None:
    """Give the living message of the alert the look of `facts`, at every told Slack destination; tells nothing."""
    told = told_destinations(conn, alert_id)
    sends = [(destination, Action.EDIT) for destination in told if destination[0] is Channel.SLACK]
    if not sends:
        return
    notification_id = _record(conn, facts, f"edit:{uuid4().hex}", now, alert_id=alert_id)
    if notification_id is not None:
        _add_deliveries(conn, notification_id, sends, now, alert_id=alert_id)


def enqueue_plain(
    conn: Connection, *, facts: Facts, destinations: Sequence[Destination], dedup_key: str, now: datetime
) -> bool:
    """Send a message that belongs to no alert: a digest, a test, a channel's trouble.

    Returns False, and does nothing, when `dedup_key` was enqueued before.
    """
    notification_id = _record(conn, facts, dedup_key, now)
    if notification_id is None:
        return False
    wanted = dict.fromkeys(destinations)
    _add_deliveries(conn, notification_id, [(destination, Action.POST) for destination in wanted], now)
    return True


def _record(
    conn: Connection,
    facts: Facts,
    dedup_key: str,
    now: datetime,
    *,
    alert_id: int | None = None,
    reason: Reason | None = None,
) -> int | None:
    """Store the notification; None when its dedup key stands already."""
    dialect = postgresql if conn.dialect.name == "postgresql" else sqlite
    statement = (
        dialect.insert(notifications)
        .values(
            alert_id=alert_id,
            reason=reason,
            dedup_key=dedup_key,
            created_at=now,
            facts=facts_codec.encode(facts),
        )
        .on_conflict_do_nothing(index_elements=["dedup_key"])
        .returning(notifications.c.id)
    )
    return conn.execute(statement).scalar()


def _add_deliveries(
    conn: Connection,
    notification_id: int,
    sends: Sequence[tuple[Destination, Action]],
    now: datetime,
    *,
    alert_id: int | None = None,
    broadcast: bool = False,
) -> None:
    rows: list[dict[str, Any]] = [
        {
            "id": uuid4().hex,
            "notification_id": notification_id,
            "alert_id": alert_id,
            "channel": channel.value,
            "destination": name,
            "action": action.value,
            "broadcast": broadcast and action is Action.REPLY,
            "state": DeliveryState.PENDING.value,
            "created_at": now,
            "next_attempt_at": now,
        }
        for (channel, name), action in sends
        if action is not Action.EDIT or channel is Channel.SLACK
    ]
    if rows:
        conn.execute(insert(deliveries), rows)

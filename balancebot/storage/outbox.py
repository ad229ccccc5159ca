"""The outbox: what is to be told, written in the very transaction that decided it.

A notification is stored once (its dedup key is unique) with one delivery per destination. Whether a delivery becomes
a new message or an answer is settled when its lane is planned: here stands what is right if nothing else waits.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeAlias
from uuid import uuid4

from sqlalchemy import Connection, func, insert, select

from balancebot.domain.alert import Reason
from balancebot.domain.delivery import DeliveryState
from balancebot.domain.notification import Action, AlertFacts, Channel, Facts, GroupFacts
from balancebot.storage import facts_codec, threads
from balancebot.storage.tables import deliveries, notifications
from balancebot.storage.upserts import insert_into

Destination: TypeAlias = tuple[Channel, str]


def told_destinations(conn: Connection, alert_id: int) -> tuple[Destination, ...]:
    """Return every destination that was told of the alert or is about to be, in a stable order."""
    return threads.destinations(conn, threads.alert_subject(alert_id))


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
    notification_id = _record_once(conn, facts, now, dedup_key, alert_id=alert_id, reason=reason)
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
    threads.begin(conn, threads.alert_subject(alert_id), new)
    return True


def enqueue_edit(conn: Connection, *, facts: AlertFacts, alert_id: int, now: datetime) -> None:
    """Give the living message of the alert the look of `facts`, at every told Slack destination; tells nothing."""
    told = told_destinations(conn, alert_id)
    sends = [(destination, Action.EDIT) for destination in told if destination[0] is Channel.SLACK]
    if sends:
        notification_id = _record(conn, facts, now, alert_id=alert_id)
        _add_deliveries(conn, notification_id, sends, now, alert_id=alert_id)


def enqueue_plain(
    conn: Connection, *, facts: Facts, destinations: Sequence[Destination], dedup_key: str, now: datetime
) -> bool:
    """Send a message that belongs to no alert: a digest, a test, a channel's trouble.

    Returns False, and does nothing, when `dedup_key` was enqueued before.
    """
    notification_id = _record_once(conn, facts, now, dedup_key)
    if notification_id is None:
        return False
    wanted = dict.fromkeys(destinations)
    _add_deliveries(conn, notification_id, [(destination, Action.POST) for destination in wanted], now)
    return True


def enqueue_group(
    conn: Connection, *, facts: GroupFacts, lane: Destination, action: Action, now: datetime
) -> str:
    """Send the message of a group, news below it (with an edit on Slack), or only its new look; return the delivery."""
    notification_id = _record(conn, facts, now, reason=None if action is Action.EDIT else Reason.OPENED)
    sends = [(lane, action)] if action is not Action.REPLY else [(lane, action), (lane, Action.EDIT)]
    return _add_deliveries(conn, notification_id, sends, now, group_id=facts.group_id)[0]


def enqueue_edit_again(conn: Connection, *, alert_id: int, lane: Destination, now: datetime) -> None:
    """Give a living message the look of the latest news of its alert once more."""
    channel, destination = lane
    latest = conn.execute(
        select(func.max(deliveries.c.notification_id)).where(
            deliveries.c.alert_id == alert_id,
            deliveries.c.channel == channel,
            deliveries.c.destination == destination,
        )
    ).scalar_one()
    _add_deliveries(conn, latest, [(lane, Action.EDIT)], now, alert_id=alert_id)


def num_pending(conn: Connection) -> int:
    """Return how many deliveries are neither delivered nor given up."""
    return conn.execute(
        select(func.count()).select_from(deliveries).where(deliveries.c.settled_at.is_(None))
    ).scalar_one()


def _record(
    conn: Connection,
    facts: Facts,
    now: datetime,
    *,
    alert_id: int | None = None,
    reason: Reason | None = None,
) -> int:
    """Store a notification that nothing else can be the double of."""
    values = _notification(facts, now, uuid4().hex, alert_id=alert_id, reason=reason)
    notification_id: int = conn.execute(
        insert(notifications).values(values).returning(notifications.c.id)
    ).scalar_one()
    return notification_id


def _record_once(
    conn: Connection,
    facts: Facts,
    now: datetime,
    dedup_key: str,
    *,
    alert_id: int | None = None,
    reason: Reason | None = None,
) -> int | None:
    """Store a notification; None when its dedup key stands already."""
    statement = (
        insert_into(conn, notifications)
        .values(_notification(facts, now, dedup_key, alert_id=alert_id, reason=reason))
        .on_conflict_do_nothing(index_elements=["dedup_key"])
        .returning(notifications.c.id)
    )
    return conn.execute(statement).scalar()


def _notification(
    facts: Facts, now: datetime, dedup_key: str, *, alert_id: int | None, reason: Reason | None
) -> dict[str, Any]:
    return {
        "alert_id": alert_id,
        "reason": None if reason is None else reason.value,
        "dedup_key": dedup_key,
        "created_at": now,
        "facts": facts_codec.encode(facts),
    }


def _add_deliveries(
    conn: Connection,
    notification_id: int,
    sends: Sequence[tuple[Destination, Action]],
    now: datetime,
    *,
    alert_id: int | None = None,
    group_id: str | None = None,
    broadcast: bool = False,
) -> list[str]:
    """Store the deliveries, but edits only where there is something to edit; return their ids."""
    rows: list[dict[str, Any]] = [
        {
            "id": uuid4().hex,
            "notification_id": notification_id,
            "alert_id": alert_id,
            "group_id": group_id,
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
    return [row["id"] for row in rows]

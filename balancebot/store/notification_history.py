"""What was sent about an alert, with every attempt; and the pruning of old notifications, alerts and groups."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, case, delete, func, select

from balancebot.domain.alert import Reason
from balancebot.domain.delivery import DeliveryState
from balancebot.domain.message import Action, AlertMessage
from balancebot.domain.routing import Destination
from balancebot.domain.sentence import Sentence
from balancebot.domain.verdict import Severity
from balancebot.store import living_messages
from balancebot.store.tables import alerts, attempts, deliveries, groups, notifications
from balancebot.store.types import chunked


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAttempt:
    """One attempt at a delivery."""

    at: datetime
    outcome: str
    message: Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    """The delivery of one notification to one destination, with its present state."""

    id: str
    channel: str
    destination: str
    action: Action
    state: DeliveryState
    in_doubt: bool
    settled_at: datetime | None
    next_attempt_at: datetime
    is_carried: bool
    """SUPERSEDED because another delivery carries its content; otherwise because there was nothing to send any longer."""
    error_message: Sentence
    attempts: tuple[DeliveryAttempt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationRecord:
    """One notification: the message as it was decided, and its deliveries."""

    at: datetime
    reason: Reason | None
    """None: existing messages were only edited."""
    message: AlertMessage
    deliveries: tuple[DeliveryRecord, ...] = field(default=())


def causes(conn: Connection, alert_ids: Collection[int]) -> dict[int, AlertMessage]:
    """Return the last message of each alert that says what was wrong; alerts without such a message are left out."""
    found: dict[int, AlertMessage] = {}
    for chunk in chunked(alert_ids):
        rows = conn.execute(
            select(notifications.c.alert_id, notifications.c.message)
            .where(notifications.c.alert_id.in_(chunk))
            .order_by(notifications.c.id)
        )
        found |= {
            alert_id: message
            for alert_id, message in rows
            if isinstance(message, AlertMessage) and message.has_reason and not message.is_recovering
        }
    return found


def num_worsened(conn: Connection, alert_id: int, severity: Severity, *, since: datetime) -> int:
    """Return how many notifications since an instant said that an alert worsened to `severity`."""
    messages = conn.scalars(
        select(notifications.c.message).where(
            notifications.c.alert_id == alert_id,
            notifications.c.reason == Reason.WORSENED.value,
            notifications.c.created_at >= since,
        )
    )
    return sum(
        isinstance(message, AlertMessage) and message.alert.severity is severity for message in messages
    )


def of_alert(conn: Connection, alert_id: int) -> tuple[NotificationRecord, ...]:
    """Return the notifications of an alert, the latest first."""
    notified = conn.execute(
        select(notifications).where(notifications.c.alert_id == alert_id).order_by(notifications.c.id.desc())
    ).all()
    sent = conn.execute(
        select(deliveries)
        .where(deliveries.c.alert_id == alert_id)
        .order_by(deliveries.c.channel, deliveries.c.destination, deliveries.c.action)
    ).all()
    tried: dict[str, list[DeliveryAttempt]] = {row.id: [] for row in sent}
    for row in conn.execute(
        select(attempts)
        .join(deliveries, deliveries.c.id == attempts.c.delivery_id)
        .where(deliveries.c.alert_id == alert_id)
        .order_by(attempts.c.id)
    ):
        tried[row.delivery_id].append(DeliveryAttempt(at=row.at, outcome=row.outcome, message=row.message))
    by_notification: dict[int, list[DeliveryRecord]] = {}
    for row in sent:
        by_notification.setdefault(row.notification_id, []).append(
            DeliveryRecord(
                id=row.id,
                channel=row.channel,
                destination=row.destination,
                action=Action(row.action),
                state=DeliveryState(row.state),
                in_doubt=row.in_doubt,
                settled_at=row.settled_at,
                next_attempt_at=row.next_attempt_at,
                is_carried=row.superseded_by is not None,
                error_message=row.error_message,
                attempts=tuple(tried[row.id]),
            )
        )
    return tuple(
        NotificationRecord(
            at=row.created_at,
            reason=None if row.reason is None else Reason(row.reason),
            message=row.message,
            deliveries=tuple(by_notification.get(row.id, ())),
        )
        for row in notified
        if isinstance(row.message, AlertMessage)
    )


def prune_notifications(conn: Connection, *, before: datetime, most: int) -> int:
    """Delete up to `most` notifications from before an instant; return how many.

    Notifications of open alerts are kept, and so are those with unsettled deliveries.
    """
    still_open = select(alerts.c.id).where(alerts.c.closed_at.is_(None))
    under_way = select(deliveries.c.notification_id).where(deliveries.c.settled_at.is_(None))
    old = conn.scalars(
        select(notifications.c.id)
        .where(
            notifications.c.created_at < before,
            notifications.c.alert_id.is_(None) | notifications.c.alert_id.not_in(still_open),
            notifications.c.id.not_in(under_way),
        )
        .order_by(notifications.c.id)
        .limit(most)
    ).all()
    gone = select(deliveries.c.id).where(deliveries.c.notification_id.in_(old))
    conn.execute(delete(attempts).where(attempts.c.delivery_id.in_(gone)))
    conn.execute(delete(deliveries).where(deliveries.c.notification_id.in_(old)))
    conn.execute(delete(notifications).where(notifications.c.id.in_(old)))
    return len(old)


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationSummary:
    """The state of deliveries to one destination."""

    last_delivered_at: datetime | None
    num_waiting: int
    waiting_since: datetime | None
    num_given_up: int
    error: Sentence
    """The error of a waiting delivery; empty if there is none."""


def destination_summaries(conn: Connection) -> dict[Destination, DestinationSummary]:
    """Return the state of each destination to which anything was ever sent."""
    c = deliveries.c
    waits = c.settled_at.is_(None)
    found = conn.execute(
        select(
            c.channel,
            c.destination,
            func.max(case((c.state == DeliveryState.DELIVERED, c.settled_at))).label("last_delivered_at"),
            func.count(case((waits, 1))).label("num_waiting"),
            func.min(case((waits, c.created_at))).label("waiting_since"),
            func.count(case((c.state == DeliveryState.GAVE_UP, 1))).label("num_given_up"),
            func.max(case((waits, c.error_message))).label("error"),
        ).group_by(c.channel, c.destination)
    )
    return {
        Destination(row.channel, row.destination): DestinationSummary(
            last_delivered_at=row.last_delivered_at,
            num_waiting=row.num_waiting,
            waiting_since=row.waiting_since,
            num_given_up=row.num_given_up,
            error=row.error,
        )
        for row in found
    }


def prune_alerts(conn: Connection, *, before: datetime, most: int) -> int:
    """Delete up to `most` alerts that closed before an instant and have no notifications any longer; return how many."""
    # the newest one is kept, because SQLite would use its id again
    newest = select(func.max(alerts.c.id)).scalar_subquery()
    mentioned = select(notifications.c.alert_id).where(notifications.c.alert_id.is_not(None))
    old = conn.scalars(
        select(alerts.c.id)
        .where(alerts.c.closed_at < before, alerts.c.id < newest, alerts.c.id.not_in(mentioned))
        .order_by(alerts.c.id)
        .limit(most)
    ).all()
    living_messages.forget(conn, [living_messages.alert_subject(alert_id) for alert_id in old])
    conn.execute(delete(alerts).where(alerts.c.id.in_(old)))
    return len(old)


def prune_groups(conn: Connection, *, before: datetime, most: int) -> int:
    """Delete up to `most` groups from before an instant that have no alerts and deliveries any longer."""
    sent = select(deliveries.c.group_id).where(deliveries.c.group_id.is_not(None))
    old = conn.scalars(
        select(groups.c.id)
        .where(
            groups.c.opened_at < before,
            groups.c.id.not_in(sent),
            groups.c.id.not_in(living_messages.groups_with_members()),
        )
        .limit(most)
    ).all()
    living_messages.forget(conn, [living_messages.group_subject(group_id) for group_id in old])
    conn.execute(delete(groups).where(groups.c.id.in_(old)))
    return len(old)

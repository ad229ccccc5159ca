"""What was told long ago, pruned when nobody can ask for it: first what was sent, then the alerts and where they stood.

What an open alert may still answer below, and what may still be looked for, stays however old it is.
"""

from datetime import datetime

from sqlalchemy import Connection, delete, func, select

from balancebot.storage import threads
from balancebot.storage.tables import alerts, attempts, deliveries, groups, notifications


def prune(conn: Connection, *, before: datetime, most: int) -> int:
    """Remove up to `most` notifications from before an instant; return how many went.

    Those of an alert that is still open stay, and so do those that are not delivered to everybody yet.
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


def prune_alerts(conn: Connection, *, before: datetime, most: int) -> int:
    """Remove up to `most` alerts that closed before an instant and of which nothing told is left; return how many."""
    # SQLite would give the number of the newest one again
    newest = select(func.max(alerts.c.id)).scalar_subquery()
    mentioned = select(notifications.c.alert_id).where(notifications.c.alert_id.is_not(None))
    old = conn.scalars(
        select(alerts.c.id)
        .where(alerts.c.closed_at < before, alerts.c.id < newest, alerts.c.id.not_in(mentioned))
        .order_by(alerts.c.id)
        .limit(most)
    ).all()
    threads.forget(conn, [threads.alert_subject(alert_id) for alert_id in old])
    conn.execute(delete(alerts).where(alerts.c.id.in_(old)))
    return len(old)


def prune_groups(conn: Connection, *, before: datetime, most: int) -> int:
    """Remove up to `most` groups from before an instant in which no alert and no delivery is any more."""
    sent = select(deliveries.c.group_id).where(deliveries.c.group_id.is_not(None))
    old = conn.scalars(
        select(groups.c.id)
        .where(
            groups.c.opened_at < before,
            groups.c.id.not_in(sent),
            groups.c.id.not_in(threads.groups_with_members()),
        )
        .limit(most)
    ).all()
    threads.forget(conn, [threads.group_subject(group_id) for group_id in old])
    conn.execute(delete(groups).where(groups.c.id.in_(old)))
    return len(old)

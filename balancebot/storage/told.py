"""What was told long ago: notifications with their deliveries and attempts, pruned when nobody can ask for them."""

from datetime import datetime

from sqlalchemy import Connection, delete, select

from balancebot.storage.tables import alerts, attempts, deliveries, notifications


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

"""The indices. A comment names the query that needs each; "only one" is ensured by a unique index.

Code that creates or compares tables must import `metadata` from here. The program itself doesn't need the indices, and
so avoids loading PostgreSQL's dialect, which partial indices load for any database: 40 ms at every start.
"""

from sqlalchemy import Index, text

from balancebot.store.tables import (
    alerts,
    attempts,
    audit,
    daily_use,
    deliveries,
    groups,
    hourly_use,
    login_failures,
    metadata,
    notifications,
    order_matches,
    orders,
    sessions,
    thresholds,
    top_ups,
    wallets,
)

__all__ = ["metadata"]


# claim: the configured wallets that are due; the condition differs between the two databases
Index(
    "ix_wallets_due",
    wallets.c.next_read_at,
    postgresql_where=text("configured"),
    sqlite_where=text("configured = 1"),
)
# booking: the wallets of one account
Index("ix_wallets_account", wallets.c.account)

# one wallet's history, for charts and for rebuilding its burn model
Index("ix_hourly_use_wallet", hourly_use.c.wallet_id, hourly_use.c.hour)
Index("ix_daily_use_wallet", daily_use.c.wallet_id, daily_use.c.day)

# one row per scope
Index("uq_thresholds_scope", thresholds.c.wallet, thresholds.c.category, unique=True)

# at most one open alert per balance (or wallet) and kind
Index(
    "uq_alerts_open",
    alerts.c.wallet,
    alerts.c.category,
    alerts.c.kind,
    unique=True,
    postgresql_where=text("closed_at IS NULL"),
    sqlite_where=text("closed_at IS NULL"),
)
# the list of past alerts, newest first
Index("ix_alerts_opened_at", alerts.c.opened_at)

# the notifications of one alert (`why`, the page)
Index("ix_notifications_alert", notifications.c.alert_id)

# the group that an opening may still join
Index("ix_groups_destination", groups.c.channel, groups.c.destination, groups.c.opened_at)

# claim: unsettled deliveries, in the order in which they were decided
Index(
    "ix_deliveries_unsettled",
    deliveries.c.next_attempt_at,
    postgresql_where=text("settled_at IS NULL"),
    sqlite_where=text("settled_at IS NULL"),
)
# the deliveries of one alert
Index("ix_deliveries_alert", deliveries.c.alert_id)
# the deliveries of one notification; pruning
Index("ix_deliveries_notification", deliveries.c.notification_id)
# deliveries to search for once more
Index(
    "ix_deliveries_verify",
    deliveries.c.verify_at,
    postgresql_where=text("verify_at IS NOT NULL"),
    sqlite_where=text("verify_at IS NOT NULL"),
)

# the orders of one account
Index("ix_orders_account", orders.c.account, orders.c.category)
# the top-ups of a month
Index("ix_top_ups_at", top_ups.c.at)
# how much of an order has arrived
Index("ix_order_matches_order_id", order_matches.c.order_id)

# the attempts of one delivery
Index("ix_attempts_delivery", attempts.c.delivery_id)

# ending all sessions of one user
Index("ix_sessions_user", sessions.c.user_name)

# throttling: the failures of the last minutes
Index("ix_login_failures_at", login_failures.c.at)

# the audit page, newest first
Index("ix_audit_at", audit.c.at)
# one act per request
Index("uq_audit_request", audit.c.request, unique=True)

"""The tables of the first release. A copy of `tables.py` and `indices.py` as they were then, with plain column types."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

CATEGORIES = ("universal", "voice", "industry", "market")
INSTANT = sa.DateTime(timezone=True)

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _readings(prefix: str = "") -> list[sa.Column[Any]]:
    return [sa.Column(f"{prefix}{category}", sa.BigInteger) for category in CATEGORIES]


workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("started_at", INSTANT, nullable=False),
    sa.Column("seen_at", INSTANT, nullable=False),
)

wallets = sa.Table(
    "wallets",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(129), nullable=False, unique=True),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("configured", sa.Boolean, nullable=False),
    *_readings(),
    sa.Column("observed_at", INSTANT),
    sa.Column("first_attempt_at", INSTANT),
    sa.Column("attempted_at", INSTANT),
    sa.Column("error_kind", sa.String(32)),
    sa.Column("error_message", sa.Text),
    sa.Column("rejections", sa.Integer, nullable=False, server_default="0"),
    sa.Column("suspect_since", INSTANT),
    sa.Column("next_read_at", INSTANT, nullable=False),
    sa.Column("claimed_by", sa.String(36)),
    *_readings("booked_"),
    sa.Column("booked_at", INSTANT),
)

balances = sa.Table(
    "balances",
    metadata,
    sa.Column("wallet_id", sa.ForeignKey("wallets.id"), nullable=False),
    sa.Column("category", sa.String(16), nullable=False),
    sa.Column("ever_positive", sa.Boolean, nullable=False),
    sa.Column("burn_per_day", sa.Float),
    sa.Column("runway_known", sa.Boolean, nullable=False),
    sa.Column("p10_at", INSTANT),
    sa.Column("p50_at", INSTANT),
    sa.Column("p90_at", INSTANT),
    sa.Column("judged_at", INSTANT),
    sa.Column("spike_points", sa.Integer, nullable=False, server_default="0"),
    sa.Column("stopped", sa.Boolean, nullable=False, server_default=sa.text("false")),
    sa.PrimaryKeyConstraint("wallet_id", "category"),
)

burn_models = sa.Table(
    "burn_models",
    metadata,
    sa.Column("wallet_id", sa.ForeignKey("wallets.id"), nullable=False),
    sa.Column("category", sa.String(16), nullable=False),
    sa.Column("hour", sa.Integer, nullable=False),
    sa.Column("use_window", sa.LargeBinary, nullable=False),
    sa.Column("model", sa.LargeBinary),
    sa.PrimaryKeyConstraint("wallet_id", "category"),
)

snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("observed_at", sa.BigInteger, nullable=False),
    sa.Column("wallet_id", sa.Integer, nullable=False),
    *_readings(),
    sa.PrimaryKeyConstraint("observed_at", "wallet_id"),
    sqlite_with_rowid=False,
)


def _rollup(name: str, bucket: str) -> sa.Table:
    columns: list[sa.Column[Any]] = []
    for category in CATEGORIES:
        columns += [
            sa.Column(category, sa.BigInteger),
            sa.Column(f"{category}_used", sa.BigInteger),
            sa.Column(f"{category}_exposure", sa.Integer),
            sa.Column(f"{category}_topped_up", sa.BigInteger),
            sa.Column(f"{category}_transferred", sa.BigInteger),
            sa.Column(f"{category}_refunded", sa.BigInteger),
        ]
    return sa.Table(
        name,
        metadata,
        sa.Column(bucket, sa.Integer, nullable=False),
        sa.Column("wallet_id", sa.Integer, nullable=False),
        *columns,
        sa.PrimaryKeyConstraint(bucket, "wallet_id"),
        sqlite_with_rowid=False,
    )


hourly_use = _rollup("hourly_use", "hour")
daily_use = _rollup("daily_use", "day")

thresholds = sa.Table(
    "thresholds",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("wallet", sa.String(129), nullable=False),
    sa.Column("category", sa.String(16), nullable=False),
    sa.Column("warning_below", sa.BigInteger),
    sa.Column("critical_below", sa.BigInteger),
    sa.Column("warning_days", sa.Float),
    sa.Column("critical_days", sa.Float),
    sa.Column("lead_time_days", sa.Float),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),
    sa.Column("updated_at", INSTANT, nullable=False),
    sa.Column("updated_by", sa.String(128), nullable=False),
)

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("wallet", sa.String(129), nullable=False),
    sa.Column("category", sa.String(16), nullable=False),
    sa.Column("severity", sa.String(16), nullable=False),
    sa.Column("peak", sa.String(16)),
    sa.Column("opened_at", INSTANT, nullable=False),
    sa.Column("closed_at", INSTANT),
    sa.Column("opened_by_days", sa.Boolean, nullable=False),
    sa.Column("limits", sa.Text, nullable=False),
    sa.Column("facts", sa.Text, nullable=False),
    sa.Column("told_at", INSTANT),
    sa.Column("acknowledged_at", INSTANT),
    sa.Column("acknowledged_by", sa.String(128), nullable=False, server_default=""),
    sa.Column("acknowledged_note", sa.Text, nullable=False, server_default=""),
    sa.Column("flaps", sa.Integer, nullable=False, server_default="1"),
    sa.Column("calm_since", INSTANT),
    sa.Column("eased_since", INSTANT),
    sa.Column("relapses", sa.Integer, nullable=False, server_default="0"),
    sa.Column("expects_by", INSTANT),
    sa.Column("muted_from", sa.String(16)),
    sa.Column("mute_lifted", sa.Boolean, nullable=False, server_default=sa.text("false")),
    sa.Column("fault", sa.String(32), nullable=False, server_default=""),
    sa.Column("members", sa.Text, nullable=False, server_default="[]"),
)

silences = sa.Table(
    "silences",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("pattern", sa.Text, nullable=False),
    sa.Column("begins_at", INSTANT, nullable=False),
    sa.Column("until", INSTANT, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("ended_at", INSTANT),
    sa.Column("ended_by", sa.String(128)),
)

notifications = sa.Table(
    "notifications",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("alert_id", sa.ForeignKey("alerts.id")),
    sa.Column("reason", sa.String(16)),
    sa.Column("dedup_key", sa.String(200), nullable=False, unique=True),
    sa.Column("created_at", INSTANT, nullable=False),
    sa.Column("facts", sa.Text, nullable=False),
)

groups = sa.Table(
    "groups",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("channel", sa.String(16), nullable=False),
    sa.Column("destination", sa.String(320), nullable=False),
    sa.Column("opened_at", INSTANT, nullable=False),
    sa.Column("facts", sa.Text, nullable=False),
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("notification_id", sa.ForeignKey("notifications.id"), nullable=False),
    sa.Column("alert_id", sa.ForeignKey("alerts.id")),
    sa.Column("group_id", sa.ForeignKey("groups.id")),
    sa.Column("channel", sa.String(16), nullable=False),
    sa.Column("destination", sa.String(320), nullable=False),
    sa.Column("action", sa.String(16), nullable=False),
    sa.Column("broadcast", sa.Boolean, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("in_doubt", sa.Boolean, nullable=False, server_default=sa.text("false")),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("created_at", INSTANT, nullable=False),
    sa.Column("first_attempt_at", INSTANT),
    sa.Column("next_attempt_at", INSTANT, nullable=False),
    sa.Column("claimed_by", sa.String(36)),
    sa.Column("claimed_at", INSTANT),
    sa.Column("settled_at", INSTANT),
    sa.Column("error_kind", sa.String(32)),
    sa.Column("error_message", sa.Text),
    sa.Column("room", sa.String(64)),
    sa.Column("ref", sa.String(320)),
    sa.Column("facts", sa.Text),
    sa.Column("superseded_by", sa.String(32)),
    sa.Column("verify_at", INSTANT),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("delivery_id", sa.ForeignKey("deliveries.id"), nullable=False),
    sa.Column("at", INSTANT, nullable=False),
    sa.Column("outcome", sa.String(32), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
)

threads = sa.Table(
    "threads",
    metadata,
    sa.Column("subject", sa.String(64), nullable=False),
    sa.Column("channel", sa.String(16), nullable=False),
    sa.Column("destination", sa.String(320), nullable=False),
    sa.Column("group_id", sa.ForeignKey("groups.id")),
    sa.Column("room", sa.String(64), nullable=False, server_default=""),
    sa.Column("ref", sa.String(320), nullable=False, server_default=""),
    sa.Column("title", sa.Text, nullable=False, server_default=""),
    sa.Column("told_at", INSTANT),
    sa.PrimaryKeyConstraint("subject", "channel", "destination"),
)

digest_slots = sa.Table(
    "digest_slots",
    metadata,
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("slot", sa.String(16), nullable=False),
    sa.Column("made_at", INSTANT, nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.PrimaryKeyConstraint("name", "slot"),
)

plans = sa.Table(
    "plans",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("wallet", sa.String(129), nullable=False),
    sa.Column("category", sa.String(16), nullable=False),
    sa.Column("messages", sa.BigInteger, nullable=False),
    sa.Column("starts_at", INSTANT, nullable=False),
    sa.Column("ends_at", INSTANT, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("created_at", INSTANT, nullable=False),
    sa.Column("removed_at", INSTANT),
)

users = sa.Table(
    "users",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("password_hash", sa.String(200), nullable=False),
    sa.Column("created_at", INSTANT, nullable=False),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("token_hash", sa.String(64), primary_key=True),
    sa.Column("user_name", sa.ForeignKey("users.name", ondelete="CASCADE"), nullable=False),
    sa.Column("created_at", INSTANT, nullable=False),
    sa.Column("seen_at", INSTANT, nullable=False),
    sa.Column("expires_at", INSTANT, nullable=False),
)

login_failures = sa.Table(
    "login_failures",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", INSTANT, nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", INSTANT, nullable=False),
    sa.Column("who", sa.String(128), nullable=False),
    sa.Column("way", sa.String(16), nullable=False),
    sa.Column("action", sa.String(32), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("before", sa.Text),
    sa.Column("after", sa.Text),
    sa.Column("request", sa.String(64)),
)

facts = sa.Table(
    "facts",
    metadata,
    sa.Column("key", sa.String(400), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("at", INSTANT, nullable=False),
)


sa.Index(
    "ix_wallets_due",
    wallets.c.next_read_at,
    postgresql_where=sa.text("configured"),
    sqlite_where=sa.text("configured = 1"),
)
sa.Index("ix_wallets_account", wallets.c.account)

sa.Index("ix_hourly_use_wallet", hourly_use.c.wallet_id, hourly_use.c.hour)
sa.Index("ix_daily_use_wallet", daily_use.c.wallet_id, daily_use.c.day)

sa.Index("uq_thresholds_scope", thresholds.c.wallet, thresholds.c.category, unique=True)

sa.Index(
    "uq_alerts_open",
    alerts.c.wallet,
    alerts.c.category,
    alerts.c.kind,
    unique=True,
    postgresql_where=sa.text("closed_at IS NULL"),
    sqlite_where=sa.text("closed_at IS NULL"),
)
sa.Index("ix_alerts_opened_at", alerts.c.opened_at)

sa.Index("ix_notifications_alert", notifications.c.alert_id)

sa.Index("ix_groups_destination", groups.c.channel, groups.c.destination, groups.c.opened_at)

sa.Index(
    "ix_deliveries_unsettled",
    deliveries.c.next_attempt_at,
    postgresql_where=sa.text("settled_at IS NULL"),
    sqlite_where=sa.text("settled_at IS NULL"),
)
sa.Index("ix_deliveries_alert", deliveries.c.alert_id)
sa.Index("ix_deliveries_notification", deliveries.c.notification_id)
sa.Index(
    "ix_deliveries_verify",
    deliveries.c.verify_at,
    postgresql_where=sa.text("verify_at IS NOT NULL"),
    sqlite_where=sa.text("verify_at IS NOT NULL"),
)

sa.Index("ix_attempts_delivery", attempts.c.delivery_id)

sa.Index("ix_sessions_user", sessions.c.user_name)

sa.Index("ix_login_failures_at", login_failures.c.at)

sa.Index("ix_audit_at", audit.c.at)
sa.Index("uq_audit_request", audit.c.request, unique=True)


def upgrade() -> None:
    """Make every table."""
    metadata.create_all(op.get_bind(), checkfirst=False)


def downgrade() -> None:
    """Leave nothing."""
    metadata.drop_all(op.get_bind(), checkfirst=False)

"""The schema: one table per noun of the glossary; the indices are in `indices.py`."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)

from balancebot.domain.alert import Escalated
from balancebot.domain.audit import Act, Via
from balancebot.domain.balance import Category, WalletName
from balancebot.domain.message import Measurement, MessageContext
from balancebot.domain.threshold import Limits
from balancebot.domain.user import Role
from balancebot.store.types import (
    CountLimit,
    DaysLimit,
    DecimalText,
    EnumColumn,
    JsonColumn,
    MessageColumn,
    PatternColumn,
    PictureColumn,
    ReadingColumn,
    SentenceColumn,
    TextId,
    TextOrNull,
    UtcDateTime,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


ChannelName = String(64).with_variant(String(16), "sqlite")
"""SQLite ignores lengths: there the column stays as the first migration made it."""


def _readings(prefix: str = "") -> list[Column[Any]]:
    return [Column(f"{prefix}{category.value}", ReadingColumn) for category in Category]


# A process that claims work. Its claims are valid while `seen_at` is recent; those of a dead one are free.
workers = Table(
    "workers",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)

wallets = Table(
    "wallets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(129), nullable=False, unique=True),
    Column("account", String(64), nullable=False),
    Column("configured", Boolean, nullable=False),
    *_readings(),
    Column("observed_at", UtcDateTime),
    Column("first_attempt_at", UtcDateTime),
    Column("attempted_at", UtcDateTime),
    Column("error_kind", String(32)),  # of the latest attempt; NULL if it was successful
    Column("error_message", SentenceColumn),
    Column("rejections", Integer, nullable=False, server_default="0"),  # how many 401s in a row
    Column("suspect_since", UtcDateTime),
    Column("next_read_at", UtcDateTime, nullable=False),
    Column("claimed_by", String(36)),
    # the reading up to which usage is booked in the roll-up
    *_readings("booked_"),
    Column("booked_at", UtcDateTime),
    Column("owner", TextOrNull(100)),  # a cost centre; a removed wallet keeps its last one
    # why it is read next at that time, and the balance that decided it; NULL = none did
    Column("next_read_reason", String(16)),
    Column("next_read_category", String(16)),
)

# The estimate of one balance as of its wallet's latest reading.
balances = Table(
    "balances",
    metadata,
    Column("wallet_id", ForeignKey("wallets.id"), nullable=False),
    Column("category", String(16), nullable=False),
    Column("ever_positive", Boolean, nullable=False),
    Column("burn_per_day", Float),
    Column("runway_known", Boolean, nullable=False),
    # instants at which the balance is 0; NULL = beyond 365 days (or unknown)
    Column("p10_at", UtcDateTime),
    Column("p50_at", UtcDateTime),
    Column("p90_at", UtcDateTime),
    Column("judged_at", UtcDateTime),
    # evidence of a spike; 0 = usage is usual
    Column("spike_points", Integer, nullable=False, server_default="0"),
    Column("stopped", Boolean, nullable=False, server_default=text("false")),
    Column("usual_burn_per_day", Float),
    # messages of the latest burst that the usual usage leaves out
    Column("not_counted", BigInteger, nullable=False, server_default="0"),
    Column("not_counted_at", UtcDateTime),
    # the hours of readings it is estimated from, if less than a week
    Column("history_hours", Float),
    # messages of announced and expected sends before p50_at
    Column("sends", BigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("wallet_id", "category"),
)

# Derived from hourly_use, refitted when an hour closes; may be deleted at any time.
burn_models = Table(
    "burn_models",
    metadata,
    Column("wallet_id", ForeignKey("wallets.id"), nullable=False),
    Column("category", String(16), nullable=False),
    Column("hour", Integer, nullable=False),  # epoch hour up to which the window reaches
    Column("use_window", LargeBinary, nullable=False),
    Column("model", LargeBinary),
    PrimaryKeyConstraint("wallet_id", "category"),
)

# Keyed by time first: a cycle appends at one end of the tree.
snapshots = Table(
    "snapshots",
    metadata,
    Column("observed_at", BigInteger, nullable=False),  # epoch second
    Column("wallet_id", Integer, nullable=False),
    *_readings(),
    PrimaryKeyConstraint("observed_at", "wallet_id"),
    sqlite_with_rowid=False,
)


def _packed_days(name: str) -> Table:
    """Return a table of days of other tables' rows, compressed (`store/packing.py`)."""
    return Table(
        name,
        metadata,
        Column("day", Integer, nullable=False),
        Column("wallet_id", Integer, nullable=False),
        Column("num_rows", Integer, nullable=False),
        Column("data", LargeBinary, nullable=False),
        PrimaryKeyConstraint("day", "wallet_id"),
    )


packed_snapshots = _packed_days("packed_snapshots")


def _rollup(name: str, bucket: str) -> Table:
    columns: list[Column[Any]] = []
    for category in Category:
        columns += [
            Column(category.value, ReadingColumn),  # the last reading of the bucket
            Column(f"{category.value}_used", BigInteger),
            Column(f"{category.value}_exposure", Integer),  # seconds in which usage was visible
            Column(f"{category.value}_topped_up", BigInteger),
            Column(f"{category.value}_transferred", BigInteger),  # in positive, out negative
            Column(f"{category.value}_refunded", BigInteger),
        ]
    for category in Category:
        columns += [
            Column(f"{category.value}_moved_out", BigInteger),  # the part of the transfers that was moved out
            Column(f"{category.value}_after", BigInteger),  # change after the last reading of the bucket
        ]
    return Table(
        name,
        metadata,
        Column(bucket, Integer, nullable=False),
        Column("wallet_id", Integer, nullable=False),
        *columns,
        PrimaryKeyConstraint(bucket, "wallet_id"),
        sqlite_with_rowid=False,
    )


hourly_use = _rollup("hourly_use", "hour")
packed_hours = _packed_days("packed_hours")
daily_use = _rollup("daily_use", "day")

thresholds = Table(
    "thresholds",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("wallet", String(129), nullable=False),
    Column("category", EnumColumn(Category, nothing="*"), nullable=False),
    Column("warning_below", CountLimit),
    Column("critical_below", CountLimit),
    Column("warning_days", DaysLimit),
    Column("critical_days", DaysLimit),
    Column("lead_time_days", Float),
    Column("note", Text, nullable=False, server_default=""),
    Column("version", Integer, nullable=False, server_default="1"),  # edit token against lost updates
    Column("updated_at", UtcDateTime, nullable=False),
    Column("updated_by", String(128), nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("wallet", String(129), nullable=False),
    Column("category", String(16), nullable=False),  # '' for alerts of a wallet
    Column("severity", String(16), nullable=False),
    Column("peak", String(16)),  # the worst severity notified; NULL before the first notification
    Column("opened_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    Column("opened_by_days", Boolean, nullable=False),
    Column("limits", JsonColumn(Limits), nullable=False),  # of the last verdict
    Column("measurement", JsonColumn(Measurement), nullable=False),  # of the last verdict
    Column("told_at", UtcDateTime),  # last opened, worsened or reminder
    Column("acknowledged_at", UtcDateTime),
    Column("acknowledged_by", String(128), nullable=False, server_default=""),
    Column("acknowledged_note", Text, nullable=False, server_default=""),
    Column("flaps", Integer, nullable=False, server_default="1"),  # how often within a day
    Column("calm_since", UtcDateTime),  # flapping: since when it has been past all its limits
    Column("eased_since", UtcDateTime),  # flapping: since when it has been past the limits of its peak
    Column(
        "relapses", Integer, nullable=False, server_default="0"
    ),  # flapping: how often it fell back unnotified
    Column("expects_by", UtcDateTime),  # "top-up ordered": a reminder is sent if it is still open then
    Column("muted_from", String(16)),  # the severity it had when it became muted; NULL = not muted
    Column("mute_lifted", Boolean, nullable=False, server_default=text("false")),
    Column("fault", String(32), nullable=False, server_default=""),
    # wallets that share an account's alert
    Column("members", JsonColumn(tuple[WalletName, ...]), nullable=False, server_default="[]"),
    Column("context", JsonColumn(MessageContext), nullable=False, server_default="{}"),  # of its last message
    Column("closed_because", String(32)),
    Column("raised_at", UtcDateTime),  # when its peak was notified: the time for escalation counts from here
    Column("escalated", JsonColumn(tuple[Escalated, ...]), nullable=False, server_default="[]"),
    Column("covered_until", UtcDateTime),  # a usage spike covers its limit in days
)

silences = Table(
    "silences",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("pattern", PatternColumn, nullable=False),
    Column("begins_at", UtcDateTime, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_by", String(128), nullable=False),
    Column("ended_at", UtcDateTime),  # ended by a person before `until`
    Column("ended_by", TextOrNull(128)),
    Column("announced_at", UtcDateTime),  # when it was last announced that it is broad
)

# The outbox: written in the transaction that changed the alert.
notifications = Table(
    "notifications",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("alert_id", ForeignKey("alerts.id")),
    Column("reason", String(16)),  # NULL = an edit only, a digest, a test
    Column("created_at", UtcDateTime, nullable=False),
    Column("message", MessageColumn, nullable=False),
)

groups = Table(
    "groups",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("channel", ChannelName, nullable=False),
    Column("destination", String(320), nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column(
        "message", MessageColumn, nullable=False
    ),  # as its living message shows it, or will after the next edit
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(32), primary_key=True),  # also in Slack's metadata and in the Message-ID
    Column("notification_id", ForeignKey("notifications.id"), nullable=False),
    Column("alert_id", ForeignKey("alerts.id")),
    Column("group_id", ForeignKey("groups.id")),
    Column("channel", ChannelName, nullable=False),
    Column("destination", String(320), nullable=False),
    Column("action", String(16), nullable=False),
    Column("broadcast", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("in_doubt", Boolean, nullable=False, server_default=text("false")),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("first_attempt_at", UtcDateTime),
    Column("next_attempt_at", UtcDateTime, nullable=False),
    Column("claimed_by", String(36)),
    Column("claimed_at", UtcDateTime),
    Column("settled_at", UtcDateTime),
    Column("error_kind", String(32)),
    Column("error_message", SentenceColumn),
    Column("channel_id", String(64)),
    Column("ref", String(320)),
    Column("message", MessageColumn),  # the message to send, if it differs from the notification's
    Column("superseded_by", String(32)),  # the delivery that carries its content
    Column("verify_at", UtcDateTime),  # when to search for duplicates if it had been in doubt
    # a first message that is combined with others, even if there are only two
    Column("together", Boolean, nullable=False, server_default=text("false")),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("delivery_id", ForeignKey("deliveries.id"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("outcome", String(32), nullable=False),  # delivered, found, or a ChannelErrorKind
    Column("message", SentenceColumn(empty=""), nullable=False),
)

# The living message of an alert (or of its group) at one destination.
threads = Table(
    "threads",
    metadata,
    Column("subject", String(64), nullable=False),  # alert:17, group:…
    Column("channel", ChannelName, nullable=False),
    Column("destination", String(320), nullable=False),
    Column("group_id", ForeignKey("groups.id")),  # the group whose message contains the alert
    Column("channel_id", String(64), nullable=False, server_default=""),
    Column("ref", String(320), nullable=False, server_default=""),  # '' until it is delivered
    Column("title", Text, nullable=False, server_default=""),  # the subject of the first mail
    Column("told_at", UtcDateTime),  # when its first message arrived; NULL = none has yet
    PrimaryKeyConstraint("subject", "channel", "destination"),
)

digest_slots = Table(
    "digest_slots",
    metadata,
    Column("name", String(64), nullable=False),
    Column("slot", String(16), nullable=False),  # local date and time, 2026-11-23T09:00
    Column("made_at", UtcDateTime, nullable=False),
    Column("summary", Text, nullable=False),  # JSON: severity and balance of each line, for "what changed"
    PrimaryKeyConstraint("name", "slot"),
)

plans = Table(
    "plans",
    metadata,
    Column("id", TextId, primary_key=True),
    Column("wallet", String(129), nullable=False),
    Column("category", EnumColumn(Category), nullable=False),
    Column("messages", BigInteger, nullable=False),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Column("note", Text, nullable=False),
    Column("created_by", String(128), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("removed_at", UtcDateTime),
)

# Purchases that finance has recorded.
orders = Table(
    "orders",
    metadata,
    Column("id", TextId, primary_key=True),
    Column("wallet", String(129), nullable=False),
    Column("account", String(64), nullable=False),
    Column("category", EnumColumn(Category), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("price", DecimalText(40)),  # the total
    Column("reference", String(200), nullable=False),
    Column("note", Text, nullable=False),
    Column("ordered_at", UtcDateTime, nullable=False),
    Column("ordered_by", String(128), nullable=False),
    Column("expected_at", UtcDateTime, nullable=False),
    Column("cancelled_at", UtcDateTime),
    Column("cancelled_by", TextOrNull(128)),
    Column("reminded_at", UtcDateTime),  # when it was reported as overdue
)

# Top-ups as found in readings; the `messages` of an hour add up to those in hourly_use.
top_ups = Table(
    "top_ups",
    metadata,
    Column("id", TextId, primary_key=True),
    Column("at", BigInteger, nullable=False),  # epoch second of its reading, rounded up
    Column("wallet_id", ForeignKey("wallets.id"), nullable=False),
    Column("category", EnumColumn(Category), nullable=False),
    Column("messages", BigInteger, nullable=False),
    # usage expected between the readings before and after it, by which it may look smaller
    Column("hidden_use", BigInteger, nullable=False, server_default=text("0")),
)

# Which part of a top-up belongs to which order.
order_matches = Table(
    "order_matches",
    metadata,
    Column("top_up_id", ForeignKey("top_ups.id", ondelete="CASCADE"), nullable=False),
    Column("order_id", ForeignKey("orders.id"), nullable=False),
    Column("messages", BigInteger, nullable=False),
    PrimaryKeyConstraint("top_up_id", "order_id"),
)

users = Table(
    "users",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("role", EnumColumn(Role), nullable=False),
    Column(
        "password_hash", String(200), nullable=False
    ),  # '' if a proxy or OpenID Connect authenticates the user
    Column("created_at", UtcDateTime, nullable=False),
    Column("language", TextOrNull(16)),  # of the pages; NULL = as configured
    Column("time_zone", TextOrNull(64)),  # likewise
    Column("vouched", Boolean, nullable=False, server_default=text("false")),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("user_name", ForeignKey("users.name", ondelete="CASCADE"), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

login_failures = Table(
    "login_failures",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("name", String(64), nullable=False),
    Column("address", String(64), nullable=False),
)

# The tokens with which programs use the API. Only their hashes are stored.
tokens = Table(
    "tokens",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("role", EnumColumn(Role), nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(128), nullable=False),
    Column("expires_at", UtcDateTime),
    Column("used_at", UtcDateTime),  # accurate to a few minutes
)

audit = Table(
    "audit",
    metadata,
    Column("id", TextId, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("who", String(128), nullable=False, key="actor"),
    Column("way", EnumColumn(Via), nullable=False, key="via"),
    Column("action", EnumColumn(Act, 32), nullable=False, key="act"),
    Column("subject", String(200), nullable=False),
    Column("before", PictureColumn),
    Column("after", PictureColumn),
    Column("request", TextOrNull(64)),  # the id of the request, if it may be repeated (Slack)
)

# Single facts about the installation: the last cycle's end, a channel's refusal.
facts = Table(
    "facts",
    metadata,
    Column("key", String(400), primary_key=True),
    Column("value", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

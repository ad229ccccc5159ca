"""The schema: every table is one noun of the glossary; their indices are in `indices.py`."""

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
"""SQLite pays no heed to lengths: there the column stays as the first migration made it."""


def _readings(prefix: str = "") -> list[Column[Any]]:
    return [Column(f"{prefix}{category.value}", ReadingColumn) for category in Category]


# A process that claims work. Its claims hold while `seen_at` is fresh; a dead one's are anybody's.
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
    Column("error_kind", String(32)),  # of the latest attempt; NULL when it was good
    Column("error_message", SentenceColumn),
    Column("rejections", Integer, nullable=False, server_default="0"),  # 401s running
    Column("suspect_since", UtcDateTime),
    Column("next_read_at", UtcDateTime, nullable=False),
    Column("claimed_by", String(36)),
    # the reading up to which use has been booked into the roll-up
    *_readings("booked_"),
    Column("booked_at", UtcDateTime),
    Column("owner", TextOrNull(100)),  # a cost centre; one that left keeps its last
    # why it is read next when it is, and the balance that decided it; NULL = nothing did
    Column("next_read_reason", String(16)),
    Column("next_read_category", String(16)),
)

# What is believed of one balance as of its wallet's latest reading.
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
    # evidence of a spike; 0 = use is usual
    Column("spike_points", Integer, nullable=False, server_default="0"),
    Column("stopped", Boolean, nullable=False, server_default=text("false")),
    Column("usual_burn_per_day", Float),
    # messages of the latest burst that the usual usage leaves out
    Column("not_counted", BigInteger, nullable=False, server_default="0"),
    Column("not_counted_at", UtcDateTime),
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


def _rollup(name: str, bucket: str) -> Table:
    columns: list[Column[Any]] = []
    for category in Category:
        columns += [
            Column(category.value, ReadingColumn),  # the last reading of the bucket
            Column(f"{category.value}_used", BigInteger),
            Column(f"{category.value}_exposure", Integer),  # seconds in which use could be seen
            Column(f"{category.value}_topped_up", BigInteger),
            Column(f"{category.value}_transferred", BigInteger),  # in positive, out negative
            Column(f"{category.value}_refunded", BigInteger),
        ]
    for category in Category:
        columns += [
            Column(f"{category.value}_moved_out", BigInteger),  # of what was transferred, the part that left
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
    Column("category", String(16), nullable=False),  # '' for the kinds that concern a wallet
    Column("severity", String(16), nullable=False),
    Column("peak", String(16)),  # the worst severity told; NULL while nothing has been told
    Column("opened_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    Column("opened_by_days", Boolean, nullable=False),
    Column("limits", JsonColumn(Limits), nullable=False),  # by which it was last judged
    Column("measurement", JsonColumn(Measurement), nullable=False),  # when it was last judged
    Column("told_at", UtcDateTime),  # last opened, worsened or reminder
    Column("acknowledged_at", UtcDateTime),
    Column("acknowledged_by", String(128), nullable=False, server_default=""),
    Column("acknowledged_note", Text, nullable=False, server_default=""),
    Column("flaps", Integer, nullable=False, server_default="1"),  # how often within a day
    Column("calm_since", UtcDateTime),  # flapping: since when it has been past all its limits
    Column("eased_since", UtcDateTime),  # flapping: since when it has been past the limits of its peak
    Column("relapses", Integer, nullable=False, server_default="0"),  # flapping: falls back, told to nobody
    Column("expects_by", UtcDateTime),  # "top-up ordered": speaks again if nothing has risen by then
    Column("muted_from", String(16)),  # the severity it had when it became muted; NULL = not muted
    Column("mute_lifted", Boolean, nullable=False, server_default=text("false")),
    Column("fault", String(32), nullable=False, server_default=""),
    # wallets that share an account's alert
    Column("members", JsonColumn(tuple[WalletName, ...]), nullable=False, server_default="[]"),
    Column("context", JsonColumn(MessageContext), nullable=False, server_default="{}"),  # of its last message
    Column("closed_because", String(32)),
    Column("raised_at", UtcDateTime),  # when its peak was told: it escalates from here on
    Column("escalated", JsonColumn(tuple[Escalated, ...]), nullable=False, server_default="[]"),
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
    Column("announced_at", UtcDateTime),  # when people were last told that so much is muted
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
    ),  # as its living message shows it, or will when next edited
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(32), primary_key=True),  # travels in Slack's metadata and in the Message-ID
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
    Column("message", MessageColumn),  # what is sent here, where that differs from the notification's
    Column("superseded_by", String(32)),  # the delivery that carries what this one would have told
    Column("verify_at", UtcDateTime),  # when to look for a duplicate of what had been in doubt
    # a first message that becomes one with others, however few
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

# Where the living message of an alert (or of the group it belongs to) stands at one destination.
threads = Table(
    "threads",
    metadata,
    Column("subject", String(64), nullable=False),  # alert:17, group:…
    Column("channel", ChannelName, nullable=False),
    Column("destination", String(320), nullable=False),
    Column("group_id", ForeignKey("groups.id")),  # an alert that is told inside a group's message
    Column("channel_id", String(64), nullable=False, server_default=""),
    Column("ref", String(320), nullable=False, server_default=""),  # '' until it stands
    Column("title", Text, nullable=False, server_default=""),  # the mail's first subject
    Column("told_at", UtcDateTime),  # when its first message arrived; NULL = nobody there has heard of it
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
    Column("price", DecimalText(40)),  # of all of it
    Column("reference", String(200), nullable=False),
    Column("note", Text, nullable=False),
    Column("ordered_at", UtcDateTime, nullable=False),
    Column("ordered_by", String(128), nullable=False),
    Column("expected_at", UtcDateTime, nullable=False),
    Column("cancelled_at", UtcDateTime),
    Column("cancelled_by", TextOrNull(128)),
    Column("reminded_at", UtcDateTime),  # when it was said that it is overdue
)

# Top-ups as they were seen; `messages` of an hour add up to what hourly_use has of it.
top_ups = Table(
    "top_ups",
    metadata,
    Column("id", TextId, primary_key=True),
    Column("at", BigInteger, nullable=False),  # epoch second of the reading that showed it, rounded up
    Column("wallet_id", ForeignKey("wallets.id"), nullable=False),
    Column("category", EnumColumn(Category), nullable=False),
    Column("messages", BigInteger, nullable=False),
    # expected between the two readings around it, so that it may show so much less
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
    Column("password_hash", String(200), nullable=False),  # '' for one that is vouched for
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

# What programs show to the API. Only a hash is kept: nobody can read a token from here.
tokens = Table(
    "tokens",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("role", EnumColumn(Role), nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(128), nullable=False),
    Column("expires_at", UtcDateTime),
    Column("used_at", UtcDateTime),  # to within a few minutes
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
    Column("request", TextOrNull(64)),  # what asked for it, where one request may come twice (Slack)
)

# Single facts about the installation: the last cycle's end, a channel's refusal.
facts = Table(
    "facts",
    metadata,
    Column("key", String(400), primary_key=True),
    Column("value", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

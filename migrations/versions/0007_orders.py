"""Orders, the top-ups matched to them, whose a wallet is, and what a statement needs of the roll-up."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_CATEGORIES = ("universal", "voice", "industry", "market")
_ROLLUPS = {"hourly_use": ("hour", 3_600), "daily_use": ("day", 86_400)}


def upgrade() -> None:
    """Make the tables, and list the top-ups that the roll-up knows: each at the end of its hour or day."""
    op.create_table(
        "orders",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("wallet", sa.String(129), nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("category", sa.String(16), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.String(40)),
        sa.Column("reference", sa.String(200), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("ordered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ordered_by", sa.String(128), nullable=False),
        sa.Column("expected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cancelled_at", sa.DateTime(timezone=True)),
        sa.Column("cancelled_by", sa.String(128)),
        sa.Column("reminded_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_orders"),
    )
    op.create_index("ix_orders_account", "orders", ["account", "category"])
    op.create_table(
        "top_ups",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("wallet_id", sa.Integer(), nullable=False),
        sa.Column("category", sa.String(16), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["wallet_id"], ["wallets.id"], name="fk_top_ups_wallet_id"),
        sa.PrimaryKeyConstraint("id", name="pk_top_ups"),
    )
    op.create_index("ix_top_ups_at", "top_ups", ["at"])
    op.create_table(
        "order_matches",
        sa.Column("top_up_id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["top_up_id"], ["top_ups.id"], name="fk_order_matches_top_up_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_order_matches_order_id"),
        sa.PrimaryKeyConstraint("top_up_id", "order_id", name="pk_order_matches"),
    )
    op.create_index("ix_order_matches_order_id", "order_matches", ["order_id"])
    op.add_column("wallets", sa.Column("owner", sa.String(100)))
    for table in _ROLLUPS:
        for category in _CATEGORIES:
            op.add_column(table, sa.Column(f"{category}_moved_out", sa.BigInteger()))
            op.add_column(table, sa.Column(f"{category}_after", sa.BigInteger()))
    for table, (bucket, seconds) in _ROLLUPS.items():
        for category in _CATEGORIES:
            op.execute(
                f"INSERT INTO top_ups (at, wallet_id, category, messages) "  # noqa: S608 -- names of our own
                f"SELECT ({bucket} + 1) * CAST({seconds} AS BIGINT), wallet_id, '{category}', {category}_topped_up "
                f"FROM {table} WHERE {category}_topped_up > 0 AND wallet_id IN (SELECT id FROM wallets) "
                f"ORDER BY {bucket}, wallet_id"
            )


def downgrade() -> None:
    """Drop them: orders are lost, the roll-up keeps what an older program knows."""
    for table in _ROLLUPS:
        for category in reversed(_CATEGORIES):
            op.drop_column(table, f"{category}_after")
            op.drop_column(table, f"{category}_moved_out")
    op.drop_column("wallets", "owner")
    op.drop_table("order_matches")
    op.drop_table("top_ups")
    op.drop_table("orders")

"""A wallet says why it is read next when it is, and which balance decided it: unknown until it is read again."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Add the columns, empty."""
    op.add_column("wallets", sa.Column("next_read_reason", sa.String(16)))
    op.add_column("wallets", sa.Column("next_read_category", sa.String(16)))


def downgrade() -> None:
    """Take the columns away."""
    op.drop_column("wallets", "next_read_category")
    op.drop_column("wallets", "next_read_reason")

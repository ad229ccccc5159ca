"""A top-up says how much was probably used between the two readings around it: of those kept so far nobody knows."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Add the column, 0 for what is there."""
    op.add_column(
        "top_ups", sa.Column("hidden_use", sa.BigInteger, nullable=False, server_default=sa.text("0"))
    )


def downgrade() -> None:
    """Take the column away."""
    op.drop_column("top_ups", "hidden_use")

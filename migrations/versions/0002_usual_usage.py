"""What an estimate leaves out: usual usage beside the expected one, and the latest burst that isn't counted in it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Add the columns; they are filled at the next reading."""
    with op.batch_alter_table("balances") as balances:
        balances.add_column(sa.Column("usual_burn_per_day", sa.Float))
        balances.add_column(sa.Column("not_counted", sa.BigInteger, nullable=False, server_default="0"))
        balances.add_column(sa.Column("not_counted_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    """Drop them."""
    with op.batch_alter_table("balances") as balances:
        for column in ("not_counted_at", "not_counted", "usual_burn_per_day"):
            balances.drop_column(column)

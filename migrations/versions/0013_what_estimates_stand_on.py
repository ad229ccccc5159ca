"""What an estimate stands on (its hours of history, the sends that it includes), and until when a spike covers an alert."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


_COVER = """
    UPDATE alerts SET covered_until = opened_at
    WHERE kind = 'low_balance' AND closed_at IS NULL AND EXISTS (
        SELECT 1 FROM alerts AS spikes
        WHERE spikes.kind = 'burn_spike' AND spikes.closed_at IS NULL AND spikes.peak IS NOT NULL
        AND spikes.wallet = alerts.wallet AND spikes.category = alerts.category
    )
"""


def upgrade() -> None:
    """Add the columns; they are filled at the next reading. Until then a present spike covers what it covered before."""
    op.add_column("balances", sa.Column("history_hours", sa.Float))
    op.add_column("balances", sa.Column("sends", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("alerts", sa.Column("covered_until", sa.DateTime(timezone=True)))
    op.execute(_COVER)


def downgrade() -> None:
    """Drop them."""
    op.drop_column("alerts", "covered_until")
    op.drop_column("balances", "sends")
    op.drop_column("balances", "history_hours")

"""A limit in days is at most 365, as far ahead as the end of a balance is looked for: what was set higher is 365."""

from collections.abc import Sequence

from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Lower what is above; it never differed from 365."""
    op.execute("UPDATE thresholds SET warning_days = 365, version = version + 1 WHERE warning_days > 365")
    op.execute("UPDATE thresholds SET critical_days = 365, version = version + 1 WHERE critical_days > 365")


def downgrade() -> None:
    """Leave them: an older program takes 365 as well."""

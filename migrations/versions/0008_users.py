"""What a user chose for the pages, and users that somebody else vouches for: a proxy, or OpenID Connect."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Add the columns: everybody keeps the password, and what the configuration says."""
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("language", sa.String(16)))
        users.add_column(sa.Column("time_zone", sa.String(64)))
        users.add_column(sa.Column("vouched", sa.Boolean, nullable=False, server_default=sa.text("false")))


def downgrade() -> None:
    """Drop them, and the users that have no password: they come back when somebody vouches for them again."""
    op.execute("DELETE FROM users WHERE vouched")
    with op.batch_alter_table("users") as users:
        for column in ("vouched", "time_zone", "language"):
            users.drop_column(column)

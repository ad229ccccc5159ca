"""Names of channels have up to 64 characters, as the configuration allows; `room` is called what it holds, a channel's id.

PostgreSQL refused to store what is sent to a channel whose name has more than 16.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_WITH_CHANNELS = ("groups", "deliveries", "threads")


def upgrade() -> None:
    """Rename and widen."""
    for name in ("deliveries", "threads"):
        op.execute(f"ALTER TABLE {name} RENAME COLUMN room TO channel_id")
    _set_length(sa.String(64))


def downgrade() -> None:
    """Cut longer names, which go by that from then on; narrow and rename."""
    for name in _WITH_CHANNELS:
        channel = sa.column("channel", sa.String)
        rows = sa.table(name, channel).update().where(sa.func.length(channel) > 16)
        op.execute(rows.values(channel=sa.func.substr(channel, 1, 16)))
    _set_length(sa.String(16))
    for name in ("deliveries", "threads"):
        op.execute(f"ALTER TABLE {name} RENAME COLUMN channel_id TO room")


def _set_length(length: sa.String) -> None:
    if op.get_bind().dialect.name == "sqlite":
        return  # it pays no heed to lengths, and would have to make the tables anew
    for name in _WITH_CHANNELS:
        op.alter_column(name, "channel", existing_nullable=False, type_=length)

"""Alerts escalate, openings wait for the end of quiet hours, and a silence lasts at most 30 days and is announced.

An open alert that was told counts as raised when it was last told. Silences that were to last longer end after 30 days;
going back leaves it at that.
"""

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_LONGEST = timedelta(days=30)
_STORED_MESSAGES = ("notifications", "groups", "deliveries")
_ESCALATED, _REMINDER = '"reason":"escalated"', '"reason":"reminder"'
_SILENCE = '{"type":"silence",%'


def upgrade() -> None:
    """Add the columns, and shorten what lasts too long."""
    op.add_column("alerts", sa.Column("raised_at", sa.DateTime(timezone=True)))
    op.add_column("alerts", sa.Column("escalated", sa.Text, nullable=False, server_default="[]"))
    op.execute("UPDATE alerts SET raised_at = told_at WHERE closed_at IS NULL AND peak IS NOT NULL")
    op.add_column(
        "deliveries", sa.Column("together", sa.Boolean, nullable=False, server_default=sa.text("false"))
    )
    op.add_column("silences", sa.Column("announced_at", sa.DateTime(timezone=True)))
    _shorten_silences()


def downgrade() -> None:
    """Take the columns away; an escalation becomes a reminder, and announcements of silences go."""
    conn = op.get_bind()
    conn.execute(sa.text("UPDATE notifications SET reason = 'reminder' WHERE reason = 'escalated'"))
    for table in _STORED_MESSAGES:
        conn.execute(
            sa.text(
                f"UPDATE {table} SET message = REPLACE(message, :old, :new) WHERE message LIKE :holds"  # noqa: S608
            ),
            {"old": _ESCALATED, "new": _REMINDER, "holds": f"%{_ESCALATED}%"},
        )
    _forget_announcements(conn)
    for table, columns in (
        ("silences", ["announced_at"]),
        ("deliveries", ["together"]),
        ("alerts", ["escalated", "raised_at"]),
    ):
        with op.batch_alter_table(table) as changed:
            for column in columns:
                changed.drop_column(column)


def _shorten_silences() -> None:
    silences = sa.table(
        "silences",
        sa.column("id", sa.Integer),
        sa.column("begins_at", sa.DateTime(timezone=True)),
        sa.column("until", sa.DateTime(timezone=True)),
    )
    conn = op.get_bind()
    for row in conn.execute(sa.select(silences)).all():
        if row.until - row.begins_at > _LONGEST:
            shortened = sa.update(silences).where(silences.c.id == row.id)
            conn.execute(shortened.values(until=row.begins_at + _LONGEST))


def _forget_announcements(conn: sa.Connection) -> None:
    announced = "SELECT id FROM notifications WHERE message LIKE :silence"
    theirs = f"SELECT id FROM deliveries WHERE notification_id IN ({announced})"  # noqa: S608
    for statement in (
        f"DELETE FROM attempts WHERE delivery_id IN ({theirs})",  # noqa: S608
        f"DELETE FROM deliveries WHERE notification_id IN ({announced})",  # noqa: S608
        "DELETE FROM notifications WHERE message LIKE :silence",
    ):
        conn.execute(sa.text(statement), {"silence": _SILENCE})

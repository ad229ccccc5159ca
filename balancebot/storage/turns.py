"""Whose turn it is, where two transactions must not decide at the same time on what the other is changing.

SQLite has one writer anyway; on PostgreSQL the turn is an advisory lock that ends with the transaction.
"""

from sqlalchemy import Connection, text

ALERTS = 1
"""Judging and what changes alerts."""
BOOKING = 2
"""Booking use into the roll-up."""
THRESHOLDS = 3
"""Changing thresholds: what was looked at must be what is changed."""
_SPACE = 0x62616C  # our advisory locks among those of others in the same database


def take(conn: Connection, turn: int) -> None:
    """Wait for the turn and keep it to the end of the transaction; DatabaseError LOCKED if it takes too long."""
    if conn.dialect.name == "postgresql":
        conn.execute(text("SELECT pg_advisory_xact_lock(:space, :turn)"), {"space": _SPACE, "turn": turn})

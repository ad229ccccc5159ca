"""INSERT … ON CONFLICT, which SQLite and PostgreSQL write alike but SQLAlchemy keeps in two dialects."""

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import sqlite


def insert_into(conn: Connection, table: Table) -> sqlite.Insert:
    """Return an insert that knows `on_conflict_do_update` and `on_conflict_do_nothing`.

    The type is SQLite's; PostgreSQL's has the same methods.
    """
    if conn.dialect.name == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # its drivers take a while to load

    return postgresql.insert(table)  # type: ignore[return-value]

"""Which version the tables have, and how they come to the one this program knows.

Alembic is imported only when there is something to do: looking at the version costs two small queries.
"""

from sqlalchemy import Connection, inspect, text

from balancebot.packaged import packaged
from balancebot.store.errors import DatabaseError, DatabaseErrorKind

HEAD = "0002"
"""The version this program works with: the newest of `migrations/versions`."""

_ADVISORY_LOCK = 0x62616C62  # "balb": PostgreSQL locks by number


def version(connection: Connection) -> str | None:
    """Return the version of the tables; None where there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def wait_for_turn(connection: Connection) -> None:
    """Let one PostgreSQL transaction at a time change tables; those that come later wait for its end."""
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _ADVISORY_LOCK})


def upgrade(connection: Connection, place: str) -> None:
    """Bring the tables to `HEAD` within the caller's transaction; `place` names the database in an error.

    Looks at the version again, since somebody else may have been quicker.
    """
    current = version(connection)
    if current == HEAD:
        return

    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(packaged("migrations")).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise DatabaseError(
            DatabaseErrorKind.NEWER,
            f"database {place}: made by a newer balancebot (schema {current}; this one knows up to {HEAD}); "
            "upgrade the program",
        )
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)

"""The version of the tables, and their upgrade to the version of this program.

Alembic is imported only if there is something to do: checking the version takes two small queries.
"""

from uuid import uuid4

from sqlalchemy import Connection, inspect, text

from balancebot import packaged
from balancebot.clock import SystemClock
from balancebot.store import installation
from balancebot.store.database_file import BACKUP_MARK
from balancebot.store.errors import DatabaseError, DatabaseErrorKind
from balancebot.store.tables import metadata

HEAD = "0013"
"""The version of this program: the newest in `migrations/versions`."""

DATABASE_ID = "database_id"
"""The fact with the id of this database, made with the database."""
_VERSION_AND_ID = text(
    "SELECT (SELECT version_num FROM alembic_version), (SELECT value FROM facts WHERE key = :key)"
)
_ADVISORY_LOCK = 0x62616C62  # "balb": PostgreSQL locks by number


def version(connection: Connection) -> str | None:
    """Return the version of the tables; None if there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def database_id(connection: Connection, place: str) -> str | None:
    """Return the id of this database; None if it has none yet. Raises DatabaseError for unexpected tables."""
    _refuse_missing_columns(connection, place)
    found = installation.find(connection, DATABASE_ID)
    return None if found is None else found.value


def make_database_id(connection: Connection) -> str:
    """Give this database an id, unless it has one."""
    found = installation.find(connection, DATABASE_ID)
    if found is not None:
        return found.value
    name = uuid4().hex
    installation.note(connection, DATABASE_ID, name, now=SystemClock().now())
    return name


def is_unopened_backup(connection: Connection) -> bool:
    """Return whether a SQLite database is a backup that was never opened."""
    return bool(connection.exec_driver_sql("PRAGMA user_version").scalar() == BACKUP_MARK)


def unmark_backup(connection: Connection) -> None:
    """Remove the mark of a backup."""
    connection.exec_driver_sql("PRAGMA user_version = 0")


def verify(connection: Connection, place: str, expected_id: str) -> None:
    """Raise DatabaseError if this is another database, or one that a newer program has upgraded since."""
    current, found = connection.execute(_VERSION_AND_ID, {"key": DATABASE_ID}).one()
    if current != HEAD:
        raise _unknown_version(place, current)
    if found != expected_id:
        raise DatabaseError(
            DatabaseErrorKind.REPLACED,
            f"database {place}: it is another database than the one this process has opened; restart it if that is meant",
        )


def unreleased(place: str, reason: str) -> DatabaseError:
    """Return the error of a database whose tables differ from its schema version."""
    return DatabaseError(
        DatabaseErrorKind.CORRUPT,
        f"database {place}: {reason}: its tables were made by a version that was never released, or by another program. "
        "Begin with a new database; that version's `history export` and `thresholds export` take the past and the limits "
        "along",
    )


def _refuse_missing_columns(connection: Connection, place: str) -> None:
    missing = _missing_columns(connection)
    if missing:
        raise unreleased(place, f"its tables of schema {HEAD} lack {', '.join(sorted(missing)[:3])}")


def _missing_columns(connection: Connection) -> set[str]:
    """Return the columns that the program expects and the tables don't have."""
    if connection.dialect.name == "sqlite":
        query = "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'"
    else:
        query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
    there = {f"{table}.{column}" for table, column in connection.execute(text(query))}
    return {str(column) for table in metadata.tables.values() for column in table.columns} - there


def _unknown_version(place: str, current: str | None) -> DatabaseError:
    if current is not None and current.isdecimal() and current > HEAD:
        return DatabaseError(
            DatabaseErrorKind.NEWER,
            f"database {place}: made by a newer balancebot (schema {current}; this one knows up to {HEAD}); "
            "upgrade the program",
        )
    return DatabaseError(
        DatabaseErrorKind.CORRUPT,
        f"database {place}: this balancebot doesn't know its schema {current or 'at all'} (it knows up to {HEAD}); run "
        "the version that made it, or put a backup back with `db restore FILE`",
    )


def wait_for_turn(connection: Connection) -> None:
    """Lock a PostgreSQL database against other migrations until the transaction ends; later ones wait."""
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    # between two statements a migration imports and computes, which takes long on a busy machine
    connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '10min'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _ADVISORY_LOCK})


def upgrade(connection: Connection, place: str) -> None:
    """Upgrade the tables to `HEAD` within the caller's transaction; errors name the database by `place`.

    The version is checked again, because another process may have been quicker. Raises DatabaseError for an unknown
    schema, and errors of SQLAlchemy if the tables don't match their schema.
    """
    current = version(connection)
    if current == HEAD:
        return

    from alembic import command  # lazy: only an old schema needs it; 0.3 s
    from alembic.config import Config  # lazy: only an old schema needs it; 0.3 s
    from alembic.script import ScriptDirectory  # lazy: only an old schema needs it; 0.3 s

    config = Config()
    config.set_main_option("script_location", str(packaged("migrations")).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise _unknown_version(place, current)
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
    _refuse_missing_columns(connection, place)

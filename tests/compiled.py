"""Share compiled statements among all databases of a process: every test has its own database, but the same statements.

A service compiles each statement once; a test would compile its 50 statements again, which takes 100 ms.
"""

from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

_compiled: dict[Any, Any] = {}


class _SQLite(SQLiteDialect_pysqlite):
    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _SQLite)

    def __hash__(self) -> int:
        return hash(_SQLite)


class _PostgreSQL(PGDialect_psycopg):
    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _PostgreSQL)

    def __hash__(self) -> int:
        return hash(_PostgreSQL)


def compile_once() -> None:
    """Let all engines of this process share their compiled statements; the databases of one server compile alike."""
    registry.register("sqlite.pysqlite", __name__, _SQLite.__name__)
    registry.register("postgresql.psycopg", __name__, _PostgreSQL.__name__)
    event.listen(Engine, "engine_connect", _share)


def _share(connection: Connection) -> None:
    connection.execution_options(compiled_cache=_compiled)

"""The errors of the databases and their drivers: their kinds, and what is wrong as text for people."""

import sqlite3
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from balancebot.store.errors import DatabaseError, DatabaseErrorKind

_DAMAGED = ("no such table", "Could not decode to UTF-8")
_SQLITE_KINDS = {
    sqlite3.SQLITE_BUSY: DatabaseErrorKind.LOCKED,
    sqlite3.SQLITE_LOCKED: DatabaseErrorKind.LOCKED,
    sqlite3.SQLITE_FULL: DatabaseErrorKind.FULL,
    sqlite3.SQLITE_PERM: DatabaseErrorKind.UNREACHABLE,
    sqlite3.SQLITE_AUTH: DatabaseErrorKind.UNREACHABLE,
    sqlite3.SQLITE_READONLY: DatabaseErrorKind.UNREACHABLE,
    sqlite3.SQLITE_CANTOPEN: DatabaseErrorKind.UNREACHABLE,
    sqlite3.SQLITE_IOERR: DatabaseErrorKind.UNREACHABLE,
    sqlite3.SQLITE_CORRUPT: DatabaseErrorKind.CORRUPT,
    sqlite3.SQLITE_NOTADB: DatabaseErrorKind.CORRUPT,
}

# By SQLSTATE, or its first characters: PostgreSQL's manual, appendix A.
_POSTGRESQL_KINDS = {
    "08": DatabaseErrorKind.UNREACHABLE,  # connection exception
    "28": DatabaseErrorKind.UNREACHABLE,  # log-in refused
    "3D": DatabaseErrorKind.UNREACHABLE,  # no such database
    "42501": DatabaseErrorKind.UNREACHABLE,  # no privilege
    "25006": DatabaseErrorKind.UNREACHABLE,  # a read-only standby
    "25P03": DatabaseErrorKind.UNREACHABLE,  # idle in transaction for too long: this process was frozen
    "57P": DatabaseErrorKind.UNREACHABLE,  # shutting down, starting up
    "53300": DatabaseErrorKind.UNREACHABLE,  # too many connections
    "53": DatabaseErrorKind.FULL,
    "40": DatabaseErrorKind.LOCKED,  # deadlock, serialisation
    "55P03": DatabaseErrorKind.LOCKED,
    "57014": DatabaseErrorKind.LOCKED,  # cancelled by a time limit
    "42P01": DatabaseErrorKind.CORRUPT,  # no such table
    "XX": DatabaseErrorKind.CORRUPT,
}


def place_of(url: URL) -> str:
    """Return the file, or host, port and database, for people; nothing secret."""
    if url.get_backend_name() == "sqlite":
        return url.database or ":memory:"
    host = url.host or url.query.get("host") or "localhost"
    return f"{host}:{url.port or 5432}/{url.database or ''}"


def explain(error: SQLAlchemyError, url: URL) -> DatabaseError | None:
    """Return what is wrong with the database at `url`; None if the error is a bug of the program."""
    place = place_of(url)
    if isinstance(error, PoolTimeout):
        return DatabaseError(
            DatabaseErrorKind.UNREACHABLE, f"database {place}: every connection is in use, gave up waiting"
        )
    if not isinstance(error, DBAPIError) or error.orig is None:
        return None
    kind = _kind_of(error.orig)
    if kind is None:
        return None
    return DatabaseError(kind, f"database {place}: {_words(kind, error.orig, url)}")


def _kind_of(raised: BaseException) -> DatabaseErrorKind | None:
    if isinstance(raised, sqlite3.Error):
        # the low byte is the primary code: SQLITE_BUSY_SNAPSHOT and similar codes are kinds of SQLITE_BUSY
        code = getattr(raised, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code == sqlite3.SQLITE_ERROR and any(words in str(raised) for words in _DAMAGED):
            return DatabaseErrorKind.CORRUPT
        return _SQLITE_KINDS.get(code)
    state = getattr(raised, "sqlstate", None)
    if state is not None:
        return next((_POSTGRESQL_KINDS[state[:n]] for n in (5, 3, 2) if state[:n] in _POSTGRESQL_KINDS), None)
    # psycopg sets no SQLSTATE if a connection could not be made or was lost, or if one of its options is invalid
    lost = type(raised).__name__ in {
        "OperationalError",
        "InterfaceError",
        "ConnectionTimeout",
        "ProgrammingError",
    }
    return DatabaseErrorKind.UNREACHABLE if lost else None


def _words(kind: DatabaseErrorKind, raised: BaseException, url: URL) -> str:
    text = " ".join(str(raised).split()) or type(raised).__name__
    if url.get_backend_name() == "sqlite" and url.database:
        if kind is DatabaseErrorKind.UNREACHABLE:
            return _file_error(Path(url.database), text)
        if kind is DatabaseErrorKind.LOCKED:
            return f"another process is writing and did not finish in time ({text})"
        if kind is DatabaseErrorKind.FULL:
            return f"the disk is full ({text})"
    text = text.partition(" LINE ")[0]  # where in the statement it was: nothing for people
    if kind is DatabaseErrorKind.LOCKED:
        return f"another session holds what is needed and did not let go in time ({text})"
    if kind is DatabaseErrorKind.CORRUPT:
        return f"it is damaged, or was not made by balancebot ({text})"
    return text


def _file_error(file: Path, text: str) -> str:
    if not file.parent.is_dir():
        return f"the folder {file.parent} does not exist"
    if file.is_dir():
        return "it is a folder, not a file"
    return f"it can't be read and written; look at the disk, and at the permissions of the file and its folder ({text})"

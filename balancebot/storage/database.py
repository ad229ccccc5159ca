"""Connections and transactions, on SQLite and PostgreSQL alike.

A writer's transaction is the only one of its kind at a time on SQLite (BEGIN IMMEDIATE, and a lock between the
threads of this process); a reader sees one instant and can't write. What the outside does is a `DatabaseError`.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from time import monotonic, sleep
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from balancebot.storage import schema
from balancebot.storage.diagnosis import explain, place_of
from balancebot.storage.errors import DatabaseError, DatabaseErrorKind

WAIT = timedelta(seconds=5)
"""How long a writer waits for its turn, and anybody for a connection, before it is an error."""


class Database:
    """One database, by its SQLAlchemy URL. Connects when first asked; safe to share between threads."""

    url: URL
    """Its password shows in no `str` or `repr`."""
    place: str
    """The file, or host, port and database: for people."""
    is_sqlite: bool

    def __init__(self, url: str, *, wait: timedelta = WAIT) -> None:
        """Take the URL of a SQLite file or a PostgreSQL database; raises `DatabaseError` for any other."""
        self._wait = wait
        self.url = _known(url)
        self.place = place_of(self.url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._turn: AbstractContextManager[object] = _Turn(self.place, wait)
            self._writer = _sqlite_engine(self.url, wait, begin="BEGIN IMMEDIATE")
            self._reader = _sqlite_engine(self.url, wait, begin="BEGIN", pragmas=("query_only = ON",))
        else:
            self._turn = nullcontext()
            self._writer = _postgresql_engine(
                self.url,
                wait,
                # a frozen process must not keep what it locked: others take its work over within seconds
                "SET idle_in_transaction_session_timeout = '10s'",
                # nor while the server has more to say than a frozen process takes in
                "SET tcp_user_timeout = '10s'",
                f"SET lock_timeout = {_milliseconds(wait)}",
            )
            self._reader = _postgresql_engine(
                self.url, wait, f"SET lock_timeout = {_milliseconds(wait)}"
            ).execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that sees one instant and can't write."""
        with self._explained(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that commits at the end of the block, or leaves nothing behind when it raises.

        Never hold it across a request to the outside, and never open one inside another.
        """
        with self._explained(), self._turn, self._writer.begin() as connection:
            yield connection

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """Open the transaction in which tables may be made and changed, by one process at a time.

        On SQLite foreign keys are checked at its end only: rebuilding a parent table would delete its children.
        """
        if not self.is_sqlite:
            with self.write() as connection:
                schema.wait_for_turn(connection)
                yield connection
            return
        engine = _sqlite_engine(
            self.url, self._wait, begin="BEGIN IMMEDIATE", foreign_keys=False, poolclass=NullPool
        )
        with self._explained(), self._turn, engine.begin() as connection:
            yield connection
            orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
            if orphans:
                raise DatabaseError(
                    DatabaseErrorKind.CORRUPT,
                    f"database {self.place}: {len(orphans)} rows would lose their parents",
                )

    def upgrade(self) -> None:
        """Make the tables, or bring those of an older version up to date; quick when there is nothing to do.

        Any number of processes may call it at once. A database of a newer version is refused with NEWER.
        """
        with self.read() as connection:
            current = schema.version(connection)
        if current != schema.HEAD:
            with self.migrating() as connection:
                schema.upgrade(connection, self.place)

    def dispose(self) -> None:
        """Close every connection that isn't in use. Idempotent."""
        self._writer.dispose()
        self._reader.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            told = explain(error, self.url)
            if told is None:
                raise
            # without the cause: it carries the statement's parameters
            raise told from None


class _Turn:
    """Lets the threads of one process write one after the other, waiting no longer than `wait`."""

    def __init__(self, place: str, wait: timedelta) -> None:
        self._lock = threading.Lock()
        self._place = place
        self._wait = wait.total_seconds()

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=self._wait):
            raise DatabaseError(
                DatabaseErrorKind.LOCKED, f"database {self._place}: another write did not finish in time"
            )

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _known(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # without the text: it may hold a password
        raise DatabaseError(DatabaseErrorKind.UNREACHABLE, "the database's URL can't be read") from None
    backend = url.get_backend_name()
    if backend == "sqlite" and url.database and url.database != ":memory:":
        return url.set(drivername="sqlite+pysqlite")
    if backend in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    raise DatabaseError(
        DatabaseErrorKind.UNREACHABLE,
        f"a database of {backend!r} can't be used: write sqlite:///FILE or postgresql+psycopg://…",
    )


def _sqlite_engine(
    url: URL,
    wait: timedelta,
    *,
    begin: str,
    pragmas: tuple[str, ...] = (),
    foreign_keys: bool = True,
    poolclass: type[NullPool] | None = None,
) -> Engine:
    engine = create_engine(
        url,
        poolclass=poolclass,
        hide_parameters=True,
        # sqlite3's own transactions off: it begins late and lets two writers read the same before they write
        connect_args={"isolation_level": None, "timeout": wait.total_seconds(), "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _(connection: DBAPIConnection, _: object) -> None:
        cursor = connection.cursor()
        _ensure_wal(cursor, wait)
        # FULL: a commit survives a power cut, or a message that was sent would be forgotten
        for pragma in ("synchronous = FULL", f"foreign_keys = {'ON' if foreign_keys else 'OFF'}", *pragmas):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _postgresql_engine(url: URL, wait: timedelta, *settings: str) -> Engine:
    connect = {
        "connect_timeout": max(2, round(wait.total_seconds())),
        # a server that vanished without a word is noticed within a quarter of a minute
        "keepalives_idle": 5,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": 14_000,
    }
    try:
        engine = create_engine(
            url,
            hide_parameters=True,
            pool_pre_ping=True,  # the server may have been restarted since
            pool_timeout=wait.total_seconds(),
            connect_args={name: value for name, value in connect.items() if name not in url.query},
        )
    except ModuleNotFoundError:
        raise DatabaseError(
            DatabaseErrorKind.UNREACHABLE, "PostgreSQL needs the extra: pip install 'balancebot[postgres]'"
        ) from None

    @event.listens_for(engine, "connect")
    def _(connection: DBAPIConnection, _: object) -> None:
        cursor = connection.cursor()
        for setting in settings:
            cursor.execute(setting)
        cursor.close()
        connection.commit()

    @event.listens_for(engine, "after_cursor_execute")
    def _(_: Connection, cursor: Any, *statement: object) -> None:
        if statement[-1]:  # it was executed many times
            # psycopg's pipeline ends with a Flush, at which the server stops the clock of an idle transaction:
            # only another statement starts it again
            cursor.connection.execute("SELECT 1")

    return engine


def _milliseconds(time: timedelta) -> int:
    return round(time.total_seconds() * 1000)


def _ensure_wal(cursor: DBAPICursor, wait: timedelta) -> None:
    """Switch the file to WAL, once in its life: readers and the writer don't wait for each other.

    SQLite doesn't wait here for another process that is just making the file, so this does.
    """
    until = monotonic() + wait.total_seconds()
    while not _is_wal(cursor):
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > until:
                raise
            sleep(0.01)


def _is_wal(cursor: DBAPICursor) -> bool:
    cursor.execute("PRAGMA journal_mode")
    return cursor.fetchone() == ("wal",)

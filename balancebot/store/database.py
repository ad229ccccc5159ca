"""Connections and transactions on SQLite and PostgreSQL."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from time import monotonic, sleep
from typing import Any, TypeVar
from weakref import WeakSet

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from balancebot.clock import SystemClock
from balancebot.store import installation, schema
from balancebot.store.database_file import DatabaseFile
from balancebot.store.driver_errors import explain, place_of
from balancebot.store.errors import ODD_ERRORS, DatabaseError, DatabaseErrorKind
from balancebot.store.set_aside import NONE_SET_ASIDE, OPTION, SetAside

WAIT = timedelta(seconds=5)
"""How long to wait for the writer's lock, or for a connection, before it is an error."""
_FROZEN = timedelta(seconds=10)
_END_FROZEN = text("""
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user
    AND application_name = current_setting('application_name')
    AND state = 'active' AND wait_event = 'ClientRead'
    AND state_change < statement_timestamp() - make_interval(secs => :seconds)
""")
"""Within a batch (psycopg's pipeline) a session stays active while the server waits for the next statement."""
_SEARCH_AGAIN = timedelta(minutes=1)
_SEARCHES_SKIPPED = 5
"""While wallets are set aside, every this many times `search_again` they are searched again for repaired rows."""
_MOST_DAMAGED = 100
"""With more damaged values than this the whole database counts as damaged, and nothing is set aside."""

_CURSORS = "cursors"
"""The key for the cursors of a SQLite connection."""

T = TypeVar("T")


class Database:
    """One database, by its SQLAlchemy URL. It connects at the first use, and is thread-safe."""

    url: URL
    """Its password shows in no `str` or `repr`."""
    place: str
    """The file, or host, port and database, for people."""
    is_sqlite: bool
    _id: str | None = None
    """The id of the database, after `upgrade` has read it."""
    _file: DatabaseFile | None = None
    set_aside: SetAside = NONE_SET_ASIDE
    """The wallets that this process leaves out because rows of theirs are damaged."""
    _search_again_at: float = 0.0
    _recheck_at: float = 0.0
    _found_damage: str = ""
    _found_to_set_aside: SetAside = NONE_SET_ASIDE
    """The results of the last search for damaged rows."""

    def __init__(
        self,
        url: str,
        *,
        wait: timedelta = WAIT,
        frozen: timedelta = _FROZEN,
        search_again: timedelta = _SEARCH_AGAIN,
    ) -> None:
        """`url` is that of a SQLite file or a PostgreSQL database; any other raises `DatabaseError`.

        `frozen` is how long PostgreSQL keeps the locks of a process that doesn't respond. For the time `search_again`,
        errors are answered by the last search for damaged rows.
        """
        self._wait = wait
        self._frozen = frozen
        self._search_again = search_again.total_seconds()
        self.url = _known(url)
        self.place = place_of(self.url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._file = DatabaseFile(self.url.database or "")
            self._writer_lock: AbstractContextManager[object] = _WriterLock(self.place, wait)
            self._writer = _sqlite_engine(self.url, wait, begin="BEGIN IMMEDIATE")
            self._reader = _sqlite_engine(self.url, wait, begin="BEGIN", pragmas=("query_only = ON",))
        else:
            self._writer_lock = nullcontext()
            self._writer = _postgresql_engine(
                self.url,
                wait,
                # a frozen process must not keep its locks: others take over its work within seconds
                f"SET idle_in_transaction_session_timeout = {_milliseconds(frozen)}",
                # the same if the server can't send its answer because the frozen process doesn't read it
                f"SET tcp_user_timeout = {_milliseconds(frozen)}",
                f"SET lock_timeout = {_milliseconds(wait)}",
            )
            self._reader = _postgresql_engine(
                self.url, wait, f"SET lock_timeout = {_milliseconds(wait)}"
            ).execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that sees one consistent state and can't write."""
        with self._explained(), self._transaction(self._reader) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that is committed at the end of the block, or rolled back if the block raises.

        Never keep it open during a request to the outside, and never open one inside another.
        """
        with self._explained(), self._writer_lock, self._transaction(self._writer) as connection:
            yield connection

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """Open the transaction in which tables may be created and changed, by one process at a time.

        On SQLite foreign keys are checked only at its end, because rebuilding a parent table would delete its children.
        """
        if not self.is_sqlite:
            with self.write() as connection:
                schema.wait_for_turn(connection)
                yield connection
            return
        engine = _sqlite_engine(
            self.url, self._wait, begin="BEGIN IMMEDIATE", foreign_keys=False, poolclass=NullPool
        )
        with self._explained(), self._writer_lock, engine.begin() as connection:
            yield connection
            orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
            if orphans:
                raise DatabaseError(
                    DatabaseErrorKind.CORRUPT,
                    f"database {self.place}: {len(orphans)} rows would lose their parents",
                )

    def upgrade(self) -> None:
        """Create the tables, or upgrade those of an older version; fast if there is nothing to do.

        Any number of processes may call it at the same time. A database of a newer version is refused with NEWER.
        """
        with self.read() as connection:
            current = schema.version(connection)
            is_ready = current == schema.HEAD and not (
                self.is_sqlite and schema.is_unopened_backup(connection)
            )
            self._id = schema.database_id(connection, self.place) if is_ready else None
        if self._id is None:
            with self.migrating() as connection:
                self._migrate(connection)
                if self.is_sqlite and schema.is_unopened_backup(connection):
                    installation.settle_restored(connection, now=SystemClock().now())
                    schema.unmark_backup(connection)
                self._id = schema.make_database_id(connection)
            if self.is_sqlite:
                self._check_point()

    def _migrate(self, connection: Connection) -> None:
        try:
            schema.upgrade(connection, self.place)
        except SQLAlchemyError as error:
            explained = explain(error, self.url)
            if explained is not None and explained.kind is not DatabaseErrorKind.CORRUPT:
                raise
            raised = error.orig if isinstance(error, DBAPIError) else error
            reason = " ".join(str(raised).split()).partition(" LINE ")[0]
            raise schema.unreleased(self.place, f"it can't be upgraded ({reason})") from None

    def _check_point(self) -> None:
        """Write the write-ahead log into the file, so that its header differs from that of a replacement."""
        with self._explained(), self._writer.connect() as connection:
            cursor = connection.connection.cursor()
            cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
            cursor.close()

    def end_frozen_sessions(self, connection: Connection) -> None:
        """End the sessions of processes that are frozen in the middle of a batch of statements.

        PostgreSQL's timeout for idle transactions doesn't count then, and the rows that they have locked would not be
        claimed by anybody. Does nothing on SQLite.
        """
        if not self.is_sqlite:
            connection.execute(_END_FROZEN, {"seconds": self._frozen.total_seconds()})

    def dispose(self) -> None:
        """Close all connections that aren't in use. Idempotent."""
        self._writer.dispose()
        self._reader.dispose()
        if self._file is not None:
            self._file.forget()

    def quick_check(self) -> tuple[str, ...]:
        """Return the first faults in the structure of the SQLite file, for people; always nothing on PostgreSQL.

        Takes half a second of CPU per 100 MB, while others read and write; `PRAGMA integrity_check` takes ten times that.
        """
        if not self.is_sqlite:
            return ()
        # a connection of its own, whose cache has no pages from before
        engine = _sqlite_engine(self.url, self._wait, begin="BEGIN", poolclass=NullPool)
        with self._explained(), engine.begin() as connection:
            answers = connection.exec_driver_sql("PRAGMA quick_check(3)").scalars().all()
        return tuple(" ".join(str(answer).split()) for answer in answers if answer != "ok")

    def verify(self, connection: Connection) -> None:
        """Raise DatabaseError unless this is the database that `upgrade` has opened, in the version of this program.

        A backup of another database may have been restored, or a newer program may have upgraded this one meanwhile.
        """
        if self._id is not None:
            schema.verify(connection, self.place, self._id)

    def blamed_for(self, error: Exception) -> DatabaseError | None:
        """Return an error about the damaged row that may have caused `error`; None if no row is damaged."""
        if not isinstance(error, ODD_ERRORS):
            return None
        if monotonic() >= self._search_again_at:
            try:
                self._search_damage()
            except SQLAlchemyError as other:
                return explain(other, self.url)
        return DatabaseError(DatabaseErrorKind.CORRUPT, self._found_damage) if self._found_damage else None

    def apart_from_damage(self, run: Callable[[], T]) -> T:
        """Return the result of `run`, which reads rows of many wallets in transactions of its own.

        If rows of some wallets are damaged, set these wallets aside, and run it again without them.
        """
        before = self.set_aside
        try:
            return run()
        except DatabaseError as fault:
            if fault.kind is not DatabaseErrorKind.CORRUPT or before == self._found_to_set_aside:
                raise
        self.set_aside = self._found_to_set_aside
        return run()

    def watch_repaired_again(self) -> None:
        """Search again from time to time while wallets are set aside, so that repaired ones are read again."""
        if self.set_aside is not NONE_SET_ASIDE and monotonic() >= self._recheck_at:
            with self._explained():
                self._search_damage()
            self.set_aside = self._found_to_set_aside

    def _search_damage(self) -> None:
        from balancebot.store import damage  # lazy: rarely needed

        self._found_damage, self._found_to_set_aside = "", NONE_SET_ASIDE
        with self._reader.connect() as connection:
            found = damage.find_damage(connection, at_most=_MOST_DAMAGED + 1)
            if found and len(found) <= _MOST_DAMAGED:
                self._found_to_set_aside = damage.to_set_aside(connection, found)
        if found:
            self._found_damage = (
                f"database {self.place}: it is damaged: {found[0]}; restore a backup, or repair the row"
            )
        self._search_again_at = monotonic() + self._search_again
        self._recheck_at = monotonic() + _SEARCHES_SKIPPED * self._search_again

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        with engine.begin() as connection:
            if self._file is not None:
                self._file.opened(connection.info)
            if self.set_aside is not NONE_SET_ASIDE:
                connection.execution_options(**{OPTION: self.set_aside})
            try:
                yield connection
            except ODD_ERRORS:
                # perhaps not all rows were fetched; while such a cursor is open, SQLite doesn't end the transaction
                for cursor in list(connection.info.get(_CURSORS, ())):
                    cursor.close()
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        if self._file is not None:
            self._file.check()
        try:
            yield
        except SQLAlchemyError as error:
            explained = explain(error, self.url)
            if explained is None:
                raise
            # without the cause, which contains the statement's parameters
            raise explained from None
        except Exception as error:
            damage = self.blamed_for(error)
            if damage is None:
                raise
            raise damage from None


class _WriterLock:
    """A lock between the writing threads of one process, with a limited wait."""

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
        # without the text, which may contain a password
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
        # without sqlite3's own transactions: they begin late, so that two writers could read the same state first
        connect_args={"isolation_level": None, "timeout": wait.total_seconds(), "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _(connection: DBAPIConnection, _: object) -> None:
        cursor = connection.cursor()
        _ensure_wal(cursor, wait)
        # FULL: commits must survive a power cut, otherwise it could be forgotten that a message was sent
        for pragma in ("synchronous = FULL", f"foreign_keys = {'ON' if foreign_keys else 'OFF'}", *pragmas):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    @event.listens_for(engine, "after_cursor_execute")
    def _(connection: Connection, cursor: DBAPICursor, *_: object) -> None:
        connection.info.setdefault(_CURSORS, WeakSet()).add(cursor)

    return engine


def _postgresql_engine(url: URL, wait: timedelta, *settings: str) -> Engine:
    connect = {
        "connect_timeout": max(2, round(wait.total_seconds())),
        # a server that disappeared without closing the connection must be noticed within 15 seconds
        "keepalives_idle": 5,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": 14_000,
        "application_name": "balancebot",
        # psycopg returns bytes instead of text from a database of the encoding SQL_ASCII, before it can be refused
        "client_encoding": "utf8",
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
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            connection.close()
            raise DatabaseError(
                DatabaseErrorKind.UNREACHABLE,
                f"database {place_of(url)}: its encoding is {encoding}, which can't hold every"
                f" name; create it anew: CREATE DATABASE \"{url.database}\" ENCODING 'UTF8' TEMPLATE template0",
            )
        cursor = connection.cursor()
        for setting in settings:
            cursor.execute(setting)
        cursor.close()
        connection.commit()

    @event.listens_for(engine, "after_cursor_execute")
    def _(_: Connection, cursor: Any, *statement: object) -> None:
        if statement[-1]:  # executemany
            # psycopg's pipeline ends with a Flush, after which the server no longer measures how long the transaction
            # is idle; only another statement starts that again
            cursor.connection.execute("SELECT 1")

    return engine


def _milliseconds(time: timedelta) -> int:
    return round(time.total_seconds() * 1000)


def _ensure_wal(cursor: DBAPICursor, wait: timedelta) -> None:
    """Switch the file to WAL mode, once in its life, so that readers and the writer don't wait for each other.

    SQLite doesn't wait here for another process that is creating the file, so this function does.
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

"""Backups of the whole database: made while others use it, restored while nobody does, and verified both times.

A backup of SQLite is a database file; one of PostgreSQL is made by `pg_dump --format=custom`, for `pg_restore`. No
existing file is overwritten: the database that a backup replaces is kept under another name.
"""

import os
import shutil
import sqlite3
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Connection, text

from balancebot.store import installation, schema
from balancebot.store.damage import find_damage
from balancebot.store.database import Database
from balancebot.store.database_file import BACKUP_MARK
from balancebot.store.errors import DatabaseError

_MAX_DAMAGED_ROWS = 20
"""Reported at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupMade:
    """A backup that was made and verified."""

    file: Path
    num_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupFailed:
    """Why a backup wasn't made or restored, for people. No partial files are left."""

    message: str


def back_up(database: Database, file: Path) -> BackupMade | BackupFailed:
    """Copy `database` to `file`, which must not exist."""
    if file.exists():
        return _exists_already(file)
    # made under another name, so that `file` is complete if it exists
    part = file.with_name(f".{file.name}.{uuid4().hex}.part")
    try:
        part.touch(mode=0o600, exist_ok=False)  # it contains password hashes: nobody else may read it
        failure = _copy_sqlite(database, part) if database.is_sqlite else _dump_postgresql(database, part)
        if failure is not None:
            return BackupFailed(message=failure)
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        file.touch(exist_ok=False)
        part.replace(file)
    except FileExistsError:
        return _exists_already(file)
    except OSError as error:
        return BackupFailed(message=f"can't write {file}: {error.strerror or error}")
    finally:
        part.unlink(missing_ok=True)
    return BackupMade(file=file, num_bytes=file.stat().st_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A backup was restored."""

    kept: Path | None
    """Where the previous SQLite file is now."""


def restore(database: Database, file: Path, *, now: datetime) -> Restored | BackupFailed:
    """Replace `database`, which no process may have open, by the backup `file`. Its waiting deliveries aren't sent."""
    if not file.is_file():
        return BackupFailed(message=f"{file}: there is no such file")
    try:
        return (
            _restore_sqlite(database, file, now)
            if database.is_sqlite
            else _restore_postgresql(database, file, now)
        )
    except OSError as error:
        return BackupFailed(message=f"can't put {file} back: {error.strerror or error}")


def _restore_sqlite(database: Database, file: Path, now: datetime) -> Restored | BackupFailed:
    target = Path(database.url.database or "")
    if target.exists() and target.samefile(file):
        return BackupFailed(message=f"{file} is the database itself")
    part = target.with_name(f".{target.name}.{uuid4().hex}.part")
    try:
        part.touch(mode=0o600, exist_ok=False)
        shutil.copyfile(file, part)
        fault = _fault_of_backup(part, file, now)
        if fault is not None:
            return BackupFailed(message=fault)
        if _is_used(target):
            return _in_use(database)
        kept = _set_aside(target, now)
        for suffix in ("-wal", "-shm"):
            target.with_name(target.name + suffix).unlink(missing_ok=True)
        part.replace(target)
    except sqlite3.Error as error:
        return BackupFailed(message=f"{file} is no backup of balancebot: {error}")
    finally:
        part.unlink(missing_ok=True)
    return Restored(kept=kept)


def _fault_of_backup(part: Path, file: Path, now: datetime) -> str | None:
    """Verify a copy of a backup and upgrade it; return what is wrong with it."""
    answer = _integrity(part, mark=True)
    if answer != "ok":
        return f"{file} is damaged: {answer}"
    copy = Database(f"sqlite:///{part}")
    try:
        with copy.read() as conn:
            if schema.version(conn) is None:
                return f"{file} is no backup of balancebot"
        copy.upgrade()
        with copy.write() as conn:
            installation.settle_restored(conn, now=now)
    except DatabaseError as error:
        return str(error).replace(str(part), str(file))
    finally:
        copy.dispose()
    connection = sqlite3.connect(part)
    try:
        connection.execute("PRAGMA journal_mode = DELETE")  # everything must be in the one file that is moved
    finally:
        connection.close()
    return None


def _is_used(target: Path) -> bool:
    """Return whether any process has the database open; if none has, its write-ahead log is written into the file."""
    if not target.exists() or target.stat().st_size == 0:
        return False
    try:
        connection = sqlite3.connect(target, timeout=0.5)
        try:
            connection.execute("PRAGMA journal_mode = DELETE")
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
    except sqlite3.DatabaseError:
        pass  # damaged, which may be why a backup is restored
    return False


def _set_aside(target: Path, now: datetime) -> Path | None:
    if not target.exists():
        return None
    kept = target.with_name(f"{target.name}.before-{now:%Y%m%dT%H%M%SZ}")
    os.link(target, kept)  # fails if it exists; replacing the target doesn't change it
    return kept


def _restore_postgresql(database: Database, file: Path, now: datetime) -> Restored | BackupFailed:
    with database.read() as conn:
        others = conn.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND backend_type = 'client backend'"
            )
        )
    database.dispose()
    if others:
        return _in_use(database)
    fault = _run_postgresql(
        database,
        ["pg_restore", "--list", str(file)],
        [
            "pg_restore",
            "--clean",
            "--if-exists",
            "--no-owner",
            "--no-privileges",
            "--single-transaction",
            "--no-password",
            _ADDRESS,
            str(file),
        ],
    )
    if fault is not None:
        return BackupFailed(message=fault)
    database.upgrade()
    with database.write() as conn:
        installation.settle_restored(conn, now=now)
    return Restored(kept=None)


def _in_use(database: Database) -> BackupFailed:
    return BackupFailed(
        message=f"database {database.place} is in use: stop every balancebot (and every other program) that has it open"
    )


def find_faults(database: Database) -> tuple[str, ...]:
    """Check the whole database; return what is wrong with it, for people."""
    try:
        with database.read() as conn:
            database.verify(conn)
            faults = _faults_of_sqlite(conn) if database.is_sqlite else _faults_of_postgresql(conn)
            return (*faults, *map(str, find_damage(conn, at_most=_MAX_DAMAGED_ROWS)))
    except DatabaseError as error:
        return (str(error),)


def _faults_of_sqlite(conn: Connection) -> list[str]:
    answers = conn.exec_driver_sql("PRAGMA integrity_check").scalars().all()
    orphans = conn.exec_driver_sql("PRAGMA foreign_key_check").all()
    faults = [str(answer) for answer in answers if answer != "ok"]
    if orphans:
        faults.append(f"{len(orphans)} rows refer to rows that are gone, the first in {orphans[0][0]}")
    return faults


def _faults_of_postgresql(conn: Connection) -> list[str]:
    broken = conn.scalars(text("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"))
    return [f"the index {name} is not valid: REINDEX INDEX {name}" for name in broken]


def _exists_already(file: Path) -> BackupFailed:
    return BackupFailed(message=f"{file} exists already; a backup overwrites nothing")


def _copy_sqlite(database: Database, part: Path) -> str | None:
    """Copy the database and verify the copy; return what went wrong."""
    source = Path(database.url.database or "")
    if not source.exists():
        return f"there is no database {source} yet"
    try:
        original = sqlite3.connect(source)
        try:
            # it reads one consistent state, while others may write
            original.execute("VACUUM INTO ?", (str(part),))
        finally:
            original.close()
        answer = _integrity(part, mark=True)
    except sqlite3.Error as error:
        return f"can't copy {database.place}: {error}"
    return None if answer == "ok" else f"the copy of {database.place} is damaged: {answer}"


def _integrity(file: Path, *, mark: bool = False) -> str:
    """Return "ok", or what SQLite finds wrong with a file; `mark` it as a backup that was never opened."""
    connection = sqlite3.connect(file)
    try:
        if mark:
            connection.execute(f"PRAGMA user_version = {BACKUP_MARK}")
        (answer,) = connection.execute("PRAGMA integrity_check").fetchone()
    finally:
        connection.close()
    return str(answer)


def _dump_postgresql(database: Database, part: Path) -> str | None:
    """Dump the database and verify that the dump's contents can be listed; return what went wrong."""
    return _run_postgresql(
        database,
        ["pg_dump", "--format=custom", "--no-password", f"--file={part}", _ADDRESS],
        ["pg_restore", "--list", str(part)],
    )


_ADDRESS = "--dbname="
"""The placeholder for the database's address in the arguments."""


def _run_postgresql(database: Database, *commands: list[str]) -> str | None:
    """Run PostgreSQL's own programs one after another; return what went wrong."""
    url = database.url.set(drivername="postgresql", password=None).difference_update_query(["password"])
    password = database.url.password or database.url.query.get("password")
    # not as an argument, which anybody on the machine could see
    environment = os.environ | ({"PGPASSWORD": str(password)} if password else {})
    address = url.render_as_string()
    for name, *arguments in commands:
        program = shutil.which(name)
        if program is None:
            return "PostgreSQL's backups need pg_dump and pg_restore in PATH (the package postgresql-client)"
        command = [program, *(f"{_ADDRESS}{address}" if word == _ADDRESS else word for word in arguments)]
        answer = subprocess.run(  # noqa: S603 -- no shell, and only our own arguments
            command, env=environment, capture_output=True, text=True, check=False
        )
        if answer.returncode != 0:
            return f"{name} failed on {database.place}: {' '.join(answer.stderr.split())}"
    return None

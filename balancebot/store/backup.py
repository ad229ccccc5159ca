"""A copy of the whole database as of one instant, while others read and write. Verified, and never over a file that stands.

SQLite's copy is a database file of its own; PostgreSQL's is what `pg_dump --format=custom` makes, for `pg_restore`.
"""

import os
import shutil
import sqlite3
import subprocess
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from balancebot.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupMade:
    """A copy that was read back."""

    file: Path
    num_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupFailed:
    """Why there is no copy, in words for a person. Nothing is left behind."""

    message: str


def back_up(database: Database, file: Path) -> BackupMade | BackupFailed:
    """Copy `database` to `file`, which must not exist."""
    if file.exists():
        return _stands_already(file)
    # made under another name, so that `file` is whole whenever it is there
    part = file.with_name(f".{file.name}.{uuid4().hex}.part")
    try:
        part.touch(mode=0o600, exist_ok=False)  # it holds password hashes: for nobody else to read
        trouble = _copy_sqlite(database, part) if database.is_sqlite else _dump_postgresql(database, part)
        if trouble is not None:
            return BackupFailed(message=trouble)
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        file.touch(exist_ok=False)
        part.replace(file)
    except FileExistsError:
        return _stands_already(file)
    except OSError as error:
        return BackupFailed(message=f"can't write {file}: {error.strerror or error}")
    finally:
        part.unlink(missing_ok=True)
    return BackupMade(file=file, num_bytes=file.stat().st_size)


def _stands_already(file: Path) -> BackupFailed:
    return BackupFailed(message=f"{file} exists already; a backup overwrites nothing")


def _copy_sqlite(database: Database, part: Path) -> str | None:
    """Copy, and read the copy back; return what went wrong."""
    source = Path(database.url.database or "")
    if not source.exists():
        return f"there is no database {source} yet"
    try:
        original = sqlite3.connect(source)
        try:
            # sees one instant, and lets others write meanwhile
            original.execute("VACUUM INTO ?", (str(part),))
        finally:
            original.close()
        copy = sqlite3.connect(part)
        try:
            (answer,) = copy.execute("PRAGMA integrity_check").fetchone()
        finally:
            copy.close()
    except sqlite3.Error as error:
        return f"can't copy {database.place}: {error}"
    return None if answer == "ok" else f"the copy of {database.place} is damaged: {answer}"


def _dump_postgresql(database: Database, part: Path) -> str | None:
    """Dump, and read the dump's contents back; return what went wrong."""
    pg_dump, pg_restore = shutil.which("pg_dump"), shutil.which("pg_restore")
    if pg_dump is None or pg_restore is None:
        return "a backup of PostgreSQL needs pg_dump and pg_restore in PATH (the package postgresql-client)"
    url = database.url.set(drivername="postgresql", password=None).difference_update_query(["password"])
    password = database.url.password or database.url.query.get("password")
    # not among the arguments, which anybody on the machine can see
    environment = os.environ | ({"PGPASSWORD": str(password)} if password else {})
    address = url.render_as_string()
    for command in (
        [pg_dump, "--format=custom", "--no-password", f"--file={part}", f"--dbname={address}"],
        [pg_restore, "--list", str(part)],
    ):
        answer = subprocess.run(  # noqa: S603 -- no shell, and only our own arguments
            command, env=environment, capture_output=True, text=True, check=False
        )
        if answer.returncode != 0:
            return f"{Path(command[0]).name} failed on {database.place}: {' '.join(answer.stderr.split())}"
    return None

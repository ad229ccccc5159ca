"""The file of a SQLite database: before every transaction it is checked that it is still the one that was opened.

If a file was deleted, moved, replaced or truncated while it is in use, that is an error. SQLite itself would continue in
the deleted file, or treat an empty one as a new database.
"""

import os
import threading
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

from balancebot.store.errors import DatabaseError, DatabaseErrorKind

BACKUP_MARK = 0x62616C62
"""`user_version` of a backup that was never opened: "balb"."""

_MAKING_SECONDS = 2
_BESIDE = "files beside the database"
"""The key of a connection's note: the write-ahead log that it has open, and its index."""
_open_files: set[tuple[int, int]] = set()
"""Files that this process has opened before: the files next to them were made by this process."""


class DatabaseFile:
    """Watches one file: its inode, its length and its header. Thread-safe.

    Its handle stays open as long as SQLite's own, because closing any handle drops SQLite's locks on the file.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        # once: pathlib interns the parts of a new path. If every transaction made these anew, the interpreter would rebuild
        # its table of interned strings, 4 MB, again and again, and the heap would grow by holes of that size
        self._wal, self._index = (
            self._path.with_name(self._path.name + ending) for ending in ("-wal", "-shm")
        )
        self._lock = threading.Lock()
        self._handle: int | None = None
        self._identity: tuple[int, int] | None = None
        self._seen = _Header()

    def check(self) -> None:
        """Raise DatabaseError REPLACED if the file isn't the one that was opened, or must not be opened.

        Before the first transaction the file may not exist yet; then SQLite makes it.
        """
        try:
            found = self._path.stat()
        except FileNotFoundError:
            if self._identity is not None:
                raise self._fault("the file was deleted or moved while it was in use") from None
            if _length(self._wal) > 0:
                raise self._fault("the file is gone, but its write-ahead log is still there") from None
            return
        except OSError:
            return  # SQLite will report what is wrong
        identity = (found.st_dev, found.st_ino)
        with self._lock:
            if self._handle is None:
                self._open(identity)
            elif identity != self._identity:
                raise self._fault("another file was put in its place while it was in use")
            else:
                header = _Header.of(self._handle)
                if header.follows(self._seen):
                    self._seen = header
                else:
                    raise self._fault(
                        "the file was cut short, or another one was copied over it, while it was in use"
                    )

    def opened(self, notes: dict[Any, Any]) -> None:
        """Remember the file if SQLite has just made it, and in the notes of a connection the files beside it.

        Raise DatabaseError REPLACED if those were others before: as long as a connection is open, SQLite keeps its log.
        """
        if self._handle is None:
            self.check()
        beside = (_identity(self._wal), _identity(self._index))
        if notes.get(_BESIDE, beside) != beside:
            raise self._fault(
                "its write-ahead log was deleted or replaced while it was in use",
                "start again, and if `db check` finds damage, put a backup back with `db restore FILE`",
            )
        if None not in beside:
            notes[_BESIDE] = beside

    def forget(self) -> None:
        """Forget the file, after its connections were closed: any file is accepted from now on."""
        with self._lock:
            if self._handle is not None:
                os.close(self._handle)
            self._handle = self._identity = None

    def _open(self, identity: tuple[int, int]) -> None:
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            self._check_new(handle, identity)
            self._seen = _Header.of(handle)
        except DatabaseError:
            os.close(handle)
            raise
        except OSError:  # a folder, or an unreadable disk
            os.close(handle)
            return
        _open_files.add(identity)
        self._handle, self._identity = handle, identity

    def _check_new(self, handle: int, identity: tuple[int, int]) -> None:
        if identity in _open_files:
            return
        if os.fstat(handle).st_size == 0 and not self._is_being_made():
            raise self._fault("the file is empty")
        if _Header.of(handle).is_backup and _length(self._wal) > 0:
            raise self._fault("the file is a backup, with the write-ahead log of another database beside it")

    def _is_being_made(self) -> bool:
        """Return whether an empty file grows soon, because another process has just started to make the database."""
        until = monotonic() + _MAKING_SECONDS
        while monotonic() < until:
            if _length(self._path) > 0:
                return True
            sleep(0.02)
        return False

    def _fault(self, what: str, then: str = "") -> DatabaseError:
        then = then or (
            f"put the right file back with `db restore FILE`, or move {self._path.name}* away to start again"
        )
        return DatabaseError(
            DatabaseErrorKind.REPLACED,
            f"database {self._path}: {what}; stop every balancebot that uses it, then {then}",
        )


class _Header(NamedTuple):
    """The header of a SQLite file: https://www.sqlite.org/fileformat.html, 1.3."""

    length: int = 0
    """The length of the whole file, in bytes."""
    changes: int = 0
    """The change counter, which increases when the file is written."""
    is_backup: bool = False

    @classmethod
    def of(cls, handle: int) -> "_Header":
        """Read it from an open file."""
        header = os.pread(handle, 100, 0)
        return cls(
            os.fstat(handle).st_size,
            int.from_bytes(header[24:28], "big"),
            int.from_bytes(header[60:64], "big") == BACKUP_MARK,
        )

    def follows(self, earlier: "_Header") -> bool:
        """Return whether this can be a later header of the database with the header `earlier`."""
        return (
            self.length >= earlier.length
            and self.changes >= earlier.changes
            and self.is_backup <= earlier.is_backup
        )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0

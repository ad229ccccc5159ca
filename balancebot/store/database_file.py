"""The file of a SQLite database: whether it is still the one that was opened. Looked at before every transaction.

A file that was deleted, moved, replaced or cut short while it is in use is never written over in silence: SQLite itself
goes on in the deleted file, or takes an empty one for a new database.
"""

import os
import threading
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

from balancebot.store.errors import DatabaseError, DatabaseErrorKind

BACKUP_MARK = 0x62616C62
"""`user_version` of a backup that nobody has opened since: "balb"."""

_MAKING_SECONDS = 2
_open_files: set[tuple[int, int]] = set()
"""Files that this process has had open: what is beside them is of this process's own making."""


class DatabaseFile:
    """Watches one file: its number on the disk, its length and its header. Safe to share between threads.

    The handle that it holds stays open as long as SQLite's own: closing one drops SQLite's locks on the file.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._handle: int | None = None
        self._identity: tuple[int, int] | None = None
        self._seen = _Header()

    def check(self) -> None:
        """Raise DatabaseError REPLACED if the file isn't the one that was opened, or can't be opened as it is.

        Before the first transaction there may be no file yet: SQLite then makes it.
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
            return  # SQLite says what is wrong
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

    def opened(self) -> None:
        """Remember the file that SQLite has made by now."""
        if self._handle is None:
            self.check()

    def forget(self) -> None:
        """Take the file as it is from now on: its connections are closed."""
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
        except OSError:  # a folder, or a disk that can't be read
            os.close(handle)
            return
        _open_files.add(identity)
        self._handle, self._identity = handle, identity

    @property
    def _wal(self) -> Path:
        return self._path.with_name(f"{self._path.name}-wal")

    def _check_new(self, handle: int, identity: tuple[int, int]) -> None:
        if identity in _open_files:
            return
        if os.fstat(handle).st_size == 0 and not self._is_being_made():
            raise self._fault("the file is empty")
        if _Header.of(handle).is_backup and _length(self._wal) > 0:
            raise self._fault("the file is a backup, with the write-ahead log of another database beside it")

    def _is_being_made(self) -> bool:
        """Tell whether an empty file grows within a moment: another process has just begun to make the database."""
        until = monotonic() + _MAKING_SECONDS
        while monotonic() < until:
            if _length(self._path) > 0:
                return True
            sleep(0.02)
        return False

    def _fault(self, what: str) -> DatabaseError:
        return DatabaseError(
            DatabaseErrorKind.REPLACED,
            f"database {self._path}: {what}; stop every balancebot that uses it, then put the right file back with "
            f"`db restore FILE`, or move {self._path.name}* away to begin anew",
        )


class _Header(NamedTuple):
    """What the beginning of a SQLite file says: https://www.sqlite.org/fileformat.html, 1.3."""

    length: int = 0
    """Of the whole file, in bytes."""
    changes: int = 0
    """Rises with the writes that reach the file."""
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
        """Tell whether a database in use may have come from `earlier` to this."""
        return (
            self.length >= earlier.length
            and self.changes >= earlier.changes
            and self.is_backup <= earlier.is_backup
        )


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0

"""What may be wrong with the database through no fault of the program: told in one line, never as a traceback.

Needs no SQLAlchemy, so that a command can catch it before anything heavy is imported.
"""

from enum import StrEnum


class DatabaseErrorKind(StrEnum):
    """What is wrong. The set is closed: it labels logs and decides between waiting and giving up."""

    LOCKED = "locked"
    """Somebody else writes, and didn't finish in time."""
    FULL = "full"
    UNREACHABLE = "unreachable"
    """No such folder, no permission, server down, log-in refused, a URL that means nothing."""
    CORRUPT = "corrupt"
    """Not a database, damaged, or not the tables that were made here."""
    NEWER = "newer"
    """Made by a later version of the program."""
    REPLACED = "replaced"
    """Not the database that was opened: deleted, emptied, or another in its place."""


class DatabaseError(Exception):
    """The database can't do what is asked. Its text names the file or host, never a password."""

    def __init__(self, kind: DatabaseErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message

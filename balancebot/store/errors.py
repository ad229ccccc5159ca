"""Database errors that aren't bugs of the program: they are shown in one line, never as a traceback.

This module doesn't import SQLAlchemy, so that a command can catch the error before anything heavy is imported.
"""

from enum import StrEnum
from typing import Final

ODD_ERRORS: Final = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError)
"""Errors that a damaged value can cause. Those of msgspec are ValueErrors."""


class DatabaseErrorKind(StrEnum):
    """The kind of error. It labels logs, and decides between waiting and giving up."""

    LOCKED = "locked"
    """Another process is writing, and didn't finish in time."""
    FULL = "full"
    UNREACHABLE = "unreachable"
    """No such folder, no permission, server down, log-in refused, invalid URL."""
    CORRUPT = "corrupt"
    """Not a database, damaged, or with tables that this program didn't make."""
    NEWER = "newer"
    """Made by a later version of the program."""
    REPLACED = "replaced"
    """Not the database that was opened: it was deleted, emptied or replaced."""


class DatabaseError(Exception):
    """The database can't be used. The text contains the file or host, never a password."""

    def __init__(self, kind: DatabaseErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message

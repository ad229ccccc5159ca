"""The thresholds in force, read anew only when somebody changed them."""

import threading

from sqlalchemy import Connection

from balancebot.domain.threshold import ThresholdBook
from balancebot.storage import thresholds


class ThresholdShelf:
    """Keeps the book of the rows that stand, for a process that judges again and again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._edition: object = None
        self._book = ThresholdBook(())

    def book(self, conn: Connection) -> ThresholdBook:
        """Return the book of the rows as `conn` sees them."""
        edition = thresholds.edition(conn)
        with self._lock:
            if edition != self._edition:
                self._book = ThresholdBook(thresholds.load(conn))
                self._edition = edition
            return self._book

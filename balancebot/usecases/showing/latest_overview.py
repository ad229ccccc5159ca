"""The overview as it stands, kept for as long as nothing has changed: pages are asked far more often than wallets.

Looking at tens of thousands of balances takes most of a second; so it takes at most a tenth of the time, however
often somebody asks, and what is shown is never older than ten times as long as the look takes.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter

from sqlalchemy import Connection

from balancebot.storage import alerts, thresholds, wallets
from balancebot.storage.database import Database
from balancebot.usecases.limits.shelf import ThresholdShelf
from balancebot.usecases.showing.overview import BalanceView, overview

_OLDEST = timedelta(minutes=1)
"""Runways shrink and readings grow stale though nothing is read."""
_SHARE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """All balances as of one instant."""

    at: datetime
    views: Sequence[BalanceView]


class LatestOverview:
    """Looks when it must, else remembers. Safe to share between threads; one looks, the others wait for it."""

    def __init__(self, database: Database, shelf: ThresholdShelf, *, stale_after: timedelta) -> None:
        self._database = database
        self._shelf = shelf
        self._stale_after = stale_after
        self._lock = threading.Lock()
        self._look: Look | None = None
        self._edition: tuple[object, ...] = ()
        self._fresh_until = 0.0
        """On the clock that measures how long things take."""

    def look(self, *, now: datetime) -> Look:
        """Return how all balances stand."""
        with self._lock, self._database.read() as conn:
            edition = (thresholds.edition(conn), wallets.edition(conn), alerts.edition(conn))
            kept = self._look
            if kept is not None and timedelta(0) <= now - kept.at < _OLDEST:
                nobody_edited = edition[0] == self._edition[0]
                if edition == self._edition or (nobody_edited and perf_counter() < self._fresh_until):
                    return kept
            return self._anew(conn, edition, now)

    def _anew(self, conn: Connection, edition: tuple[object, ...], now: datetime) -> Look:
        began = perf_counter()
        views = overview(conn, book=self._shelf.book(conn), stale_after=self._stale_after, now=now)
        self._look, self._edition = Look(at=now, views=views), edition
        ended = perf_counter()
        self._fresh_until = ended + _SHARE * (ended - began)
        return self._look

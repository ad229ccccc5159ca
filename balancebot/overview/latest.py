"""A cache of the overview for the pages, which are requested far more often than wallets are read.

Reading tens of thousands of balances takes a second. So after new readings the overview is computed in its own thread,
and pages show the last one meanwhile. That thread works at most a tenth of the time. A changed limit is shown at once.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter

from sqlalchemy import Connection

from balancebot.overview.balances import BalanceView, overview
from balancebot.store import alerts, thresholds, wallets
from balancebot.store.database import Database
from balancebot.store.thresholds import ThresholdCache

_OLDEST = timedelta(minutes=1)
"""After this time it is computed again even without new readings: runways shrink and readings become stale."""
_TOO_OLD = timedelta(minutes=5)
"""An overview of this age is not shown."""
_WAIT_FOR_NEW = timedelta(milliseconds=50)
_REST = 10
"""After computing, the thread rests for this multiple of the time that it took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewSnapshot:
    """All balances as of one instant."""

    at: datetime
    views: Sequence[BalanceView]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """The version of the data from which the overview was computed; it differs after every change."""

    limits: object
    others: tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    snapshot: OverviewSnapshot
    version: _Version
    rest_until: float
    """On the monotonic clock."""


class LatestOverview:
    """Computes the overview when it must. Safe to share between threads: one computes, the others wait for it."""

    def __init__(
        self,
        database: Database,
        thresholds_cache: ThresholdCache,
        *,
        stale_after: timedelta,
        wait_for_new: timedelta = _WAIT_FOR_NEW,
    ) -> None:
        """`wait_for_new` is how long a page waits for new readings before it shows the last overview."""
        self._database = database
        self._thresholds = thresholds_cache
        self._stale_after = stale_after
        self._wait_for_new = wait_for_new.total_seconds()
        self._computing = threading.Lock()
        """Held while the overview is computed."""
        self._kept: _Kept | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="overview")
        self._future: Future[OverviewSnapshot] | None = None

    def read(self, *, now: datetime) -> OverviewSnapshot:
        """Return the overview of all balances."""
        with self._database.read() as conn:
            version = _version(conn)
        kept = self._kept
        if kept is None or kept.version.limits != version.limits or not _is_within(kept, now, _TOO_OLD):
            return self._compute(now)
        if _is_within(kept, now, _OLDEST) and (kept.version == version or perf_counter() < kept.rest_until):
            return kept.snapshot
        started = self._start(now)
        wait([started], timeout=self._wait_for_new)
        return started.result() if started.done() else kept.snapshot

    def _start(self, now: datetime) -> Future[OverviewSnapshot]:
        """Compute it in the other thread, only once for all that request it."""
        future = self._future
        if future is None or future.done():
            future = self._future = self._executor.submit(self._compute, now)
        return future

    def _compute(self, now: datetime) -> OverviewSnapshot:
        with self._computing, self._database.read() as conn:
            version, kept = _version(conn), self._kept
            if kept is not None and kept.version == version and _is_within(kept, now, _OLDEST):
                return kept.snapshot  # another thread has just computed it
            began = perf_counter()
            views = overview(conn, book=self._thresholds.book(conn), stale_after=self._stale_after, now=now)
            ended = perf_counter()
            snapshot = OverviewSnapshot(at=now, views=views)
            self._kept = _Kept(snapshot=snapshot, version=version, rest_until=ended + _REST * (ended - began))
            return snapshot


def _version(conn: Connection) -> _Version:
    return _Version(limits=thresholds.version(conn), others=(wallets.version(conn), alerts.version(conn)))


def _is_within(kept: _Kept, now: datetime, span: timedelta) -> bool:
    return timedelta(0) <= now - kept.snapshot.at < span

"""The overview as it stands, kept for as long as nothing has changed: pages are asked far more often than wallets.

Looking at tens of thousands of balances takes a second. So after new readings it is made anew beside the pages, which
meanwhile show the last one; and it takes at most a tenth of the time, however often somebody asks. Who has changed a
limit sees what it does at once.
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
"""Runways shrink and readings grow stale though nothing is read."""
_TOO_OLD = timedelta(minutes=5)
"""A look from so long ago is shown to nobody."""
_PATIENCE = timedelta(milliseconds=50)
_SHARE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewSnapshot:
    """All balances as of one instant."""

    at: datetime
    views: Sequence[BalanceView]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """What a look depends on; it counts up with every change."""

    limits: object
    others: tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    look: OverviewSnapshot
    edition: _Version
    rest_until: float
    """On the clock that measures how long things take."""


class LatestOverview:
    """Looks when it must, else remembers. Safe to share between threads; one looks, the others wait for it."""

    def __init__(
        self,
        database: Database,
        shelf: ThresholdCache,
        *,
        stale_after: timedelta,
        patience: timedelta = _PATIENCE,
    ) -> None:
        """`patience` is how long a page waits for new readings before it shows the last look."""
        self._database = database
        self._shelf = shelf
        self._stale_after = stale_after
        self._patience = patience.total_seconds()
        self._turn = threading.Lock()
        """Held by whoever looks."""
        self._kept: _Kept | None = None
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="overview")
        self._under_way: Future[OverviewSnapshot] | None = None

    def look(self, *, now: datetime) -> OverviewSnapshot:
        """Return how all balances stand."""
        with self._database.read() as conn:
            edition = _edition(conn)
        kept = self._kept
        if kept is None or kept.edition.limits != edition.limits or not _is_within(kept, now, _TOO_OLD):
            return self._anew(now)
        if _is_within(kept, now, _OLDEST) and (kept.edition == edition or perf_counter() < kept.rest_until):
            return kept.look
        renewed = self._renewed(now)
        wait([renewed], timeout=self._patience)
        return renewed.result() if renewed.done() else kept.look

    def _renewed(self, now: datetime) -> Future[OverviewSnapshot]:
        """Have it made anew beside the pages, once however many ask."""
        under_way = self._under_way
        if under_way is None or under_way.done():
            under_way = self._under_way = self._beside.submit(self._anew, now)
        return under_way

    def _anew(self, now: datetime) -> OverviewSnapshot:
        with self._turn, self._database.read() as conn:
            edition, kept = _edition(conn), self._kept
            if kept is not None and kept.edition == edition and _is_within(kept, now, _OLDEST):
                return kept.look  # whoever had the turn before has just made it
            began = perf_counter()
            views = overview(conn, book=self._shelf.book(conn), stale_after=self._stale_after, now=now)
            ended = perf_counter()
            look = OverviewSnapshot(at=now, views=views)
            self._kept = _Kept(look=look, edition=edition, rest_until=ended + _SHARE * (ended - began))
            return look


def _edition(conn: Connection) -> _Version:
    return _Version(limits=thresholds.edition(conn), others=(wallets.edition(conn), alerts.edition(conn)))


def _is_within(kept: _Kept, now: datetime, span: timedelta) -> bool:
    return timedelta(0) <= now - kept.look.at < span

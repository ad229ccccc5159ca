"""One poll cycle: wallets are claimed, fetched with no transaction open, and recorded batch by batch."""

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from balancebot.alerts.transitions import NotifiedAlert
from balancebot.domain.balance import Snapshot, WalletName, account_of, is_suspect
from balancebot.estimates.refit import refit_models
from balancebot.poll.record import RecordReadings
from balancebot.ports import BalanceSource, Clock, FetchResult, SourceError
from balancebot.store import installation, wallets
from balancebot.store.database import Database
from balancebot.store.errors import DatabaseError
from balancebot.store.wallets import WalletRow

_MOST = 200
"""Answers in a batch: they are one transaction, and if all of them open an alert others wait for a second."""


class FetchStream:
    """Asks the source for wallets and hands out what it answers. Used by one thread, once."""

    def __init__(self, source: BalanceSource, *, budget: timedelta, linger: timedelta) -> None:
        """`budget` bounds each call to the source; a batch is handed out `linger` after its first answer."""
        self._source = source
        self._budget = budget
        self._linger = linger.total_seconds()
        self._answers: queue.SimpleQueue[FetchResult | _End] = queue.SimpleQueue()
        self._num_calls = 0

    def ask(self, wallets: Sequence[WalletName]) -> None:
        """Start reading `wallets`, also while batches are being taken out."""
        if wallets:
            self._num_calls += 1
            threading.Thread(target=self._feed, args=(wallets,), name="fetch", daemon=True).start()

    def batches(self) -> Iterator[list[FetchResult]]:
        """Yield what was answered, until all that was asked for is; raises what the source raised (a bug)."""
        batch: list[FetchResult] = []
        due = 0.0
        while self._num_calls:
            try:
                answer = self._answers.get(timeout=max(0.0, due - time.monotonic()) if batch else None)
            except queue.Empty:
                yield batch
                batch = []
                continue
            if isinstance(answer, _End):
                self._num_calls -= 1
                if answer.error is not None:
                    raise answer.error
                if not self._num_calls and batch:
                    yield batch
                    batch = []
                continue
            if not batch:
                due = time.monotonic() + self._linger
            batch.append(answer)
            if len(batch) == _MOST:
                yield batch
                batch = []

    def _feed(self, wallets: Sequence[WalletName]) -> None:
        try:
            for result in self._source.fetch(wallets, budget=self._budget):
                self._answers.put(result)
        except Exception as error:  # noqa: BLE001 -- carried to the thread that asked
            self._answers.put(_End(error))
        else:
            self._answers.put(_End(None))


class _End:
    """A call to the source is over."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error


LAST_CYCLE = "last_cycle"
"""The fact that holds when the last complete cycle ended."""
_LINGER = timedelta(milliseconds=500)
"""So long an answer waits for others: what opens together is told together, and nobody waits a second."""
_SHARE = 1_000
"""How many wallets one of several replicas takes at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollReport:
    """What one round did. `results` holds the answer that counts for each wallet."""

    started_at: datetime
    ended_at: datetime
    results: tuple[FetchResult, ...]
    told: tuple[NotifiedAlert, ...]
    faults: tuple[DatabaseError, ...] = ()
    """Why readings could not be kept."""

    @property
    def errors(self) -> tuple[SourceError, ...]:
        """The wallets that could not be read."""
        return tuple(result for result in self.results if isinstance(result, SourceError))

    @property
    def complete(self) -> bool:
        """Whether every answer could be kept."""
        return not self.faults


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Round:
    """What gathers while a round is under way."""

    rows: dict[WalletName, WalletRow]
    claimed: bool
    alerts: bool
    unread: set[int]
    """The wallets claimed for it of which nothing is recorded yet, and that no later round has claimed since."""
    first_looks: dict[WalletName, Snapshot] = field(default_factory=dict)
    results: dict[WalletName, FetchResult] = field(default_factory=dict)
    told: list[NotifiedAlert] = field(default_factory=list)
    booked: list[WalletRow] = field(default_factory=list)
    faults: list[DatabaseError] = field(default_factory=list)
    _num_waiting: Counter[str] = field(init=False)
    """How many wallets of each account have still to be recorded."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_num_waiting", Counter(row.account for row in self.rows.values()))

    def finish(self, answers: Iterable[FetchResult]) -> set[str]:
        """Note that these are recorded now; return the accounts of which none is left to be."""
        accounts = Counter(account_of(answer.wallet) for answer in answers)
        self._num_waiting.subtract(accounts)
        return {account for account in accounts if self._num_waiting[account] <= 0}


class PollCycle:
    """Reads wallets. Rounds may overlap: none takes a wallet that another is reading."""

    def __init__(
        self,
        *,
        database: Database,
        source: BalanceSource,
        clock: Clock,
        worker_id: str,
        record: RecordReadings,
        zone: str,
        budget: Callable[[], timedelta],
        on_news: Callable[[], None] = lambda: None,
    ) -> None:
        """`budget` bounds a whole round; `on_news` is called whenever the outbox has something new."""
        self._database = database
        self._source = source
        self._clock = clock
        self._worker_id = worker_id
        self._record = record
        self._zone = zone
        self._budget = budget
        self._on_news = on_news
        self._rounds: list[_Round] = []
        self._may_hold_more = False
        """Whether the database may know of claims of ours that no round knows of: after any fault of it."""
        self._claiming = threading.Lock()
        self._asked_at: datetime | None = None

    def run_due(self, *, failing: bool | None = None) -> PollReport | None:
        """Read the wallets that are due and nobody else is reading; None where there are none.

        With `failing`, only those whose latest attempt failed, or only those whose latest attempt did not: a cycle lasts
        until its last wallet answered or timed out, and those that fail must not keep others from being claimed.
        Raises DatabaseError when the database can't be asked at all.
        """
        started_at = self._clock.now()
        with self._claiming:
            self._mind_the_clock(started_at)
            with self._database.read() as conn:
                self._database.verify(conn)
                if not wallets.any_due(conn, now=started_at, failing=failing):
                    return None
            this = self._claim(started_at, failing)
        return self._run(this, started_at) if this.rows else None

    def _claim(self, now: datetime, failing: bool | None) -> _Round:
        """Take what is due. What becomes of it when the answer to the commit is lost, the next claim settles."""
        frees, self._may_hold_more = self._may_hold_more, True
        with self._database.write() as conn:
            if frees:
                kept = set().union(*(round_.unread for round_ in self._rounds))
                wallets.release_all_but(conn, self._worker_id, kept)
            limit = None if self._database.is_sqlite else _SHARE
            rows = wallets.claim_due(conn, self._worker_id, now=now, limit=limit, failing=failing)
        self._may_hold_more = False
        ids = {row.id for row in rows}
        for round_ in self._rounds:
            # its claim ran out while this process was frozen: what it still brings is old
            round_.unread.difference_update(ids)
        this = _Round(rows={row.name: row for row in rows}, claimed=True, alerts=True, unread=ids)
        if rows:
            self._rounds.append(this)
        return this

    def _mind_the_clock(self, now: datetime) -> None:
        """See to it that a clock that was set back, lately or while nobody ran, makes no wallet wait for it."""
        if self._asked_at is None or now < self._asked_at:
            with self._database.write() as conn:
                wallets.make_due(conn, now=now)
        self._asked_at = now

    def run_all(
        self,
        names: Iterable[WalletName],
        *,
        alerts: bool = True,
        progress: Callable[[int], None] = lambda _: None,
    ) -> PollReport:
        """Read every wallet of `names` now, due or not; `progress` is told how many were read so far.

        `alerts` False: store readings, leave alerts as they are.
        """
        started_at = self._clock.now()
        with self._database.read() as conn:
            rows = wallets.named(conn, list(names))
        this = _Round(rows=dict(rows), claimed=False, alerts=alerts, unread=set())
        return self._run(this, started_at, progress=progress)

    def _run(
        self, this: _Round, started_at: datetime, *, progress: Callable[[int], None] = lambda _: None
    ) -> PollReport:
        stream = FetchStream(self._source, budget=self._budget(), linger=_LINGER)
        try:
            stream.ask(list(this.rows))
            for batch in stream.batches():
                stream.ask(self._keep(this, batch))
                progress(len(this.results))
        finally:
            if this.claimed:
                with self._claiming:
                    self._rounds.remove(this)
                    self._may_hold_more |= bool(this.unread)
        self._end(this)
        return PollReport(
            started_at=started_at,
            ended_at=self._clock.now(),
            results=tuple(this.results.values()),
            told=tuple(this.told),
            faults=tuple(this.faults),
        )

    def _keep(self, this: _Round, batch: Sequence[FetchResult]) -> Sequence[WalletName]:
        """Record one batch and return the wallets that must be looked at again before they count."""
        again: list[WalletName] = []
        accepted: list[FetchResult] = []
        for result in batch:
            row = this.rows[result.wallet]
            if this.claimed and row.id not in this.unread:
                continue
            if (
                isinstance(result, Snapshot)
                and row.suspect_since is None
                and result.wallet not in this.first_looks
                and is_suspect(row.readings, result.readings)
            ):
                this.first_looks[result.wallet] = result
                again.append(result.wallet)
            else:
                accepted.append(result)
        if accepted:
            try:
                told, booked = self._record(
                    accepted,
                    finished=this.finish(accepted),
                    first_looks=this.first_looks,
                    claimed_by=self._worker_id if this.claimed else None,
                    alerts=this.alerts,
                )
            except DatabaseError as fault:
                this.faults.append(fault)
                with self._claiming:
                    self._may_hold_more = True
            else:
                this.told.extend(told)
                this.booked.extend(stretch.row for stretch in booked)
                if told:
                    self._on_news()
            with self._claiming:
                this.unread.difference_update(this.rows[result.wallet].id for result in accepted)
            this.results.update((result.wallet, result) for result in accepted)
        return again

    def _end(self, this: _Round) -> None:
        """Note that the round came to its end, and let the models catch up."""
        try:
            if not this.faults:
                with self._database.write() as conn:
                    installation.note(conn, LAST_CYCLE, "", now=self._clock.now())
            refit_models(self._database, this.booked, zone=self._zone)
        except DatabaseError as fault:
            this.faults.append(fault)

"""One poll cycle: wallets are claimed, fetched with no transaction open, and recorded batch by batch."""

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from balancebot.alerts.transitions import NotifiedAlert
from balancebot.clock import JUMP
from balancebot.domain.balance import Snapshot, WalletName, account_of, is_suspect
from balancebot.domain.holidays import Zone
from balancebot.domain.message import NoticeMessage
from balancebot.domain.sentence import sentence, verbatim
from balancebot.estimates.refit import refit_models, refit_of_other_versions
from balancebot.poll.record import RecordReadings
from balancebot.ports import BalanceSource, Clock, FetchResult, SourceError
from balancebot.store import estimates, installation, outbox, readings, set_aside, types, wallets
from balancebot.store.database import Database
from balancebot.store.errors import DatabaseError
from balancebot.store.wallets import WalletRow

log = logging.getLogger(__name__)

_MOST = 200
"""The most answers in a batch. A batch is one transaction; if every answer opens an alert, others wait about 1 s for it."""


class FetchStream:
    """Fetches wallets in threads and yields the answers in batches. To be used by one thread, once."""

    def __init__(self, source: BalanceSource, *, budget: timedelta, linger: timedelta) -> None:
        """`budget` limits each call to the source; a batch is yielded `linger` after its first answer."""
        self._source = source
        self._budget = budget
        self._linger = linger.total_seconds()
        self._answers: queue.SimpleQueue[FetchResult | _End] = queue.SimpleQueue()
        self._num_calls = 0

    def fetch(self, wallets: Sequence[WalletName]) -> None:
        """Start fetching `wallets`; may be called while batches are being read."""
        if wallets:
            self._num_calls += 1
            threading.Thread(target=self._feed, args=(wallets,), name="fetch", daemon=True).start()

    def batches(self) -> Iterator[list[FetchResult]]:
        """Yield batches until there is an answer for every wallet. Raises what the source raised, which is a bug."""
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
        except Exception as error:  # noqa: BLE001 -- raised again by `batches`, in the thread of the caller
            self._answers.put(_End(error))
        else:
            self._answers.put(_End(None))


class _End:
    """Marks the end of one call to the source."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error


_PAUSE = timedelta(days=1)
_LINGER = timedelta(milliseconds=500)
"""How long an answer waits for others, so that alerts that open together can be grouped."""
_MOST_LINES = 20
"""Of a message about damaged rows."""
_SHARE = 1_000
"""How many wallets a process claims at once if several share the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollReport:
    """The result of one poll cycle. `results` holds the final answer for each wallet."""

    seconds: float
    """Its duration."""
    results: tuple[FetchResult, ...]
    notified: tuple[NotifiedAlert, ...]
    faults: tuple[DatabaseError, ...] = ()
    """Why readings could not be stored."""

    @property
    def errors(self) -> tuple[SourceError, ...]:
        """The wallets that could not be read."""
        return tuple(result for result in self.results if isinstance(result, SourceError))

    @property
    def complete(self) -> bool:
        """Whether every answer was stored."""
        return not self.faults


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Cycle:
    """The state of one poll cycle while it runs."""

    rows: dict[WalletName, WalletRow]
    claimed: bool
    alerts: bool
    unread: set[int]
    """The ids of its claimed wallets that aren't recorded yet and that no later cycle has claimed."""
    first_reads: dict[WalletName, Snapshot] = field(default_factory=dict)
    results: dict[WalletName, FetchResult] = field(default_factory=dict)
    notified: list[NotifiedAlert] = field(default_factory=list)
    booked: list[WalletRow] = field(default_factory=list)
    faults: list[DatabaseError] = field(default_factory=list)
    _num_waiting: Counter[str] = field(init=False)
    """How many wallets of each account aren't recorded yet."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_num_waiting", Counter(row.account for row in self.rows.values()))

    def finish(self, answers: Iterable[FetchResult]) -> set[str]:
        """Count these answers as recorded; return the accounts whose wallets are all recorded now."""
        accounts = Counter(account_of(answer.wallet) for answer in answers)
        self._num_waiting.subtract(accounts)
        return {account for account in accounts if self._num_waiting[account] <= 0}

    def paused_before(self, answers: Iterable[FetchResult]) -> set[str]:
        """Return the accounts of these answers for which no usage was booked for more than a day."""
        return {
            row.account
            for answer in answers
            if isinstance(answer, Snapshot)
            and (row := self.rows[answer.wallet]).booked_at is not None
            and answer.observed_at - row.booked_at > _PAUSE
        }


class PollCycle:
    """Runs poll cycles. Cycles may overlap: none claims a wallet that another is reading."""

    def __init__(
        self,
        *,
        database: Database,
        source: BalanceSource,
        clock: Clock,
        steady: Clock,
        worker_id: str,
        record: RecordReadings,
        zone: Zone,
        budget: Callable[[], timedelta],
        on_enqueued: Callable[[], None] = lambda: None,
    ) -> None:
        """`steady` shows whether `clock` can be trusted.

        `budget` limits a whole cycle; `on_enqueued` is called when the outbox has something new.
        """
        self._database = database
        self._source = source
        self._clock = clock
        self._steady = steady
        self._worker_id = worker_id
        self._record = record
        self._zone = zone
        self._budget = budget
        self._on_enqueued = on_enqueued
        self._cycles: list[_Cycle] = []
        self._may_have_lost_claims = False
        """Whether the database may hold claims of this worker that no cycle knows of, after a database fault."""
        self._claiming = threading.Lock()
        self._has_own_models = False
        """Whether all usage models are known to be of this version of the program."""
        self._last_run_at: tuple[datetime, datetime] | None = None
        """By the wall clock, and by the steady clock."""
        self._set_aside: frozenset[WalletName] = frozenset()
        """The wallets that were last logged as set aside."""

    def run_due(self, *, failing: bool | None = None) -> PollReport | None:
        """Read the wallets that are due and that no other worker is reading; None if there are none.

        `failing` True: only wallets whose latest attempt failed; False: only the others. A cycle lasts until its last
        wallet has answered or timed out, and failing wallets must not delay the others.
        Raises DatabaseError if the database can't be read at all.
        """
        with self._claiming:
            started_at = self._clock.now()
            self._make_due_if_clock_went_back(started_at)
            self._database.watch_repaired_again()
            with self._database.read() as conn:
                self._database.verify(conn)
                if not wallets.any_due(conn, now=started_at, failing=failing):
                    return None
            cycle = self._database.apart_from_damage(lambda: self._claim(started_at, failing))
        return self._run(cycle) if cycle.rows else None

    def _claim(self, now: datetime, failing: bool | None) -> _Cycle:
        """Claim the wallets that are due. If the answer to the commit is lost, the next call releases the claims."""
        must_release, self._may_have_lost_claims = self._may_have_lost_claims, True
        with self._database.write() as conn:
            if must_release:
                kept = set().union(*(cycle.unread for cycle in self._cycles))
                wallets.release_all_but(conn, self._worker_id, kept)
            limit = None if self._database.is_sqlite else _SHARE
            rows = wallets.claim_due(conn, self._worker_id, now=now, limit=limit, failing=failing)
        self._may_have_lost_claims = False
        ids = {row.id for row in rows}
        for cycle in self._cycles:
            # these claims expired while this process was frozen: what the earlier cycle still reads is outdated
            cycle.unread.difference_update(ids)
        cycle = _Cycle(rows={row.name: row for row in rows}, claimed=True, alerts=True, unread=ids)
        if rows:
            self._cycles.append(cycle)
        return cycle

    def _make_due_if_clock_went_back(self, now: datetime) -> None:
        """Make all wallets due if the wall clock may have gone backwards, and delete readings from while it was ahead.

        As long as the two clocks disagree nothing is deleted: `now` may be wrong.
        """
        steady = self._steady.now()
        last, self._last_run_at = self._last_run_at, (now, steady)
        if last is not None and last[0] <= now and last[1] <= steady:
            return
        try:
            with self._database.write() as conn:
                wallets.make_due(conn, now=now)
                types.take_lock(conn, types.BOOKING)
                if abs(steady - now) <= JUMP and (ahead := readings.forget_ahead(conn, now=now)):
                    log.warning("clock.was_ahead", extra={"wallets": len(ahead)})
                    estimates.forget_models(conn, ahead)
        except DatabaseError:
            self._last_run_at = None  # so that the next call tries again
            raise

    def run_all(
        self,
        names: Iterable[WalletName],
        *,
        alerts: bool = True,
        progress: Callable[[int], None] = lambda _: None,
    ) -> PollReport:
        """Read every wallet of `names` now, due or not; `progress` is called with the number read so far.

        `alerts` False: store readings, but don't change alerts.
        """
        with self._claiming:
            self._make_due_if_clock_went_back(self._clock.now())
        wanted = list(names)
        rows = self._database.apart_from_damage(lambda: self._named(wanted))
        cycle = _Cycle(rows=rows, claimed=False, alerts=alerts, unread=set())
        return self._run(cycle, progress=progress)

    def _named(self, names: Sequence[WalletName]) -> dict[WalletName, WalletRow]:
        with self._database.read() as conn:
            return wallets.named(conn, names)

    def _run(self, cycle: _Cycle, *, progress: Callable[[int], None] = lambda _: None) -> PollReport:
        started = time.monotonic()
        stream = FetchStream(self._source, budget=self._budget(), linger=_LINGER)
        try:
            stream.fetch(list(cycle.rows))
            self._refit_of_other_versions(cycle)
            for batch in stream.batches():
                stream.fetch(self._record_batch(cycle, batch))
                progress(len(cycle.results))
        finally:
            if cycle.claimed:
                with self._claiming:
                    self._cycles.remove(cycle)
                    self._may_have_lost_claims |= bool(cycle.unread)
        self._end(cycle)
        return PollReport(
            seconds=time.monotonic() - started,
            results=tuple(cycle.results.values()),
            notified=tuple(cycle.notified),
            faults=tuple(cycle.faults),
        )

    def _refit_of_other_versions(self, cycle: _Cycle) -> None:
        """After an upgrade, fit the models again before the first readings are judged with them."""
        if self._has_own_models:
            return
        self._has_own_models = True
        try:
            refit_of_other_versions(self._database, zone=self._zone)
        except DatabaseError as fault:
            cycle.faults.append(fault)
            self._has_own_models = False

    def _record_batch(self, cycle: _Cycle, batch: Sequence[FetchResult]) -> Sequence[WalletName]:
        """Record one batch; return the wallets that must be confirmed by a second reading first."""
        again: list[WalletName] = []
        accepted: list[FetchResult] = []
        for result in batch:
            row = cycle.rows[result.wallet]
            if cycle.claimed and row.id not in cycle.unread:
                continue
            if (
                isinstance(result, Snapshot)
                and row.suspect_since is None
                and result.wallet not in cycle.first_reads
                and is_suspect(row.readings, result.readings)
            ):
                cycle.first_reads[result.wallet] = result
                again.append(result.wallet)
            else:
                accepted.append(result)
        if accepted:
            finished = cycle.finish(accepted)
            paused = finished & cycle.paused_before(accepted)
            self._store(cycle, accepted, finished - paused)
            if paused:
                # booking the usage of a long pause takes longer than alerts should wait
                self._store(cycle, (), paused)
            with self._claiming:
                cycle.unread.difference_update(cycle.rows[result.wallet].id for result in accepted)
            cycle.results.update((result.wallet, result) for result in accepted)
        return again

    def _store(self, cycle: _Cycle, results: Sequence[FetchResult], finished: Collection[str]) -> None:
        """Record results, and book the usage of the accounts that are `finished`."""
        try:
            notified, booked = self._database.apart_from_damage(
                lambda: self._record(
                    results,
                    finished=finished,
                    first_reads=cycle.first_reads,
                    claimed_by=self._worker_id if cycle.claimed else None,
                    unread=cycle.unread,
                    alerts=cycle.alerts,
                )
            )
        except DatabaseError as fault:
            cycle.faults.append(fault)
            with self._claiming:
                self._may_have_lost_claims = True
        else:
            if any(result.wallet in self._database.set_aside.wallets for result in results):
                with self._claiming:
                    self._may_have_lost_claims = True
            cycle.notified.extend(notified)
            cycle.booked.extend(usage.row for usage in booked)
            if notified:
                self._on_enqueued()

    def _end(self, cycle: _Cycle) -> None:
        """Store that the cycle has ended, and refit the usage models for hours that have closed."""
        try:
            if not cycle.faults:
                with self._database.write() as conn:
                    installation.note(conn, installation.LAST_CYCLE, "", now=self._clock.now())
                    reported = cycle.alerts and self._report_damage(conn, cycle)
                if reported:
                    self._on_enqueued()
            refit_models(self._database, cycle.booked, zone=self._zone)
        except DatabaseError as fault:
            cycle.faults.append(fault)

    def _report_damage(self, conn: Connection, cycle: _Cycle) -> bool:
        """Log which wallets are set aside because rows of theirs are damaged; send a message about new ones."""
        now = self._clock.now()
        aside = self._database.set_aside.wallets
        for name in aside.keys() - self._set_aside:
            log.error("wallet.set_aside", extra={"wallet": name, "damage": aside[name]})
        for name in self._set_aside - aside.keys():
            log.info("wallet.repaired", extra={"wallet": name})
        self._set_aside = frozenset(aside)
        new = set_aside.record(conn, recorded=cycle.results.keys() - aside.keys(), now=now)
        if new:
            outbox.enqueue_plain(
                conn,
                message=_damage_notice(new, now),
                destinations=self._record.writer.routing.default_destinations,
                now=now,
            )
        return bool(new)


def _damage_notice(damaged: Mapping[WalletName, str], now: datetime) -> NoticeMessage:
    lines = [verbatim(f"{name}: {damage}") for name, damage in sorted(damaged.items())]
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES:] = [sentence("and %(count)s more: see the log", count=len(lines) - _MOST_LINES)]
    return NoticeMessage(
        at=now,
        title=sentence(
            "%(wallets)s: not watched any more, because rows in the database are damaged",
            wallets=", ".join(sorted(damaged)[:3]) + (", …" if len(damaged) > 3 else ""),
        ),
        lines=(
            *lines,
            sentence(
                "Everything else is watched as before. Repair these rows, or restore a backup. Repaired wallets are "
                "watched again within minutes, without a restart."
            ),
        ),
        is_trouble=True,
    )

"""Record one batch of answers in one transaction: store, judge, advance alerts, fill the outbox, set the next reading."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection

from balancebot.alerts.transitions import DecisionWriter, NotifiedAlert, OpenAlerts
from balancebot.clock import JUMP
from balancebot.domain.balance import BalanceKey, Snapshot, WalletName, account_of
from balancebot.domain.next_reading import PollIntervals, WatchedBalance, next_reading, retry_reading
from balancebot.domain.reachability import Reach
from balancebot.domain.runway import UNKNOWN, Estimate
from balancebot.estimates.estimator import Estimator
from balancebot.estimates.stored import store_estimates
from balancebot.poll.book_usage import BookedUsage, book_use
from balancebot.poll.judge import JudgeBalances, PollContext, ReadAttempt, judge_wallets
from balancebot.poll.judge_spikes import JudgeSpikes
from balancebot.ports import Clock, FetchResult, SourceError, SourceErrorKind
from balancebot.store import readings, types, wallets
from balancebot.store.database import Database
from balancebot.store.readings import FailedRead, GoodRead, SnapshotRow
from balancebot.store.thresholds import ThresholdCache
from balancebot.store.types import chunked
from balancebot.store.wallets import WalletRow

_HOUR = timedelta(hours=1)
_MOST_DOUBLINGS = 10
_AT_ONCE = 1_000
"""How many wallets of earlier batches are judged at once: their context is held in memory."""


class RateLimits:
    """How much JSMS's "out of freq" slows down each account. All its wallets are slowed equally, at most to `every`.

    Each interval with such an answer doubles the time between readings, each interval without one halves it. This is in
    memory only: after a restart it begins at full speed and adapts again.
    """

    def __init__(self, intervals: PollIntervals) -> None:
        self._intervals = intervals
        self._limited: dict[str, tuple[int, datetime]] = {}

    def note(self, account: str, at: datetime) -> None:
        """Record that a wallet of `account` was rate limited."""
        doublings = self._doublings(account, at)
        _, since = self._limited.get(account, (0, None))
        if since is None or at - since >= self._intervals.fastest * 2**doublings:
            self._limited[account] = (min(doublings + 1, _MOST_DOUBLINGS), at)

    def slowdown(self, account: str, at: datetime) -> int:
        """Return the factor by which the time between readings of `account` is multiplied."""
        return int(2 ** self._doublings(account, at))

    def _doublings(self, account: str, at: datetime) -> int:
        doublings, since = self._limited.get(account, (0, at))
        return max(0, doublings - max(0, (at - since) // self._intervals.every))


class Recorded(NamedTuple):
    """The result of recording one batch."""

    notified: list[NotifiedAlert]
    booked: tuple[BookedUsage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordReadings:
    """Turns answers into stored readings, alerts and notifications."""

    database: Database
    clock: Clock
    steady: Clock
    """The clock for alerts: see `SteadyClock`."""
    estimator: Estimator
    writer: DecisionWriter
    thresholds: ThresholdCache
    judge_spikes: JudgeSpikes
    intervals: PollIntervals
    rate_limits: RateLimits
    margin: float

    def __call__(
        self,
        results: Sequence[FetchResult],
        *,
        finished: Collection[str],
        first_reads: Mapping[WalletName, Snapshot],
        claimed_by: str | None,
        unread: Collection[int],
        alerts: bool,
    ) -> Recorded:
        """Record one batch; return the alerts to notify and the booked usage.

        `finished` are the accounts whose last wallet is in this batch: their usage is booked before anything is estimated,
        and their spikes are judged before any alert is decided.
        `first_reads` holds the suspect readings that were read a second time: if the second answer is an error, the
        wallet stays suspect. With `claimed_by`, wallets are skipped that this worker no longer holds or that aren't in
        `unread` any longer: a later cycle has claimed them while this one waited to write, and may have recorded newer
        readings. With `alerts` False alerts aren't changed. Raises DatabaseError; then nothing is stored.
        """
        now, steady = self.clock.now(), self.steady.now()
        results = [_in_time(result, now=now, steady=steady) for result in results]
        with self.database.write() as conn:
            if finished:
                types.take_lock(conn, types.BOOKING)
            rows = wallets.named(conn, [result.wallet for result in results], held_by=claimed_by)
            if claimed_by is not None:
                rows = {name: row for name, row in rows.items() if row.id in unread}
            good = [result for result in results if isinstance(result, Snapshot) and result.wallet in rows]
            failed = [
                result for result in results if isinstance(result, SourceError) and result.wallet in rows
            ]
            as_read = {row.name: row for row in _as_read(rows, good, failed)}
            booked = book_use(
                conn,
                finished,
                as_read,
                now=min(now, steady),
                zone=self.estimator.zone,
                every=self.intervals.every,
            )
            book = self.thresholds.book(conn)
            context = PollContext.read(conn, [row.id for row in rows.values()], book=book, now=now)
            read = [(rows[snapshot.wallet].id, snapshot) for snapshot in good]
            # a fall that isn't booked yet counts in full, although it may be a transfer
            pace = dict(_falls(rows, good)) | dict(item for usage in booked for item in usage.pace())
            estimates = self.estimator.estimate(replace(context.usage, pace=pace), read, now=now)
            ever_positive = store_estimates(conn, read, estimates, context.evidence, now=now)
            readings.append_snapshots(conn, [_stored(wallet_id, snapshot) for wallet_id, snapshot in read])
            judging = JudgeBalances(
                book=context.book,
                margin=self.margin,
                now=now,
                wrong_readings={key: at for usage in booked for key, at in usage.wrong_readings.items()},
            )
            readings.record_good(
                conn,
                [self._good(rows[snapshot.wallet], snapshot, estimates, pace, context) for snapshot in good],
            )
            misses = [
                self._failed(rows[error.wallet], error, first_reads.get(error.wallet)) for error in failed
            ]
            readings.record_failed(conn, misses)
            usage_verdicts = self.judge_spikes.gather(
                conn, [usage for usage in booked if usage.row.name in rows], context
            )
            for batch in chunked([usage for usage in booked if usage.row.name not in rows], _AT_ONCE):
                ids = [usage.row.id for usage in batch]
                usage_verdicts += self.judge_spikes.gather(
                    conn, batch, PollContext.read(conn, ids, book=book, now=now)
                )
            if not alerts:
                return Recorded([], booked)
            names = {
                *rows,
                *(WalletName(account_of(name)) for name in rows),
                *(usage.row.name for usage in booked),
            }
            open_alerts = OpenAlerts(conn, names, writer=self.writer, now=steady)
            spikes = {
                verdict.key: spike
                for verdict in usage_verdicts
                if verdict.is_spike and (spike := verdict.spike)
            }
            for snapshot in good:
                judging.judge(snapshot, estimates, ever_positive, open_alerts, spikes)
            self.judge_spikes.advance(conn, usage_verdicts, open_alerts, now=now)
            for top_up, is_ordered in (found for usage in booked for found in usage.top_ups):
                balance = BalanceKey(top_up.wallet, top_up.category)
                open_alerts.top_up(balance, top_up.messages, ordered=is_ordered)
            attempts = [
                *(_read(rows[snapshot.wallet], snapshot) for snapshot in good),
                *(
                    _missed(rows[error.wallet], error, miss)
                    for error, miss in zip(failed, misses, strict=True)
                ),
            ]
            judge_wallets(
                attempts,
                open_alerts,
                # a clock that was set ahead must not make wallets stale
                now=min(now, steady),
                stale_after=self.intervals.stale_after,
                read_between=partial(_read_between, conn, rows),
            )
            return Recorded(open_alerts.save(), booked)

    def _good(
        self,
        row: WalletRow,
        snapshot: Snapshot,
        estimates: Mapping[BalanceKey, Estimate],
        pace: Mapping[BalanceKey, float],
        context: PollContext,
    ) -> GoodRead:
        return GoodRead(
            wallet_id=row.id,
            readings=snapshot.readings,
            observed_at=snapshot.observed_at,
            next_reading=next_reading(
                _watched(row.id, snapshot, estimates, pace, context),
                account=row.account,
                due_at=row.next_reading.at,
                read_at=snapshot.observed_at,
                intervals=self.intervals,
                slowdown=self.rate_limits.slowdown(row.account, snapshot.observed_at),
            ),
        )

    def _failed(self, row: WalletRow, error: SourceError, first_read: Snapshot | None) -> FailedRead:
        rejections = row.rejections + 1 if error.kind is SourceErrorKind.CREDENTIALS else 0
        suspect_since = row.suspect_since if first_read is None else first_read.observed_at
        is_rate_limited = error.kind is SourceErrorKind.RATE_LIMITED
        if is_rate_limited:
            self.rate_limits.note(row.account, error.at)
        return FailedRead(
            wallet_id=row.id,
            at=error.at,
            error_kind=error.kind,
            error_message=error.message,
            rejections=rejections,
            next_reading=retry_reading(
                is_permanent=error.kind.permanent,
                is_rate_limited=is_rate_limited,
                failing_since=row.observed_at or row.first_attempt_at,
                due_at=row.next_reading.at,
                failed_at=error.at,
                intervals=self.intervals,
                must_confirm=rejections == 1 or suspect_since is not None,
                retry_after=error.retry_after,
            ),
            suspect_since=suspect_since,
        )


def _watched(
    wallet_id: int,
    snapshot: Snapshot,
    estimates: Mapping[BalanceKey, Estimate],
    pace: Mapping[BalanceKey, float],
    context: PollContext,
) -> Iterator[WatchedBalance]:
    for category, reading in snapshot.readings.items():
        if isinstance(reading, int):
            key = BalanceKey(snapshot.wallet, category)
            evidence = context.evidence.get((wallet_id, category))
            yield WatchedBalance(
                category=category,
                reading=reading,
                limits=context.book.effective(*key).limits,
                estimate=estimates.get(key, UNKNOWN),
                pace=pace.get(key, 0.0),
                is_spiking=evidence is not None and evidence.is_spiking,
                was_positive=reading > 0 or (evidence is not None and evidence.ever_positive),
                sends=[(send.start, send.end) for send in context.usage.announced.get(key, ())],
            )


def _falls(
    rows: Mapping[WalletName, WalletRow], good: Sequence[Snapshot]
) -> Iterator[tuple[BalanceKey, float]]:
    """Yield the fall of each balance since its last reading, in messages per hour."""
    for snapshot in good:
        row = rows[snapshot.wallet]
        if row.observed_at is None or snapshot.observed_at <= row.observed_at:
            continue
        hours = (snapshot.observed_at - row.observed_at) / _HOUR
        for (category, before), after in zip(row.readings.items(), snapshot.readings, strict=True):
            if isinstance(before, int) and isinstance(after, int) and after < before:
                yield BalanceKey(snapshot.wallet, category), (before - after) / hours


def _as_read(
    rows: Mapping[WalletName, WalletRow], good: Sequence[Snapshot], failed: Sequence[SourceError]
) -> Iterator[WalletRow]:
    """Yield the wallets in their state after these attempts."""
    for snapshot in good:
        yield replace(
            rows[snapshot.wallet],
            readings=snapshot.readings,
            observed_at=snapshot.observed_at,
            error_kind=None,
        )
    for error in failed:
        yield replace(rows[error.wallet], error_kind=error.kind)


def _in_time(result: FetchResult, *, now: datetime, steady: datetime) -> FetchResult:
    """Correct the time of an answer that was dated by a wrong clock which is right now: it arrived seconds ago.

    Otherwise its wallet would be read next only after that wrong time.
    """
    at = result.observed_at if isinstance(result, Snapshot) else result.at
    if abs(at - steady) <= max(abs(now - steady), JUMP):
        return result
    return replace(result, observed_at=now) if isinstance(result, Snapshot) else replace(result, at=now)


def _read_between(
    conn: Connection,
    rows: Mapping[WalletName, WalletRow],
    names: Collection[WalletName],
    since: datetime,
    until: datetime,
) -> list[WalletName]:
    by_id = {rows[name].id: name for name in names}
    seconds = {"since": int(since.timestamp()), "until": int(until.timestamp())}
    return [by_id[wallet_id] for wallet_id in readings.read_between(conn, by_id, **seconds)]


def _read(row: WalletRow, snapshot: Snapshot) -> ReadAttempt:
    reach = Reach(
        wallet=row.name,
        last_good_at=snapshot.observed_at,
        first_attempt_at=row.first_attempt_at or snapshot.observed_at,
        failed=False,
        rejections=0,
    )
    return ReadAttempt(reach=reach)


def _missed(row: WalletRow, error: SourceError, miss: FailedRead) -> ReadAttempt:
    reach = Reach(
        wallet=row.name,
        last_good_at=row.observed_at,
        first_attempt_at=row.first_attempt_at or error.at,
        failed=True,
        rejections=miss.rejections,
        fault=error.kind.fault,
    )
    return ReadAttempt(reach=reach, detail=error.message)


def _stored(wallet_id: int, snapshot: Snapshot) -> SnapshotRow:
    return SnapshotRow(int(snapshot.observed_at.timestamp()), wallet_id, snapshot.readings)

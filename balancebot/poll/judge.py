"""Judge readings: `low_balance` by the limits of each balance; `credentials_rejected` and `stale` for each wallet.

`judge_spikes.py` judges usage. All judges advance the alerts in `OpenAlerts`, and measure only if an alert is affected.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from balancebot.alerts.transitions import DecisionWriter, NotifiedAlert, OpenAlerts
from balancebot.domain.alert import Alert, AlertKind, AlertSubject, Cause, covered_until
from balancebot.domain.balance import (
    Absent,
    BalanceKey,
    Category,
    Reading,
    Readings,
    Snapshot,
    WalletName,
    account_of,
)
from balancebot.domain.message import Measurement, SpikeMeasurement
from balancebot.domain.reachability import Reach, Shared, judge_credentials, judge_staleness, share
from balancebot.domain.runway import NO_END_HOURS, UNKNOWN, Estimate
from balancebot.domain.sentence import NO_SENTENCE, Sentence
from balancebot.domain.threshold import Effective, Limits, ThresholdBook
from balancebot.domain.verdict import Crossed, Severity, Verdict, judge
from balancebot.estimates.known_usage import Balance, KnownUsage
from balancebot.estimates.stored import estimate_at
from balancebot.store import estimates, wallets
from balancebot.store.database import Database
from balancebot.store.estimates import UsageEvidence

_STALE = Verdict(severity=Severity.WARNING)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PollContext:
    """What judging some wallets needs after their usage is booked; their open alerts are in `OpenAlerts`."""

    now: datetime
    book: ThresholdBook
    usage: KnownUsage
    evidence: Mapping[Balance, UsageEvidence]
    """What earlier readings of each balance have shown; balances without a stored estimate are missing."""

    @classmethod
    def read(
        cls, conn: Connection, wallet_ids: Collection[int], *, book: ThresholdBook, now: datetime
    ) -> "PollContext":
        """Read it in the transaction that records the batch."""
        return cls(
            now=now,
            book=book,
            usage=KnownUsage.read(conn, wallet_ids, now=now),
            evidence=estimates.evidence(conn, wallet_ids),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeBalances:
    """Judges the balances of snapshots and advances their alerts."""

    book: ThresholdBook
    margin: float
    now: datetime
    wrong_readings: Mapping[BalanceKey, datetime] = field(default_factory=dict)
    """The balances whose reading before was wrong, and when that was read."""

    def judge(
        self,
        snapshot: Snapshot,
        estimates: Mapping[BalanceKey, Estimate],
        ever_positive: Collection[BalanceKey],
        alerts: OpenAlerts,
        spikes: Mapping[BalanceKey, SpikeMeasurement],
    ) -> None:
        """Advance the alert of each category that was read; an unread one changes nothing.

        `spikes` are the present usage spikes: the message about a balance that is emptied by one says so.
        """
        for category, reading in snapshot.readings.items():
            if reading is not Absent.UNREAD:
                key = BalanceKey(snapshot.wallet, category)
                estimate = estimates.get(key, UNKNOWN)
                self._judge(
                    snapshot,
                    category,
                    reading,
                    estimate=estimate,
                    alerts=alerts,
                    ever=key in ever_positive,
                    spike=spikes.get(key),
                )

    def _judge(
        self,
        snapshot: Snapshot,
        category: Category,
        reading: Reading,
        *,
        estimate: Estimate,
        alerts: OpenAlerts,
        ever: bool,
        spike: SpikeMeasurement | None,
    ) -> None:
        subject = AlertSubject(kind=AlertKind.LOW_BALANCE, wallet=snapshot.wallet, category=category)
        alert = alerts.of(subject)
        if reading is Absent.UNALLOCATED:
            spike_alert = alerts.of(replace(subject, kind=AlertKind.BURN_SPIKE))
            if spike_alert is not None:
                alerts.close(spike_alert, Cause.UNALLOCATED)
        if alert is None and reading is Absent.UNALLOCATED:
            return  # a shortcut: half of all balances are unallocated
        effective = self.book.effective(snapshot.wallet, category)

        def judged(limits: Limits) -> Verdict:
            return judge(
                reading,
                estimate,
                limits,
                ever_positive=ever,
                margin=self.margin,
                opened_by_days=alert is not None and alert.opened_by_days,
            )

        verdict = judged(effective.limits)
        if alert is None and verdict.severity is Severity.OK:
            return  # the usual case
        cause = Cause.ROSE
        if alert is not None and verdict.recovered:
            if reading is Absent.UNALLOCATED:
                cause = Cause.UNALLOCATED
            elif not judged(alert.limits).recovered:
                cause = Cause.LIMIT_CHANGED
            elif was_wrong(alert, self.wrong_readings.get(BalanceKey(snapshot.wallet, category))):
                cause = Cause.WRONG_READING
        spike_alert = alerts.of(replace(subject, kind=AlertKind.BURN_SPIKE))
        alerts.advance(
            subject,
            verdict,
            lambda: self._measurement(
                snapshot, reading, estimate=estimate, effective=effective, verdict=verdict, spike=spike
            ),
            limits=effective.limits,
            cause=cause,
            covered_until=covered_until(
                alert,
                spike_alert,
                verdict,
                now=self.now,
                usual_days=estimate.usual_days(reading),
                opens_spike=spike is not None,
            ),
        )

    def _measurement(
        self,
        snapshot: Snapshot,
        reading: Reading,
        *,
        estimate: Estimate,
        effective: Effective,
        verdict: Verdict,
        spike: SpikeMeasurement | None,
    ) -> Measurement:
        return replace(
            measured(reading, estimate, observed_at=snapshot.observed_at, now=self.now),
            crossed=_with_scope(verdict.crossed, effective),
            short_of=verdict.short_of,
            depletes_at=_depletes_at(estimate, snapshot.observed_at),
            spike=spike,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeLimits:
    """Judges the latest readings of balances whose limits are changed, in the transaction of the change."""

    writer: DecisionWriter
    margin: float
    stale_after: timedelta

    def judge(
        self,
        conn: Connection,
        names: Collection[WalletName],
        *,
        before: ThresholdBook,
        after: ThresholdBook,
        now: datetime,
    ) -> tuple[NotifiedAlert, ...]:
        """Advance the alerts of the balances of `names` whose limits differ; return what is sent.

        A reading older than `stale_after` isn't judged: the next one will be.
        """
        rows = [
            row
            for row in wallets.named(conn, names).values()
            if row.observed_at is not None and now - row.observed_at <= self.stale_after
        ]
        snapshots = {
            row.id: snapshot
            for row in rows
            if (snapshot := _of_changed_limits(row.snapshot, before, after)) is not None
        }
        if not snapshots:
            return ()
        kept = estimates.by_balance(conn, list(snapshots))
        keys = {
            (wallet_id, category): BalanceKey(snapshot.wallet, category)
            for wallet_id, snapshot in snapshots.items()
            for category in Category
        }
        expected = {
            key: estimate_at(
                kept.get(balance),
                snapshots[balance[0]].readings.of(balance[1]),
                snapshots[balance[0]].observed_at,
            )
            for balance, key in keys.items()
        }
        ever_positive = {keys[balance] for balance, row in kept.items() if row.ever_positive}
        judging = JudgeBalances(book=after, margin=self.margin, now=now)
        open_alerts = OpenAlerts(
            conn, {snapshot.wallet for snapshot in snapshots.values()}, writer=self.writer, now=now
        )
        spikes = open_alerts.spikes
        for snapshot in snapshots.values():
            judging.judge(snapshot, expected, ever_positive, open_alerts, spikes)
        return tuple(open_alerts.save())


def _of_changed_limits(
    snapshot: Snapshot | None, before: ThresholdBook, after: ThresholdBook
) -> Snapshot | None:
    """Return a snapshot of only the balances whose limits differ between two books; None if there are none."""
    if snapshot is None:
        return None
    changed = {
        category
        for category in Category
        if before.effective(snapshot.wallet, category).limits
        != after.effective(snapshot.wallet, category).limits
    }
    readings = Readings(
        *(
            reading if category in changed else Absent.UNREAD
            for category, reading in snapshot.readings.items()
        )
    )
    return replace(snapshot, readings=readings) if changed else None


def measured(reading: Reading, estimate: Estimate, *, observed_at: datetime, now: datetime) -> Measurement:
    """Return what is measured for every alert of a balance: the reading and its estimate."""
    return Measurement(
        at=now,
        reading=reading,
        observed_at=observed_at,
        burn_per_day=estimate.burn_per_day,
        runway=estimate.runway,
        not_counted=estimate.not_counted,
        not_counted_at=estimate.not_counted_at,
    )


def was_wrong(alert: Alert, read_at: datetime | None) -> bool:
    """Return whether an alert opened by the wrong reading of `read_at`; None = no reading was wrong."""
    return read_at is not None and alert.opened_at >= read_at


def _with_scope(crossed: Crossed | None, effective: Effective) -> Crossed | None:
    if crossed is None or crossed.column is None:
        return crossed
    scope = effective.origins.of(crossed.column)
    return crossed if scope is None else replace(crossed, scope=str(scope))


def _depletes_at(estimate: Estimate, observed_at: datetime) -> datetime | None:
    runway = estimate.runway
    if runway is None or runway.p50 > NO_END_HOURS:
        return None
    return observed_at + timedelta(hours=runway.p50)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAttempt:
    """The result of the latest attempt to read a wallet, with what was known about the wallet before."""

    reach: Reach
    detail: Sentence = NO_SENTENCE
    """The error; empty after a good reading."""


def judge_wallets(
    attempts: Sequence[ReadAttempt],
    alerts: OpenAlerts,
    *,
    now: datetime,
    stale_after: timedelta,
    read_between: Callable[[Collection[WalletName], datetime, datetime], Collection[WalletName]],
) -> None:
    """Advance `credentials_rejected` and `stale` by the latest attempts.

    `read_between` returns which wallets have a reading between two instants, also if a later reading failed: wallets that
    were read while the clock was behind must not become stale when it is corrected.
    """
    covering = _covering(alerts, {account_of(attempt.reach.wallet) for attempt in attempts})
    newly_stale: dict[str, dict[WalletName, str]] = defaultdict(dict)
    recovered: dict[AlertSubject, list[tuple[WalletName, Cause]]] = defaultdict(list)
    details: dict[WalletName, ReadAttempt] = {}
    for attempt in attempts:
        reach = attempt.reach
        subject = AlertSubject(kind=AlertKind.CREDENTIALS_REJECTED, wallet=reach.wallet)
        alerts.advance(
            subject,
            judge_credentials(reach),
            partial(_measurement, attempt, now),
            cause=Cause.READ_AGAIN,
        )
        rejected = alerts.is_open(subject)
        staleness = judge_staleness(reach, now=now, stale_after=stale_after, rejected=rejected)
        covered_by = covering.get(reach.wallet)
        if staleness.severity is Severity.WARNING and covered_by is None:
            newly_stale[account_of(reach.wallet)][reach.wallet] = reach.fault
            details[reach.wallet] = attempt
        elif staleness.severity is Severity.OK and covered_by is not None:
            cause = Cause.CREDENTIALS_INSTEAD if rejected else Cause.READ_AGAIN
            recovered[covered_by.subject].append((reach.wallet, cause))
    for subject, gone in recovered.items():
        _uncover(alerts, subject, gone)
    for wallet in read_between(details, now - stale_after, now) if details else ():
        del newly_stale[account_of(wallet)][wallet]
    for account, stale in newly_stale.items():
        for shared in share(account, stale, alerts.stale_of(account)):
            first = next((member for member in (shared.members or (shared.wallet,)) if member in stale), None)
            if first is not None:
                _cover(alerts, shared, details[first], now)


def forget_wallets(alerts: OpenAlerts, removed: Collection[WalletName]) -> None:
    """Close the open alerts of wallets that were removed from the configuration."""
    for alert in {id(alert): alert for wallet in removed for alert in alerts.of_wallet(wallet)}.values():
        if not alert.members:
            alerts.close(alert, Cause.WALLET_REMOVED)
    for account in {account_of(wallet) for wallet in removed}:
        for alert in alerts.stale_of(account):
            gone = [(wallet, Cause.WALLET_REMOVED) for wallet in removed if wallet in alert.members]
            if gone:
                _uncover(alerts, alert.subject, gone)


def _covering(alerts: OpenAlerts, accounts: Collection[str]) -> Mapping[WalletName, Alert]:
    """Return the open `stale` alert that covers each wallet."""
    return {
        wallet: alert
        for account in accounts
        for alert in alerts.stale_of(account)
        for wallet in (alert.members or (alert.subject.wallet,))
    }


def _uncover(alerts: OpenAlerts, subject: AlertSubject, gone: Sequence[tuple[WalletName, Cause]]) -> None:
    alert = alerts.of(subject)
    if alert is None:
        return
    names = {wallet for wallet, _ in gone}
    left = tuple(wallet for wallet in alert.members if wallet not in names)
    if left:
        alerts.narrow(alert, left)
    else:
        alerts.close(alert, gone[-1][1])


def _cover(alerts: OpenAlerts, shared: Shared, attempt: ReadAttempt, now: datetime) -> None:
    subject = AlertSubject(kind=AlertKind.STALE, wallet=shared.wallet)
    if shared.existing is not None:
        wider = replace(shared.existing, subject=subject, fault=shared.fault, members=shared.members)
        alerts.widen(shared.existing, wider, attempt.detail)
    else:
        alerts.advance(
            subject,
            _STALE,
            partial(_measurement, attempt, now),
            fault=shared.fault,
            members=shared.members,
        )


def _measurement(attempt: ReadAttempt, now: datetime) -> Measurement:
    return Measurement(at=now, observed_at=attempt.reach.last_good_at, detail=attempt.detail)


def sync_wallets(
    database: Database, configured: Collection[WalletName], *, writer: DecisionWriter, now: datetime
) -> tuple[WalletName, ...]:
    """Make newly configured wallets due, close the alerts of removed wallets, and return the removed ones."""
    with database.write() as conn:
        removed = wallets.sync(conn, configured, now=now)
        if removed:
            names = {*removed, *(WalletName(account_of(name)) for name in removed)}
            open_alerts = OpenAlerts(conn, names, writer=writer, now=now)
            forget_wallets(open_alerts, removed)
            open_alerts.save()
    return removed

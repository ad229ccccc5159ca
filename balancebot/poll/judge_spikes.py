"""Judge usage: `burn_spike` is usage far above what is likely at this hour of the week; `stopped` is missing usage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection

from balancebot.alerts.transitions import OpenAlerts
from balancebot.domain.alert import Alert, AlertKind, AlertSubject, Cause
from balancebot.domain.balance import Absent, BalanceKey, Category, Reading, WalletName
from balancebot.domain.holidays import Zone
from balancebot.domain.message import Measurement, SpikeMeasurement
from balancebot.domain.verdict import FINE, Severity, Verdict
from balancebot.estimates.known_usage import KnownUsage, open_use
from balancebot.estimates.stored import estimate_at
from balancebot.poll.book_usage import BookedUsage
from balancebot.poll.judge import PollContext, measured, was_wrong
from balancebot.store import alerts, estimates
from balancebot.store.estimates import UsageEvidence


class Interval(NamedTuple):
    """The usage of one balance between two readings. (A named tuple, because a poll cycle has tens of thousands.)"""

    balance: BalanceKey
    wallet_id: int
    since: datetime
    until: datetime
    use: int
    left: int
    notified: bool
    """Whether it has a spike that was notified within the last day."""
    has_alert: bool
    """Whether its `burn_spike` is open."""


class SpikeEvidence(NamedTuple):
    """The comparison of one interval's usage with what is likely at that time."""

    points: int
    """The points that it adds to the evidence of a spike."""
    drained: bool
    """More than a usual day's usage at once."""
    expected: float
    """In messages."""
    stopped: bool
    """No usage in hours that always have some."""
    stays_high: bool
    """With an open alert: usage isn't what it was before the last days, even if it is no longer a spike."""


def spike_evidence(
    known: KnownUsage, intervals: Sequence[Interval], *, zone: Zone, alerts: Mapping[BalanceKey, float]
) -> Mapping[BalanceKey, SpikeEvidence]:
    """Compare the usage of intervals with what is likely at that time; balances without a model are left out.

    `alerts` is the memory of earlier spike alerts of each balance. Planned and recurring sends add no evidence.
    """
    modelled = [
        interval for interval in intervals if (interval.wallet_id, interval.balance.category) in known.models
    ]
    if not modelled:
        return {}
    import numpy as np  # lazy: numpy

    from balancebot.forecast.forecast import is_expected  # lazy: numpy
    from balancebot.forecast.model import decode_models  # lazy: numpy
    from balancebot.forecast.spike import (  # lazy: numpy
        have_stopped,
        is_planned,
        judge_spikes,
        stands_in_for,
        stay_high,
    )

    fitted = [known.models[interval.wallet_id, interval.balance.category] for interval in modelled]
    models, _ = decode_models([model.model for model in fitted])
    since = np.array([interval.since.timestamp() for interval in modelled])
    until = np.array([interval.until.timestamp() for interval in modelled])
    use = np.array([interval.use for interval in modelled], dtype=np.float64)
    spikes = judge_spikes(
        models,
        use=use,
        since=since,
        until=until,
        zone=zone,
        alerts=np.array([alerts.get(interval.balance, 0.0) for interval in modelled]),
        bursty=np.array([interval.balance.category is Category.MARKET for interval in modelled]),
        planned=np.array(
            [
                is_planned(known.announced.get(interval.balance, ()), *span)
                or is_expected(model, interval.use, *span, zone)
                for interval, model in zip(modelled, models, strict=True)
                for span in [(interval.since.timestamp(), interval.until.timestamp())]
            ]
        ),
        left=np.array([interval.left for interval in modelled], dtype=np.float64),
        notified=np.array([interval.notified for interval in modelled]),
        stands_in=stands_in_for(
            [interval.balance for interval in modelled],
            [interval.left for interval in modelled],
            models,
        ),
    )
    used, exposure = open_use(
        [
            ((interval.wallet_id, interval.balance.category), model.hour)
            for interval, model in zip(modelled, fitted, strict=True)
        ],
        known.hours,
    )
    stopped = have_stopped(models, open_use=used, open_exposure=exposure, at=until, zone=zone)
    higher = np.array([interval.has_alert for interval in modelled])
    if (rows := np.flatnonzero(higher)).size:
        higher[rows] = stay_high(models[rows], use=use[rows], since=since[rows], until=until[rows], zone=zone)
    return {
        interval.balance: SpikeEvidence(int(points), bool(drained), float(expected), bool(still), bool(high))
        for interval, points, drained, expected, still, high in zip(
            modelled, spikes.points, spikes.drained, spikes.expected, stopped, higher, strict=True
        )
    }


_A_DAY = timedelta(days=1)
_SPIKE = Verdict(severity=Severity.CRITICAL)


class _Balance(NamedTuple):
    """One balance whose usage was booked. (A named tuple, because there are tens of thousands.)"""

    key: BalanceKey
    booked: BookedUsage
    since: datetime
    until: datetime
    evidence: UsageEvidence
    left: int

    @property
    def used(self) -> int:
        """Messages used between the two readings."""
        return self.booked.used.get(self.key, 0)

    @property
    def was_empty(self) -> bool:
        """Whether it was 0 at both readings, so that sends couldn't be counted."""
        return self._readings == (0, 0)

    @property
    def rose(self) -> bool:
        """Whether it rose between the two readings: a refund or top-up hides usage, which then hasn't stopped."""
        before, after = self._readings
        return isinstance(before, int) and isinstance(after, int) and after > before

    @property
    def _readings(self) -> tuple[Reading, Reading]:
        row = self.booked.row
        return row.booked.of(self.key.category), row.readings.of(self.key.category)


class UsageVerdict(NamedTuple):
    """Whether the latest usage of one balance is a spike."""

    of: _Balance
    points: int
    evidence: SpikeEvidence

    @property
    def key(self) -> BalanceKey:
        """The balance."""
        return self.of.key

    @property
    def reading(self) -> Reading:
        """The latest reading."""
        return self.of.booked.row.readings.of(self.key.category)

    @property
    def spike(self) -> SpikeMeasurement | None:
        """The usage between the last two readings and what is likely; None if it is no longer far above that."""
        if self.evidence.points <= 0:
            return None
        return SpikeMeasurement(
            messages=self.of.used,
            expected=self.evidence.expected,
            since=self.of.since,
            until=self.of.until,
        )

    @property
    def is_spike(self) -> bool:
        """Whether there is a spike."""
        return self.points >= estimates.SPIKING_POINTS


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSpikes:
    """Judges booked usage in two steps: evidence is gathered before any alert is decided, then the alerts advance."""

    zone: Zone

    def gather(
        self, conn: Connection, booked: Sequence[BookedUsage], context: PollContext
    ) -> list[UsageVerdict]:
        """Judge each balance whose usage was booked, store the evidence and return the verdicts.

        A balance isn't judged during its first day of readings, or while the other end of a possible transfer can't be
        read.
        """
        candidates = _balances(booked, context)
        if not candidates:
            return []
        from balancebot.forecast.spike import REMEMBERED_DAYS, gather, remembered  # lazy: numpy

        now = context.now
        opened = alerts.openings(conn, AlertKind.BURN_SPIKE, since=now - timedelta(days=REMEMBERED_DAYS))
        compared = spike_evidence(
            context.usage,
            [
                Interval(
                    balance=balance.key,
                    wallet_id=balance.booked.row.id,
                    since=balance.since,
                    until=balance.until,
                    use=balance.used,
                    left=balance.left,
                    notified=any(
                        now - at < _A_DAY and (is_open or balance.evidence.is_spiking)
                        for at, is_open in opened.get(balance.key, ())
                    ),
                    has_alert=any(is_open for _, is_open in opened.get(balance.key, ())),
                )
                for balance in candidates
            ],
            zone=self.zone,
            alerts={
                key: remembered((now - at) / timedelta(days=1) for at, _ in instants)
                for key, instants in opened.items()
            },
        )
        changed: list[tuple[int, Category, int, bool]] = []
        verdicts: list[UsageVerdict] = []
        for balance in candidates:
            evidence = compared.get(balance.key)
            if evidence is None:
                continue
            points = balance.evidence.spike_points
            if balance.booked.is_certain and not balance.was_empty:
                drained = evidence.drained and balance.booked.is_surely_use
                points = gather(points, evidence.points, drained=drained)
            if balance.key in balance.booked.wrong_readings:
                points = 0  # what looked like usage was a wrong reading
            stopped = evidence.stopped and not balance.rose
            if (points, stopped) != (balance.evidence.spike_points, balance.evidence.stopped):
                changed.append((balance.booked.row.id, balance.key.category, points, stopped))
            if points >= estimates.SPIKING_POINTS or points == 0:
                verdicts.append(UsageVerdict(balance, points, evidence))
        estimates.save_spike_evidence(conn, changed)
        return verdicts

    def advance(
        self, conn: Connection, verdicts: Sequence[UsageVerdict], open_alerts: OpenAlerts, *, now: datetime
    ) -> None:
        """Advance the `burn_spike` of each balance.

        If the `low_balance` alert of a balance is or was critical or worse, it covers the spike: no spike alert is opened,
        and an open one is closed without a message. Conversely, a spike that was notified first covers a runway that becomes
        critical because of it.
        """
        for verdict in verdicts:
            key = verdict.key
            subject = AlertSubject(kind=AlertKind.BURN_SPIKE, wallet=key.wallet, category=key.category)
            spike = open_alerts.of(subject)
            if _is_covered(open_alerts, key, spike):
                if spike is not None:
                    open_alerts.close(spike, Cause.LOW_BALANCE_INSTEAD, silently=True)
            elif verdict.is_spike and (spike is not None or verdict.spike is not None):
                open_alerts.advance(subject, _SPIKE, partial(_measurement, conn, verdict, now))
            elif spike is not None and verdict.reading != 0:
                is_wrong = was_wrong(spike, verdict.of.booked.wrong_readings.get(key))
                cause = Cause.USE_STAYS_HIGH if verdict.evidence.stays_high else Cause.USE_NORMAL
                open_alerts.advance(
                    subject,
                    FINE,
                    partial(_measurement, conn, verdict, now),
                    cause=Cause.WRONG_READING if is_wrong else cause,
                )


def _is_covered(open_alerts: OpenAlerts, key: BalanceKey, spike: Alert | None) -> bool:
    low = open_alerts.of(AlertSubject(kind=AlertKind.LOW_BALANCE, wallet=key.wallet, category=key.category))
    if low is None:
        return False
    was_notified = spike is not None and spike.peak is not None
    present = low.severity if not was_notified or low.severity is Severity.DEPLETED else Severity.OK
    return max(present, low.peak or Severity.OK) >= Severity.CRITICAL


def _balances(booked: Sequence[BookedUsage], context: PollContext) -> list[_Balance]:
    """Return the balances that were booked from one reading to another, and have a number at the later one."""
    found = []
    for usage in booked:
        row = usage.row
        if row.booked_at is None or row.observed_at is None:
            continue
        for category, reading in row.readings.items():
            evidence = context.evidence.get((row.id, category))
            if evidence is not None and not isinstance(reading, Absent):
                key = BalanceKey(WalletName(row.name), category)
                found.append(_Balance(key, usage, row.booked_at, row.observed_at, evidence, reading))
    return found


def _measurement(conn: Connection, verdict: UsageVerdict, now: datetime) -> Measurement:
    balance = verdict.of
    wallet_id = balance.booked.row.id
    # the estimate after this reading, as all other messages and pages show it
    kept = estimates.by_balance(conn, [wallet_id]).get((wallet_id, balance.key.category))
    estimate = estimate_at(kept, verdict.reading, now)
    return replace(
        measured(verdict.reading, estimate, observed_at=balance.until, now=now),
        depletes_at=kept.p50_at if kept is not None and estimate.runway else None,
        spike=verdict.spike,
    )

"""`burn_spike`: usage far above what the hour of the week makes likely; and traffic that stopped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from balancebot.alerts.transitions import DecisionWriter, NotifiedAlert, OpenAlerts
from balancebot.domain.alert import AlertKind, AlertSubject, Cause
from balancebot.domain.balance import Absent, BalanceKey, Category, WalletName
from balancebot.domain.message import Measurement, SpikeMeasurement
from balancebot.domain.verdict import FINE, Severity, Verdict
from balancebot.estimates.estimator import announced_plans, open_use, use_since
from balancebot.estimates.stored import estimate_at
from balancebot.poll.book_usage import BookedUsage
from balancebot.store import alerts, estimates
from balancebot.store.estimates import EstimateRow
from balancebot.store.types import chunked

_SENDS_RUN_LATE = timedelta(hours=3)
"""For so long after its end a plan may still explain the use of an interval."""


class Interval(NamedTuple):
    """What one balance used between two readings. (A named tuple: a round has tens of thousands.)"""

    balance: BalanceKey
    wallet_id: int
    since: datetime
    until: datetime
    use: int


class SpikeEvidence(NamedTuple):
    """How one interval's use compares with what is likely then."""

    points: int
    """What it adds to the evidence of a spike."""
    drained: bool
    """More than a usual day's use at once."""
    expected: float
    """Messages."""
    stopped: bool
    """Traffic has stopped in hours that are never still."""


def spike_evidence(
    conn: Connection,
    intervals: Sequence[Interval],
    *,
    zone: str,
    alerts: Mapping[BalanceKey, float],
    now: datetime,
) -> Mapping[BalanceKey, SpikeEvidence]:
    """Compare the use of intervals with what is likely then; a balance without a model has no answer.

    `alerts` is what is remembered of the spikes told of each balance. What was announced adds no evidence.
    """
    stored = estimates.fitted_models(conn, {one.wallet_id for one in intervals})
    asked = [one for one in intervals if (one.wallet_id, one.balance.category) in stored]
    if not asked:
        return {}
    import numpy as np  # lazy: numpy

    from balancebot.forecast.model import decode_models  # lazy: numpy
    from balancebot.forecast.spike import (  # lazy: numpy
        have_stopped,
        is_planned,
        judge_spikes,
    )

    fitted = [stored[one.wallet_id, one.balance.category] for one in asked]
    models, _ = decode_models([model.model for model in fitted])
    announced = announced_plans(conn, now - _SENDS_RUN_LATE)
    since = np.array([one.since.timestamp() for one in asked])
    until = np.array([one.until.timestamp() for one in asked])
    spikes = judge_spikes(
        models,
        use=np.array([one.use for one in asked], dtype=np.float64),
        since=since,
        until=until,
        zone=zone,
        alerts=np.array([alerts.get(one.balance, 0.0) for one in asked]),
        bursty=np.array([one.balance.category is Category.MARKET for one in asked]),
        planned=np.array(
            [
                is_planned(announced.get(one.balance, ()), one.since.timestamp(), one.until.timestamp())
                for one in asked
            ]
        ),
    )
    open_hours = use_since(conn, {one.wallet_id for one in asked}, min(model.hour for model in fitted))
    used, exposure = open_use(
        [
            ((one.wallet_id, one.balance.category), model.hour)
            for one, model in zip(asked, fitted, strict=True)
        ],
        open_hours,
    )
    stopped = have_stopped(models, open_use=used, open_exposure=exposure, at=until, zone=zone)
    return {
        one.balance: SpikeEvidence(int(points), bool(drained), float(expected), bool(still))
        for one, points, drained, expected, still in zip(
            asked, spikes.points, spikes.drained, spikes.expected, stopped, strict=True
        )
    }


_SPIKE = Verdict(severity=Severity.CRITICAL)
SPIKING_POINTS = 4
"""As `forecast.spike.SPIKING`, which would load numpy."""
_AT_ONCE = 1_000
"""Wallets: what is known of each is held in memory."""


class _Balance(NamedTuple):
    """One balance of a round, with what was believed of it. (A named tuple: a round has tens of thousands.)"""

    key: BalanceKey
    stretch: BookedUsage
    since: datetime
    until: datetime
    kept: EstimateRow


class _Evidence(NamedTuple):
    """What the latest stretch of one balance says."""

    of: _Balance
    expected: float
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSpikes:
    """Judges what was booked, in two steps: the evidence is kept before anything is rendered, then alerts advance."""

    zone: str
    writer: DecisionWriter

    def __call__(
        self, conn: Connection, stretches: Sequence[BookedUsage], *, now: datetime, alerts_too: bool
    ) -> list[NotifiedAlert]:
        """Take both steps, for usage that was booked at the end of a round; return what is to be told."""
        evidence = self.gather(conn, stretches, now=now)
        if not alerts_too or not evidence:
            return []
        standing = OpenAlerts(conn, {found.of.key.wallet for found in evidence}, writer=self.writer, now=now)
        self.advance(evidence, standing, now=now)
        return standing.save()

    def gather(self, conn: Connection, stretches: Sequence[BookedUsage], *, now: datetime) -> list[_Evidence]:
        """Keep the evidence of each balance that was booked, and return it.

        Nothing is judged before a day of readings, nor where the other end of a transfer can't be read.
        """
        return [found for some in chunked(stretches, _AT_ONCE) for found in self._gather(conn, some, now=now)]

    def advance(self, evidence: Sequence[_Evidence], standing: OpenAlerts, *, now: datetime) -> None:
        """Advance the `burn_spike` of each balance.

        One whose `low_balance` is critical or worse is told in that alert and opens none; at 0 none ends because it became
        quiet.
        """
        for found in evidence:
            key = found.of.key
            subject = AlertSubject(kind=AlertKind.BURN_SPIKE, wallet=key.wallet, category=key.category)
            if found.points >= SPIKING_POINTS:
                if not standing.is_open(subject) and _is_critical(standing, key):
                    continue
                verdict = _SPIKE
            elif found.points == 0 and found.of.stretch.row.readings.of(key.category) != 0:
                verdict = FINE
            else:
                continue
            standing.advance(
                subject,
                verdict,
                lambda found=found: _measurement(found.of, found.expected, now),  # type: ignore[misc]
                cause=Cause.USE_NORMAL,
            )

    def _gather(
        self, conn: Connection, stretches: Sequence[BookedUsage], *, now: datetime
    ) -> list[_Evidence]:
        candidates = _balances(conn, stretches)
        if not candidates:
            return []
        from balancebot.forecast.spike import (  # lazy: numpy
            REMEMBERED_DAYS,
            gather,
            remembered,
        )

        told_before = alerts.openings(conn, AlertKind.BURN_SPIKE, since=now - timedelta(days=REMEMBERED_DAYS))
        compared = spike_evidence(
            conn,
            [
                Interval(one.key, one.stretch.row.id, one.since, one.until, one.stretch.used.get(one.key, 0))
                for one in candidates
            ],
            zone=self.zone,
            alerts={
                key: remembered((now - at) / timedelta(days=1) for at in opened)
                for key, opened in told_before.items()
            },
            now=now,
        )
        kept: list[tuple[int, Category, int, bool]] = []
        evidence: list[_Evidence] = []
        for one in candidates:
            pace = compared.get(one.key)
            if pace is None:
                continue
            points = one.kept.spike_points
            if one.stretch.is_certain:
                drained = pace.drained and one.stretch.is_surely_use
                points = gather(points, pace.points, drained=drained)
            if (points, pace.stopped) != (one.kept.spike_points, one.kept.stopped):
                kept.append((one.stretch.row.id, one.key.category, points, pace.stopped))
            evidence.append(_Evidence(one, pace.expected, points))
        estimates.save_spike_evidence(conn, kept)
        return evidence


def _is_critical(standing: OpenAlerts, key: BalanceKey) -> bool:
    low = standing.of(AlertSubject(kind=AlertKind.LOW_BALANCE, wallet=key.wallet, category=key.category))
    return low is not None and low.severity >= Severity.CRITICAL


def _balances(conn: Connection, stretches: Sequence[BookedUsage]) -> list[_Balance]:
    """Return the balances whose stretch has two ends and a number at the later one."""
    believed: Mapping[tuple[int, Category], EstimateRow] = {
        (row.wallet_id, row.category): row
        for row in estimates.of_wallets(conn, [stretch.row.id for stretch in stretches])
    }
    found = []
    for stretch in stretches:
        row = stretch.row
        if row.booked_at is None or row.observed_at is None:
            continue
        for category, reading in row.readings.items():
            kept = believed.get((row.id, category))
            if kept is not None and not isinstance(reading, Absent):
                key = BalanceKey(WalletName(row.name), category)
                found.append(_Balance(key, stretch, row.booked_at, row.observed_at, kept))
    return found


def _measurement(one: _Balance, expected: float, now: datetime) -> Measurement:
    reading = one.stretch.row.readings.of(one.key.category)
    estimate = estimate_at(one.kept, reading, now)
    return Measurement(
        at=now,
        reading=reading,
        observed_at=one.until,
        burn_per_day=estimate.burn_per_day,
        runway=estimate.runway,
        not_counted=estimate.not_counted,
        not_counted_at=estimate.not_counted_at,
        depletes_at=one.kept.p50_at,
        spike=SpikeMeasurement(
            messages=one.stretch.used.get(one.key, 0), expected=expected, since=one.since, until=one.until
        ),
    )

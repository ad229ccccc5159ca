"""`low_balance`: every category of a good reading against its effective limits."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from balancebot.alerts.transitions import OpenAlerts
from balancebot.domain.alert import AlertKind, AlertSubject, Cause
from balancebot.domain.balance import Absent, BalanceKey, Category, Reading, Snapshot
from balancebot.domain.message import Measurement
from balancebot.domain.runway import NO_END_HOURS, UNKNOWN, Estimate
from balancebot.domain.threshold import Effective, Limits, ThresholdBook
from balancebot.domain.verdict import Crossed, Verdict, is_near, judge


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeBalances:
    """Judges the balances of snapshots and advances their alerts."""

    book: ThresholdBook
    margin: float
    now: datetime

    def judge(
        self,
        snapshot: Snapshot,
        estimates: Mapping[BalanceKey, Estimate],
        ever_positive: Collection[BalanceKey],
        alerts: OpenAlerts,
    ) -> None:
        """Advance the alert of each category that was read; an unread one changes nothing."""
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
                )

    def is_near(self, snapshot: Snapshot, estimates: Mapping[BalanceKey, Estimate]) -> bool:
        """Tell whether a balance of the wallet is within twice one of its limits."""
        return any(
            is_near(
                reading,
                estimates.get(BalanceKey(snapshot.wallet, category), UNKNOWN),
                self.book.effective(snapshot.wallet, category).limits,
            )
            for category, reading in snapshot.readings.items()
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
    ) -> None:
        subject = AlertSubject(kind=AlertKind.LOW_BALANCE, wallet=snapshot.wallet, category=category)
        standing = alerts.of(subject)
        if reading is Absent.UNALLOCATED:
            spike = alerts.of(replace(subject, kind=AlertKind.BURN_SPIKE))
            if spike is not None:
                alerts.close(spike, Cause.UNALLOCATED)
        if standing is None and reading is Absent.UNALLOCATED:
            return  # half of all balances are
        effective = self.book.effective(snapshot.wallet, category)

        def judged(limits: Limits) -> Verdict:
            return judge(
                reading,
                estimate,
                limits,
                ever_positive=ever,
                margin=self.margin,
                opened_by_days=standing is not None and standing.opened_by_days,
            )

        verdict = judged(effective.limits)
        cause = Cause.ROSE
        if standing is not None and verdict.recovered:
            if reading is Absent.UNALLOCATED:
                cause = Cause.UNALLOCATED
            elif not judged(standing.limits).recovered:
                cause = Cause.LIMIT_CHANGED
        alerts.advance(
            subject,
            verdict,
            lambda: self._measurement(
                snapshot, reading, estimate=estimate, effective=effective, verdict=verdict
            ),
            limits=effective.limits,
            cause=cause,
        )

    def _measurement(
        self,
        snapshot: Snapshot,
        reading: Reading,
        *,
        estimate: Estimate,
        effective: Effective,
        verdict: Verdict,
    ) -> Measurement:
        return Measurement(
            at=self.now,
            reading=reading,
            observed_at=snapshot.observed_at,
            crossed=_with_scope(verdict.crossed, effective),
            short_of=verdict.short_of,
            burn_per_day=estimate.burn_per_day,
            runway=estimate.runway,
            not_counted=estimate.not_counted,
            not_counted_at=estimate.not_counted_at,
            depletes_at=_depletes_at(estimate, snapshot.observed_at),
        )


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

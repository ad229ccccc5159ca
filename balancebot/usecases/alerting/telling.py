"""What an alert's step becomes: a stored state, and in the same transaction what people are to be told of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from balancebot.domain.alert import Alert, Reason, Step
from balancebot.domain.notification import AlertFacts, Flapping
from balancebot.domain.routing import RoutingTable
from balancebot.domain.verdict import Severity
from balancebot.storage import alerts, outbox
from balancebot.usecases.estimating.figures import Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of one alert."""

    alert: Alert
    """As it is now; without an id where it is new."""
    step: Step
    """What led to it."""
    measured: AlertFacts
    """The figures of the moment; what the alert's own state says of it is filled in when it is told."""
    silenced_until: datetime | None

    @property
    def shows(self) -> bool:
        """Whether people see anything of it."""
        return self.step.reason is not None or self.step.edit


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Stores what became of alerts and fills the outbox."""

    routing: RoutingTable
    figures: Figures

    def tell(self, conn: Connection, changes: Sequence[Change], *, now: datetime) -> list[Alert | None]:
        """Store what became of alerts, each at most once, and enqueue what each has to say, in this order.

        Returns them as stored, in the same order; None for one that is no more.
        """
        changes = self._filled(conn, _stored(conn, changes), now)
        facts = [_facts(change, now) for change in changes]
        saved = alerts.save(conn, [(change.alert, told) for change, told in zip(changes, facts, strict=True)])
        outbox.enqueue(
            conn,
            [
                self._news(change, told, now)
                for change, told in zip(changes, facts, strict=True)
                if change.shows and change.alert.id in saved
            ],
            now=now,
        )
        return [change.alert if change.alert.id in saved else None for change in changes]

    def _filled(self, conn: Connection, changes: Sequence[Change], now: datetime) -> list[Change]:
        """Look up the figures that only messages show."""
        filled = iter(
            self.figures.fill(conn, [change.measured for change in changes if change.shows], now=now)
        )
        return [replace(change, measured=next(filled)) if change.shows else change for change in changes]

    def _news(self, change: Change, facts: AlertFacts, now: datetime) -> outbox.News:
        alert, reason = change.alert, change.step.reason
        assert alert.id is not None  # noqa: S101 -- it is stored
        if reason is None:
            return outbox.News(alert_id=alert.id, facts=facts, reason=None)
        return outbox.News(
            alert_id=alert.id,
            facts=facts,
            reason=reason,
            dedup_key=f"alert:{alert.id}:{reason}:{now.isoformat()}",
            destinations=self._destinations(alert, reason),
            broadcast=_broadcast(reason, alert.severity),
        )

    def _destinations(self, alert: Alert, reason: Reason) -> tuple[outbox.Destination, ...] | None:
        """Return who is told; None = all that were before."""
        if reason in {Reason.OPENED, Reason.WORSENED}:
            return self.routing.destinations(alert.subject.wallet, alert.subject.category, alert.severity)
        return None


def _stored(conn: Connection, changes: Sequence[Change]) -> list[Change]:
    """Give the alerts that are new a row, and their ids."""
    ids = iter(alerts.add(conn, [change.alert for change in changes if change.alert.id is None]))
    return [
        replace(change, alert=replace(change.alert, id=next(ids))) if change.alert.id is None else change
        for change in changes
    ]


def _broadcast(reason: Reason, severity: Severity) -> bool:
    return reason is Reason.WORSENED or (reason is Reason.REMINDER and severity >= Severity.CRITICAL)


def _facts(change: Change, now: datetime) -> AlertFacts:
    alert, step = change.alert, change.step
    return replace(
        change.measured,
        alert_id=str(alert.id),
        kind=alert.subject.kind,
        wallet=alert.subject.wallet,
        category=alert.subject.category,
        severity=alert.severity,
        reason=step.reason,
        at=now,
        opened_at=alert.opened_at,
        closed_at=alert.closed_at,
        cause=step.cause,
        previous=step.previous,
        members=tuple(alert.members),
        acknowledged_by=alert.acknowledged_by,
        acknowledged_note=alert.acknowledged_note,
        expects_by=alert.expects_by,
        broken=step.broken,
        silenced_until=change.silenced_until if alert.muted else None,
        flapping=_flapping(alert),
    )


def _flapping(alert: Alert) -> Flapping | None:
    if not alert.is_flapping:
        return None
    return Flapping(
        times=alert.flaps,
        hours=alert.calm_for / timedelta(hours=1),
        calm_since=alert.calm_since,
        relapses=alert.relapses,
    )


def blank_facts(alert: Alert, now: datetime) -> AlertFacts:
    """Return facts without figures, for an alert of which nothing was measured."""
    return AlertFacts(
        alert_id=str(alert.id),
        kind=alert.subject.kind,
        wallet=alert.subject.wallet,
        category=alert.subject.category,
        severity=alert.severity,
        reason=None,
        at=now,
        opened_at=alert.opened_at,
    )

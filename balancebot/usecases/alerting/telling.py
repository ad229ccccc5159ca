"""What an alert's step becomes: a stored state, and in the same transaction what people are to be told of it."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from balancebot.domain.alert import Alert, Reason, Step
from balancebot.domain.notification import AlertFacts, Flapping
from balancebot.domain.routing import RoutingTable
from balancebot.domain.verdict import Severity
from balancebot.storage import alerts, outbox
from balancebot.usecases.alerting.figures import Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Stores what became of an alert and fills the outbox."""

    routing: RoutingTable
    figures: Figures

    def tell(
        self,
        conn: Connection,
        step: Step,
        measured: AlertFacts,
        *,
        now: datetime,
        silenced_until: datetime | None,
    ) -> Alert | None:
        """Store the alert of `step` and enqueue what it has to say; returns it as stored, None if it is no more.

        `measured` holds the figures of the moment; what the alert's own state says of it is filled in here.
        """
        alert = step.alert
        if alert is None:
            return None
        alert_id = alerts.add(conn, alert) if alert.id is None else alert.id
        alert = replace(alert, id=alert_id)
        if step.reason is not None or step.edit:
            measured = self.figures.fill(conn, measured, now=now)
        facts = _facts(alert, step, measured, now=now, silenced_until=silenced_until)
        if not alerts.save(conn, alert, facts):
            return None
        match step.reason:
            case None if step.edit:
                outbox.enqueue_edit(conn, facts=facts, alert_id=alert_id, now=now)
            case None:
                pass
            case reason:
                outbox.enqueue(
                    conn,
                    facts=facts,
                    reason=reason,
                    alert_id=alert_id,
                    dedup_key=f"alert:{alert_id}:{reason}:{now.isoformat()}",
                    destinations=self._destinations(conn, alert, alert_id, reason),
                    now=now,
                    edit_told=True,
                    broadcast=_broadcast(reason, alert.severity),
                )
        return alert

    def _destinations(
        self, conn: Connection, alert: Alert, alert_id: int, reason: Reason
    ) -> tuple[outbox.Destination, ...]:
        if reason in {Reason.OPENED, Reason.WORSENED}:
            return self.routing.destinations(alert.subject.wallet, alert.subject.category, alert.severity)
        return outbox.told_destinations(conn, alert_id)


def _broadcast(reason: Reason, severity: Severity) -> bool:
    return reason is Reason.WORSENED or (reason is Reason.REMINDER and severity >= Severity.CRITICAL)


def _facts(
    alert: Alert, step: Step, measured: AlertFacts, *, now: datetime, silenced_until: datetime | None
) -> AlertFacts:
    return replace(
        measured,
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
        silenced_until=silenced_until if alert.muted else None,
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

"""What a transition of an alert becomes: a stored state and, in the same transaction, what is to be sent of it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from balancebot.domain import alert as life
from balancebot.domain.alert import (
    FLAPPING_WITHIN,
    FLAPS,
    FOR_GOOD,
    NO_LIMITS,
    Alert,
    AlertKind,
    AlertSubject,
    Cause,
    Reason,
    Transition,
)
from balancebot.domain.balance import WalletName, account_of
from balancebot.domain.message import AlertFacts, Flapping
from balancebot.domain.routing import Destination, RoutingTable
from balancebot.domain.silence import silenced_until
from balancebot.domain.threshold import Limits
from balancebot.domain.verdict import Severity, Verdict
from balancebot.estimates.context import MessageContext
from balancebot.store import alerts, notification_history, outbox, silences, types


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of one alert."""

    alert: Alert
    """As it is now; without an id where it is new."""
    step: Transition
    """What led to it."""
    measured: AlertFacts
    """The figures of the moment; what the alert's own state says of it is filled in when it is told."""
    silenced_until: datetime | None

    @property
    def shows(self) -> bool:
        """Whether people see anything of it."""
        return self.step.reason is not None or self.step.edit


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionWriter:
    """Stores what became of alerts and fills the outbox."""

    routing: RoutingTable
    figures: MessageContext

    def tell(self, conn: Connection, changes: Sequence[Decision], *, now: datetime) -> list[Alert | None]:
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
            editable=self.routing.editable,
            now=now,
        )
        return [change.alert if change.alert.id in saved else None for change in changes]

    def _filled(self, conn: Connection, changes: Sequence[Decision], now: datetime) -> list[Decision]:
        """Look up the figures that only messages show."""
        filled = iter(
            self.figures.fill(conn, [change.measured for change in changes if change.shows], now=now)
        )
        return [replace(change, measured=next(filled)) if change.shows else change for change in changes]

    def _news(self, change: Decision, facts: AlertFacts, now: datetime) -> outbox.OutboxEntry:
        alert, reason = change.alert, change.step.reason
        assert alert.id is not None  # noqa: S101 -- it is stored
        if reason is None:
            return outbox.OutboxEntry(alert_id=alert.id, facts=facts, reason=None)
        return outbox.OutboxEntry(
            alert_id=alert.id,
            facts=facts,
            reason=reason,
            dedup_key=f"alert:{alert.id}:{reason}:{now.isoformat()}",
            destinations=self._destinations(alert, reason),
            broadcast=_broadcast(reason, alert.severity),
        )

    def _destinations(self, alert: Alert, reason: Reason) -> tuple[Destination, ...] | None:
        """Return who is told; None = all that were before."""
        if reason in {Reason.OPENED, Reason.WORSENED}:
            return self.routing.destinations(alert.subject.wallet, alert.subject.category, alert.severity)
        return None


def _stored(conn: Connection, changes: Sequence[Decision]) -> list[Decision]:
    """Give the alerts that are new a row, and their ids."""
    ids = iter(alerts.add(conn, [change.alert for change in changes if change.alert.id is None]))
    return [
        replace(change, alert=replace(change.alert, id=next(ids))) if change.alert.id is None else change
        for change in changes
    ]


def _broadcast(reason: Reason, severity: Severity) -> bool:
    return reason is Reason.WORSENED or (reason is Reason.REMINDER and severity >= Severity.CRITICAL)


def _facts(change: Decision, now: datetime) -> AlertFacts:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifiedAlert:
    """One piece of news that went into the outbox."""

    subject: AlertSubject
    severity: Severity
    reason: Reason


class OpenAlerts:
    """Reads the open alerts once, then advances, widens and closes them."""

    def __init__(
        self, conn: Connection, wallets: Collection[WalletName], *, teller: DecisionWriter, now: datetime
    ) -> None:
        """Take the turn and load what is open of `wallets`, with every shared alert of any account."""
        types.take_lock(conn, types.ALERTS)
        self._conn = conn
        self._teller = teller
        self._now = now
        self._silences = silences.holding(conn, now)
        found = (*alerts.open_of(conn, wallets), *alerts.all_open(conn, kind=AlertKind.STALE))
        self._open = {alert.subject: alert for alert in found}
        self._lately: Mapping[AlertSubject, int] | None = None
        self._changed: dict[AlertSubject, Decision] = {}
        """What isn't stored yet."""
        self._told: list[NotifiedAlert] = []

    def is_open(self, subject: AlertSubject) -> bool:
        """Tell whether an alert of `subject` is open."""
        return subject in self._open

    def of(self, subject: AlertSubject) -> Alert | None:
        """Return the open alert of `subject`."""
        if subject in self._changed:
            self._store()
        return self._open.get(subject)

    def stale_of(self, account: str) -> tuple[Alert, ...]:
        """Return the open `stale` alerts of the wallets of one account."""
        self._store()
        return tuple(
            alert
            for subject, alert in self._open.items()
            if subject.kind is AlertKind.STALE and account_of(subject.wallet) == account
        )

    def of_wallet(self, wallet: WalletName) -> tuple[Alert, ...]:
        """Return the open alerts filed under `wallet`."""
        self._store()
        return tuple(alert for subject, alert in self._open.items() if subject.wallet == wallet)

    def advance(
        self,
        subject: AlertSubject,
        verdict: Verdict,
        measured: Callable[[], AlertFacts],
        *,
        limits: Limits = NO_LIMITS,
        cause: Cause = Cause.ROSE,
        fault: str = "",
        members: tuple[WalletName, ...] = (),
    ) -> None:
        """Apply a verdict. `measured` is only asked where there is an alert; `fault` and `members` are a new one's."""
        alert = self.of(subject)
        if verdict.severity is Severity.UNKNOWN or (alert is None and verdict.severity is Severity.OK):
            return
        until = silenced_until(self._silences, subject if alert is None else alert, self._now)
        step = life.advance(
            alert,
            verdict,
            subject=subject,
            now=self._now,
            silenced=until is not None,
            limits=limits,
            cause=cause,
            flaps=self._flaps(subject) if alert is None else self._worsenings(alert, verdict.severity),
        )
        if alert is None and step.alert is not None:
            step = replace(step, alert=replace(step.alert, fault=fault, members=members))
        facts = measured()
        if alert is not None and verdict.severity is Severity.OK:
            # nothing is crossed any more, and the alert still stands, or stood, for what was
            facts = replace(facts, crossed=self._facts_of(alert).crossed)
        self._apply(subject, step, facts, until)

    def widen(self, standing: Alert, wider: Alert, detail: str) -> None:
        """Let a standing alert speak for other members, perhaps under its account's name; tells nothing new."""
        self._rewrite(standing, Transition(alert=wider, edit=standing.peak is not None), detail=detail)

    def narrow(self, alert: Alert, members: tuple[WalletName, ...]) -> None:
        """Take wallets that were read again out of a shared alert."""
        self._rewrite(alert, Transition(alert=replace(alert, members=members)))

    def close(self, alert: Alert, cause: Cause) -> None:
        """End an alert for a reason that no verdict gives."""
        until = silenced_until(self._silences, alert, self._now)
        step = life.close(alert, now=self._now, silenced=until is not None, cause=cause)
        self._rewrite(alert, step)

    def settle(self) -> list[NotifiedAlert]:
        """Store what became of the alerts, fill the outbox, and return what is to be told; ask it at the end."""
        self._store()
        return self._told

    def _flaps(self, subject: AlertSubject) -> int:
        """Return how often `subject` has opened of late if it opens now; only a balance can flap."""
        if subject.category is None:
            return 1
        since = self._now - FLAPPING_WITHIN
        if self._lately is None:
            self._lately = alerts.num_closed(self._conn, since=since)
        if self._lately.get(subject, 0) < FLAPS - 1:
            return 1
        causes = alerts.causes_of_closing(self._conn, subject, since=since)
        return 1 + sum(cause not in FOR_GOOD for cause in causes)

    def _worsenings(self, alert: Alert, severity: Severity) -> int:
        """Return how often an alert has worsened to `severity` of late if it does so now."""
        worsens = alert.peak is not None and severity > alert.peak
        if not worsens or alert.id is None or alert.subject.category is None:
            return alert.flaps
        since = self._now - FLAPPING_WITHIN
        return 1 + notification_history.num_worsened(self._conn, alert.id, severity, since=since)

    def _rewrite(self, alert: Alert, step: Transition, *, detail: str | None = None) -> None:
        facts = self._facts_of(alert)
        if detail is not None:
            facts = replace(facts, detail=detail)
        self._apply(alert.subject, step, facts, silenced_until(self._silences, alert, self._now))

    def _facts_of(self, alert: Alert) -> AlertFacts:
        """Return what was last measured for the alert."""
        facts = blank_facts(alert, self._now)
        return facts if alert.id is None else alerts.facts_of(self._conn, [alert.id]).get(alert.id, facts)

    def _apply(
        self, subject: AlertSubject, step: Transition, facts: AlertFacts, until: datetime | None
    ) -> None:
        self._open.pop(subject, None)
        alert = step.alert
        if alert is None:
            return
        if alert.closed_at is None:
            self._open[alert.subject] = alert
        self._changed[alert.subject] = Decision(alert=alert, step=step, measured=facts, silenced_until=until)
        if alert.subject != subject:
            self._store()  # another may take the name that it gave up

    def _store(self) -> None:
        """Store all changes at once: each of its own would cost a dozen statements."""
        changes = list(self._changed.values())
        self._changed.clear()
        if not changes:
            return
        for change, alert in zip(changes, self._teller.tell(self._conn, changes, now=self._now), strict=True):
            if alert is None:
                self._open.pop(change.alert.subject, None)
                continue
            if alert.closed_at is None:
                self._open[alert.subject] = alert
            step = change.step
            if step.reason is not None:
                severity = (
                    step.previous if step.reason is Reason.RECOVERED and step.previous else alert.severity
                )
                self._told.append(NotifiedAlert(subject=alert.subject, severity=severity, reason=step.reason))

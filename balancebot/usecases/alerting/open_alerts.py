"""The open alerts of some wallets within one transaction, and what becomes of each.

Whoever changes alerts takes the turn first: two replicas that judge at the same time must see each other's alerts.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from balancebot.domain import alert_life as life
from balancebot.domain.alert import (
    FLAPPING_WITHIN,
    FLAPS,
    FOR_GOOD,
    NO_LIMITS,
    Alert,
    AlertKind,
    Cause,
    Reason,
    Step,
    Subject,
)
from balancebot.domain.balance import WalletName, account_of
from balancebot.domain.notification import AlertFacts
from balancebot.domain.silence import silenced_until
from balancebot.domain.threshold import Limits
from balancebot.domain.verdict import Severity, Verdict
from balancebot.storage import alerts, silences, stories, turns
from balancebot.usecases.alerting.telling import Change, Teller, blank_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One piece of news that went into the outbox."""

    subject: Subject
    severity: Severity
    reason: Reason


class OpenAlerts:
    """Reads the open alerts once, then advances, widens and closes them."""

    def __init__(
        self, conn: Connection, wallets: Collection[WalletName], *, teller: Teller, now: datetime
    ) -> None:
        """Take the turn and load what is open of `wallets`, with every shared alert of any account."""
        turns.take(conn, turns.ALERTS)
        self._conn = conn
        self._teller = teller
        self._now = now
        self._silences = silences.holding(conn, now)
        found = (*alerts.open_of(conn, wallets), *alerts.all_open(conn, kind=AlertKind.STALE))
        self._open = {alert.subject: alert for alert in found}
        self._lately: Mapping[Subject, int] | None = None
        self._changed: dict[Subject, Change] = {}
        """What isn't stored yet."""
        self._told: list[Told] = []

    def is_open(self, subject: Subject) -> bool:
        """Tell whether an alert of `subject` is open."""
        return subject in self._open

    def of(self, subject: Subject) -> Alert | None:
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
        subject: Subject,
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
        self._rewrite(standing, Step(alert=wider, edit=standing.peak is not None), detail=detail)

    def narrow(self, alert: Alert, members: tuple[WalletName, ...]) -> None:
        """Take wallets that were read again out of a shared alert."""
        self._rewrite(alert, Step(alert=replace(alert, members=members)))

    def close(self, alert: Alert, cause: Cause) -> None:
        """End an alert for a reason that no verdict gives."""
        until = silenced_until(self._silences, alert, self._now)
        step = life.close(alert, now=self._now, silenced=until is not None, cause=cause)
        self._rewrite(alert, step)

    def settle(self) -> list[Told]:
        """Store what became of the alerts, fill the outbox, and return what is to be told; ask it at the end."""
        self._store()
        return self._told

    def _flaps(self, subject: Subject) -> int:
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
        return 1 + stories.num_worsened(self._conn, alert.id, severity, since=since)

    def _rewrite(self, alert: Alert, step: Step, *, detail: str | None = None) -> None:
        facts = self._facts_of(alert)
        if detail is not None:
            facts = replace(facts, detail=detail)
        self._apply(alert.subject, step, facts, silenced_until(self._silences, alert, self._now))

    def _facts_of(self, alert: Alert) -> AlertFacts:
        """Return what was last measured for the alert."""
        facts = blank_facts(alert, self._now)
        return facts if alert.id is None else alerts.facts_of(self._conn, [alert.id]).get(alert.id, facts)

    def _apply(self, subject: Subject, step: Step, facts: AlertFacts, until: datetime | None) -> None:
        self._open.pop(subject, None)
        alert = step.alert
        if alert is None:
            return
        if alert.closed_at is None:
            self._open[alert.subject] = alert
        self._changed[alert.subject] = Change(alert=alert, step=step, measured=facts, silenced_until=until)
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
                self._told.append(Told(subject=alert.subject, severity=severity, reason=step.reason))

"""From verdicts to stored alerts and messages: verdict -> `Transition` -> `Decision` -> alert row and outbox entry.

`OpenAlerts` holds the open alerts during one transaction and turns verdicts into decisions; `DecisionWriter` stores them
and fills the outbox, in the same transaction.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

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
from balancebot.domain.balance import BalanceKey, WalletName, account_of
from balancebot.domain.escalation import Escalation
from balancebot.domain.message import NO_CONTEXT, AlertMessage, Measurement, MessageContext, SpikeMeasurement
from balancebot.domain.quiet_hours import QuietHours
from balancebot.domain.routing import Destination, RoutingTable
from balancebot.domain.sentence import Sentence
from balancebot.domain.silence import Silence, silenced_until
from balancebot.domain.threshold import Limits
from balancebot.domain.usage import MAX_REFUND
from balancebot.domain.verdict import Severity, Verdict
from balancebot.estimates.context import ContextReader
from balancebot.store import alerts, notification_history, outbox, silences, types


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifiedAlert:
    """An alert for which a message was enqueued. After its end `severity` is its worst one."""

    subject: AlertSubject
    severity: Severity
    reason: Reason
    alert_id: int


class OpenAlerts:
    """The open alerts, read once; verdicts and other changes are applied to them."""

    def __init__(
        self, conn: Connection, wallets: Collection[WalletName], *, writer: "DecisionWriter", now: datetime
    ) -> None:
        """Take the lock and read the open alerts of `wallets`, and all `stale` alerts, which wallets may share."""
        types.take_lock(conn, types.ALERTS)
        self._conn = conn
        self._writer = writer
        self._now = now
        self._quiet_below = writer.quiet_below(now)
        self._open = {
            message.alert.subject: message
            for message in alerts.open_of(conn, wallets, kind_of_all=AlertKind.STALE)
        }
        self._num_closed: Mapping[AlertSubject, int] | None = None
        self._decided: dict[AlertSubject, Decision] = {}
        """Decisions that aren't stored yet."""
        self._notified: list[NotifiedAlert] = []

    @cached_property
    def _silences(self) -> Sequence[Silence]:
        """The active silences. Most poll cycles affect no alert and need none."""
        return silences.active(self._conn, self._now)

    def is_open(self, subject: AlertSubject) -> bool:
        """Return whether an alert of `subject` is open."""
        return subject in self._open

    def of(self, subject: AlertSubject) -> Alert | None:
        """Return the open alert of `subject`."""
        found = self._last(subject)
        return None if found is None else found.alert

    @property
    def spikes(self) -> Mapping[BalanceKey, SpikeMeasurement]:
        """The usage spikes of open alerts, by balance."""
        return {
            balance: message.measurement.spike
            for message in self._open.values()
            if (balance := message.alert.subject.balance) is not None
            and message.measurement.spike is not None
        }

    def stale_of(self, account: str) -> tuple[Alert, ...]:
        """Return the open `stale` alerts of the wallets of one account."""
        self._store()
        return tuple(
            message.alert
            for subject, message in self._open.items()
            if subject.kind is AlertKind.STALE and account_of(subject.wallet) == account
        )

    def of_wallet(self, wallet: WalletName) -> tuple[Alert, ...]:
        """Return the open alerts stored under `wallet`."""
        self._store()
        return tuple(message.alert for subject, message in self._open.items() if subject.wallet == wallet)

    def advance(
        self,
        subject: AlertSubject,
        verdict: Verdict,
        measure: Callable[[], Measurement],
        *,
        limits: Limits = NO_LIMITS,
        cause: Cause = Cause.ROSE,
        fault: str = "",
        members: tuple[WalletName, ...] = (),
        covered_until: datetime | None = None,
    ) -> None:
        """Apply a verdict. `measure` is called only if there is an alert; a new alert gets `fault` and `members`.

        With `covered_until` nothing is sent below depleted, because the alert of a usage spike covers it.
        """
        last = self._last(subject)
        alert = None if last is None else last.alert
        if verdict.severity is Severity.UNKNOWN or (alert is None and verdict.severity is Severity.OK):
            return
        until = silenced_until(self._silences, subject if alert is None else alert, self._now)
        transition = life.advance(
            alert,
            verdict,
            subject=subject,
            now=self._now,
            silenced=until is not None,
            quiet_below=Severity.DEPLETED if covered_until else self._quiet_below,
            limits=limits,
            cause=cause,
            flaps=self._flaps(subject) if alert is None else self._worsenings(alert, verdict.severity),
        )
        if alert is None and transition.alert is not None:
            transition = replace(transition, alert=replace(transition.alert, fault=fault, members=members))
        if transition.alert is not None:
            transition = replace(transition, alert=replace(transition.alert, covered_until=covered_until))
        measurement = measure()
        if last is not None and verdict.severity is Severity.OK:
            # no limit is crossed any longer, but messages still name the limit that the alert was about
            measurement = replace(measurement, crossed=last.measurement.crossed)
        if last is not None and measurement.spike is None and subject.kind is AlertKind.BURN_SPIKE:
            measurement = replace(measurement, spike=last.measurement.spike)  # why it is open
        self._decide(subject, transition, last, measurement, until)

    def widen(self, alert: Alert, wider: Alert, detail: Sentence) -> None:
        """Extend an open alert to other members, perhaps under its account's name; its messages are only edited."""
        self._change(alert, Transition(alert=wider, edit=alert.peak is not None), detail=detail)

    def narrow(self, alert: Alert, members: tuple[WalletName, ...]) -> None:
        """Remove wallets that were read again from a shared alert."""
        self._change(alert, Transition(alert=replace(alert, members=members)))

    def top_up(self, balance: BalanceKey, messages: int, *, ordered: bool) -> None:
        """Notify that a top-up arrived and isn't enough, if it was ordered or expected by an acknowledgement."""
        subject = AlertSubject(kind=AlertKind.LOW_BALANCE, wallet=balance.wallet, category=balance.category)
        last = self._last(subject)
        if last is None or not (ordered or (last.alert.expects_by and messages > MAX_REFUND)):
            return
        silenced = silenced_until(self._silences, last.alert, self._now) is not None
        transition = life.top_up(last.alert, messages, silenced=silenced, quiet_below=self._quiet_below)
        if transition.reason is not None:
            self._change(last.alert, transition)

    def close(self, alert: Alert, cause: Cause, *, silently: bool = False) -> None:
        """End an alert for a cause other than a verdict; with `silently` the living messages are only edited."""
        silenced = silently or silenced_until(self._silences, alert, self._now) is not None
        closed = life.close(
            alert, now=self._now, silenced=silenced, quiet_below=self._quiet_below, cause=cause
        )
        self._change(alert, closed)

    def save(self) -> list[NotifiedAlert]:
        """Store the decisions, fill the outbox, and return what is sent; to be called at the end."""
        self._store()
        return self._notified

    def _last(self, subject: AlertSubject) -> AlertMessage | None:
        if subject in self._decided:
            self._store()
        return self._open.get(subject)

    def _flaps(self, subject: AlertSubject) -> int:
        """Return how often `subject` has opened recently, including now; only balances can flap."""
        if subject.category is None:
            return 1
        since = self._now - FLAPPING_WITHIN
        if self._num_closed is None:
            self._num_closed = alerts.num_closed(self._conn, since=since)
        if self._num_closed.get(subject, 0) < FLAPS - 1:
            return 1
        causes = alerts.causes_of_closing(self._conn, subject, since=since)
        return 1 + sum(cause not in FOR_GOOD for cause in causes)

    def _worsenings(self, alert: Alert, severity: Severity) -> int:
        """Return how often an alert has worsened to `severity` recently, including now if it does so."""
        worsens = alert.peak is not None and severity > alert.peak
        if not worsens or alert.id is None or alert.subject.category is None:
            return alert.flaps
        since = self._now - FLAPPING_WITHIN
        return 1 + notification_history.num_worsened(self._conn, alert.id, severity, since=since)

    def _change(self, alert: Alert, transition: Transition, *, detail: Sentence | None = None) -> None:
        last = self._open[alert.subject]
        measurement = last.measurement if detail is None else replace(last.measurement, detail=detail)
        until = silenced_until(self._silences, alert, self._now)
        self._decide(alert.subject, transition, last, measurement, until)

    def _decide(
        self,
        subject: AlertSubject,
        transition: Transition,
        last: AlertMessage | None,
        measurement: Measurement,
        until: datetime | None,
    ) -> None:
        alert = transition.alert
        if alert is None:
            return
        decision = Decision(
            transition=transition,
            alert=alert,
            measurement=measurement,
            last_context=NO_CONTEXT if last is None else last.context,
            needs_context=transition.reason is not None or transition.edit,
            silenced_until=until,
        )
        self._open.pop(subject, None)
        if alert.closed_at is None:
            self._open[alert.subject] = AlertMessage(alert=alert, measurement=measurement, at=self._now)
        self._decided[alert.subject] = decision
        if alert.subject != subject:
            self._store()  # another alert may take its former subject

    def _store(self) -> None:
        """Store all decisions together, because storing each separately takes a dozen SQL statements."""
        decisions = list(self._decided.values())
        self._decided.clear()
        for message in self._writer.save(self._conn, decisions, now=self._now):
            alert = message.alert
            if alert.closed_at is None:
                self._open[alert.subject] = message
            if message.reason is not None:
                severity = alert.severity if alert.closed_at is None else alert.peak or alert.severity
                self._notified.append(
                    NotifiedAlert(
                        subject=alert.subject,
                        severity=severity,
                        reason=message.reason,
                        alert_id=alert.id or 0,
                    )
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A transition to store, with what the message will show."""

    transition: Transition
    alert: Alert
    """The state after the transition; a new alert has no id yet."""
    measurement: Measurement
    last_context: MessageContext = NO_CONTEXT
    """The context of its last message."""
    needs_context: bool = False
    """Whether a new context is read for the message."""
    silenced_until: datetime | None = None
    escalates_to: tuple[Destination, ...] = ()
    """ESCALATED: the destinations to notify."""

    @property
    def is_visible(self) -> bool:
        """Whether a message is sent or edited."""
        return self.transition.reason is not None or self.transition.edit


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionWriter:
    """Stores decisions and fills the outbox."""

    routing: RoutingTable
    contexts: ContextReader
    escalations: Sequence[Escalation] = ()
    quiet_hours: QuietHours | None = None

    def quiet_below(self, now: datetime) -> Severity | None:
        """Return the severity below which notifications wait for the end of quiet hours; None outside of them."""
        quiet = None if self.quiet_hours is None else self.quiet_hours.at(now)
        return None if quiet is None else quiet.below

    def save(self, conn: Connection, decisions: Sequence[Decision], *, now: datetime) -> list[AlertMessage]:
        """Store decisions (at most one per alert), then enqueue their messages.

        Returns for each alert the message that shows its new state.
        """
        if not decisions:
            return []
        wanting = [decision for decision in decisions if decision.needs_context]
        contexts = iter(
            self.contexts.read(
                conn, [(decision.alert, decision.measurement.reading) for decision in wanting], now=now
            )
        )
        messages = alerts.save(
            conn,
            [
                self._message(
                    decision, next(contexts) if decision.needs_context else decision.last_context, now
                )
                for decision in decisions
            ],
        )
        visible = [
            self._entry(decision, message)
            for decision, message in zip(decisions, messages, strict=True)
            if decision.is_visible
        ]
        if visible:
            outbox.enqueue(
                conn,
                visible,
                editable=self.routing.editable,
                now=now,
            )
        return messages

    def _entry(self, decision: Decision, message: AlertMessage) -> outbox.OutboxEntry:
        alert, reason = message.alert, message.reason
        destinations: tuple[Destination, ...] | None = None
        if reason in {Reason.OPENED, Reason.WORSENED}:
            destinations = self.routing.destinations(
                alert.subject.wallet, alert.subject.category, alert.severity
            )
        elif reason is Reason.ESCALATED:
            destinations = decision.escalates_to
        return outbox.OutboxEntry(
            message=message,
            destinations=destinations,
            channels=self.routing.threaded if reason is Reason.TOPPED_UP else None,
            broadcast=reason in {Reason.WORSENED, Reason.ESCALATED}
            or (reason is Reason.REMINDER and alert.severity >= Severity.CRITICAL),
            together=decision.transition.has_waited,
        )

    def _message(self, decision: Decision, context: MessageContext, now: datetime) -> AlertMessage:
        transition, alert = decision.transition, decision.alert
        return AlertMessage(
            alert=alert,
            measurement=decision.measurement,
            context=replace(context, silenced_until=decision.silenced_until if alert.muted else None),
            reason=transition.reason,
            at=now,
            previous_peak=transition.previous_peak,
            missed_top_up=transition.missed_top_up,
            arrived=transition.arrived,
            route_mentions=self.routing.mentioned(
                alert.subject.wallet, alert.subject.category, alert.severity
            ),
        )

"""Escalations: which further destinations are notified if nobody acknowledges an alert in time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from balancebot.domain.alert import Alert, Escalated, Reason, Transition
from balancebot.domain.pattern import Pattern
from balancebot.domain.routing import Destination
from balancebot.domain.verdict import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """One rule. All rules that match an alert apply to it."""

    match: Pattern
    severity: Severity | None = None
    """This or worse; None: any."""
    after: timedelta
    """Counted from the notification that the alert opened or worsened."""
    destinations: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def name(self) -> str:
        """The key under which an escalation is stored. It depends neither on the rule's position nor on its destinations."""
        severity = "any" if self.severity is None else self.severity.word
        return f"{self.match.text} {severity} {self.after.total_seconds():.0f}s"

    @property
    def all_destinations(self) -> tuple[Destination, ...]:
        """The destinations of all channels."""
        return tuple(
            Destination(channel, address)
            for channel, addresses in self.destinations.items()
            for address in addresses
        )

    def due_at(self, alert: Alert) -> datetime | None:
        """Return when an unchanged alert escalates by this rule; None = it never does, or already has."""
        severity = self.severity or Severity.WARNING
        if alert.raised_at is None or alert.acknowledged_at is not None or alert.severity < severity:
            return None
        if alert.has_escalated(self.name) or not self.match.matches(
            alert.subject.wallet, alert.subject.category
        ):
            return None
        return alert.raised_at + self.after


def escalate(
    alert: Alert, rules: Sequence[Escalation], *, now: datetime
) -> tuple[Transition, tuple[Destination, ...]]:
    """Escalate an open, unmuted alert by the rules that are due; return the transition and whom to notify."""
    due = [rule for rule in rules if (at := rule.due_at(alert)) is not None and at <= now]
    if not due or alert.peak is None:
        return Transition(alert=alert), ()
    done = tuple(
        Escalated(rule=name, peak=alert.peak, at=now) for name in dict.fromkeys(rule.name for rule in due)
    )
    escalated = replace(alert, escalated=alert.escalated + done)
    destinations = tuple(dict.fromkeys(destination for rule in due for destination in rule.all_destinations))
    return Transition(alert=escalated, reason=Reason.ESCALATED, edit=True), destinations


def upcoming(
    rules: Sequence[Escalation], alert: Alert
) -> tuple[tuple[datetime, tuple[Destination, ...]], ...]:
    """Return when an alert will escalate to which destinations if it stays unchanged and unmuted, the soonest first."""
    due = [(at, rule.all_destinations) for rule in rules if (at := rule.due_at(alert)) is not None]
    return tuple(sorted(due, key=lambda entry: entry[0]))

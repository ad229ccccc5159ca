"""Escalations: who is told as well when nobody has acknowledged an alert in time."""

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
    """One rule; every one that takes an alert applies to it."""

    match: Pattern
    severity: Severity | None = None
    """This or worse; None: any."""
    after: timedelta
    """Since the alert was told, opened or worsened."""
    destinations: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def name(self) -> str:
        """What the rule is remembered by: not its place among the others, nor who is told by it."""
        severity = "any" if self.severity is None else self.severity.word
        return f"{self.match.text} {severity} {self.after.total_seconds():.0f}s"

    @property
    def told(self) -> tuple[Destination, ...]:
        """Who is told by it."""
        return tuple(
            Destination(channel, address)
            for channel, addresses in self.destinations.items()
            for address in addresses
        )

    def due_at(self, alert: Alert) -> datetime | None:
        """Return when an alert escalates by this rule, left as it is; None = it doesn't, or has."""
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
    """Let an open alert that nothing mutes escalate by the rules that are due; return who is told."""
    due = [rule for rule in rules if (at := rule.due_at(alert)) is not None and at <= now]
    if not due or alert.peak is None:
        return Transition(alert=alert), ()
    done = tuple(
        Escalated(rule=name, peak=alert.peak, at=now) for name in dict.fromkeys(rule.name for rule in due)
    )
    escalated = replace(alert, escalated=alert.escalated + done)
    told = tuple(dict.fromkeys(destination for rule in due for destination in rule.told))
    return Transition(alert=escalated, reason=Reason.ESCALATED, edit=True), told


def upcoming(
    rules: Sequence[Escalation], alert: Alert
) -> tuple[tuple[datetime, tuple[Destination, ...]], ...]:
    """Return when an alert, left as it is and while nothing mutes it, is told to whom, the soonest first."""
    due = [(at, rule.told) for rule in rules if (at := rule.due_at(alert)) is not None]
    return tuple(sorted(due, key=lambda entry: entry[0]))

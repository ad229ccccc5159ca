"""When an alert escalates, by which rules, and that each rule escalates once per peak."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from balancebot.domain.alert import Alert, AlertKind, AlertSubject, Escalated, Reason, Transition, pass_time
from balancebot.domain.balance import Category, WalletName
from balancebot.domain.escalation import Escalation, escalate, upcoming
from balancebot.domain.routing import Destination
from balancebot.domain.verdict import Severity
from tests.patterns import pattern_from

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HALF_AN_HOUR = timedelta(minutes=30)
ALERT = Alert(
    id=1,
    subject=AlertSubject(
        kind=AlertKind.LOW_BALANCE, wallet=WalletName("acme/checkout"), category=Category.INDUSTRY
    ),
    severity=Severity.CRITICAL,
    peak=Severity.CRITICAL,
    opened_at=NOON,
    told_at=NOON,
    raised_at=NOON,
)


def rule(match: str = "acme/*", after: timedelta = HALF_AN_HOUR, *destinations: str, **more) -> Escalation:
    return Escalation(
        match=pattern_from(match), after=after, destinations={"slack": destinations or ("#oncall",)}, **more
    )


def test_an_alert_escalates_when_the_time_of_the_rule_has_passed_and_not_before() -> None:
    rules = (rule(severity=Severity.CRITICAL),)
    assert (Transition(alert=ALERT), ()) == escalate(
        ALERT, rules, now=NOON + HALF_AN_HOUR - timedelta(seconds=1)
    )

    now = NOON + HALF_AN_HOUR
    transition, notified = escalate(ALERT, rules, now=now)
    assert (Destination("slack", "#oncall"),) == notified
    assert (Reason.ESCALATED, True) == (transition.reason, transition.edit)
    assert transition.alert is not None
    assert now == transition.alert.escalated_at


def test_an_alert_escalates_once_per_rule_and_again_at_a_higher_peak() -> None:
    now = NOON + HALF_AN_HOUR
    first, _ = escalate(ALERT, (rule(),), now=now)
    assert first.alert is not None
    assert () == escalate(first.alert, (rule(),), now=now + timedelta(days=9))[1]

    worse = replace(first.alert, severity=Severity.DEPLETED, peak=Severity.DEPLETED, raised_at=now)
    assert () == escalate(worse, (rule(),), now=now)[1]
    again, notified = escalate(worse, (rule(),), now=now + HALF_AN_HOUR)
    assert (Destination("slack", "#oncall"),) == notified
    assert again.alert is not None
    assert [Severity.CRITICAL, Severity.DEPLETED] == [done.peak for done in again.alert.escalated]


def test_a_rule_stays_the_same_when_its_position_or_destinations_change() -> None:
    done = replace(ALERT, escalated=(Escalated(rule=rule().name, peak=Severity.CRITICAL, at=NOON),))
    now = NOON + timedelta(days=1)
    other = rule("acme/checkout", HALF_AN_HOUR, "#cto")
    assert (Destination("slack", "#cto"),) == escalate(
        done, (other, rule("acme/*", HALF_AN_HOUR, "#new")), now=now
    )[1]


def test_all_rules_that_are_due_notify_their_destinations_once() -> None:
    rules = (
        rule("acme/*", HALF_AN_HOUR, "#oncall", "#ops"),
        rule("*", timedelta(minutes=5), "#ops"),
        rule("*", timedelta(hours=5), "#late"),
    )
    assert (Destination("slack", "#oncall"), Destination("slack", "#ops")) == escalate(
        ALERT, rules, now=NOON + HALF_AN_HOUR
    )[1]


@pytest.mark.parametrize(
    "alert",
    [
        replace(ALERT, acknowledged_at=NOON, acknowledged_by="ann"),
        replace(ALERT, peak=None, raised_at=None),
        replace(ALERT, severity=Severity.WARNING),
        replace(ALERT, subject=replace(ALERT.subject, wallet=WalletName("acme"))),
    ],
    ids=["acknowledged", "untold", "milder", "another wallet"],
)
def test_an_alert_that_no_rule_matches_does_not_escalate(alert: Alert) -> None:
    rules = (rule(severity=Severity.CRITICAL),)
    assert () == escalate(alert, rules, now=NOON + timedelta(days=1))[1]


def test_setting_the_clock_back_delays_an_escalation_by_at_most_the_time_of_the_rule() -> None:
    now = NOON - timedelta(hours=5)
    seen = pass_time(ALERT, now=now, silenced=False, remind_every=timedelta(0)).alert
    assert seen is not None
    assert now + HALF_AN_HOUR == rule().due_at(seen)


def test_coming_escalations_are_shown_soonest_first_without_those_that_match_no_rule() -> None:
    rules = (
        rule("*", timedelta(hours=5), "#late"),
        rule("other/*", HALF_AN_HOUR, "#other"),
        rule("acme/*", HALF_AN_HOUR, "#oncall"),
    )
    assert [Destination("slack", "#oncall"), Destination("slack", "#late")] == [
        notified for _, (notified,) in upcoming(rules, ALERT)
    ]

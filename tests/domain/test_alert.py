"""Transitions of an alert, row by row of the table in the contract."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from balancebot.domain.alert import (
    CALM_FOR,
    FLAPS,
    NOTHING,
    SPIKE_SETTLES,
    Alert,
    AlertKind,
    AlertSubject,
    Cause,
    ExpectedTopUp,
    Reason,
    Transition,
    acknowledge,
    advance,
    close,
    covered_until,
    mute,
    pass_time,
    top_up,
)
from balancebot.domain.balance import Category, WalletName
from balancebot.domain.threshold import LimitColumn
from balancebot.domain.verdict import ALL_PAST, FINE, NO_DATA, Crossed, Severity, Verdict

OK, WARNING, CRITICAL, DEPLETED = (
    Severity.OK,
    Severity.WARNING,
    Severity.CRITICAL,
    Severity.DEPLETED,
)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
SUBJECT = AlertSubject(
    kind=AlertKind.LOW_BALANCE, wallet=WalletName("acme/checkout"), category=Category.INDUSTRY
)
DAY = timedelta(hours=24)
LATER_BY = timedelta(seconds=1)


def an_alert(severity=WARNING, peak=WARNING, **more) -> Alert:
    return Alert(id=1, subject=SUBJECT, severity=severity, peak=peak, opened_at=NOON, told_at=NOON, **more)


def bad(severity, past=()) -> Verdict:
    return Verdict(severity=severity, past=frozenset(past))


def judged(alert, verdict, *, silenced=False, now=LATER) -> Transition:
    return advance(alert, verdict, subject=SUBJECT, now=now, silenced=silenced)


@pytest.mark.parametrize("verdict", [FINE, NO_DATA])
def test_an_ok_or_unknown_verdict_opens_no_alert(verdict):
    assert NOTHING == judged(None, verdict)


@pytest.mark.parametrize("severity", [WARNING, CRITICAL, DEPLETED])
def test_a_bad_verdict_opens_an_alert_and_sends_it(severity):
    assert Transition(
        alert=Alert(
            subject=SUBJECT, severity=severity, peak=severity, opened_at=LATER, told_at=LATER, raised_at=LATER
        ),
        reason=Reason.OPENED,
    ) == judged(None, bad(severity))


def test_no_data_changes_nothing():
    alert = an_alert()

    assert Transition(alert=alert) == judged(alert, NO_DATA)


def test_a_severity_above_the_peak_is_a_worsening_and_clears_the_acknowledgement():
    alert = acknowledge(an_alert(), by="on-call", note="seen", now=NOON)

    assert Transition(
        alert=replace(an_alert(), severity=CRITICAL, peak=CRITICAL, told_at=LATER, raised_at=LATER),
        reason=Reason.WORSENED,
        edit=True,
        previous_peak=WARNING,
    ) == judged(alert, bad(CRITICAL))


def test_the_same_verdict_again_changes_nothing():
    alert = an_alert()

    assert Transition(alert=alert) == judged(alert, bad(WARNING))


def test_a_lower_severity_edits_the_message_and_sends_nothing():
    alert = an_alert(severity=CRITICAL, peak=CRITICAL)

    assert Transition(alert=replace(alert, severity=WARNING), edit=True) == judged(alert, bad(WARNING))


def test_flapping_around_a_critical_limit_is_notified_once():
    alert = an_alert(severity=CRITICAL, peak=CRITICAL)

    better = judged(alert, bad(WARNING))
    worse = judged(better.alert, bad(CRITICAL))

    assert (None, None) == (better.reason, worse.reason)


def test_the_peak_falls_once_the_balance_is_above_its_limits_by_the_margin():
    alert = an_alert(severity=CRITICAL, peak=CRITICAL)

    better = judged(alert, bad(WARNING, past=[CRITICAL, DEPLETED]))
    worse = judged(better.alert, bad(CRITICAL))

    assert (WARNING, Reason.WORSENED) == (better.alert.peak, worse.reason)


def test_an_ok_verdict_within_the_recovery_margin_changes_nothing():
    alert = an_alert()

    assert Transition(alert=alert) == judged(alert, bad(OK, past=[CRITICAL, DEPLETED]))


@pytest.mark.parametrize("peak", [CRITICAL, DEPLETED])
def test_the_peak_falls_while_only_the_margin_of_a_warning_limit_keeps_the_alert_open(peak):
    alert = an_alert(severity=peak, peak=peak)

    better = judged(alert, bad(OK, past=[CRITICAL, DEPLETED]))
    worse = judged(better.alert, bad(peak))

    assert Transition(alert=an_alert(), edit=True) == better
    assert Reason.WORSENED == worse.reason


def test_the_peak_stays_within_the_margin_of_a_critical_limit():
    alert = an_alert(severity=CRITICAL, peak=CRITICAL)

    assert Transition(alert=alert) == judged(alert, bad(OK))


def test_an_alert_recovers_above_the_margin():
    alert = an_alert(severity=WARNING, peak=CRITICAL)

    assert Transition(
        alert=replace(alert, severity=OK, closed_at=LATER, closed_because=Cause.ROSE),
        reason=Reason.RECOVERED,
        edit=True,
    ) == judged(alert, FINE)


def test_an_alert_that_opens_during_a_silence_is_not_sent():
    opened = judged(None, bad(WARNING), silenced=True)

    assert (None, None, WARNING) == (opened.reason, opened.alert.peak, opened.alert.muted_from)


def test_an_alert_that_opened_and_recovered_during_a_silence_is_never_sent():
    opened = judged(None, bad(WARNING), silenced=True)

    recovered = judged(opened.alert, FINE, silenced=True)

    assert (None, False, LATER) == (recovered.reason, recovered.edit, recovered.alert.closed_at)


def test_an_open_alert_that_was_not_sent_is_sent_as_opened_when_the_silence_ends():
    opened = judged(None, bad(CRITICAL), silenced=True)

    assert opened.alert is not None
    ended = pass_time(opened.alert, now=LATER + DAY, silenced=False, remind_every=DAY)

    assert (Reason.OPENED, CRITICAL, LATER + DAY) == (ended.reason, ended.alert.peak, ended.alert.told_at)


def test_an_alert_that_opened_during_a_silence_is_sent_when_it_worsens():
    opened = judged(None, bad(WARNING), silenced=True)

    worse = judged(opened.alert, bad(CRITICAL), silenced=True)

    assert (Reason.OPENED, CRITICAL) == (worse.reason, worse.alert.peak)


def test_an_alert_that_worsens_during_a_silence_is_sent():
    worse = judged(mute(an_alert()), bad(CRITICAL), silenced=True)

    assert (Reason.WORSENED, True) == (worse.reason, worse.alert.mute_lifted)


def test_after_a_worsening_during_a_silence_the_recovery_is_sent_too():
    worse = judged(mute(an_alert()), bad(CRITICAL), silenced=True)

    assert Reason.RECOVERED is judged(worse.alert, FINE, silenced=True).reason


def test_a_rise_to_the_severity_at_the_start_of_a_silence_stays_muted():
    alert = mute(an_alert(severity=CRITICAL, peak=CRITICAL))

    better = judged(alert, bad(WARNING, past=[CRITICAL]), silenced=True)
    again = judged(better.alert, bad(CRITICAL), silenced=True)

    assert ((None, True), (None, True)) == ((better.reason, better.edit), (again.reason, again.edit))


def test_a_recovery_during_a_silence_edits_without_a_reply():
    recovered = judged(mute(an_alert()), FINE, silenced=True)

    assert (None, True) == (recovered.reason, recovered.edit)


def test_the_end_of_a_silence_edits_messages_sent_before():
    ended = pass_time(mute(an_alert()), now=LATER, silenced=False, remind_every=DAY)

    assert Transition(alert=an_alert(), edit=True) == ended


@pytest.mark.parametrize(
    ("after", "reason"),
    [(DAY - LATER_BY, None), (DAY, Reason.REMINDER), (9 * DAY, Reason.REMINDER)],
)
def test_a_reminder_is_due_once_after_its_interval(after, reason):
    reminded = pass_time(an_alert(), now=NOON + after, silenced=False, remind_every=DAY)

    assert reason is reminded.reason
    assert reminded.alert is not None
    assert None is pass_time(reminded.alert, now=NOON + after, silenced=False, remind_every=DAY).reason


def test_there_is_no_reminder_if_acknowledged_muted_or_switched_off():
    much_later = NOON + 9 * DAY
    seen = acknowledge(an_alert(), by="on-call", note="", now=NOON)

    assert [None, None, None] == [
        pass_time(seen, now=much_later, silenced=False, remind_every=DAY).reason,
        pass_time(mute(an_alert()), now=much_later, silenced=True, remind_every=DAY).reason,
        pass_time(an_alert(), now=much_later, silenced=False, remind_every=timedelta(0)).reason,
    ]


def test_an_overdue_top_up_is_a_reminder_that_names_the_top_up():
    ordered = acknowledge(an_alert(), by="on-call", note="ordered", now=NOON, expects_by=LATER)

    before = pass_time(ordered, now=LATER - timedelta(seconds=1), silenced=False, remind_every=DAY)
    after = pass_time(ordered, now=LATER, silenced=False, remind_every=DAY)

    assert (None, Reason.REMINDER, None) == (before.reason, after.reason, after.alert.acknowledged_at)
    assert (None, ExpectedTopUp(by="on-call", expected_by=LATER, note="ordered")) == (
        before.missed_top_up,
        after.missed_top_up,
    )


def test_the_cause_of_the_end_is_named():
    alert = an_alert()

    assert Transition(
        alert=replace(alert, severity=OK, closed_at=LATER, closed_because=Cause.WALLET_REMOVED),
        reason=Reason.CLOSED,
        edit=True,
    ) == close(alert, now=LATER, silenced=False, cause=Cause.WALLET_REMOVED)


def test_an_alert_opened_by_days_is_remembered_as_such():
    opened = judged(None, Verdict(severity=WARNING, by_days=True))

    assert judged(opened.alert, bad(WARNING)).alert.opened_by_days


def test_a_fine_verdict_is_past_every_limit():
    assert ALL_PAST == FINE.past


def test_a_flapping_alert_recovers_only_after_the_balance_has_stayed_ok():
    def well(alert, now):
        return advance(alert, FINE, subject=SUBJECT, now=now, silenced=False)

    first = well(an_alert(flaps=FLAPS), LATER)
    relapse = judged(first.alert, bad(WARNING))
    second = well(relapse.alert, LATER)
    almost = well(second.alert, LATER + CALM_FOR - LATER_BY)
    stayed = well(almost.alert, LATER + CALM_FOR)

    assert (None, None, None, None, Reason.RECOVERED) == (
        first.reason,
        relapse.reason,
        second.reason,
        almost.reason,
        stayed.reason,
    )
    assert (LATER, None) == (first.alert.calm_since, relapse.alert.calm_since)
    assert (True, True, True, False) == (first.edit, relapse.edit, second.edit, almost.edit)
    assert (0, 1, 1) == (first.alert.relapses, relapse.alert.relapses, stayed.alert.relapses)


def test_a_changed_limit_immediately_closes_a_flapping_alert():
    ended = advance(
        an_alert(flaps=FLAPS), FINE, subject=SUBJECT, now=LATER, silenced=False, cause=Cause.LIMIT_CHANGED
    )

    assert Reason.CLOSED is ended.reason


@pytest.mark.parametrize(
    ("flaps", "hours"), [(1, 0), (FLAPS - 1, 0), (FLAPS, 1), (FLAPS + 1, 2), (FLAPS + 3, 4)]
)
def test_the_more_often_an_alert_opens_the_longer_the_balance_must_stay_ok(flaps, hours):
    assert timedelta(hours=hours) == an_alert(flaps=flaps).calm_for


def test_a_flapping_alert_worsens_again_only_after_it_has_eased_for_a_while():
    reasons, alert = [], an_alert(flaps=FLAPS)
    for minutes, verdict in (
        (0, bad(CRITICAL)),
        (10, bad(WARNING, past=[CRITICAL, DEPLETED])),
        (20, bad(CRITICAL)),
        (30, FINE),
        (40, bad(CRITICAL)),
        (50, bad(WARNING, past=[CRITICAL, DEPLETED])),
        (110, bad(WARNING, past=[CRITICAL, DEPLETED])),
        (120, bad(CRITICAL)),
    ):
        transition = advance(
            alert, verdict, subject=SUBJECT, now=LATER + timedelta(minutes=minutes), silenced=False
        )
        reasons.append(transition.reason)
        assert transition.alert is not None
        alert = transition.alert

    assert [Reason.WORSENED, *[None] * 6, Reason.WORSENED] == reasons


def test_the_peak_of_a_recovering_flapping_alert_falls_after_a_while():
    eased = NOON + timedelta(minutes=10)
    alert = an_alert(severity=WARNING, peak=CRITICAL, flaps=FLAPS, eased_since=eased)

    held = judged(alert, FINE, now=eased + timedelta(minutes=61))
    again = judged(held.alert, bad(CRITICAL), now=eased + timedelta(minutes=70))

    assert (WARNING, WARNING, None) == (held.alert.severity, held.alert.peak, held.alert.closed_at)
    assert Reason.WORSENED is again.reason


def test_a_flapping_alert_sends_no_reminder_while_recovering():
    alert = an_alert(flaps=FLAPS, calm_since=LATER)

    assert Transition(alert=alert) == pass_time(
        alert, now=LATER + timedelta(days=2), silenced=False, remind_every=timedelta(hours=24)
    )


def test_setting_the_clock_back_does_not_prolong_the_recovery_of_a_flapping_alert():
    alert = an_alert(flaps=FLAPS, calm_since=LATER + timedelta(hours=5))

    assert LATER == judged(alert, FINE).alert.calm_since


@pytest.mark.parametrize(
    ("ahead", "reminded_after"),
    [
        (timedelta(hours=5), timedelta(hours=24)),
        (timedelta(days=60), timedelta(hours=24)),
        # the stored instant is right: the clock is at 1970
        (timedelta(days=20_000), timedelta(days=20_001)),
    ],
)
def test_a_reminder_waits_a_day_after_the_clock_was_ahead(ahead, reminded_after):
    alert = replace(an_alert(), told_at=LATER + ahead, raised_at=LATER + ahead)

    def passes(alert, after):
        return pass_time(alert, now=LATER + after, silenced=False, remind_every=timedelta(hours=24))

    first = passes(alert, timedelta())
    assert first.reason is None
    assert passes(first.alert, reminded_after - timedelta(minutes=1)).reason is None
    assert Reason.REMINDER is passes(first.alert, reminded_after).reason


def test_a_top_up_that_is_not_enough_is_reported_and_changes_nothing_else():
    alert = acknowledge(an_alert(CRITICAL, CRITICAL), by="finance", note="", now=NOON, expects_by=LATER)
    transition = top_up(alert, 60_000, silenced=False)
    assert (Reason.TOPPED_UP, 60_000, True, alert) == (
        transition.reason,
        transition.arrived,
        transition.edit,
        transition.alert,
    )


@pytest.mark.parametrize(
    ("alert", "silenced", "quiet_below"),
    [
        (an_alert(CRITICAL, None), False, None),
        (an_alert(CRITICAL, CRITICAL), True, None),
        (an_alert(WARNING, WARNING), False, CRITICAL),
        (an_alert(CRITICAL, CRITICAL, flaps=FLAPS, calm_since=NOON), False, None),
    ],
)
def test_a_top_up_is_not_reported_for_alerts_that_are_not_notified_silenced_waiting_or_calm(
    alert, silenced, quiet_below
):
    transition = top_up(alert, 60_000, silenced=silenced, quiet_below=quiet_below)
    assert (None, False) == (transition.reason, transition.edit)


SPIKE = replace(an_alert(CRITICAL, CRITICAL), subject=replace(SUBJECT, kind=AlertKind.BURN_SPIKE))
BY_DAYS = Verdict(
    severity=CRITICAL, crossed=Crossed(column=LimitColumn.CRITICAL_DAYS, limit=3, value=0.4), by_days=True
)
BY_COUNT = replace(BY_DAYS, crossed=Crossed(column=LimitColumn.CRITICAL_BELOW, limit=3, value=2))


def covered(verdict=BY_DAYS, *, alert=None, spike=SPIKE, usual_days=None, now=LATER):
    until = covered_until(alert, spike, verdict, now=now, usual_days=usual_days)
    return None if until is None else until - now


def test_a_spike_covers_a_limit_in_days_until_it_has_settled():
    assert SPIKE_SETTLES == covered()
    waits = an_alert(CRITICAL, None, covered_until=NOON + SPIKE_SETTLES)
    assert [timedelta(minutes=5), None] == [
        covered(alert=waits, spike=None, now=now) for now in (LATER, LATER + timedelta(minutes=5))
    ]


@pytest.mark.parametrize(
    ("verdict", "spike"),
    [
        (BY_COUNT, SPIKE),
        (replace(BY_DAYS, severity=DEPLETED), SPIKE),
        (BY_DAYS, replace(SPIKE, peak=None)),
        (BY_DAYS, None),
        (FINE, SPIKE),
    ],
)
def test_a_spike_covers_no_count_no_empty_balance_and_nothing_before_it_was_sent(verdict, spike):
    assert covered(verdict, spike=spike) is None


@pytest.mark.parametrize(
    ("seen", "usual_days", "is_covered"),
    [(True, 2.9, False), (True, 3.0, True), (True, None, True), (False, 2.9, True)],
)
def test_an_acknowledged_spike_does_not_cover_a_balance_that_is_critical_at_usual_usage(
    seen, usual_days, is_covered
):
    spike = replace(SPIKE, acknowledged_at=NOON if seen else None)

    assert is_covered is (covered(spike=spike, usual_days=usual_days) is not None)

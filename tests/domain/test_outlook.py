"""The outlook agrees with what `verdict` and `alert` decide later."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from balancebot.domain.alert import Alert, AlertKind, AlertSubject
from balancebot.domain.balance import Absent, Category, WalletName
from balancebot.domain.outlook import BalanceStanding, Outlook, OutlookKind, outlooks
from balancebot.domain.runway import UNKNOWN, Estimate, Runway
from balancebot.domain.threshold import LimitColumn, Limits
from balancebot.domain.verdict import Severity, judge

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LIMITS = Limits(warning_below=1000, critical_below=100, warning_days=7.0, critical_days=3.0)
TEN_DAYS = Estimate(burn_per_day=500.0, runway=Runway(p10=200, p50=240, p90=300, judged=228))


def a_standing(
    reading=5000, estimate=TEN_DAYS, limits=LIMITS, ever_positive=True, **changes
) -> BalanceStanding:
    return BalanceStanding(
        **{
            "now": NOW,
            "is_configured": True,
            "reading": reading,
            "next_read_at": NOW + timedelta(minutes=5),
            "is_failing": False,
            "stale_at": None,
            "is_suspect": False,
            "estimate": estimate,
            "limits": limits,
            "verdict": judge(reading, estimate, limits, ever_positive=ever_positive, margin=0.05),
            "alert": None,
            "silenced_until": None,
            "margin": 0.05,
            "remind_every": timedelta(hours=24),
            **changes,
        }
    )


def an_alert(**changes) -> Alert:
    subject = AlertSubject(
        kind=AlertKind.LOW_BALANCE, wallet=WalletName("acme/shop"), category=Category.INDUSTRY
    )
    warning = Alert(
        subject=subject, severity=Severity.WARNING, peak=Severity.WARNING, opened_at=NOW, told_at=NOW
    )
    return replace(warning, **changes)


def kinds(standing: BalanceStanding) -> list[str]:
    return [prediction.kind.value for prediction in outlooks(standing)]


def test_only_what_leads_to_a_notification_alerts():
    assert [True, False] == [
        Outlook(kind=kind).alerts for kind in (OutlookKind.EMPTIES, OutlookKind.RECOVERS)
    ]


def test_each_limit_is_expected_when_usage_reaches_it():
    assert [
        (LimitColumn.WARNING_BELOW, NOW + timedelta(days=8)),
        (LimitColumn.CRITICAL_BELOW, NOW + timedelta(days=9.8)),
        (LimitColumn.WARNING_DAYS, NOW + timedelta(days=2.5)),
        (LimitColumn.CRITICAL_DAYS, NOW + timedelta(days=6.5)),
    ] == [(prediction.column, prediction.at) for prediction in outlooks(a_standing())]


def test_at_the_expected_instant_the_limit_is_about_to_be_crossed():
    (warning, *_) = outlooks(a_standing())
    left = 5000 - (warning.at - NOW) / timedelta(days=1) * 500

    assert judge(int(left), UNKNOWN, LIMITS, ever_positive=True, margin=0).severity is Severity.OK
    assert judge(int(left) - 1, UNKNOWN, LIMITS, ever_positive=True, margin=0).severity is Severity.WARNING


def test_without_usage_no_limit_is_expected():
    endless = Estimate(
        burn_per_day=0.0, runway=Runway(p10=math.inf, p50=math.inf, p90=math.inf, judged=math.inf)
    )

    assert {(None, True)} == {
        (prediction.at, prediction.is_far) for prediction in outlooks(a_standing(estimate=endless))
    }


def test_with_an_unknown_runway_counts_are_judged_and_days_are_not():
    assert ["crosses", "crosses", "runway_unknown"] == kinds(a_standing(estimate=UNKNOWN))


@pytest.mark.parametrize(
    ("standing", "kind"),
    [
        (a_standing(is_configured=False), "not_configured"),
        (a_standing(Absent.UNREAD), "first_reading"),
        (a_standing(Absent.UNALLOCATED), "unallocated"),
        (a_standing(limits=Limits()), "no_limits"),
        (a_standing(0, limits=Limits(warning_days=7.0), ever_positive=False), "bare_zero"),
        (a_standing(500), "next_reading"),
    ],
)
def test_a_balance_that_cannot_open_an_alert_has_one_outlook_with_the_reason(standing, kind):
    assert [kind] == kinds(standing)


def test_a_silence_and_a_failing_wallet_are_shown_before_the_limits():
    until = NOW + timedelta(hours=4)
    standing = a_standing(is_failing=True, silenced_until=until)

    assert ["not_readable", "silenced", *["crosses"] * 4] == kinds(standing)


def test_a_wallet_that_cannot_be_read_shows_when_its_alert_opens():
    stale_at = NOW + timedelta(minutes=20)
    standing = a_standing(Absent.UNREAD, is_failing=True, stale_at=stale_at)

    assert (
        Outlook(kind=OutlookKind.FIRST_READING, at=NOW + timedelta(minutes=5)),
        Outlook(kind=OutlookKind.GOES_STALE, at=stale_at, severity=Severity.WARNING),
    ) == outlooks(standing)


def test_a_sent_warning_is_followed_by_critical_a_reminder_or_a_recovery():
    standing = a_standing(500, alert=an_alert())

    assert (
        Outlook(
            kind=OutlookKind.CROSSES,
            at=NOW + timedelta(days=0.8),
            severity=Severity.CRITICAL,
            column=LimitColumn.CRITICAL_BELOW,
            limit=100,
        ),
        Outlook(
            kind=OutlookKind.CROSSES,
            at=NOW + timedelta(days=6.5),
            severity=Severity.CRITICAL,
            column=LimitColumn.CRITICAL_DAYS,
            limit=3.0,
        ),
        Outlook(kind=OutlookKind.REMINDS, at=NOW + timedelta(hours=24)),
        Outlook(
            kind=OutlookKind.RECOVERS,
            bars=(
                (LimitColumn.WARNING_BELOW, 1050.0),
                (LimitColumn.CRITICAL_BELOW, 105.0),
                (LimitColumn.WARNING_DAYS, 7.35),
                (LimitColumn.CRITICAL_DAYS, 3.15),
            ),
        ),
    ) == outlooks(standing)


def test_a_critical_alert_is_followed_by_depleted():
    critical = an_alert(severity=Severity.CRITICAL, peak=Severity.CRITICAL)

    assert ["empties", "reminds", "recovers"] == kinds(a_standing(50, alert=critical))


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"acknowledged_at": NOW}, "acknowledged"),
        ({"acknowledged_at": NOW, "expects_by": NOW + timedelta(days=2)}, "expects"),
    ],
)
def test_an_acknowledged_alert_shows_when_it_reminds_again(changes, kind):
    assert kind in kinds(a_standing(500, alert=an_alert(**changes)))


def test_a_muted_alert_names_the_severity_above_which_it_is_sent_anyway():
    until = NOW + timedelta(hours=4)
    muted = an_alert(peak=None, muted_from=Severity.WARNING)
    first, *others = outlooks(a_standing(500, alert=muted, silenced_until=until))

    assert Outlook(kind=OutlookKind.SILENCED, at=until, severity=Severity.WARNING) == first
    assert ["crosses", "crosses", "recovers"] == [prediction.kind.value for prediction in others]

"""How limits determine the severity, and when a balance has recovered from a limit."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancebot.domain.balance import Absent
from balancebot.domain.runway import UNKNOWN, Estimate, Runway
from balancebot.domain.threshold import LimitColumn, Limits
from balancebot.domain.verdict import FINE, NO_DATA, Crossed, Severity, Verdict, judge

COUNTS = Limits(warning_below=1000, critical_below=100)
DAYS = Limits(warning_days=7, critical_days=3)


def lasting(days: float) -> Estimate:
    hours = days * 24
    return Estimate(burn_per_day=1.0, runway=Runway(p10=hours, p50=hours, p90=hours, judged=hours))


def severity(reading, limits=COUNTS, estimate=UNKNOWN, *, ever_positive=True) -> Severity:
    return judge(reading, estimate, limits, ever_positive=ever_positive, margin=0.05).severity


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (1000, Severity.OK),
        (999, Severity.WARNING),
        (100, Severity.WARNING),
        (99, Severity.CRITICAL),
        (1, Severity.CRITICAL),
        (0, Severity.DEPLETED),
    ],
)
def test_a_count_is_crossed_below_it_and_not_at_it(reading, expected):
    assert expected is severity(reading)


@pytest.mark.parametrize(
    ("days", "expected"),
    [(7.0, Severity.OK), (6.99, Severity.WARNING), (3.0, Severity.WARNING), (2.99, Severity.CRITICAL)],
)
def test_a_runway_is_crossed_when_it_is_shorter(days, expected):
    assert expected is severity(5000, DAYS, lasting(days))


def test_the_worst_crossed_limit_determines_the_severity_and_is_named():
    both = Limits(warning_below=1000, warning_days=7, critical_days=3)

    assert Verdict(
        severity=Severity.CRITICAL,
        crossed=Crossed(column=LimitColumn.CRITICAL_DAYS, limit=3, value=2.0),
        by_days=True,
    ) == judge(900, lasting(2.0), both, ever_positive=True, margin=0.05)


def test_an_unknown_runway_crosses_no_limit():
    assert Severity.OK is severity(5, DAYS, UNKNOWN)


def test_an_infinite_runway_crosses_no_limit():
    assert Severity.OK is severity(5, DAYS, lasting(math.inf))


def test_unallocated_is_fine_and_unread_is_unknown():
    assert FINE == judge(Absent.UNALLOCATED, UNKNOWN, COUNTS, ever_positive=True, margin=0.05)
    assert NO_DATA == judge(Absent.UNREAD, UNKNOWN, COUNTS, ever_positive=True, margin=0.05)


def test_without_any_limit_even_zero_opens_no_alert():
    assert Severity.OK is severity(0, Limits())


def test_a_balance_that_was_always_zero_opens_no_alert_unless_a_count_is_set():
    assert Severity.OK is severity(0, DAYS, ever_positive=False)
    assert Severity.DEPLETED is severity(0, COUNTS, ever_positive=False)


def test_a_balance_that_fell_to_zero_is_depleted_even_with_only_a_runway_limit():
    assert Severity.DEPLETED is severity(0, DAYS, ever_positive=True)


@pytest.mark.parametrize(("reading", "recovered"), [(1000, False), (1049, False), (1050, True), (1051, True)])
def test_recovery_needs_the_margin_above_every_limit(reading, recovered):
    assert recovered is judge(reading, UNKNOWN, COUNTS, ever_positive=True, margin=0.05).recovered


@pytest.mark.parametrize(
    ("short_of", "reading", "estimate", "opened_by_days"),
    [
        ((), 999, UNKNOWN, False),
        ((("warning_below", 1050),), 1000, UNKNOWN, False),
        ((("warning_below", 1050), ("warning_days", 7.35)), 1049, UNKNOWN, True),
        ((("warning_days", 7.35),), 1050, lasting(7.1), False),
        ((), 1050, lasting(7.4), False),
    ],
)
def test_a_balance_within_the_recovery_margin_names_the_values_that_it_must_reach(
    short_of, reading, estimate, opened_by_days
):
    limits = Limits(warning_below=1000, critical_below=990, warning_days=7, critical_days=3)

    verdict = judge(reading, estimate, limits, ever_positive=True, margin=0.05, opened_by_days=opened_by_days)

    assert short_of == verdict.short_of


def test_the_recovery_margin_is_calculated_without_float_errors():
    limits = Limits(warning_below=300)

    assert judge(330, UNKNOWN, limits, ever_positive=True, margin=0.1).recovered


def test_an_unknown_runway_does_not_recover_an_alert_opened_by_days():
    limits = Limits(warning_below=100, warning_days=7)

    assert judge(5000, UNKNOWN, limits, ever_positive=True, margin=0.05).recovered
    assert not judge(5000, UNKNOWN, limits, ever_positive=True, margin=0.05, opened_by_days=True).recovered
    assert judge(
        5000, lasting(math.inf), limits, ever_positive=True, margin=0.05, opened_by_days=True
    ).recovered


def test_a_depletion_ends_at_any_positive_balance_without_a_critical_limit():
    limits = Limits(warning_below=1000)

    assert (
        frozenset({Severity.CRITICAL, Severity.DEPLETED})
        == judge(1, UNKNOWN, limits, ever_positive=True, margin=0.05).past
    )


@given(st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 1000), st.integers(0, 1000), st.booleans())
def test_a_higher_balance_is_never_more_severe(less, extra, warning, critical, ever):
    limits = Limits(warning_below=warning, critical_below=critical)

    assert severity(less, limits, ever_positive=ever) >= severity(less + extra, limits, ever_positive=ever)

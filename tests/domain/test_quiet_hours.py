"""Quiet hours in local time, across midnight, across days and when the clocks change."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from balancebot.domain.alert import Alert, AlertKind, AlertSubject
from balancebot.domain.balance import WalletName
from balancebot.domain.quiet_hours import DailyHours, Quiet, QuietHours, Weekday, waiting_until
from balancebot.domain.verdict import Severity

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = DailyHours(time(22), time(8))


def quiet_hours(hours: DailyHours | None = NIGHT, *days: Weekday, zone: ZoneInfo = BERLIN) -> QuietHours:
    return QuietHours(hours=hours, days=frozenset(days), below=Severity.CRITICAL, zone=zone)


def local(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).astimezone(UTC)


def end(quiet: QuietHours, at: datetime) -> datetime | None:
    now = quiet.at(at)
    return None if now is None else now.until


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-11-24T21:59:59", None),
        ("2026-11-24T22:00", "2026-11-25T08:00"),
        ("2026-11-25T00:00", "2026-11-25T08:00"),
        ("2026-11-25T07:59:59", "2026-11-25T08:00"),
        ("2026-11-25T08:00", None),
    ],
)
def test_quiet_hours_cross_midnight_and_end_at_their_end_time(at: str, until: str | None) -> None:
    assert (None if until is None else local(until)) == end(quiet_hours(), local(at))


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-11-27T21:00", None),
        ("2026-11-27T22:00", "2026-11-30T08:00"),
        ("2026-11-28T12:00", "2026-11-30T08:00"),
        ("2026-11-30T07:00", "2026-11-30T08:00"),
    ],
)
def test_a_night_quiet_days_and_the_next_night_are_one_period(at: str, until: str | None) -> None:
    weekend = quiet_hours(NIGHT, Weekday.SAT, Weekday.SUN)
    assert (None if until is None else local(until)) == end(weekend, local(at))


def test_adjacent_quiet_days_are_one_period() -> None:
    weekend = quiet_hours(None, Weekday.SAT, Weekday.SUN)
    assert local("2026-11-30T00:00") == end(weekend, local("2026-11-28T12:00"))


def test_quiet_days_without_hours_last_from_midnight_to_midnight() -> None:
    sunday = quiet_hours(None, Weekday.SUN)
    assert None is end(sunday, local("2026-11-28T23:59"))
    assert local("2026-11-30T00:00") == end(sunday, local("2026-11-29T00:00"))


def test_six_quiet_days_and_their_nights_end_on_the_seventh() -> None:
    quiet = quiet_hours(NIGHT, *(day for day in Weekday if day is not Weekday.WED))
    assert local("2026-11-25T08:00") == end(quiet, local("2026-11-18T22:00"))


def test_the_night_is_an_hour_shorter_when_the_clocks_go_forward() -> None:
    begins, ends = local("2027-03-27T22:00"), local("2027-03-28T08:00")
    assert timedelta(hours=9) == ends - begins
    assert ends == end(quiet_hours(), begins) == end(quiet_hours(), ends - timedelta(seconds=1))
    assert None is end(quiet_hours(), ends)


def test_the_night_is_an_hour_longer_when_the_clocks_go_back() -> None:
    begins, ends = local("2026-10-24T22:00"), local("2026-10-25T08:00")
    assert timedelta(hours=11) == ends - begins
    assert ends == end(quiet_hours(), begins)


def test_quiet_hours_that_end_in_a_repeated_hour_end_once() -> None:
    quiet = quiet_hours(DailyHours(time(22), time(2, 30)))
    assert local("2026-10-25T02:30") == end(quiet, local("2026-10-25T02:29"))
    assert None is end(quiet, local("2026-10-25T02:30"))
    assert None is end(quiet, local("2026-10-25T02:10", fold=1))


def test_quiet_hours_that_begin_in_a_repeated_hour_begin_once() -> None:
    quiet = quiet_hours(DailyHours(time(2, 30), time(6)))
    assert local("2026-10-25T06:00") == end(quiet, local("2026-10-25T02:45"))
    assert local("2026-10-25T06:00") == end(quiet, local("2026-10-25T02:10", fold=1))


def test_a_skipped_local_time_counts_as_the_next_existing_one() -> None:
    ends_in_the_gap = quiet_hours(DailyHours(time(22), time(2, 30)))
    assert local("2027-03-28T03:00") == end(ends_in_the_gap, local("2027-03-28T01:59"))
    assert None is end(ends_in_the_gap, local("2027-03-28T03:00"))
    inside_the_gap = quiet_hours(DailyHours(time(2, 15), time(2, 45)))
    assert None is end(inside_the_gap, local("2027-03-28T03:00"))


def test_only_unsent_alerts_below_the_severity_wait() -> None:
    quiet = Quiet(below=Severity.CRITICAL, until=local("2026-11-25T08:00"))
    alert = Alert(
        subject=AlertSubject(kind=AlertKind.STALE, wallet=WalletName("acme")),
        severity=Severity.WARNING,
        peak=None,
        opened_at=local("2026-11-25T01:00"),
    )

    def waits(severity: Severity, peak: Severity | None) -> bool:
        current = Alert(subject=alert.subject, severity=severity, peak=peak, opened_at=alert.opened_at)
        return waiting_until(quiet, current) == quiet.until

    assert [True, False, False] == [
        waits(Severity.WARNING, None),
        waits(Severity.WARNING, Severity.WARNING),
        waits(Severity.CRITICAL, None),
    ]
    assert None is waiting_until(None, alert)

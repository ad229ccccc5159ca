"""Hours of the local week."""

from datetime import UTC, datetime

from balancebot.forecast.profile import hours_of_week


def hour(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp() // 3600)  # type: ignore[arg-type, misc]


def test_monday_midnight_is_zero() -> None:
    assert [167, 0, 1] == hours_of_week("UTC", hour(2026, 11, 22, 23), 3).tolist()


def test_the_week_follows_the_wall_clock_when_the_clocks_change() -> None:
    # Berlin, Sunday 2026-03-29: after 01:00 comes 03:00; Sunday 2026-10-25: 02:00 comes twice.
    sunday = 6 * 24
    assert [sunday + 1, sunday + 3] == hours_of_week("Europe/Berlin", hour(2026, 3, 29, 0), 2).tolist()
    assert [sunday + 2, sunday + 2, sunday + 3] == hours_of_week(
        "Europe/Berlin", hour(2026, 10, 25, 0), 3
    ).tolist()


def test_in_a_half_hour_zone_the_middle_of_the_clock_hour_decides() -> None:
    assert [6, 7] == hours_of_week("Asia/Kolkata", hour(2026, 11, 23, 0), 2).tolist()


def test_a_long_range_across_cached_tables_is_continuous() -> None:
    hours = hours_of_week("UTC", hour(2026, 1, 5, 0), 5000)
    assert [i % 168 for i in range(5000)] == hours.tolist()

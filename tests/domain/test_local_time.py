"""Times as people write them: local time of the configured zone or with an offset; ambiguous times are refused."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancebot.domain.holidays import HolidayCalendar
from balancebot.domain.local_time import (
    add_span,
    local_time,
    read_day_end,
    read_instant,
    working_day_before,
    working_day_from,
)

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "zone", "instant"),
    [
        ("2026-12-01T20:00", SHANGHAI, datetime(2026, 12, 1, 12, tzinfo=UTC)),
        ("2026-12-01 20:00:30", SHANGHAI, datetime(2026, 12, 1, 12, 0, 30, tzinfo=UTC)),
        ("2026-12-01T20:00+01:00", SHANGHAI, datetime(2026, 12, 1, 19, tzinfo=UTC)),
        ("2026-12-01T20:00Z", SHANGHAI, datetime(2026, 12, 1, 20, tzinfo=UTC)),
        ("2026-03-29T03:00", BERLIN, datetime(2026, 3, 29, 1, tzinfo=UTC)),
        ("2026-10-25T02:30+01:00", BERLIN, datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
    ],
)
def test_a_time_is_local_unless_it_has_an_offset(text: str, zone: ZoneInfo, instant: datetime) -> None:
    assert instant == read_instant(text, zone, now=NOW)


def test_a_skipped_local_time_is_refused_with_the_next_valid_one() -> None:
    assert (
        "is 2026-03-29T02:30, which is skipped in Europe/Berlin when the clocks change:"
        " the next time is 2026-03-29T03:30+02:00" == str(read_instant("2026-03-29T02:30", BERLIN, now=NOW))
    )


def test_a_time_that_occurs_twice_is_refused_with_both_offsets() -> None:
    assert (
        "is 2026-10-25T02:30, which occurs twice in Europe/Berlin when the clocks change:"
        " write 2026-10-25T02:30+02:00 or 2026-10-25T02:30+01:00"
        == str(read_instant("2026-10-25T02:30", BERLIN, now=NOW))
    )


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-12-01T25:00", "2026-13-01T20:00"])
def test_text_that_is_not_a_time_is_refused(text: str) -> None:
    assert f"must be a time such as 2026-12-01T20:00, not {text!r}" == str(
        read_instant(text, BERLIN, now=NOW)
    )


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00",
        "0001-01-01T00:00+14:00",
        "1969-12-31T23:59Z",
        "2028-12-01T00:00",
        "9999-12-31T20:00+00:00",
        "9999-12-31T23:59-14:00",
    ],
)
def test_an_implausible_time_is_refused(text: str) -> None:
    assert f"is {text.removesuffix('Z')}" in str(read_instant(text, SHANGHAI, now=NOW))
    assert "it must be between 1970 and 2028-11-25" in str(read_day_end(text, SHANGHAI, now=NOW))


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.timedeltas(),
    st.sampled_from([SHANGHAI, BERLIN, ZoneInfo("Pacific/Kiritimati"), timezone(timedelta(hours=-14))]),
)
def test_every_instant_can_be_shown(at: datetime, span: timedelta, zone: ZoneInfo) -> None:
    local_time(at, zone)
    local_time(add_span(at, span), zone)


@given(st.text() | st.datetimes().map(str) | st.datetimes(timezones=st.timezones()).map(str))
def test_any_text_is_a_plausible_instant_or_refused(text: str) -> None:
    at = read_day_end(text, SHANGHAI, now=NOW)
    if isinstance(at, datetime):
        assert datetime(1970, 1, 1, tzinfo=UTC) <= at <= NOW + timedelta(days=732)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-12-31", datetime(2026, 12, 31, 15, 59, tzinfo=UTC)),
        ("2026-12-31T12:00", datetime(2026, 12, 31, 4, tzinfo=UTC)),
    ],
)
def test_a_day_ends_with_its_last_local_minute(text: str, instant: datetime) -> None:
    assert instant == read_day_end(text, SHANGHAI, now=NOW)


def test_text_that_is_not_a_day_is_refused() -> None:
    assert "must be a day such as 2026-12-01, not 'soon'" == str(read_day_end("soon", SHANGHAI, now=NOW))


@pytest.mark.parametrize(
    ("at", "day"),
    [
        ("2026-11-24T10:00", "2026-11-23"),  # a Tuesday: Monday is early enough
        ("2026-11-24T00:00", "2026-11-23"),
        ("2026-11-23T10:00", "2026-11-20"),  # a Monday: on Friday
        ("2026-11-22T10:00", "2026-11-20"),
        ("2026-11-21T10:00", "2026-11-20"),
        ("2026-11-20T23:00", "2026-11-19"),
    ],
)
def test_the_latest_day_to_act_is_the_working_day_before(at: str, day: str) -> None:
    zone = ZoneInfo("Asia/Shanghai")
    assert day == working_day_before(datetime.fromisoformat(at).replace(tzinfo=zone), zone).isoformat()


@pytest.mark.parametrize(
    ("at", "day"),
    [
        ("2026-11-27T23:00", "2026-11-27"),
        ("2026-11-28T00:30", "2026-11-30"),
        ("2026-11-29T09:00", "2026-11-30"),
    ],
)
def test_an_order_arrives_on_a_working_day(at: str, day: str) -> None:
    zone = ZoneInfo("Asia/Shanghai")
    local = datetime.fromisoformat(at).replace(tzinfo=zone).astimezone(UTC)
    assert day == working_day_from(local, zone).isoformat()


@pytest.mark.parametrize(
    ("at", "day"),
    [
        ("2026-02-24T15:00", "2026-02-14"),  # after the Spring Festival, from 15 to 23 February
        ("2026-02-15T09:00", "2026-02-14"),  # a Saturday that is a working day
        ("2026-03-02T09:00", "2026-02-28"),  # likewise
        ("2026-03-09T09:00", "2026-03-06"),
    ],
)
def test_with_a_calendar_holidays_and_worked_weekends_count(at: str, day: str) -> None:
    zone = ZoneInfo("Asia/Shanghai")
    calendar = HolidayCalendar(
        zone=zone.key,
        days_off=frozenset(date(2026, 2, number) for number in range(15, 24)),
        workdays=frozenset({date(2026, 2, 14), date(2026, 2, 28)}),
        known_until=date(2026, 12, 31),
    )

    assert (
        day == working_day_before(datetime.fromisoformat(at).replace(tzinfo=zone), zone, calendar).isoformat()
    )

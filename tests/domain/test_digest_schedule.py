"""Each local time is due once, also when the clocks change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from balancebot.domain.digest import Slot, latest_slot

BERLIN, SHANGHAI = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Shanghai")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_slot_is_due_from_its_minute_on():
    assert Slot(local="2026-11-23T09:00", at=utc("2026-11-23T01:00")) == latest_slot(
        "0 9 * * *", SHANGHAI, now=utc("2026-11-23T01:00")
    )


def test_a_missed_slot_stays_due_for_half_a_day():
    due = [
        latest_slot("0 9 * * *", SHANGHAI, now=utc(now)) is not None
        for now in ("2026-11-23T00:59", "2026-11-23T01:00", "2026-11-23T12:59", "2026-11-23T13:00")
    ]

    assert [False, True, True, False] == due


def test_of_several_missed_slots_the_latest_is_due():
    slot = latest_slot("0 * * * *", SHANGHAI, now=utc("2026-11-23T05:30"))

    assert slot is not None
    assert "2026-11-23T13:00" == slot.local


@pytest.mark.parametrize("sunday", ["0", "7", "SUN"])
def test_sunday_is_0_and_7_and_its_name(sunday):
    slot = latest_slot(f"0 9 * * {sunday}", BERLIN, now=utc("2026-11-22T08:00"))

    assert slot is not None
    assert "2026-11-22T09:00" == slot.local


def test_a_local_time_that_does_not_exist_is_due_at_the_next_that_does():
    before = latest_slot("30 2 * * *", BERLIN, now=utc("2026-03-29T00:59:59"))
    after = latest_slot("30 2 * * *", BERLIN, now=utc("2026-03-29T01:00"))

    assert (None, Slot(local="2026-03-29T02:30", at=utc("2026-03-29T01:00"))) == (before, after)


def test_a_local_time_that_occurs_twice_is_due_once():
    minutes = [utc("2026-10-25T00:00") + timedelta(minutes=minute) for minute in range(150)]

    slots = {latest_slot("30 2 * * *", BERLIN, now=now) for now in minutes} - {None}

    assert {Slot(local="2026-10-25T02:30", at=utc("2026-10-25T00:30"))} == slots


def test_a_digest_is_late_when_it_was_missed():
    slot = latest_slot("0 9 * * *", SHANGHAI, now=utc("2026-11-23T04:00"))

    assert slot is not None
    assert (False, True) == (slot.is_late(utc("2026-11-23T01:01")), slot.is_late(utc("2026-11-23T04:00")))


@pytest.mark.parametrize(("minutes", "late"), [(0, False), (15, False), (15.1, True)])
def test_a_digest_of_a_quarter_of_an_hour_ago_is_late(minutes, late):
    slot = Slot(local="2026-11-23T09:00", at=utc("2026-11-23T01:00"))

    assert late is slot.is_late(slot.at + timedelta(minutes=minutes))

"""A month's statement adds up, and its months and days begin at local midnight."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from balancebot.domain.balance import Category
from balancebot.domain.statement import (
    Flows,
    Statement,
    StatementBy,
    StatementRow,
    days_of,
    month_span,
    month_starts,
    read_month,
    summed,
    utc_days_of,
    with_equal_moves,
)

SHANGHAI, BERLIN, KOLKATA = map(ZoneInfo, ("Asia/Shanghai", "Europe/Berlin", "Asia/Kolkata"))


def row(
    app: str | None = "shop",
    *,
    owner: str | None = None,
    day: date | None = None,
    opening: int | None = 100,
    closing: int | None = 100,
    hours_missing: int = 0,
    **flows: int,
) -> StatementRow:
    return StatementRow(
        account="acme",
        category=Category.INDUSTRY,
        app=app,
        owner=owner,
        day=day,
        opening=opening,
        flows=Flows(**flows),
        closing=closing,
        hours_missing=hours_missing,
    )


def test_every_row_adds_up_with_its_remainder() -> None:
    found = row(opening=1_000, bought=500, moved_in=40, moved_out=3, refunded=2, used=700, closing=850)
    assert (-161, 11, 11) == (found.flows.net, found.unexplained, found.doubtful)
    assert (
        11
        == row(
            opening=1_000, bought=500, moved_in=40, moved_out=3, refunded=2, used=700, closing=828
        ).doubtful
    )


@pytest.mark.parametrize(
    ("opening", "closing", "unexplained"), [(None, 70, 70), (70, None, -70), (None, None, 0)]
)
def test_unread_balances_count_as_zero_without_a_remark(
    opening: int | None, closing: int | None, unexplained: int
) -> None:
    found = row(opening=opening, closing=closing)
    assert (unexplained, 0) == (found.unexplained, found.doubtful)


def test_usage_is_priced_and_nothing_else() -> None:
    found = row(used=200, bought=5_000)
    assert (Decimal("6.00"), None) == (
        found.cost({Category.INDUSTRY: Decimal("0.03")}),
        found.cost({Category.VOICE: Decimal("0.03")}),
    )


@pytest.mark.parametrize(
    ("zone", "starts_at", "ends_at", "num_hours"),
    [
        (SHANGHAI, datetime(2026, 9, 30, 16, tzinfo=UTC), datetime(2026, 10, 31, 16, tzinfo=UTC), 744),
        (BERLIN, datetime(2026, 9, 30, 22, tzinfo=UTC), datetime(2026, 10, 31, 23, tzinfo=UTC), 745),
        # half an hour past: the next whole hour counts
        (KOLKATA, datetime(2026, 9, 30, 19, tzinfo=UTC), datetime(2026, 10, 31, 19, tzinfo=UTC), 744),
    ],
)
def test_a_month_begins_at_local_midnight(
    zone: ZoneInfo, starts_at: datetime, ends_at: datetime, num_hours: int
) -> None:
    span = month_span(2026, 10, zone)
    assert (starts_at, ends_at, num_hours) == (span.starts_at, span.ends_at, span.end - span.start)


def test_the_days_of_a_month_cover_it_without_a_gap() -> None:
    month = month_span(2026, 10, BERLIN)
    days = days_of(month, BERLIN)
    assert (31, date(2026, 10, 1), date(2026, 10, 31)) == (len(days), days[0].day, days[-1].day)
    assert (month.start, month.end) == (days[0].start, days[-1].end)
    assert all(one.end == other.start for one, other in pairwise(days))
    # the clocks are set back on the 25th
    assert [24, 25, 24] == [day.end - day.start for day in days[23:26]]


def test_the_days_in_utc_cover_the_month_too_and_its_ends_belong_to_them() -> None:
    month = month_span(2026, 10, SHANGHAI)
    days = utc_days_of(month)
    assert (month.start, month.end) == (days[0].start, days[-1].end)
    assert all(one.end == other.start for one, other in pairwise(days))
    assert (date(2026, 10, 1), date(2026, 10, 30), 30) == (days[0].day, days[-1].day, len(days))
    assert [32, 24, 40] == [
        days[0].end - days[0].start,
        days[1].end - days[1].start,
        days[-1].end - days[-1].start,
    ]


def test_months_start_within_the_requested_hours() -> None:
    start = month_span(2026, 10, SHANGHAI).start
    assert [start] == list(month_starts(start, start + 1, SHANGHAI))
    assert [] == list(month_starts(start + 1, start + 700, SHANGHAI))
    assert [] == list(month_starts(start - 700, start, SHANGHAI))
    assert [start, month_span(2026, 11, SHANGHAI).start] == list(
        month_starts(start - 5, start + 800, SHANGHAI)
    )


def test_a_transfer_without_a_receiver_becomes_unexplained() -> None:
    before = row(None, moved_out=500, closing=0)
    given, got = with_equal_moves([before, row(moved_in=300)])
    assert (300, 300) == (given.flows.moved_out, got.flows.moved_in)
    # 400 of these 500 are a wrong transfer: only 100 messages were there
    assert (400, 200) == (before.unexplained, given.unexplained)


def test_an_excess_is_taken_from_the_smallest_transfer_that_is_large_enough() -> None:
    found = with_equal_moves(
        [row("a", moved_in=1_000), row("b", moved_in=300), row("c", moved_in=50), row(None, moved_out=1_100)]
    )
    assert [1_000, 50, 50, 0] == [entry.flows.moved_in for entry in found]
    assert 1_100 == sum(entry.flows.moved_in for entry in found)


def test_if_no_transfer_is_large_enough_the_largest_is_reduced_first() -> None:
    found = with_equal_moves([row("a", moved_in=200), row("b", moved_in=300), row(None, moved_out=50)])
    assert [50, 0] == [entry.flows.moved_in for entry in found[:2]]


def test_transfers_are_balanced_only_within_an_account_and_category() -> None:
    other = StatementRow(account="other", category=Category.INDUSTRY, flows=Flows(moved_in=7))
    voice = StatementRow(account="acme", category=Category.VOICE, flows=Flows(moved_out=7))
    assert [0, 0] == [
        entry.flows.moved_in + entry.flows.moved_out for entry in with_equal_moves([other, voice])
    ]


def test_rows_are_added_up_by_owner_or_day_or_neither() -> None:
    first, second = date(2026, 10, 1), date(2026, 10, 2)
    rows = [
        row("a", owner="shop", day=first, opening=10, closing=5, used=5, hours_missing=1),
        row("b", owner="shop", day=second, opening=None, closing=7, bought=7, hours_missing=2),
        row("c", owner="bank", day=first, opening=3, closing=None, used=1),
    ]
    (total,) = summed(rows, None)
    assert (13, 12, 3, None, None, None) == (
        total.opening,
        total.closing,
        total.hours_missing,
        total.app,
        total.owner,
        total.day,
    )
    assert Flows(bought=7, used=6) == total.flows
    assert [("shop", 10), ("bank", 3)] == [
        (found.owner, found.opening) for found in summed(rows, StatementBy.OWNER)
    ]
    assert [(first, 13), (second, None)] == [
        (found.day, found.opening) for found in summed(rows, StatementBy.DAY)
    ]


@pytest.mark.parametrize(
    ("text", "month"),
    [
        ("2026-11", date(2026, 11, 1)),
        ("1971-01", date(1971, 1, 1)),
        ("9998-12", date(9998, 12, 1)),
        ("1970-12", None),
        ("9999-01", None),
        ("2026-13", None),
        ("2026-1", None),
        ("2026-11-01", None),
    ],
)
def test_a_month_is_parsed_from_its_name(text: str, month: date | None) -> None:
    assert month == read_month(text)


def test_a_statement_is_named_after_its_month_and_is_final_after_the_month() -> None:
    month = month_span(2026, 10, SHANGHAI)
    statement = Statement(
        month=month,
        timezone="Asia/Shanghai",
        by=StatementBy.WALLET,
        as_of=month.ends_at,
        rows=(),
        totals=(),
        top_ups=(),
        orders=(),
        prices={},
        currency="CNY",
    )
    before = replace(statement, as_of=month.ends_at - timedelta(seconds=1))
    assert ("2026-10", SHANGHAI) == (statement.name, statement.zone)
    assert (True, False) == (statement.is_over, before.is_over)

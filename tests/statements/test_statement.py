"""Statements: the equation holds in every row, with gaps, transfers, clock changes, added and removed wallets."""

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from balancebot.config import RetentionConfig
from balancebot.domain.balance import Absent, Category, Readings, WalletName
from balancebot.domain.statement import Statement, StatementBy, StatementRow, month_starts
from balancebot.history.prune import prune
from balancebot.history.rebook import rebook_account
from balancebot.i18n import Wording
from balancebot.statements.sheet import StatementSheets
from balancebot.statements.statement import MakeStatements, statement_document
from balancebot.store import readings, wallets
from balancebot.store.database import Database
from balancebot.store.readings import SnapshotRow
from tests.outbox_bench import HandClock

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
POOL, SHOP, WEB = WalletName("acme"), WalletName("acme/shop"), WalletName("acme/web")
OWNERS = {SHOP: "shop team", WEB: "web team"}

Course = Mapping[WalletName, Sequence[tuple[datetime, int | Absent]]]


def of(reading: int | Absent) -> Readings:
    return Readings(Absent.UNALLOCATED, Absent.UNALLOCATED, reading, Absent.UNALLOCATED)


def take(database: Database, course: Course) -> None:
    """Import readings, as `history import` does."""
    names = list(course)
    first = min(at for points in course.values() for at, _ in points)
    last = max(at for points in course.values() for at, _ in points)
    with database.write() as conn:
        wallets.sync(conn, names, now=first)
        ids = wallets.ids(conn)
        rows = sorted(
            SnapshotRow(int(at.timestamp()), ids[name], of(reading))
            for name, points in course.items()
            for at, reading in points
        )
        readings.append_snapshots(conn, rows)
    latest = rebook_account(
        database,
        "acme",
        since=int(first.timestamp()),
        until=int(last.timestamp()) + 1,
        now=last,
        zone="UTC",
        progress=lambda _: None,
    )
    with database.write() as conn:
        readings.catch_up(conn, ((row.wallet_id, row.readings, row.observed_at) for row in latest.values()))


def make(
    database: Database,
    month: date,
    *,
    zone: ZoneInfo = SHANGHAI,
    now: datetime = datetime(2027, 6, 1, tzinfo=UTC),
    by: StatementBy = StatementBy.WALLET,
) -> Statement:
    clock = HandClock()
    clock.at = now
    statement = MakeStatements(
        database=database,
        clock=clock,
        zone=zone,
        owners=lambda: OWNERS,
        prices={Category.INDUSTRY: Decimal("0.045")},
        currency="CNY",
    )
    return statement.make(month, by=by)


def amounts(row: StatementRow) -> tuple[int | None, ...]:
    return (row.opening, *row.flows, row.unexplained, row.closing)


def is_balanced(row: StatementRow) -> bool:
    """Return whether the equation of the contract holds."""
    bought, moved_in, moved_out, refunded, used = row.flows
    opening, closing = row.opening or 0, row.closing or 0
    return opening + bought + moved_in - moved_out + refunded - used + row.unexplained == closing


def hourly(start: datetime, values: Sequence[int | Absent]) -> list[tuple[datetime, int | Absent]]:
    return [(start + timedelta(hours=number), value) for number, value in enumerate(values)]


NOVEMBER = datetime(2026, 10, 31, 16, tzinfo=UTC)
"""The begin of the month in Shanghai."""


def test_a_month_shows_purchases_transfers_usage_and_the_closing_balance(database: Database) -> None:
    start = NOVEMBER - timedelta(hours=2)
    pool = [50_000, 50_000, 50_000, 50_000, 40_000, 140_000, 140_000]
    shop = [1_000, 900, 800, 700, 10_600, 10_500, 10_400]
    take(database, {POOL: hourly(start, pool), SHOP: hourly(start, shop)})
    statement = make(database, date(2026, 11, 1), now=NOVEMBER + timedelta(hours=5))
    assert [
        (50_000, 100_000, 0, 10_000, 0, 0, 0, 140_000),
        (800, 0, 10_000, 0, 0, 400, 0, 10_400),
    ] == [amounts(row) for row in statement.rows]
    assert [(None, None), ("shop", "shop team")] == [(row.app, row.owner) for row in statement.rows]
    assert [(100_000, None)] == [(seen.messages, seen.order) for seen in statement.top_ups]
    assert [Decimal("0.000"), Decimal("18.000")] == [row.cost(statement.prices) for row in statement.rows]
    assert [(50_800, 100_000, 10_000, 10_000, 0, 400, 0, 150_400)] == [
        amounts(row) for row in statement.totals
    ]


def test_usage_across_the_end_of_a_month_is_split_evenly(database: Database) -> None:
    take(
        database,
        {
            SHOP: [
                (NOVEMBER - timedelta(hours=10), 2_000),
                (NOVEMBER - timedelta(minutes=30), 1_600),
                (NOVEMBER + timedelta(hours=5, minutes=30), 1_000),
                (NOVEMBER + timedelta(days=29), 400),
            ]
        },
    )
    october, november = make(database, date(2026, 10, 1)), make(database, date(2026, 11, 1))
    assert [1_550] == [row.closing for row in october.rows] == [row.opening for row in november.rows]
    assert [0] == [row.unexplained for row in november.rows]


def test_a_wallet_added_within_the_month_has_no_opening_and_a_removed_one_no_closing(
    database: Database,
) -> None:
    day = timedelta(days=1)
    take(
        database,
        {
            POOL: [(NOVEMBER + n * day, 9_000) for n in range(-1, 32)],
            SHOP: [(NOVEMBER + n * day, 5_000 - n) for n in range(10, 32)],
            WEB: [(NOVEMBER + n * day, 3_000) for n in range(-1, 12)],
        },
    )
    statement = make(database, date(2026, 11, 1))
    assert {
        None: (9_000, 0, 0, 0, 0, 0, 0, 9_000),
        "shop": (None, 0, 0, 0, 0, 20, 4_990, 4_970),
        "web": (3_000, 0, 0, 0, 0, 0, -3_000, None),
    } == {row.app: amounts(row) for row in statement.rows}
    assert all(map(is_balanced, (*statement.rows, *statement.totals)))
    # the remarks are the same for all kinds of rows
    others = [make(database, date(2026, 11, 1), by=by) for by in (StatementBy.OWNER, StatementBy.DAY)]
    assert [(0, (30 + 20) * 23 + 30 * 24 - 12)] * 3 == [
        (other.doubtful, sum(row.hours_missing for row in other.rows)) for other in (statement, *others)
    ]
    assert ["shop", None] == [row.app for row in make(database, date(2026, 12, 1)).rows][::-1]


def test_the_hours_without_readings_include_the_beginning_and_the_end_of_the_month(
    database: Database,
) -> None:
    day = timedelta(days=1)
    days = {POOL: [*range(-3, 0), *range(5, 25)], SHOP: [*range(10, 30)], WEB: [-2, -1, 35]}
    take(database, {name: [(NOVEMBER + n * day, 9_000 - n) for n in course] for name, course in days.items()})
    hours = {None: 720 - 20, "shop": 20 * 23, "web": 720}
    for by in StatementBy:
        statement = make(database, date(2026, 11, 1), by=by)
        assert sum(hours.values()) == sum(row.hours_missing for row in statement.rows), by
    assert hours == {row.app: row.hours_missing for row in make(database, date(2026, 11, 1)).rows}

    # future hours of the current month and hours after a removal don't count as missing
    now = NOVEMBER + 27 * day + timedelta(minutes=20)
    assert 27 * 24 - 20 == make(database, date(2026, 11, 1), now=now).rows[0].hours_missing
    with database.write() as conn:
        wallets.sync(conn, [SHOP, WEB], now=now)
    assert 25 * 24 - 23 - 20 == make(database, date(2026, 11, 1), now=now).rows[0].hours_missing


def test_on_the_first_day_the_month_has_one_day_and_the_next_month_none(database: Database) -> None:
    take(database, {SHOP: hourly(NOVEMBER - timedelta(hours=2), [900, 890, 880, 870])})
    now = NOVEMBER + timedelta(hours=1, minutes=30)
    first = make(database, date(2026, 11, 1), now=now, by=StatementBy.DAY)
    assert [(date(2026, 11, 1), 880, 870)] == [(row.day, row.opening, row.closing) for row in first.rows]
    for by in StatementBy:
        ahead = make(database, date(2026, 12, 1), now=now, by=by)
        assert ((), ()) == (ahead.rows, ahead.totals), by


def test_a_fall_without_a_receiver_is_unexplained(database: Database) -> None:
    start = NOVEMBER + timedelta(hours=2)
    take(database, {SHOP: hourly(start, [800, 700, Absent.UNALLOCATED, Absent.UNALLOCATED])})
    (row,) = make(database, date(2026, 11, 1), now=start + timedelta(hours=4)).rows
    assert (None, 0, 0, 0, 0, 100, 100, 0) == amounts(row)
    assert is_balanced(row)


def test_days_and_months_are_continuous_across_clock_changes(database: Database) -> None:
    start = datetime(2026, 8, 25, tzinfo=UTC)
    take(database, {SHOP: hourly(start, [200_000 - 7 * hour for hour in range(80 * 24)])})
    for zone in (SHANGHAI, BERLIN, ZoneInfo("Asia/Kolkata"), ZoneInfo("America/Santiago")):
        months = [make(database, date(2026, month, 1), zone=zone) for month in (9, 10)]
        assert [row.closing for row in months[0].rows] == [row.opening for row in months[1].rows], zone
        for month in months:
            (row,) = month.rows
            assert row.flows.used == 7 * (month.month.end - month.month.start), zone
            days = make(database, month.month.day, zone=zone, by=StatementBy.DAY)
            assert [day.closing for day in days.rows[:-1]] == [day.opening for day in days.rows[1:]], zone
            assert row.flows.used == sum(day.flows.used for day in days.rows), zone
            assert [amounts(row)] == [amounts(total) for total in days.totals], zone
            assert all(is_balanced(day) and not day.unexplained for day in days.rows), zone


def test_rows_by_owner_add_up_the_wallets_of_each_owner(database: Database) -> None:
    start = NOVEMBER - timedelta(hours=1)
    take(
        database,
        {
            POOL: hourly(start, [500] * 5),
            SHOP: hourly(start, [900, 890, 880, 870, 860]),
            WEB: hourly(start, [90, 80, 70, 60, 50]),
        },
    )
    statement = make(database, date(2026, 11, 1), by=StatementBy.OWNER, now=start + timedelta(hours=4))
    assert {None: 0, "shop team": 30, "web team": 30} == {row.owner: row.flows.used for row in statement.rows}


@pytest.mark.parametrize("zone", [SHANGHAI, BERLIN])
def test_a_statement_stays_the_same_after_readings_and_hours_are_pruned(
    database: Database, zone: ZoneInfo
) -> None:
    start = datetime(2026, 9, 20, tzinfo=UTC)
    pool = [(start + timedelta(minutes=40 * n), 500_000 - 10_000 * (n // 350)) for n in range(60 * 36)]
    shop = [(start + timedelta(minutes=40 * n), 9_000 + 10_000 * (n // 350) - 6 * n) for n in range(60 * 36)]
    take(database, {POOL: pool, SHOP: shop})
    before = [make(database, date(2026, month, 1), zone=zone) for month in (9, 10, 11)]
    prune(database, RetentionConfig(), zone=zone, now=datetime(2028, 6, 1, tzinfo=UTC))
    after = [make(database, date(2026, month, 1), zone=zone) for month in (9, 10, 11)]
    for one, other in zip(before, after, strict=True):
        assert [amounts(row) for row in one.rows] == [amounts(row) for row in other.rows]
        assert one.month == other.month
    days = make(database, date(2026, 10, 1), zone=zone, by=StatementBy.DAY)
    assert days.days_in_utc
    assert all(map(is_balanced, days.rows))
    assert [amounts(row) for row in after[1].totals] == [amounts(row) for row in days.totals]


def test_the_json_has_the_fields_of_the_contract(database: Database) -> None:
    take(database, {POOL: hourly(NOVEMBER, [100, 90, 80]), SHOP: hourly(NOVEMBER, [100, 90, 80])})
    statement = make(database, date(2026, 11, 1), now=NOVEMBER + timedelta(hours=2))
    document = statement_document(statement, now=statement.as_of)
    assert ("2026-11", "Asia/Shanghai", "CNY") == (
        document["month"],
        document["timezone"],
        document["currency"],
    )
    rows = document["rows"]
    assert isinstance(rows, list)
    assert {
        "account": "acme",
        "app": "shop",
        "owner": "shop team",
        "category": "industry",
        "opening": 100,
        "bought": 0,
        "moved_in": 0,
        "moved_out": 0,
        "refunded": 0,
        "used": 20,
        "unexplained": 0,
        "closing": 80,
        "cost": 0.9,
        "hours_missing": 0,
    } == rows[1]


def test_a_wrong_reading_is_a_remark_and_neither_usage_nor_a_top_up(database: Database) -> None:
    start = NOVEMBER + timedelta(minutes=10)
    shop = [(start + timedelta(minutes=20 * n), value) for n, value in enumerate([900, 890, 9_000, 870])]
    take(database, {POOL: hourly(NOVEMBER, [50_000, 50_000]), SHOP: shop})
    statement = make(database, date(2026, 11, 1), now=NOVEMBER + timedelta(hours=2))

    document: dict[str, Any] = statement_document(statement, now=statement.as_of)
    assert [30, 0] == [
        sum(row.flows.used for row in statement.rows),
        sum(row.flows.bought for row in statement.rows),
    ]
    remark = {
        "at": "2026-10-31T16:50:00Z",
        "account": "acme",
        "app": "shop",
        "category": "industry",
        "reading": 9_000,
        "instead": 890,
    }
    assert [remark] == document["wrong_readings"]
    assert () == make(database, date(2026, 10, 1)).wrong_readings
    sheets = StatementSheets(words=Wording(zone=SHANGHAI))
    assert "Wrong readings" in openpyxl.load_workbook(io.BytesIO(sheets.xlsx(statement))).sheetnames


def test_months_within_a_range_are_named_by_their_first_hours() -> None:
    zone = ZoneInfo("Asia/Shanghai")
    first, second = (int(datetime(2026, month, 1, tzinfo=zone).timestamp()) // 3600 for month in (10, 11))

    assert [first] == list(month_starts(first, second, zone))
    assert [second] == list(month_starts(first + 1, second + 1, zone))
    assert [] == list(month_starts(first + 1, second, zone))

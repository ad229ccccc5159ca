"""Booked usage adds up by hour, and by day once it is old."""

import pytest

from balancebot.domain.balance import MAX_BALANCE, Absent, BalanceKey, Category, Reading, Readings, WalletName
from balancebot.domain.usage import Booked, Hour, Seen
from balancebot.store import statements, usage, use_totals
from balancebot.store.database import Database
from balancebot.store.statements import HoursRead
from balancebot.store.types import MOST_IN_ONE
from balancebot.store.usage import Used, UseRow

POOL = WalletName("acme")
SHOP = WalletName("acme/shop")
IDS = {POOL: 1, SHOP: 2}
POOL_MARKET = BalanceKey(POOL, Category.MARKET)
NOTHING = Used()


def market(readings: Readings, *, at: int, used: Used, wallet_id: int = 1) -> UseRow:
    return UseRow(at, wallet_id, readings, (NOTHING, NOTHING, NOTHING, used))


def test_bookings_within_an_hour_add_up_and_the_last_reading_is_kept(database: Database) -> None:
    first, last = Readings(market=900), Readings(voice=Absent.UNALLOCATED, market=1_850)
    with database.write() as conn:
        usage.add(conn, IDS, {Hour(10, POOL_MARKET): Booked(100, 299.6)}, {POOL: Seen(36_300, first)})
        usage.add(
            conn,
            IDS,
            {Hour(10, POOL_MARKET): Booked(50, 300.0, 1_000, 30, 10, 2)},
            {POOL: Seen(36_600, last)},
        )
        found = usage.hours_of(conn, 1, since=0, until=11)
    assert [market(last, at=10, used=Used(150, 600, 1_000, 20, 2, 10))] == found


def test_a_category_that_was_not_read_keeps_its_last_reading(database: Database) -> None:
    with database.write() as conn:
        usage.add(conn, IDS, {}, {POOL: Seen(36_000, Readings(1, 2, 3, 4))})
        usage.add(conn, IDS, {}, {POOL: Seen(36_300, Readings(voice=Absent.UNALLOCATED))})
        found = usage.hours_of(conn, 1, since=10, until=11)
    assert [UseRow(10, 1, Readings(1, Absent.UNALLOCATED, 3, 4), (NOTHING,) * 4)] == found


def test_usage_of_an_earlier_hour_is_added_to_that_hour(database: Database) -> None:
    with database.write() as conn:
        booked = {Hour(9, POOL_MARKET): Booked(7, 60.0), Hour(10, POOL_MARKET): Booked(3, 30.0)}
        usage.add(conn, IDS, booked, {POOL: Seen(36_030, Readings(market=5))})
        found = list(usage.hours(conn, since=9, until=11))
    assert [
        market(Readings(), at=9, used=Used(7, 60)),
        market(Readings(market=5), at=10, used=Used(3, 30)),
    ] == found


def test_totals_are_per_wallet_and_within_the_range(database: Database) -> None:
    with database.write() as conn:
        for hour in (1, 2, 3):
            booked = {Hour(hour, BalanceKey(wallet, Category.VOICE)): Booked(IDS[wallet]) for wallet in IDS}
            usage.add(conn, IDS, booked, {})
        found = use_totals.of_hours(conn, since=2, until=4)
    assert {
        1: (NOTHING, Used(2), NOTHING, NOTHING),
        2: (NOTHING, Used(4), NOTHING, NOTHING),
    } == found


@pytest.mark.parametrize("asked", [1, MOST_IN_ONE + 1])
def test_a_statement_counts_the_hours_of_the_asked_wallets_only(database: Database, asked: int) -> None:
    with database.write() as conn:
        for hour in (1, 2):
            usage.add(conn, IDS, {}, {wallet: Seen(hour * 3600, Readings(voice=9)) for wallet in IDS})
        wallet_ids = [IDS[POOL], *range(10, 9 + asked)]
        _, read = statements.totals(conn, wallet_ids, since=0, until=4)
    assert {(IDS[POOL], Category.VOICE): HoursRead(1, 2, 2)} == read


def test_old_hours_become_days_one_day_at_a_time(database: Database) -> None:
    with database.write() as conn:
        for hour, balance in ((0, 50), (23, 40), (24, 30), (48, 20)):
            usage.add(
                conn,
                IDS,
                {Hour(hour, POOL_MARKET): Booked(10, 60.0)},
                {POOL: Seen(hour * 3600, Readings(market=balance))},
            )
        usage.add(conn, IDS, {}, {SHOP: Seen(3_600, Readings(voice=9))})
        gone = [usage.fold_oldest_day(conn, before=49) for _ in range(3)]
        days = [row for wallet_id in (1, 2) for row in usage.days_of(conn, wallet_id, since=0, until=9)]
        hours = list(usage.hours(conn, since=0, until=99))
    assert [3, 1, 0] == gone
    assert [
        market(Readings(market=40), at=0, used=Used(20, 120)),
        market(Readings(market=30), at=1, used=Used(10, 60)),
        UseRow(0, 2, Readings(voice=9), (NOTHING,) * 4),
    ] == days
    assert [market(Readings(market=20), at=48, used=Used(10, 60))] == hours


def test_a_day_whose_hours_are_imported_again_is_replaced_by_them(database: Database) -> None:
    with database.write() as conn:
        for use in (10, 12):
            usage.add(conn, IDS, {Hour(5, POOL_MARKET): Booked(use, 60.0)}, {})
            usage.fold_oldest_day(conn, before=24)
        days = usage.days_of(conn, 1, since=0, until=1)
    assert [market(Readings(), at=0, used=Used(12, 60))] == days


def test_replacing_an_hour_keeps_the_categories_that_the_new_row_lacks(database: Database) -> None:
    voice = BalanceKey(POOL, Category.VOICE)
    with database.write() as conn:
        booked = {Hour(5, POOL_MARKET): Booked(10, 60.0, 1_000), Hour(5, voice): Booked(7, 60.0)}
        usage.add(conn, IDS, booked, {POOL: Seen(5 * 3600, Readings(voice=70, market=80))})
        usage.put(conn, [market(Readings(market=90), at=5, used=Used(exposure=30))])
        found = usage.hours_of(conn, 1, since=5, until=6)
    assert [
        UseRow(5, 1, Readings(voice=70, market=90), (NOTHING, Used(7, 60), NOTHING, Used(0, 30)))
    ] == found


def test_a_trajectory_has_the_last_number_of_each_interval(database: Database) -> None:
    left: dict[int, Reading] = {10: 900, 12: 800, 14: Absent.UNALLOCATED, 16: 500, 22: 100}
    with database.write() as conn:
        for hour, reading in left.items():
            usage.add(conn, IDS, {}, {POOL: Seen(hour * 3600, Readings(market=reading))})
        usage.add(conn, IDS, {}, {SHOP: Seen(13 * 3600, Readings(voice=7, market=70))})
        found = list(usage.courses(conn, [1, 2], Category.MARKET, since=10, until=22, every=6))
    assert [(1, 12, 800), (2, 13, 70), (1, 16, 500)] == found


def test_sums_may_be_larger_than_a_balance(database: Database) -> None:
    top_up = Booked(MAX_BALANCE, 0, MAX_BALANCE, 0, MAX_BALANCE)
    with database.write() as conn:
        for _ in range(2):
            usage.add(conn, IDS, {Hour(25, POOL_MARKET): top_up}, {})
        usage.put(conn, [market(Readings(market=5), at=26, used=Used(2 * MAX_BALANCE, 9))])
        bounded = Used(MAX_BALANCE, 0, MAX_BALANCE, -MAX_BALANCE, 0, MAX_BALANCE)
        assert [market(Readings(), at=25, used=bounded)] == usage.hours_of(conn, 1, since=25, until=26)
        assert {
            1: (
                NOTHING,
                NOTHING,
                NOTHING,
                Used(2 * MAX_BALANCE, 9, MAX_BALANCE, -MAX_BALANCE, 0, MAX_BALANCE),
            )
        } == (use_totals.of_hours(conn, since=25, until=27))
        usage.fold_oldest_day(conn, before=48)
        assert [
            market(
                Readings(market=5), at=1, used=Used(MAX_BALANCE, 9, MAX_BALANCE, -MAX_BALANCE, 0, MAX_BALANCE)
            )
        ] == (usage.days_of(conn, 1, since=1, until=2))

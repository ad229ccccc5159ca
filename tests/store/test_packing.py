"""Past days are packed without loss, also if they are read or changed at the same time or packing is interrupted."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select, update

from balancebot.config import RetentionConfig
from balancebot.domain.balance import MAX_BALANCE, Absent, BalanceKey, Category, Reading, Readings, WalletName
from balancebot.domain.usage import Booked, Hour, Seen
from balancebot.history.prune import pack, prune
from balancebot.store import packing, readings, statements, usage, use_totals, wallets
from balancebot.store.backup import find_faults
from balancebot.store.database import Database
from balancebot.store.packed_day import Packed
from balancebot.store.readings import SnapshotRow
from balancebot.store.tables import daily_use, hourly_use, packed_hours, packed_snapshots, snapshots
from balancebot.store.usage import Used, UseRow

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = int(NOW.timestamp())
HOUR = SECOND // 3600
DAY = 86_400
NAMES = [WalletName("acme"), WalletName("acme/shop"), WalletName("acme/till")]
IDS = {name: number for number, name in enumerate(NAMES, 1)}
ZONE = ZoneInfo("UTC")

a_reading = st.one_of(
    st.sampled_from([Absent.UNREAD, Absent.UNALLOCATED, 0, 1, MAX_BALANCE]), st.integers(0, MAX_BALANCE)
)
some_readings = st.builds(Readings, a_reading, a_reading, a_reading, a_reading)
a_number = st.one_of(st.sampled_from([0, 0, 1, MAX_BALANCE]), st.integers(0, MAX_BALANCE))
some_use = st.builds(
    Used,
    a_number,
    st.integers(0, 3600),
    a_number,
    st.integers(-MAX_BALANCE, MAX_BALANCE),
    a_number,
    a_number,
    st.integers(-MAX_BALANCE, MAX_BALANCE),
)


ALL_READ = Readings(5, 5, 5, 5), (Used(),) * 4
NOTHING_USED = Readings(*[Absent.UNREAD] * 4), (Used(0, 0, 0, 0, 0, 0, 0),) * 4


def pack_all(database: Database) -> int:
    return sum(pack(database, now=NOW))


def in_rows(database: Database, packed: Packed) -> int:
    with database.read() as conn:
        return conn.scalar(select(func.count()).select_from(packed.rows)) or 0


def empty(database: Database) -> None:
    with database.write() as conn:
        for table in (snapshots, packed_snapshots, hourly_use, packed_hours):
            conn.execute(delete(table))


def every_snapshot(database: Database) -> list[SnapshotRow]:
    with database.read() as conn:
        return list(readings.snapshots_between(conn, since=0, until=2**33))


def every_hour(database: Database) -> list[UseRow]:
    with database.read() as conn:
        return list(usage.hours(conn, since=0, until=2**31 - 1))


@settings(max_examples=10)
@given(
    rows=st.dictionaries(
        st.tuples(st.integers(SECOND - 9 * DAY, SECOND), st.integers(1, 3)), some_readings, max_size=30
    )
)
def test_every_packed_reading_is_read_back_exactly(
    database: Database, rows: dict[tuple[int, int], Readings]
) -> None:
    expected = [SnapshotRow(*key, rows[key]) for key in sorted(rows)]
    empty(database)
    with database.write() as conn:
        readings.append_snapshots(conn, expected)
    pack_all(database)
    assert expected == every_snapshot(database)
    assert all(row.at >= SECOND // DAY * DAY for row in expected) == (
        not is_packed(database, readings.PACKED)
    )
    with database.read() as conn:
        for wallet_id in (1, 2, 3):
            of_wallet = [row for row in expected if row.wallet_id == wallet_id]
            cut = SECOND - 3 * DAY - 777
            assert [row for row in of_wallet if row.at >= cut] == readings.snapshots_of_wallet(
                conn, wallet_id, since=cut, until=SECOND + 1
            )
            before = [row for row in of_wallet if row.at < cut]
            assert (before[-1] if before else None) == readings.snapshot_before(
                conn, wallet_id, at=cut, since=0
            )


@settings(max_examples=10)
@given(
    rows=st.dictionaries(
        st.tuples(st.integers(HOUR - 60 * 24, HOUR), st.integers(1, 3)),
        st.tuples(some_readings, st.tuples(some_use, some_use, some_use, some_use)),
        max_size=30,
    )
)
@example({(HOUR - 50 * 24 + 5, 2): NOTHING_USED})  # the requested hours begin later on the same day
@example(
    {(HOUR - 58 * 24 + 2, 1): ALL_READ, (HOUR - 58 * 24 + 4, 1): NOTHING_USED}
)  # and it was read only before
def test_every_packed_hour_is_read_back_exactly(
    database: Database, rows: dict[tuple[int, int], tuple[Readings, tuple[Used, Used, Used, Used]]]
) -> None:
    empty(database)
    with database.write() as conn:
        usage.put(conn, [UseRow(*key, *rows[key]) for key in sorted(rows)])
        expected = [usage.hours_of(conn, wallet_id, since=0, until=HOUR + 1) for wallet_id in (1, 2, 3)]
        totals = use_totals.of_hours(conn, since=HOUR - 50 * 24 + 7, until=HOUR)
        since = list(usage.use_since(conn, [1, 2, 3], HOUR - 55 * 24 + 5))
        courses = list(
            usage.courses(conn, [1, 2], Category.VOICE, since=HOUR - 60 * 24, until=HOUR - 7, every=6)
        )
        span = {"since": HOUR - 58 * 24 + 3, "until": HOUR - 5}
        of_balances = statements.totals(conn, [1, 3], **span)
        values = statements.values_at(conn, [1, 2, 3], hour=HOUR - 40 * 24 + 5)
    pack_all(database)
    with database.read() as conn:
        assert expected == [
            usage.hours_of(conn, wallet_id, since=0, until=HOUR + 1) for wallet_id in (1, 2, 3)
        ]
        assert totals == use_totals.of_hours(conn, since=HOUR - 50 * 24 + 7, until=HOUR)
        assert sorted(since) == sorted(usage.use_since(conn, [1, 2, 3], HOUR - 55 * 24 + 5))
        assert sorted(courses) == sorted(
            usage.courses(conn, [1, 2], Category.VOICE, since=HOUR - 60 * 24, until=HOUR - 7, every=6)
        )
        assert of_balances == statements.totals(conn, [1, 3], **span)
        assert values == statements.values_at(conn, [1, 2, 3], hour=HOUR - 40 * 24 + 5)
        assert [] == list(packing.damaged(conn, usage.PACKED))


def is_packed(database: Database, packed: Packed) -> bool:
    with database.read() as conn:
        return packing.last_day(conn, packed) is not None


def a_past(days: int) -> list[SnapshotRow]:
    """Return readings of three wallets about every hour, with gaps, rises and unallocated balances."""
    chance = random.Random(7)
    first = SECOND // DAY * DAY - days * DAY
    found = []
    for wallet_id in (1, 2, 3):
        left: list[Reading] = [10_000, Absent.UNALLOCATED, 90, Absent.UNREAD]
        for at in range(first, SECOND, 3600):
            for index, reading in enumerate(left):
                if isinstance(reading, int):
                    left[index] = max(0, reading - chance.randrange(9)) or 5_000
            if chance.random() < 0.9:
                found.append(SnapshotRow(at + chance.randrange(40), wallet_id, Readings(*left)))
    return sorted(found, key=lambda row: row[:2])


@pytest.fixture
def with_past(database: Database) -> Database:
    with database.write() as conn:
        wallets.sync(conn, NAMES, now=NOW)
        readings.append_snapshots(conn, a_past(4))
        for hour in range(HOUR - 50 * 24, HOUR):
            booked = {
                Hour(hour, BalanceKey(name, Category.INDUSTRY)): Booked(hour % 7, 3600) for name in NAMES
            }
            usage.add(conn, IDS, booked, {name: Seen(hour * 3600, Readings(industry=hour)) for name in NAMES})
    return database


def test_packing_that_is_interrupted_anywhere_loses_nothing_and_continues(with_past: Database) -> None:
    expected = every_snapshot(with_past), every_hour(with_past)
    for number in range(1, 6):
        steps = pack(with_past, now=NOW)
        for _ in range(number):
            next(steps)
        steps.close()
        assert expected == (every_snapshot(with_past), every_hour(with_past))
    pack_all(with_past)
    assert expected == (every_snapshot(with_past), every_hour(with_past))
    assert () == find_faults(with_past)


def after_each_step(database: Database, change: Callable[[int], None]) -> Iterator[int]:
    for number, _ in enumerate(pack(database, now=NOW)):
        change(number)
        yield number


def test_changes_during_packing_are_preserved(with_past: Database) -> None:
    """An import and the booking write into the day after it was read for packing and before its rows are deleted."""
    day = SECOND // DAY * DAY - 4 * DAY
    hour = HOUR - 50 * 24

    def change(number: int) -> None:
        with with_past.write() as conn:
            row = SnapshotRow(day + 7 * number, 1, Readings(market=number))
            readings.merge_snapshots(conn, [row])
            usage.add(conn, IDS, {Hour(hour, BalanceKey(NAMES[0], Category.INDUSTRY)): Booked(1)}, {})

    before = {row[:2] for row in every_snapshot(with_past)}
    num_steps = sum(1 for _ in after_each_step(with_past, change))
    pack_all(with_past)
    added = {(day + 7 * number, 1): number for number in range(num_steps)}
    found = {row[:2]: row.readings for row in every_snapshot(with_past)}
    assert before | added.keys() == found.keys()
    assert list(added.values()) == [found[key].market for key in added]
    with with_past.read() as conn:
        (row,) = usage.hours_of(conn, 1, since=hour, until=hour + 1)
    assert (hour % 7 + num_steps, hour) == (row.of(Category.INDUSTRY).use, row.readings.industry)


def test_an_import_into_packed_days_adds_missing_readings(with_past: Database) -> None:
    expected = {row[:2]: row.readings for row in every_snapshot(with_past)}
    pack_all(with_past)
    key = min(expected)
    with with_past.write() as conn:
        readings.merge_snapshots(conn, [SnapshotRow(*key, Readings(market=77))])
        usage.put(conn, [UseRow(HOUR - 49 * 24, 2, Readings(voice=5), (Used(),) * 4)])
    expected[key] = expected[key]._replace(market=77)
    for _ in range(2):
        assert expected == {row[:2]: row.readings for row in every_snapshot(with_past)}
        with with_past.read() as conn:
            (row,) = usage.hours_of(conn, 2, since=HOUR - 49 * 24, until=HOUR - 49 * 24 + 1)
        assert (5, HOUR - 49 * 24) == (row.readings.voice, row.readings.industry)
        pack_all(with_past)


def test_recent_rows_stay_and_past_rows_are_packed(with_past: Database) -> None:
    rows = in_rows(with_past, readings.PACKED), in_rows(with_past, usage.PACKED)
    num_packed = pack_all(with_past)
    today = [row for row in every_snapshot(with_past) if row.at >= SECOND // DAY * DAY]
    assert (len(today), 3 * (3 * 24 + 12)) == (
        in_rows(with_past, readings.PACKED),
        in_rows(with_past, usage.PACKED),
    )
    assert sum(rows) - len(today) - 3 * (3 * 24 + 12) == num_packed
    assert 0 == pack_all(with_past)


def test_packed_readings_are_deleted_after_raw_and_packed_hours_become_days_after_hourly(
    with_past: Database,
) -> None:
    pack_all(with_past)
    retention = RetentionConfig(raw=timedelta(days=2), hourly=timedelta(days=40))
    with with_past.read() as conn:
        before = use_totals.of_hours(conn, since=0, until=HOUR)
    pruned = prune(with_past, retention, zone=ZONE, now=NOW)
    first = (SECOND - 2 * DAY) // DAY * DAY
    remaining = [row for row in a_past(4) if row.at >= first]
    assert remaining == every_snapshot(with_past)
    assert len(a_past(4)) - len(remaining) == pruned.num_snapshots
    with with_past.read() as conn:
        assert [(HOUR - 40 * 24) // 24 * 24] == [row.at for row in every_hour(with_past)[:1]]
        after = use_totals.of_hours(conn, since=0, until=HOUR)
        days = use_totals.of_rows(conn, daily_use, since=0, until=HOUR // 24)
        first_day = usage.days_of(conn, 1, since=0, until=HOUR // 24)[0]
    for number in (1, 2, 3):
        assert before[number][2].use == after[number][2].use + usage.in_categories(days[number])[2].use
    begin = HOUR - 50 * 24
    last = begin // 24 * 24 + 23
    assert (last, sum(hour % 7 for hour in range(begin, last + 1))) == (
        first_day.readings.industry,
        first_day.of(Category.INDUSTRY).use,
    )


def test_days_packed_while_the_clock_was_ahead_are_unpacked(with_past: Database) -> None:
    expected = [row for row in every_snapshot(with_past) if row.at <= SECOND]
    with with_past.write() as conn:
        ahead = [SnapshotRow(SECOND + 2 * DAY + 60 * number, 1, Readings(market=1)) for number in range(9)]
        readings.append_snapshots(conn, ahead)
    for _ in pack(with_past, now=NOW + timedelta(days=9)):
        pass
    with with_past.write() as conn:
        readings.forget_ahead(conn, now=NOW)
    assert expected == every_snapshot(with_past)


def test_check_finds_a_packed_day_that_is_damaged(with_past: Database) -> None:
    pack_all(with_past)
    day = SECOND // DAY - 2
    with with_past.write() as conn:
        damaged = (packed_snapshots.c.day == day) & (packed_snapshots.c.wallet_id == 2)
        conn.execute(update(packed_snapshots).where(damaged).values(data=b"nothing"))
    line = f"table packed_snapshots, day {day}, wallet_id 2: what data holds can't be unpacked"
    assert (line,) == find_faults(with_past)

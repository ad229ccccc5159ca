"""Past readings are imported completely or not at all, are added to the roll-up, and don't change live booking."""

import io
from datetime import UTC, datetime, timedelta

import pytest

from balancebot.domain.balance import NEVER_READ, Absent, Category, Readings, WalletName
from balancebot.domain.next_reading import NextReading
from balancebot.domain.usage import Hour, Seen, book_round, spread
from balancebot.estimates.estimator import Estimator
from balancebot.history.files import MAX_FAULTS, ImportRefused, ImportReport, export_history, import_history
from balancebot.store import estimates, readings, usage, wallets, wrong_readings
from balancebot.store.database import Database
from balancebot.store.estimates import ModelRow
from balancebot.store.readings import GoodRead, SnapshotRow
from balancebot.store.usage import Used, UseRow
from tests.history.lines import sheet_of

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
NOON_HOUR = int(NOON.timestamp()) // 3600
POOL = WalletName("acme")
SHOP = WalletName("acme/shop")
HEADER = "observed_at,wallet,category,balance"
NOTHING = Used()
ESTIMATOR = Estimator(zone="UTC", confidence=0.75)


def take(database: Database, *rows: str, now: datetime = NOON) -> ImportReport | ImportRefused:
    return import_history(
        database, sheet_of([HEADER, *rows]), configured=[POOL, SHOP], estimator=ESTIMATOR, now=now
    )


def hours(database: Database, wallet_id: int = 1) -> list[UseRow]:
    with database.read() as conn:
        return usage.hours_of(conn, wallet_id, since=0, until=10**6)


def everything(database: Database) -> tuple[object, ...]:
    with database.read() as conn:
        return (
            list(readings.snapshots_between(conn, since=0, until=10**11)),
            list(usage.hours(conn, since=0, until=10**6)),
            wallets.all_wallets(conn, configured_only=False),
            sorted(estimates.all_estimates(conn), key=lambda row: (row.wallet_id, row.category)),
        )


def export(database: Database) -> str:
    file = io.StringIO()
    export_history(database, file)
    return file.getvalue()


def test_readings_of_one_instant_become_one_snapshot(database: Database) -> None:
    taken = take(
        database,
        "2026-11-24T17:00:00+08:00,acme,market,500",
        "2026-11-24T09:00:00Z,acme,voice,",
        "2026-11-24T08:00:00.900Z,acme/shop,industry,0",
    )
    nine, eight = int((NOON - timedelta(hours=3)).timestamp()), int((NOON - timedelta(hours=4)).timestamp())
    assert (
        ImportReport(
            num_rows=3,
            num_snapshots=2,
            wallets=(POOL, SHOP),
            since=NOON - timedelta(hours=4),
            until=NOON - timedelta(hours=3),
        )
        == taken
    )
    assert [
        SnapshotRow(eight, 2, Readings(industry=0)),
        SnapshotRow(nine, 1, Readings(voice=Absent.UNALLOCATED, market=500)),
    ] == everything(database)[0]


def test_imported_history_is_exported_unchanged(database: Database) -> None:
    rows = [
        "2026-11-24T08:00:00Z,acme,universal,9223372036854775807",
        "2026-11-24T08:00:00Z,acme,voice,",
        "2026-11-24T08:00:00Z,acme,industry,0",
        "2026-11-24T08:00:00Z,acme/shop,market,7",
        "2026-11-24T09:00:00Z,acme,market,",
    ]
    take(database, *reversed(rows))
    assert "\n".join([HEADER, *rows, ""]) == export(database)


def test_importing_twice_changes_nothing(database: Database) -> None:
    rows = [
        f"2026-11-24T{hour:02}:{minute:02}:00Z,{wallet},market,{50_000 - 100 * hour - minute}"
        for hour in range(3, 9)
        for minute in range(0, 60, 5)
        for wallet in (POOL, SHOP)
    ]
    take(database, *rows)
    once = everything(database)
    take(database, *rows, now=NOON + timedelta(days=1))
    assert once[:3] == everything(database)[:3]


def test_an_empty_file_with_a_header_changes_nothing(database: Database) -> None:
    taken = ImportReport(num_rows=0, num_snapshots=0, wallets=(), since=None, until=None)
    assert taken == take(database)


def test_a_single_fault_refuses_the_file_and_all_faults_are_listed(database: Database) -> None:
    refused = take(
        database,
        "2026-11-24T08:00:00Z,acme,market,500",
        "2026-11-24T08:00:00Z,acme/shpo,market,500",
        "2026-11-24T12:00:01Z,acme,market,500",
        "1969-12-31T23:59:59Z,acme,market,500",
        "2026-11-24T08:00:00,acme,market,500",
    )
    assert isinstance(refused, ImportRefused)
    assert [
        "line 3, wallet: no wallet acme/shpo is configured; did you mean acme/shop?",
        "line 4, observed_at: lies in the future",
        "line 5, observed_at: '1969-12-31T23:59:59Z' must lie between the years 2000 and 2100",
        "line 6, observed_at: '2026-11-24T08:00:00' is no instant with its offset, such as 2026-11-23T09:55:00Z",
    ] == [str(fault) for fault in refused.faults]
    assert 4 == refused.num_faults
    assert ([], [], [], []) == everything(database)


def test_faults_beyond_a_hundred_are_counted(database: Database) -> None:
    refused = take(database, *["2026-11-24T08:00:00Z,umbra,market,1"] * 150)
    assert isinstance(refused, ImportRefused)
    assert (MAX_FAULTS, 150) == (len(refused.faults), refused.num_faults)


def test_wrong_readings_of_an_import_are_noted_once_and_exported_as_a_remark(database: Database) -> None:
    rows = [f"2026-11-24T08:{minute:02}:00Z,acme,market,{balance}" for minute, balance in
            ((0, 6_000), (5, 5_990), (10, 60_000), (15, 5_970))]  # fmt: skip
    take(database, *rows)
    take(database, *rows)
    file = io.StringIO()
    export_history(database, file, remarks=True)
    with database.read() as conn:
        noted = wrong_readings.between(conn, since=NOON - timedelta(days=1))

    at = datetime(2026, 11, 24, 8, 10, tzinfo=UTC)
    assert [(at, "acme:market", 60_000, 5_990)] == [
        (wrong.read_at, str(wrong.balance), wrong.reading, wrong.instead) for wrong in noted
    ]
    remarks = ["", "", "wrong reading", ""]
    assert [f"{HEADER},remark", *map("{},{}".format, rows, remarks)] == file.getvalue().splitlines()
    assert isinstance(
        import_history(
            database,
            sheet_of(file.getvalue().splitlines()),
            configured=[POOL],
            estimator=ESTIMATOR,
            now=NOON,
        ),
        ImportReport,
    )


def test_history_of_a_removed_wallet_is_imported(database: Database) -> None:
    gone = WalletName("acme/gone")
    with database.write() as conn:
        wallets.sync(conn, [gone], now=NOON)
        wallets.sync(conn, [POOL, SHOP], now=NOON)
    taken = take(database, "2026-11-24T08:00:00Z,acme/gone,market,1")
    assert isinstance(taken, ImportReport)


def test_usage_is_booked_by_hour_with_the_last_reading_of_each_hour(database: Database) -> None:
    take(
        database,
        "2026-11-24T08:00:00Z,acme,market,1000",
        "2026-11-24T08:30:00Z,acme,market,900",
        "2026-11-24T09:30:00Z,acme,market,700",
        "2026-11-24T09:45:00Z,acme,market,50700",
    )
    readings = Readings(market=900), Readings(market=50_700)
    assert [
        UseRow(NOON_HOUR - 4, 1, readings[0], (NOTHING, NOTHING, NOTHING, Used(200, 3600, after=-100))),
        UseRow(NOON_HOUR - 3, 1, readings[1], (NOTHING, NOTHING, NOTHING, Used(100, 1800, 50_000))),
    ] == hours(database)


def test_a_transfer_between_pool_and_app_is_neither_usage_nor_a_top_up(database: Database) -> None:
    take(
        database,
        "2026-11-24T08:00:00Z,acme,market,1000",
        "2026-11-24T08:00:01Z,acme/shop,market,10",
        "2026-11-24T08:05:00Z,acme,market,500",
        "2026-11-24T08:05:01Z,acme/shop,market,510",
    )
    assert [(-500, 500)] == [
        (pool.of(Category.MARKET).transferred, shop.of(Category.MARKET).transferred)
        for pool, shop in zip(hours(database, 1), hours(database, 2), strict=True)
    ]


def test_a_balance_that_was_once_above_zero_is_remembered(database: Database) -> None:
    take(
        database,
        "2026-11-24T08:00:00Z,acme,market,1",
        "2026-11-24T09:00:00Z,acme,market,0",
        "2026-11-24T09:00:00Z,acme,voice,0",
    )
    assert {Category.MARKET: True, Category.VOICE: False} == {
        row.category: row.ever_positive
        for row in everything(database)[3]  # type: ignore[attr-defined] # rows
    }


def test_after_an_import_the_wallet_is_still_due_and_live_booking_continues_from_it(
    database: Database,
) -> None:
    take(database, "2026-11-24T08:00:00Z,acme,market,1000", "2026-11-24T11:00:00Z,acme,market,900")
    with database.read() as conn:
        pool = wallets.find(conn, POOL)
    assert pool is not None
    assert NOON == pool.next_reading.at
    assert (Readings(market=900), NOON - timedelta(hours=1)) == (pool.booked, pool.booked_at)


def burn(database: Database, wallet: WalletName) -> float | None:
    with database.read() as conn:
        (believed,) = estimates.of_wallets(conn, [wallets.named(conn, [wallet])[wallet].id])
    return believed.burn_per_day


def test_history_imported_in_parts_is_booked_like_history_imported_at_once(database: Database) -> None:
    take(database, "2026-11-24T07:00:00Z,acme,market,1000", "2026-11-24T08:00:00Z,acme,market,990")
    take(database, "2026-11-24T09:00:00Z,acme,market,890", "2026-11-24T10:00:00Z,acme,market,590")
    use = {row.at - NOON_HOUR: row.used[3].use for row in hours(database)}
    assert {-5: 10, -4: 100, -3: 300, -2: 0} == use
    with database.read() as conn:
        pool = wallets.find(conn, POOL)
    assert pool is not None
    assert (Readings(market=590), NOON - timedelta(hours=2)) == (pool.booked, pool.booked_at)


def test_importing_one_wallet_changes_nothing_for_another(database: Database) -> None:
    of_pool, of_shop = (
        [
            f"{(NOON - timedelta(hours=ago)).isoformat()},{wallet},market,{5000 + 10 * ago}"
            for ago in range(72)
        ]
        for wallet in (POOL, SHOP)
    )

    take(database, *reversed(of_pool))
    take(database, *reversed(of_shop))

    with database.read() as conn:
        assert {1, 2} == {row.wallet_id for row in estimates.all_models(conn)}
    assert burn(database, POOL) == pytest.approx(240, rel=0.1)


@pytest.fixture
def live(database: Database) -> Database:
    """A database in which live booking began at 10:30 and has reached 11:00."""
    half_past, eleven = NOON - timedelta(minutes=90), NOON - timedelta(minutes=60)
    first = Seen(half_past.timestamp(), Readings(market=800))
    last = Seen(eleven.timestamp(), Readings(market=700))
    with database.write() as conn:
        wallets.sync(conn, [POOL, SHOP], now=half_past)
        readings.record_good(
            conn,
            [
                GoodRead(
                    wallet_id=1, readings=last.readings, observed_at=eleven, next_reading=NextReading(NOON)
                )
            ],
        )
        readings.append_snapshots(
            conn, [SnapshotRow(int(seen.at), 1, seen.readings) for seen in (first, last)]
        )
        hours = {
            Hour(at, key): part
            for key, (change, used) in book_round({POOL: (first, last)}).items()
            for at, part in spread(change.since, change.until, used)
        }
        usage.add(conn, {POOL: 1}, hours, {POOL: first})
        usage.add(conn, {POOL: 1}, {}, {POOL: last})
        readings.record_booked(conn, [(1, last.readings, eleven)])
    return database


def test_hours_booked_live_are_not_changed_by_an_import(live: Database) -> None:
    take(live, "2026-11-24T08:30:00Z,acme,market,1000", "2026-11-24T09:30:00Z,acme,market,900")
    assert [
        UseRow(
            NOON_HOUR - 4, 1, Readings(market=1000), (NOTHING, NOTHING, NOTHING, Used(50, 1800, after=-50))
        ),
        UseRow(
            NOON_HOUR - 3, 1, Readings(market=900), (NOTHING, NOTHING, NOTHING, Used(100, 3600, after=-50))
        ),
        UseRow(
            NOON_HOUR - 2, 1, Readings(market=800), (NOTHING, NOTHING, NOTHING, Used(150, 3600, after=-100))
        ),
        UseRow(NOON_HOUR - 1, 1, Readings(market=700), (NOTHING,) * 4),
    ] == hours(live)
    with live.read() as conn:
        pool = wallets.find(conn, POOL)
    assert pool is not None
    assert NOON - timedelta(hours=1) == pool.booked_at


def test_an_hour_still_open_for_live_booking_is_not_imported(live: Database) -> None:
    before = hours(live)
    take(live, "2026-11-24T11:30:00Z,acme,market,300")
    assert before == hours(live)


def test_models_of_the_account_are_fitted_again_after_an_import(live: Database) -> None:
    with live.write() as conn:
        estimates.save_models(conn, [ModelRow(1, Category.MARKET, 1, b"", b"")])
    take(live, "2026-11-24T08:30:00Z,acme,market,1000")
    with live.read() as conn:
        assert [False] == [row.window == b"" for row in estimates.all_models(conn)]


def test_progress_rises_to_one(database: Database) -> None:
    reported: list[float] = []
    rows = [f"2026-11-24T08:{minute:02}:00Z,acme,market,1" for minute in range(60)]
    import_history(
        database,
        sheet_of([HEADER, *rows]),
        configured=[POOL],
        estimator=ESTIMATOR,
        now=NOON,
        progress=reported.append,
    )
    parts = [round(part, 9) for part in reported]
    assert sorted(parts) == parts
    assert 1.0 == parts[-1]


def test_an_imported_balance_immediately_has_a_latest_reading_and_a_runway(database: Database) -> None:
    rows = [
        f"{(NOON - timedelta(minutes=5 * minutes)).isoformat()},acme/shop,industry,{1000 + 10 * minutes}"
        for minutes in range(48, -1, -1)
    ]

    take(database, *rows)

    with database.read() as conn:
        shop = wallets.named(conn, [SHOP])[SHOP]
        (believed,) = estimates.of_wallets(conn, [shop.id])
    assert (NOON, NEVER_READ._replace(industry=1000)) == (shop.observed_at, shop.readings)
    assert believed.burn_per_day == pytest.approx(2880, rel=0.1)
    assert believed.p50_at is not None
    assert abs(believed.p50_at - NOON - timedelta(hours=8.3)) < timedelta(hours=1)


def test_a_newer_live_reading_stays_the_latest(database: Database) -> None:
    take(database, f"{NOON.isoformat()},acme/shop,industry,500")

    take(database, f"{(NOON - timedelta(hours=1)).isoformat()},acme/shop,industry,900")

    with database.read() as conn:
        assert 500 == wallets.named(conn, [SHOP])[SHOP].readings.industry

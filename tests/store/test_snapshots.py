"""Snapshots are read back unchanged."""

from balancebot.domain.balance import Absent, Category, Reading, Readings
from balancebot.store import readings
from balancebot.store.database import Database
from balancebot.store.readings import SnapshotRow

FULL = Readings(1, 2, 3, 4)
MIXED = Readings(0, Absent.UNALLOCATED, Absent.UNREAD, 2**63 - 1)


def everything(database: Database) -> list[SnapshotRow]:
    with database.read() as conn:
        return list(readings.snapshots_between(conn, since=0, until=10**10))


def test_numbers_unallocated_and_unread_are_read_back_unchanged(database: Database) -> None:
    rows = [SnapshotRow(100, 1, MIXED), SnapshotRow(100, 2, FULL), SnapshotRow(400, 1, FULL)]
    with database.write() as conn:
        readings.append_snapshots(conn, rows)
    assert rows == everything(database)


def test_the_later_of_two_readings_in_the_same_second_is_kept(database: Database) -> None:
    with database.write() as conn:
        readings.append_snapshots(conn, [SnapshotRow(100, 1, FULL)])
        readings.append_snapshots(conn, [SnapshotRow(100, 1, MIXED)])
    assert [SnapshotRow(100, 1, MIXED)] == everything(database)


def test_merging_keeps_what_the_new_row_leaves_unread(database: Database) -> None:
    with database.write() as conn:
        readings.append_snapshots(conn, [SnapshotRow(100, 1, FULL)])
        readings.merge_snapshots(conn, [SnapshotRow(100, 1, MIXED)])
    assert [SnapshotRow(100, 1, Readings(0, Absent.UNALLOCATED, 3, 2**63 - 1))] == everything(database)


def test_readings_of_one_wallet_are_read_back_within_a_range(database: Database) -> None:
    with database.write() as conn:
        readings.append_snapshots(
            conn, [SnapshotRow(at, wallet, FULL) for at in (99, 100, 199, 200) for wallet in (1, 2)]
        )
        found = readings.snapshots_of_wallet(conn, 2, since=100, until=200)
    assert [SnapshotRow(100, 2, FULL), SnapshotRow(199, 2, FULL)] == found


def test_pruning_deletes_complete_instants_until_nothing_old_is_left(database: Database) -> None:
    with database.write() as conn:
        readings.append_snapshots(
            conn, [SnapshotRow(at, wallet, FULL) for at in (1, 2, 3, 4) for wallet in (1, 2)]
        )
        assert [4, 2, 0] == [readings.prune_snapshots(conn, before=4, most=3) for _ in range(3)]
    assert [SnapshotRow(4, 1, FULL), SnapshotRow(4, 2, FULL)] == everything(database)


def test_the_lowest_and_highest_of_each_bucket_count_numbers_only(database: Database) -> None:
    def row(at: int, reading: Reading, wallet_id: int = 1) -> SnapshotRow:
        return SnapshotRow(at, wallet_id, Readings(Absent.UNREAD, Absent.UNREAD, reading, Absent.UNREAD))

    with database.write() as conn:
        readings.append_snapshots(
            conn,
            [
                row(1000, 500),
                row(1300, 0),
                row(1600, 900),
                row(4599, Absent.UNALLOCATED),
                row(4600, 700),
                row(1300, 5, wallet_id=2),
                row(9000, 1),
            ],
        )
    with database.read() as conn:
        found = readings.extremes_of(conn, 1, Category.INDUSTRY, since=1000, until=9000, step=3600)
    assert [(1000, 0, 900), (4600, 700, 700)] == found

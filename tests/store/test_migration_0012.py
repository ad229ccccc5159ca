"""A downgrade turns every packed day into rows again, and an upgrade leaves rows as they are."""

from datetime import UTC, datetime

from sqlalchemy import text

from balancebot.domain.balance import MAX_BALANCE, Absent, Readings
from balancebot.history.prune import pack
from balancebot.store import readings, usage
from balancebot.store.database import Database
from balancebot.store.readings import SnapshotRow
from balancebot.store.usage import Used, UseRow
from tests.databases import alembic

BEFORE, AFTER = "0011", "0012"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
_FIRST = int(NOW.timestamp()) - 5 * 86_400
_HOUR = int(NOW.timestamp()) // 3600 - 50 * 24
SNAPSHOTS = [
    SnapshotRow(_FIRST + 7 * number, 1 + number % 2, row)
    for number, row in enumerate(
        (
            Readings(5, Absent.UNALLOCATED, Absent.UNREAD, MAX_BALANCE),
            Readings(4, Absent.UNALLOCATED, 9, Absent.UNREAD),
            Readings(Absent.UNREAD, Absent.UNREAD, Absent.UNREAD, Absent.UNREAD),
            Readings(9_000, 0, Absent.UNALLOCATED, 0),
        )
    )
]
HOURS = [
    UseRow(
        _HOUR + 5 * number,
        1 + number % 2,
        Readings(5 - number, market=MAX_BALANCE),
        (Used(number, 3600, MAX_BALANCE, -3, 2, 3, -number), Used(), Used(1), Used()),
    )
    for number in range(5)
]


def raw(database: Database) -> list[list[tuple[object, ...]]]:
    """Return the rows that an older program sees."""
    with database.read() as conn:
        tables = ("snapshots ORDER BY observed_at", "hourly_use ORDER BY hour")
        return [[tuple(row) for row in conn.execute(text(f"SELECT * FROM {table}"))] for table in tables]


def test_packed_days_are_rows_again_for_an_older_program(blank: Database, blank_url: str) -> None:
    blank.upgrade()
    with blank.write() as conn:
        readings.append_snapshots(conn, SNAPSHOTS)
        usage.put(conn, HOURS)
    as_rows = raw(blank)
    assert len(SNAPSHOTS) + len(HOURS) == sum(pack(blank, now=NOW))
    assert [[], []] == raw(blank)
    alembic(blank_url, "downgrade", BEFORE)
    assert as_rows == raw(blank)
    alembic(blank_url, "upgrade", AFTER)
    assert as_rows == raw(blank)
    blank.upgrade()
    sum(pack(blank, now=NOW))
    with blank.read() as conn:
        assert SNAPSHOTS == list(readings.snapshots_between(conn, since=0, until=2**33))
        assert HOURS == list(usage.hours(conn, since=0, until=_HOUR + 99))

"""The past of one wallet by reading, hour or day, one bounded page at a time."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby

from sqlalchemy import Connection

from balancebot.domain.balance import Absent, Category, Reading
from balancebot.domain.usage import HOURS_PER_DAY, SECONDS_PER_DAY, SECONDS_PER_HOUR
from balancebot.store import readings, usage, wallets
from balancebot.store.usage import Used, UseRow

_MOST_DAYS_READ = 50_000
"""The most wallet-days of readings that one query scans: the table is ordered by time and contains all wallets."""
_NOTHING = Used()


class Step(StrEnum):
    """The resolution of the past."""

    RAW = "raw"
    HOUR = "hour"
    DAY = "day"


@dataclass(frozen=True, slots=True, kw_only=True)
class PastEntry:
    """One category at one instant, or in the hour or UTC day that begins at `at`."""

    at: datetime
    category: Category
    reading: Reading
    """The reading, or the last one of the hour or day."""
    used: Used | None
    """None for a single reading."""


def past_of(
    conn: Connection,
    wallet_id: int,
    categories: Collection[Category],
    *,
    step: Step,
    since: datetime,
    until: datetime,
    most: int,
) -> tuple[list[PastEntry], datetime | None]:
    """Return the entries that begin in `[since, until)`, oldest first, and where to continue (None = that was all).

    At most about `most` entries are returned: those of one instant stay together. Unread categories have no entry.
    """
    read: Callable[..., tuple[Iterable[PastEntry], datetime | None]] = {
        Step.RAW: _raw,
        Step.HOUR: _hours,
        Step.DAY: _days,
    }[step]
    entries, following = read(conn, wallet_id, since=since, until=until)
    found: list[PastEntry] = []
    for at, group in groupby(entries, key=lambda entry: entry.at):
        members = [entry for entry in group if entry.category in categories and _has_data(entry)]
        if found and len(found) + len(members) > most:
            return found, at
        found += members
    return found, following


def _raw(
    conn: Connection, wallet_id: int, *, since: datetime, until: datetime
) -> tuple[list[PastEntry], datetime | None]:
    first, end = _first_and_end(since, until, 1)
    oldest = readings.oldest(conn)
    first = end if oldest is None else max(first, oldest)
    days = max(1, _MOST_DAYS_READ // max(1, wallets.count(conn)))
    last = min(end, first + days * SECONDS_PER_DAY)
    rows = readings.snapshots_of_wallet(conn, wallet_id, since=first, until=last)
    entries = [
        PastEntry(at=row.observed_at, category=category, reading=reading, used=None)
        for row in rows
        for category, reading in row.readings.items()
    ]
    return entries, _at(last, 1) if last < end else None


def _hours(
    conn: Connection, wallet_id: int, *, since: datetime, until: datetime
) -> tuple[list[PastEntry], datetime | None]:
    first, end = _first_and_end(since, until, SECONDS_PER_HOUR)
    rows = usage.hours_of(conn, wallet_id, since=first, until=end)
    return [entry for row in rows for entry in _entries(row, SECONDS_PER_HOUR)], None


def _days(
    conn: Connection, wallet_id: int, *, since: datetime, until: datetime
) -> tuple[list[PastEntry], datetime | None]:
    first, end = _first_and_end(since, until, SECONDS_PER_DAY)
    hours = usage.hours_of(conn, wallet_id, since=first * HOURS_PER_DAY, until=end * HOURS_PER_DAY)
    folded = [
        usage.whole_day(day, list(rows))
        for day, rows in groupby(hours, key=lambda row: row.at // HOURS_PER_DAY)
    ]
    # a merged day whose hours were imported again exists twice, as a day and as hours: the hours count
    kept = usage.days_of(conn, wallet_id, since=first, until=folded[0].at if folded else end)
    return [entry for row in (*kept, *folded) for entry in _entries(row, SECONDS_PER_DAY)], None


def _entries(row: UseRow, seconds: int) -> list[PastEntry]:
    at = _at(row.at, seconds)
    return [
        PastEntry(at=at, category=category, reading=reading, used=row.of(category))
        for category, reading in row.readings.items()
    ]


def _has_data(entry: PastEntry) -> bool:
    return entry.reading is not Absent.UNREAD or (entry.used or _NOTHING)._replace(exposure=0) != _NOTHING


def _first_and_end(since: datetime, until: datetime, seconds: int) -> tuple[int, int]:
    """Return the range of spans (of `seconds`) that begin in `[since, until)`, counted from 1970."""
    return -int(-since.timestamp() // seconds), -int(-until.timestamp() // seconds)


def _at(count: int, seconds: int) -> datetime:
    return datetime.fromtimestamp(count * seconds, UTC)

"""Pack past days and delete what is older than the configured retention, in small transactions: no writer waits long.

It may be interrupted at any point: nothing is lost that must be kept, and the next run continues from there.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from balancebot.config import RetentionConfig
from balancebot.domain.statement import month_starts
from balancebot.domain.usage import HOURS_PER_DAY, SECONDS_PER_HOUR
from balancebot.store import (
    digest_slots,
    installation,
    notification_history,
    packing,
    readings,
    types,
    usage,
    users,
)
from balancebot.store.database import Database
from balancebot.store.packed_day import Packed

_SNAPSHOTS = 20_000
_NOTIFICATIONS = 1_000
_ALERTS = 1_000
_OVER_FOR = timedelta(hours=2)
"""How long after its end a day of readings is packed, so that late ones are mostly included."""
_HOURS_IN_ROWS = timedelta(days=3)
"""Late readings and corrections change hours; a packed day would have to be unpacked for each."""
_READ_AT_ONCE = 100_000
_WALLETS_AT_ONCE = 100
_DELETED_AT_ONCE = 10_000
_LOGIN_FAILURES = timedelta(days=1)
"""They slow down guessing of passwords, which matters only for minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was deleted."""

    num_snapshots: int
    num_hours: int
    """Hours of wallets that were merged into days."""
    num_notifications: int
    num_alerts: int
    """Closed alerts without notifications."""
    num_sessions: int
    """Expired sessions."""


_STEADY = "retention"
"""The name of the fact since when the clock has run without a jump."""
_STEADY_FOR = timedelta(days=1)
_LONGEST_PAUSE = timedelta(hours=6)


def prune_steadily(
    database: Database, retention: RetentionConfig, *, zone: ZoneInfo, now: datetime
) -> Pruned | None:
    """Prune if the clock has run without a jump for a day; None if it hasn't, because deleting can't be undone.

    Call it every hour. After a pause a day must pass as well, because the pause may have been a jump of the clock.
    """
    with database.write() as conn:
        last = installation.find(conn, _STEADY)
        is_steady = last is not None and timedelta(0) <= now - last.at <= _LONGEST_PAUSE
        since = last.value if last is not None and is_steady else now.isoformat()
        installation.note(conn, _STEADY, since, now=now)
    if now - datetime.fromisoformat(since) < _STEADY_FOR:
        return None
    return prune(database, retention, zone=zone, now=now)


def prune(database: Database, retention: RetentionConfig, *, zone: ZoneInfo, now: datetime) -> Pruned:
    """Delete what is older than its retention.

    Snapshots are deleted after `retention.raw` (they are already in the roll-up), and so are the summaries of digests.
    After `retention.hourly`, hours are merged into days, and closed alerts are deleted with their notifications.
    """
    raw = int((now - retention.raw).timestamp())
    hourly = now - retention.hourly
    first_hour = int(hourly.timestamp() // SECONDS_PER_HOUR)
    pruned = Pruned(
        num_snapshots=_in_batches(
            database, lambda conn: readings.prune_snapshots(conn, before=raw, most=_SNAPSHOTS)
        ),
        num_hours=_fold_days(database, zone, before=first_hour),
        num_notifications=_in_batches(
            database,
            lambda conn: notification_history.prune_notifications(conn, before=hourly, most=_NOTIFICATIONS),
        ),
        num_alerts=_in_batches(
            database, lambda conn: notification_history.prune_alerts(conn, before=hourly, most=_ALERTS)
        ),
        num_sessions=_once(database, lambda conn: users.drop_ended_sessions(conn, now=now)),
    )
    _in_batches(database, lambda conn: notification_history.prune_groups(conn, before=hourly, most=_ALERTS))
    _once(database, lambda conn: digest_slots.prune(conn, before=now - retention.raw))
    _once(database, lambda conn: users.drop_failures(conn, before=now - _LOGIN_FAILURES))
    return pruned


def _fold_days(database: Database, zone: ZoneInfo, *, before: int) -> int:
    """Merge hours into days, except in a UTC day within which a local month begins: statements need its hours."""
    with database.read() as conn:
        oldest = usage.oldest_hour(conn, since=0)
    if oldest is None:
        return 0
    kept = [hour // HOURS_PER_DAY for hour in month_starts(oldest, before, zone) if hour % HOURS_PER_DAY]
    bounds = [0, *((day + 1) * HOURS_PER_DAY for day in kept)]
    ends = [*(day * HOURS_PER_DAY for day in kept), before]
    return sum(
        _in_batches(
            database,
            lambda conn, since=since, end=end: usage.fold_oldest_day(conn, since=since, before=end),  # type: ignore[misc]
        )
        for since, end in zip(bounds, ends, strict=True)
    )


def _once(database: Database, step: Callable[[Connection], int]) -> int:
    with database.write() as conn:
        return step(conn)


def _in_batches(database: Database, step: Callable[[Connection], int]) -> int:
    total = 0
    while num_gone := _once(database, step):
        total += num_gone
    return total


def pack(database: Database, *, now: datetime) -> Generator[int]:
    """Pack past days, the oldest first; yields after each transaction how many rows it has deleted.

    It may be interrupted at any point, and several processes may do it at once: rows are deleted only if they are exactly
    those that were packed.
    """
    for packed, age in ((readings.PACKED, _OVER_FOR), (usage.PACKED, _HOURS_IN_ROWS)):
        end = int((now - age).timestamp() // timedelta(days=1).total_seconds())
        since = 0
        while True:
            with database.read() as conn:
                day = packing.first_day_to_pack(conn, packed, since=since, before=end)
            if day is None:
                break
            yield from _pack_day(database, packed, day)
            since = day + 1


def _pack_day(database: Database, packed: Packed, day: int) -> Iterator[int]:
    with database.read() as conn:
        num_rows = packing.count_rows(conn, packed, day)
    parts = 1 + num_rows // _READ_AT_ONCE
    begin, num_pieces = day * packed.per_day, 1 + num_rows // _DELETED_AT_ONCE
    stored = [0] * num_pieces
    num_wallets = 0
    for part in range(parts):
        with database.read() as conn:
            of_wallets = packing.rows_to_pack(conn, packed, day, part=part, parts=parts)
        num_wallets += len(of_wallets)
        for rows in of_wallets.values():
            for row in rows:
                stored[(row[0] - begin) * num_pieces // packed.per_day] += packing.fingerprint(row)
        for wallet_ids in types.chunked(of_wallets, _WALLETS_AT_ONCE):
            with database.write() as conn:
                packing.pack(
                    conn, packed, day, {wallet_id: of_wallets[wallet_id] for wallet_id in wallet_ids}
                )
            yield 0
    edges = [begin - (-packed.per_day * piece // num_pieces) for piece in range(num_pieces + 1)]
    for (since, until), expected in zip(pairwise(edges), stored, strict=True):
        try:
            with database.write() as conn:
                types.take_lock(conn, types.BOOKING)
                gone, found = packing.delete_rows(conn, packed, since=since, until=until)
                if found != expected or packing.count_wallets(conn, packed, day) < num_wallets:
                    raise _ChangedError
        except _ChangedError:
            continue  # it is packed again the next time
        yield gone


class _ChangedError(Exception):
    """The rows have changed since they were packed; they stay."""

"""Delete what is older than the configured retention, in small transactions, so that no writer waits long.

It may be interrupted at any point: nothing is lost that must be kept, and the next run continues from there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from balancebot.config import RetentionConfig
from balancebot.domain.statement import HOURS_PER_DAY, month_starts
from balancebot.domain.usage import SECONDS_PER_HOUR
from balancebot.store import digest_slots, installation, notification_history, readings, usage, users
from balancebot.store.database import Database

_SNAPSHOTS = 20_000
_NOTIFICATIONS = 1_000
_ALERTS = 1_000
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

"""The past of one wallet for charts and tables: hours from the roll-up, or days where the hours have been merged."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from balancebot.domain.balance import Absent, Category, Reading
from balancebot.domain.usage import HOURS_PER_DAY, SECONDS_PER_HOUR
from balancebot.store import usage
from balancebot.store.usage import UseRow

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryHour:
    """What happened to one balance within one hour or day; `reading` is the last one."""

    begins_at: datetime
    ends_at: datetime
    reading: Reading
    use: int
    topped_up: int
    transferred: int
    """Moved in minus moved out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryDay:
    """What happened to one balance in the 24 hours before `ends_at`."""

    ends_at: datetime
    reading: Reading
    use: int
    topped_up: int
    transferred: int


def history_of(
    conn: Connection, wallet_id: int, category: Category, *, since: datetime, now: datetime
) -> tuple[HistoryHour, ...]:
    """Return the hours and days that end after `since`, oldest first, without those that have no data."""
    first, last = _hour(since), _hour(now) + 1
    hours = usage.hours_of(conn, wallet_id, since=first, until=last)
    until = hours[0].at if hours else last
    days = usage.days_of(conn, wallet_id, since=first // HOURS_PER_DAY, until=until // HOURS_PER_DAY)
    stretches = [
        *(_stretch(day, category, _DAY) for day in days),
        *(_stretch(hour, category, _HOUR) for hour in hours),
    ]
    return tuple(stretch for stretch in stretches if stretch.ends_at > since and _has_data(stretch))


def by_day(stretches: Sequence[HistoryHour], *, now: datetime, days: int) -> tuple[HistoryDay, ...]:
    """Add up hours and days to the last `days` spans of 24 hours, the latest first."""
    found = []
    for number in range(days):
        ends_at = now - _DAY * number
        part = [stretch for stretch in stretches if ends_at - _DAY <= stretch.begins_at < ends_at]
        readings = [stretch.reading for stretch in part if stretch.reading is not Absent.UNREAD]
        if part:
            found.append(
                HistoryDay(
                    ends_at=ends_at,
                    reading=readings[-1] if readings else Absent.UNREAD,
                    use=sum(stretch.use for stretch in part),
                    topped_up=sum(stretch.topped_up for stretch in part),
                    transferred=sum(stretch.transferred for stretch in part),
                )
            )
    return tuple(found)


def _stretch(row: UseRow, category: Category, length: timedelta) -> HistoryHour:
    begins_at = datetime.fromtimestamp(0, UTC) + length * row.at
    used = row.of(category)
    return HistoryHour(
        begins_at=begins_at,
        ends_at=begins_at + length,
        reading=row.readings.of(category),
        use=used.use,
        topped_up=used.topped_up,
        transferred=used.transferred,
    )


def _has_data(stretch: HistoryHour) -> bool:
    return stretch.reading is not Absent.UNREAD or bool(stretch.topped_up or stretch.transferred)


def _hour(at: datetime) -> int:
    return int(at.timestamp() // SECONDS_PER_HOUR)

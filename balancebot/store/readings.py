"""Readings: stored in their wallet, and appended to the snapshots.

Snapshots are appended, read by wallet or account, and pruned by age. They are never changed.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    Connection,
    Update,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)

from balancebot.domain.balance import NEVER_READ, Category, Readings
from balancebot.domain.next_reading import NextReading
from balancebot.domain.sentence import Sentence
from balancebot.domain.usage import SECONDS_PER_DAY, SECONDS_PER_HOUR
from balancebot.ports import SourceErrorKind
from balancebot.store import packing, types, usage
from balancebot.store.packed_day import Packed, Row
from balancebot.store.tables import hourly_use, packed_snapshots, snapshots, wallets
from balancebot.store.types import chunked, insert_into, upsert


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodRead:
    """A successful reading of a wallet, and when to read it again."""

    wallet_id: int
    readings: Readings
    observed_at: datetime
    next_reading: NextReading
    suspect_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRead:
    """A failed attempt to read a wallet; its stored readings aren't changed."""

    wallet_id: int
    at: datetime
    error_kind: SourceErrorKind
    error_message: Sentence
    rejections: int
    next_reading: NextReading
    suspect_since: datetime | None = None


_AHEAD = 15 * 60
"""In seconds. The clocks of several processes may differ by less than this."""
_MOST_AHEAD = SECONDS_PER_DAY
_NEVER_AHEAD = SECONDS_PER_DAY * 366
"""In seconds. If readings are further ahead than this, they are right and this machine doesn't know the time yet."""
_DAYS_PRUNED = 1_000
"""Packed days of wallets that are deleted at once."""
_NEW = tuple(f"new_{category.value}" for category in Category)
"""The names of the parameters for readings, in their order; a parameter must not have the name of a column."""


def _update_wallet(**values: Any) -> Update:
    return update(wallets).where(wallets.c.id == bindparam("wallet_id")).values(**values)


def _end_attempt(**values: Any) -> Update:
    """Return the update after an attempt at `at`, successful or not, with additional `values`; it ends the claim."""
    return _update_wallet(
        **values,
        attempted_at=bindparam("at"),
        first_attempt_at=func.coalesce(wallets.c.first_attempt_at, bindparam("at")),
        suspect_since=bindparam("suspect"),
        next_read_at=bindparam("next"),
        next_read_reason=bindparam("reason"),
        next_read_category=bindparam("of_category"),
        claimed_by=None,
    )


_READ: dict[str, BindParameter[Any]] = {
    category.value: bindparam(f"new_{category.value}") for category in Category
}
_GOOD = _end_attempt(**_READ, observed_at=bindparam("at"), error_kind=None, error_message=None, rejections=0)
_FAILED = _end_attempt(
    error_kind=bindparam("kind"), error_message=bindparam("message"), rejections=bindparam("rejected")
)
_CAUGHT_UP = _update_wallet(**_READ, observed_at=bindparam("at")).where(
    or_(wallets.c.observed_at.is_(None), wallets.c.observed_at < bindparam("at"))
)
_BOOKED = _update_wallet(
    **{f"booked_{category}": parameter for category, parameter in _READ.items()}, booked_at=bindparam("at")
)


def _next(reading: NextReading) -> dict[str, Any]:
    return {"next": reading.at, "reason": reading.reason, "of_category": reading.category}


def record_good(conn: Connection, reads: Sequence[GoodRead]) -> None:
    """Store successful readings, and end the claims."""
    if reads:
        conn.execute(
            _GOOD,
            [
                {
                    "wallet_id": read.wallet_id,
                    **dict(zip(_NEW, read.readings, strict=True)),
                    "at": read.observed_at,
                    "suspect": read.suspect_since,
                    **_next(read.next_reading),
                }
                for read in reads
            ],
        )


def record_failed(conn: Connection, reads: Sequence[FailedRead]) -> None:
    """Store failed attempts, and end the claims."""
    if reads:
        conn.execute(
            _FAILED,
            [
                {
                    "wallet_id": read.wallet_id,
                    "at": read.at,
                    "kind": read.error_kind.value,
                    "message": read.error_message,
                    "rejected": read.rejections,
                    "suspect": read.suspect_since,
                    **_next(read.next_reading),
                }
                for read in reads
            ],
        )


def catch_up(conn: Connection, read: Iterable[tuple[int, Readings, datetime]]) -> None:
    """Store imported (wallet, readings, when) as the latest reading if it is newer; the next reading isn't changed."""
    _execute(conn, _CAUGHT_UP, read)


def record_booked(conn: Connection, bookings: Iterable[tuple[int, Readings, datetime]]) -> None:
    """Store the readings up to which the usage of wallets is booked: (wallet, readings, when)."""
    _execute(conn, _BOOKED, bookings)


def _execute(conn: Connection, statement: Update, read: Iterable[tuple[int, Readings, datetime]]) -> None:
    rows = [
        {"wallet_id": wallet_id, **dict(zip(_NEW, readings, strict=True)), "at": at}
        for wallet_id, readings, at in read
    ]
    if rows:
        conn.execute(statement, rows)


_KEY = ("observed_at", "wallet_id")
PACKED = Packed(snapshots, packed_snapshots, per_day=SECONDS_PER_DAY, columns=tuple(snapshots.columns))


class SnapshotRow(NamedTuple):
    """All readings of one wallet from one request. (A named tuple, because an import makes millions.)"""

    at: int
    """Epoch second."""
    wallet_id: int
    readings: Readings

    @property
    def observed_at(self) -> datetime:
        """The instant in UTC."""
        return datetime.fromtimestamp(self.at, UTC)


def append_snapshots(conn: Connection, rows: Sequence[SnapshotRow]) -> None:
    """Store snapshots. Of two snapshots of a wallet in the same second, the later one replaces the other."""
    if rows:
        replacing = upsert(conn, snapshots, *(category.value for category in Category))
        conn.execute(replacing, [_values(row) for row in rows])


def merge_snapshots(conn: Connection, rows: Sequence[SnapshotRow]) -> None:
    """Store snapshots. A category that is unread in a row keeps the value stored for the same second."""
    if rows:
        types.take_lock(conn, types.BOOKING)
        packing.unpack(conn, PACKED, ((row.at, row.wallet_id) for row in rows))
        statement = insert_into(conn, snapshots)
        added = {
            category.value: func.coalesce(statement.excluded[category.value], snapshots.c[category.value])
            for category in Category
        }
        conn.execute(
            statement.on_conflict_do_update(index_elements=_KEY, set_=added), [_values(row) for row in rows]
        )


def snapshots_of_wallet(conn: Connection, wallet_id: int, *, since: int, until: int) -> list[SnapshotRow]:
    """Return one wallet's snapshots in `[since, until)` (epoch seconds), oldest first.

    The table is ordered by time: for days that aren't packed yet, this reads the rows of all wallets.
    """
    return [
        _snapshot(row)
        for row in packing.rows(conn, PACKED, since=since, until=until, wallet_ids=(wallet_id,))
    ]


def extremes_of(
    conn: Connection, wallet_id: int, category: Category, *, since: int, until: int, step: int
) -> list[tuple[int, int, int]]:
    """Return (begin, lowest balance, highest balance) of each bucket of `step` seconds in `[since, until)`.

    Like `snapshots_of_wallet` this may read the rows of all wallets; the caller must limit it.
    """
    found: dict[int, tuple[int, int]] = {}
    for row in snapshots_of_wallet(conn, wallet_id, since=since, until=until):
        reading = row.readings.of(category)
        if isinstance(reading, int):
            bucket = since + (row.at - since) // step * step
            low, high = found.get(bucket, (reading, reading))
            found[bucket] = min(low, reading), max(high, reading)
    return [(bucket, low, high) for bucket, (low, high) in found.items()]


def snapshot_before(conn: Connection, wallet_id: int, *, at: int, since: int) -> SnapshotRow | None:
    """Return one wallet's latest snapshot in `[since, at)` (epoch seconds)."""
    wanted = (
        select(snapshots)
        .where(
            snapshots.c.observed_at >= since,
            snapshots.c.observed_at < at,
            snapshots.c.wallet_id == wallet_id,
        )
        .order_by(snapshots.c.observed_at.desc())
        .limit(1)
    )
    row = conn.execute(wanted).first()
    latest = None if row is None else SnapshotRow(row[0], row[1], Readings(*row[2:]))
    for day in packing.wallet_days(conn, PACKED, since=since, until=at, wallet_ids=(wallet_id,)):
        for older in map(_snapshot, day.rows()):
            if latest is None or older.at > latest.at:
                latest = older
    return latest


def read_between(conn: Connection, wallet_ids: Collection[int], *, since: int, until: int) -> set[int]:
    """Return the wallets that have a snapshot from `since` to `until` (epoch seconds, both included)."""
    c = snapshots.c
    found = {
        wallet_id
        for some in chunked(wallet_ids)
        for wallet_id in conn.scalars(
            select(c.wallet_id).distinct().where(c.observed_at.between(since, until), c.wallet_id.in_(some))
        )
    }
    missing = set(wallet_ids) - found
    days = packing.wallet_days(conn, PACKED, since=since, until=until + 1, wallet_ids=missing)
    return found | {day.wallet_id for day in days if day.times}


def oldest(conn: Connection) -> int | None:
    """Return the epoch second of the first snapshot, or the begin of the first packed day; None if there are none."""
    found: int | None = conn.scalar(select(func.min(snapshots.c.observed_at)))
    day = packing.first_day(conn, PACKED)
    begins = [
        second for second in (found, None if day is None else day * SECONDS_PER_DAY) if second is not None
    ]
    return min(begins, default=None)


def snapshots_of_account(conn: Connection, account: str, *, since: int, until: int) -> Iterator[SnapshotRow]:
    """Yield the snapshots of all wallets of an account, like `snapshots_between`."""
    members = conn.scalars(select(wallets.c.id).where(wallets.c.account == account)).all()
    yield from map(_snapshot, packing.rows(conn, PACKED, since=since, until=until, wallet_ids=members))


def snapshots_between(conn: Connection, *, since: int, until: int) -> Iterator[SnapshotRow]:
    """Yield the snapshots of all wallets in `[since, until)` (epoch seconds), oldest first, reading them in pieces."""
    yield from map(_snapshot, packing.rows(conn, PACKED, since=since, until=until))


def forget_ahead(conn: Connection, *, now: datetime) -> list[int]:
    """Delete readings from while the clock was far ahead; return the ids of the wallets that continue from before it.

    Otherwise the hours ahead would count as hours without usage, and nothing would be booked before they have passed.
    Readings ahead are kept if they follow the earlier ones without a gap, or cover a long time: then `now` is wrong.
    """
    second = int(now.timestamp())
    at = snapshots.c.observed_at
    packing.unpack_from(conn, PACKED, day=second // SECONDS_PER_DAY)
    packing.unpack_from(conn, usage.PACKED, day=second // SECONDS_PER_DAY)
    first, last = conn.execute(select(func.min(at), func.max(at)).where(at > second + _AHEAD)).one()
    until_now = select(func.max(at)).where(at <= second)
    before = conn.scalar(until_now)
    if before is None and (last_day := packing.last_day(conn, PACKED)) is not None:
        packing.unpack_from(conn, PACKED, day=last_day)
        before = conn.scalar(until_now)
    if first is None or before is None or last - first > _MOST_AHEAD or first - second > _NEVER_AHEAD:
        return []
    step = before - (conn.scalar(select(func.max(at)).where(at < before)) or before)
    if first - before < _AHEAD + 3 * step:
        return []
    lost = or_(wallets.c.observed_at > now, wallets.c.booked_at > now)
    rows = conn.execute(select(wallets.c.id, wallets.c.booked_at).where(lost)).all()
    conn.execute(delete(snapshots).where(at > second))
    conn.execute(delete(hourly_use).where(hourly_use.c.hour > second // SECONDS_PER_HOUR))
    for row in rows:
        latest = snapshot_before(conn, row.id, at=second + 1, since=0)
        readings = NEVER_READ if latest is None else latest.readings
        observed_at = None if latest is None else latest.observed_at
        values: dict[str, Any] = {**readings._asdict(), "observed_at": observed_at}
        if row.booked_at is not None and row.booked_at > now:
            values |= {f"booked_{name}": reading for name, reading in readings._asdict().items()}
            values["booked_at"] = observed_at
        conn.execute(update(wallets).where(wallets.c.id == row.id).values(**values))
    return [row.id for row in rows]


def prune_snapshots(conn: Connection, *, before: int, most: int) -> int:
    """Delete about `most` of the oldest snapshots from before an epoch second; return how many were deleted.

    All snapshots of an instant are deleted together, so that the result is 0 only if nothing is left to delete.
    """
    last = conn.scalar(
        select(snapshots.c.observed_at)
        .where(snapshots.c.observed_at < before)
        .order_by(snapshots.c.observed_at)
        .offset(most - 1)
        .limit(1)
    )
    until = before if last is None else last + 1
    num_rows = conn.execute(delete(snapshots).where(snapshots.c.observed_at < until)).rowcount
    return num_rows or packing.delete_days(conn, PACKED, before=before // SECONDS_PER_DAY, most=_DAYS_PRUNED)


def _values(row: SnapshotRow) -> dict[str, object]:
    return {"observed_at": row.at, "wallet_id": row.wallet_id, **row.readings._asdict()}


def _snapshot(row: Row) -> SnapshotRow:
    at, wallet_id, *readings = row
    return SnapshotRow(at, wallet_id, Readings(*map(types.to_reading, readings)))

"""Every snapshot as it was read: appended, read back by wallet, pruned by age. Never changed."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, delete, func, select, true

from balancebot.domain.balance import Category, Readings
from balancebot.store.tables import snapshots, wallets
from balancebot.store.types import insert_into

_KEY = ("observed_at", "wallet_id")


class SnapshotRow(NamedTuple):
    """All readings of one wallet from one request. (A named tuple: an import makes millions.)"""

    at: int
    """Epoch second."""
    wallet_id: int
    readings: Readings

    @property
    def observed_at(self) -> datetime:
        """The instant, aware, in UTC."""
        return datetime.fromtimestamp(self.at, UTC)


def append(conn: Connection, rows: Sequence[SnapshotRow]) -> None:
    """Keep snapshots; of two of one wallet in the same second the later one stands."""
    if rows:
        statement = insert_into(conn, snapshots)
        replaced = {category.value: statement.excluded[category.value] for category in Category}
        conn.execute(
            statement.on_conflict_do_update(index_elements=_KEY, set_=replaced),
            [_values(row) for row in rows],
        )


def merge(conn: Connection, rows: Sequence[SnapshotRow]) -> None:
    """Keep snapshots; a category that a row leaves unread stays as it is kept for the same second."""
    if rows:
        statement = insert_into(conn, snapshots)
        added = {
            category.value: func.coalesce(statement.excluded[category.value], snapshots.c[category.value])
            for category in Category
        }
        conn.execute(
            statement.on_conflict_do_update(index_elements=_KEY, set_=added), [_values(row) for row in rows]
        )


def of_wallet(conn: Connection, wallet_id: int, *, since: int, until: int) -> list[SnapshotRow]:
    """Return one wallet's snapshots in `[since, until)` (epoch seconds), oldest first.

    The table is ordered by time: this reads every wallet's rows of that span. Charts take the roll-up.
    """
    wanted = (
        select(snapshots)
        .where(
            snapshots.c.observed_at >= since,
            snapshots.c.observed_at < until,
            snapshots.c.wallet_id == wallet_id,
        )
        .order_by(snapshots.c.observed_at)
    )
    return [_snapshot(row) for row in conn.execute(wanted)]


def of_account(conn: Connection, account: str, *, since: int, until: int) -> Iterator[SnapshotRow]:
    """Yield the snapshots of all wallets of an account, as `between` does."""
    members = select(wallets.c.id).where(wallets.c.account == account)
    yield from _stream(conn, snapshots.c.wallet_id.in_(members), since=since, until=until)


def between(conn: Connection, *, since: int, until: int) -> Iterator[SnapshotRow]:
    """Yield the snapshots of all wallets in `[since, until)` (epoch seconds), oldest first, without holding them all."""
    yield from _stream(conn, true(), since=since, until=until)


def _stream(conn: Connection, whose: ColumnElement[bool], *, since: int, until: int) -> Iterator[SnapshotRow]:
    wanted = (
        select(snapshots)
        .where(snapshots.c.observed_at >= since, snapshots.c.observed_at < until, whose)
        .order_by(snapshots.c.observed_at, snapshots.c.wallet_id)
        .execution_options(yield_per=2_000)
    )
    for row in conn.execute(wanted):
        yield _snapshot(row)


def prune(conn: Connection, *, before: int, most: int) -> int:
    """Remove the oldest snapshots from before an epoch second, about `most` of them; return how many went.

    Instants go whole, so that the answer is 0 only when nothing is left to remove.
    """
    last = conn.scalar(
        select(snapshots.c.observed_at)
        .where(snapshots.c.observed_at < before)
        .order_by(snapshots.c.observed_at)
        .offset(most - 1)
        .limit(1)
    )
    until = before if last is None else last + 1
    return conn.execute(delete(snapshots).where(snapshots.c.observed_at < until)).rowcount


def _values(row: SnapshotRow) -> dict[str, object]:
    return {"observed_at": row.at, "wallet_id": row.wallet_id, **row.readings._asdict()}


def _snapshot(row: Row[Any]) -> SnapshotRow:
    at, wallet_id, *readings = tuple(row)
    return SnapshotRow(at, wallet_id, Readings(*readings))

"""Which worker is reading which wallet. A claim ends with the reading, with a release, or with its worker's life."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, select, update

from balancebot.domain.delivery import CLOCK_JUMP
from balancebot.store.tables import wallets
from balancebot.store.types import chunked
from balancebot.store.wallets import WalletRow, wallet_of
from balancebot.store.workers import is_free


def any_due(conn: Connection, *, now: datetime) -> bool:
    """Tell whether a wallet is due, without asking who is reading it."""
    wanted = select(wallets.c.id).where(wallets.c.configured, wallets.c.next_read_at <= now).limit(1)
    return conn.execute(wanted).first() is not None


def make_due(conn: Connection, *, now: datetime) -> None:
    """Make due what was last read later than now: the clock was set back since, and may be far from the next reading."""
    read_later = wallets.c.attempted_at > now + CLOCK_JUMP
    conn.execute(update(wallets).where(wallets.c.configured, read_later).values(next_read_at=now))


def claim_due(
    conn: Connection, worker_id: str, *, now: datetime, limit: int | None = None
) -> list[WalletRow]:
    """Take the wallets that are due and that no other living worker has, the longest due first.

    The claim ends when the reading is recorded, or is given back; what the worker holds itself it doesn't get again.
    """
    # a CTE, since PostgreSQL may run a subquery that locks and limits more than once
    free = (
        select(wallets.c.id)
        .where(wallets.c.configured, wallets.c.next_read_at <= now, is_free(wallets.c.claimed_by, now))
        .order_by(wallets.c.next_read_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("free")
    )
    taken = (
        update(wallets)
        .where(wallets.c.id.in_(select(free.c.id)))
        .values(claimed_by=worker_id)
        .returning(wallets)
    )
    return [wallet_of(row) for row in conn.execute(taken)]


def held(conn: Connection, worker_id: str, wallet_ids: Collection[int]) -> frozenset[int]:
    """Return which of the wallets the worker still holds, and keep others from taking them within this transaction.

    Ask in the transaction that records: a process that was frozen may find that another has read them since.
    """
    found: set[int] = set()
    for ids in chunked(wallet_ids):
        mine = select(wallets.c.id).where(wallets.c.id.in_(ids), wallets.c.claimed_by == worker_id)
        found.update(conn.scalars(mine.with_for_update()))
    return frozenset(found)


def release_all_but(conn: Connection, worker_id: str, kept: Collection[int]) -> None:
    """Give the worker's other claims back without a reading: the wallets stay due."""
    mine = set(conn.scalars(select(wallets.c.id).where(wallets.c.claimed_by == worker_id)))
    for ids in chunked(mine.difference(kept)):
        conn.execute(
            update(wallets)
            .where(wallets.c.id.in_(ids), wallets.c.claimed_by == worker_id)
            .values(claimed_by=None)
        )

"""Use is booked per account and round: a transfer is a fall here and a rise there between the same two readings.

Until every wallet of an account that can be read has been read, nothing is booked; what couldn't be read is booked
when it can be, over the longer stretch. Booking is what moves `booked_at` on, so none is lost or counted twice.
"""

from collections.abc import Collection

from sqlalchemy import Connection

from balancebot.domain.usage import Seen, book_round
from balancebot.storage import rollup, turns, wallets
from balancebot.storage.wallets import Booking, WalletRow


def book_use(conn: Connection, accounts: Collection[str]) -> tuple[WalletRow, ...]:
    """Book the round of each account that is complete; return the wallets that were booked, as they were before."""
    turns.take(conn, turns.BOOKING)
    booked: list[WalletRow] = []
    for account in sorted(accounts):
        rows = wallets.of_accounts(conn, [account])
        if _is_complete(rows):
            booked += _book(conn, rows)
    return tuple(booked)


def _is_complete(rows: Collection[WalletRow]) -> bool:
    """Tell whether every wallet was read since the last booking, but for those that can't be."""
    return all(row.error_kind is not None or _is_fresh(row) for row in rows)


def _is_fresh(row: WalletRow) -> bool:
    return row.observed_at is not None and (row.booked_at is None or row.observed_at > row.booked_at)


def _book(conn: Connection, rows: Collection[WalletRow]) -> list[WalletRow]:
    fresh = [row for row in rows if _is_fresh(row)]
    now = {row.name: Seen(row.observed_at.timestamp(), row.readings) for row in fresh if row.observed_at}
    stretches = {
        row.name: (Seen(row.booked_at.timestamp(), row.booked), now[row.name])
        for row in fresh
        if row.booked_at is not None
    }
    rollup.add(conn, {row.name: row.id for row in fresh}, book_round(stretches), now)
    wallets.record_booked(
        conn,
        [
            Booking(wallet_id=row.id, readings=row.readings, at=row.observed_at)
            for row in fresh
            if row.observed_at is not None
        ],
    )
    return fresh

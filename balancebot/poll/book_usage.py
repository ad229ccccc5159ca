"""Use is booked per account and round: a transfer is a fall here and a rise there between the same two readings.

Until every wallet of an account that can be read has been read, nothing is booked; what couldn't be read is booked
when it can be, over the longer stretch. Booking is what moves `booked_at` on, so none is lost or counted twice.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from balancebot.domain.balance import BalanceKey, WalletName, app_of
from balancebot.domain.usage import Seen, book_round
from balancebot.store import readings, types, usage, wallets
from balancebot.store.readings import Booking
from balancebot.store.wallets import WalletRow


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedUsage:
    """What one wallet used since it was booked before. `row` is as it was before the booking."""

    row: WalletRow
    used: Mapping[BalanceKey, int]
    is_certain: bool
    """False while the other end of a transfer can't be read: a fall may be one."""
    is_surely_use: bool
    """An app's whose pool was read with it: quota that it gave back would have been seen to arrive."""


def book_use(conn: Connection, accounts: Collection[str]) -> tuple[BookedUsage, ...]:
    """Book the round of each account that is complete; return what each of its wallets used."""
    types.take_lock(conn, types.BOOKING)
    stretches: list[BookedUsage] = []
    for account in sorted(set(accounts) - wallets.waiting_accounts(conn, accounts)):
        rows = wallets.of_accounts(conn, [account])
        if _is_complete(rows):
            stretches += _book(conn, rows)
    return tuple(stretches)


def _is_complete(rows: Collection[WalletRow]) -> bool:
    """Tell whether every wallet was read since the last booking, but for those that can't be."""
    return all(row.error_kind is not None or _is_fresh(row) for row in rows)


def _is_fresh(row: WalletRow) -> bool:
    return row.observed_at is not None and (row.booked_at is None or row.observed_at > row.booked_at)


def _book(conn: Connection, rows: Collection[WalletRow]) -> list[BookedUsage]:
    fresh = [row for row in rows if _is_fresh(row)]
    now = {row.name: Seen(row.observed_at.timestamp(), row.readings) for row in fresh if row.observed_at}
    booked = book_round(
        {
            row.name: (Seen(row.booked_at.timestamp(), row.booked), now[row.name])
            for row in fresh
            if row.booked_at is not None
        }
    )
    usage.add(conn, {row.name: row.id for row in fresh}, booked, now)
    readings.record_booked(
        conn,
        [
            Booking(wallet_id=row.id, readings=row.readings, at=row.observed_at)
            for row in fresh
            if row.observed_at is not None
        ],
    )
    used: dict[WalletName, dict[BalanceKey, int]] = defaultdict(dict)
    for hour, part in booked.items():
        of_wallet = used[hour.balance.wallet]
        of_wallet[hour.balance] = of_wallet.get(hour.balance, 0) + part.use
    unread = [row for row in rows if not _is_fresh(row)]
    pool_was_read = any(_is_pool(row) for row in fresh)
    return [
        BookedUsage(
            row=row,
            used=used.get(row.name, {}),
            is_certain=not _may_hide_transfer(row, unread),
            is_surely_use=pool_was_read and not _is_pool(row),
        )
        for row in fresh
    ]


def _may_hide_transfer(row: WalletRow, unread: Collection[WalletRow]) -> bool:
    """Tell whether a wallet that quota may have moved to or from wasn't read: pool and apps exchange it."""
    return any(_is_pool(other) is not _is_pool(row) for other in unread)


def _is_pool(row: WalletRow) -> bool:
    return app_of(row.name) is None

"""The totals of wallets over a span of hours or days: used, topped up, moved, refunded."""

from collections.abc import Collection
from functools import cache
from itertools import repeat
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Table,
    bindparam,
    case,
    cast,
    func,
    select,
)
from sqlalchemy.exc import OperationalError

from balancebot.store import packing
from balancebot.store.packed_day import WalletDay
from balancebot.store.tables import hourly_use
from balancebot.store.usage import ADDED, COLUMN, PACKED, ZERO, Used, in_categories

_HALF = 2**31


def of_hours(
    conn: Connection, *, since: int, until: int, wallet_ids: Collection[int] | None = None
) -> dict[int, tuple[Used, Used, Used, Used]]:
    """Return the totals of each wallet (by id) in the hours `[since, until)`.

    With `wallet_ids`, of those, and possibly of others.
    """
    sums = of_rows(conn, hourly_use, since=since, until=until)
    for day in packing.wallet_days(conn, PACKED, since=since, until=until, wallet_ids=wallet_ids):
        add_day(sums, day)
    return {wallet_id: in_categories(values) for wallet_id, values in sums.items()}


def add_day(sums: dict[int, list[int]], day: WalletDay) -> None:
    """Add a packed day to the totals of its wallet, which are in the order of `ADDED`."""
    of_wallet = sums.get(day.wallet_id)
    if of_wallet is None:
        of_wallet = sums[day.wallet_id] = [0] * len(ADDED)
    columns = day.columns
    for index, column_index in enumerate(_COLUMNS):
        if values := columns[column_index]:
            of_wallet[index] += sum(filter(None, values))
    for index, moved_out, transferred in _MOVED_OUT:
        if changes := columns[transferred]:
            of_wallet[index] += sum(
                max(-(change or 0), 0)
                for change, moved in zip(changes, columns[moved_out] or repeat(None))  # noqa: B905 -- what repeats has no end
                if moved is None
            )


_COLUMNS = tuple(COLUMN[name] for name in ADDED)
_MOVED_OUT = tuple(
    (ADDED.index(name), COLUMN[name], COLUMN[name.removesuffix("moved_out") + "transferred"])
    for name in ADDED
    if name.endswith("_moved_out")
)
"""In rows of older versions, only the sign of `transferred` shows what was moved out."""


def of_rows(conn: Connection, table: Table, *, since: int, until: int) -> dict[int, list[int]]:
    """Return the totals of each wallet (by id) in the rows `[since, until)` of a table, in the order of `ADDED`."""
    span = {"since": since, "until": until}
    try:
        rows = conn.execute(_summing(table), span).all()
    except OperationalError:  # SQLite: a sum is larger than a column can hold; in two halves, each is small
        return {
            wallet_id: [
                int(high or 0) * _HALF + int(low or 0)
                for high, low in zip(values[::2], values[1::2], strict=True)
            ]
            for wallet_id, *values in conn.execute(_summing(table, in_halves=True), span)
        }
    return {wallet_id: [int(value or 0) for value in values] for wallet_id, *values in rows}


@cache
def _summing(table: Table, *, in_halves: bool = False) -> Select[Any]:
    bucket = next(iter(table.primary_key))
    columns: list[ColumnElement[int]] = [cast(_summed(table, name), BigInteger) for name in ADDED]
    if in_halves:
        columns = [half for column in columns for half in (column // _HALF, column % _HALF)]
    within = (bucket >= bindparam("since"), bucket < bindparam("until"))
    return select(table.c.wallet_id, *map(func.sum, columns)).where(*within).group_by(table.c.wallet_id)


def _summed(table: Table, name: str) -> ColumnElement[int]:
    """Return the expression to sum for a column. In rows of older versions, only the sign shows what was moved out."""
    column: ColumnElement[int] = table.c[name]
    if not name.endswith("_moved_out"):
        return column
    transferred = table.c[name.removesuffix("moved_out") + "transferred"]
    return func.coalesce(column, case((transferred < ZERO, -transferred), else_=ZERO))

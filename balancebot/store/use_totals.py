"""The totals of wallets over a span of hours or days: used, topped up, moved, refunded."""

from collections.abc import Collection
from functools import cache
from itertools import repeat
from operator import add
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
from balancebot.store.tables import daily_use, hourly_use
from balancebot.store.usage import ADDED, COLUMN, PACKED, ZERO, Used, in_categories

_HALF = 2**31


def of_hours(
    conn: Connection, *, since: int, until: int, wallet_ids: Collection[int] | None = None
) -> dict[int, tuple[Used, Used, Used, Used]]:
    """Return the totals of each wallet (by id) in the hours `[since, until)`.

    With `wallet_ids`, of those, and possibly of others.
    """
    found = _of_table(conn, hourly_use, since, until)
    for day in packing.wallet_days(conn, PACKED, since=since, until=until, wallet_ids=wallet_ids):
        sums = [_sum_of(day, name) for name in ADDED]
        before = [number for used in found.get(day.wallet_id, ()) for number in used]
        found[day.wallet_id] = in_categories(list(map(add, sums, before)) if before else sums)
    return found


def _sum_of(day: packing.WalletDay, name: str) -> int:
    """Return the sum of a column over a packed day, like `_summed`."""
    values = day.columns[COLUMN[name]]
    if name.endswith("_moved_out"):
        transferred = day.columns[COLUMN[name.removesuffix("moved_out") + "transferred"]]
        if transferred is not None:
            moved_out = values or repeat(None)
            return sum(
                max(-(change or 0), 0) if moved is None else moved
                for change, moved in zip(transferred, moved_out)  # noqa: B905 -- what repeats has no end
            )
    return sum(filter(None, values or ()))


def of_days(conn: Connection, *, since: int, until: int) -> dict[int, tuple[Used, Used, Used, Used]]:
    """Return the totals of each wallet (by id) in the merged days of `[since, until)`."""
    return _of_table(conn, daily_use, since, until)


def _of_table(
    conn: Connection, table: Table, since: int, until: int
) -> dict[int, tuple[Used, Used, Used, Used]]:
    span = {"since": since, "until": until}
    try:
        rows = conn.execute(_summing(table), span).all()
    except OperationalError:  # SQLite: a sum is larger than a column can hold; in two halves, each is small
        return {
            wallet_id: in_categories(
                [
                    int(high or 0) * _HALF + int(low or 0)
                    for high, low in zip(values[::2], values[1::2], strict=True)
                ]
            )
            for wallet_id, *values in conn.execute(_summing(table, in_halves=True), span)
        }
    return {wallet_id: in_categories(sums) for wallet_id, *sums in rows}


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

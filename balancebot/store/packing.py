"""Packed days: one compressed value per wallet and day instead of a row per reading or hour.

A row in the table takes precedence over the packed day. To change a row of a packed day, unpack the day first; it is packed
again later. `history/prune.py` decides when days are packed.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    delete,
    func,
    select,
    tuple_,
)

from balancebot.store.packed_day import Packed, Row, WalletDay, decode, encode, raw, within, without
from balancebot.store.types import (
    BOOKING,
    MOST_IN_ONE,
    chunked,
    insert_into,
    take_lock,
    upsert,
)

_FEW = 20_000
"""Up to this many days of wallets are looked up one by one. For more, the days of all wallets are read."""
_ROWS_AT_ONCE = 300_000
_UNPACKED_AT_ONCE = 200
_END = 2**31 - 1
"""Later than any hour."""


def first_day(conn: Connection, packed: Packed, *, since: int = 0) -> int | None:
    """Return the first packed day that begins at `since` or later."""
    day = packed.days.c.day
    found: int | None = conn.scalar(select(func.min(day)).where(day >= -(-since // packed.per_day)))
    return found


def last_day(conn: Connection, packed: Packed) -> int | None:
    """Return the last packed day."""
    found: int | None = conn.scalar(select(func.max(packed.days.c.day)))
    return found


def wallet_days(
    conn: Connection,
    packed: Packed,
    *,
    since: int,
    until: int = _END,
    wallet_ids: Collection[int] | None = None,
) -> Iterator[WalletDay]:
    """Yield what is packed for `[since, until)` and isn't in the table, day by day; no day without rows."""
    days = _days(conn, packed, since, until)
    if not days:
        return
    until = min(until, days.stop * packed.per_day)
    in_table = keys(conn, packed, since=since, until=until, wallet_ids=wallet_ids)
    for found in _wallet_days(conn, packed, days, range(since, until), wallet_ids):
        only_packed = without(found, in_table) if in_table else found
        if only_packed.times:
            yield only_packed


def _days(conn: Connection, packed: Packed, since: int, until: int) -> range:
    """Return the days from the first to the last packed one in `[since, until)`."""
    day = packed.days.c.day
    first, last = conn.execute(
        select(func.min(day), func.max(day)).where(
            day >= since // packed.per_day, day <= (until - 1) // packed.per_day
        )
    ).one()
    return range(0) if first is None else range(first, last + 1)


def keys(
    conn: Connection, packed: Packed, *, since: int, until: int, wallet_ids: Collection[int] | None
) -> set[tuple[int, int]]:
    """Return time and wallet id of the table's rows in `[since, until)`, possibly of further wallets, too."""
    wanted = select(packed.time, packed.rows.c.wallet_id).where(packed.time >= since, packed.time < until)
    if wallet_ids is not None and len(wallet_ids) <= MOST_IN_ONE:
        wanted = wanted.where(packed.rows.c.wallet_id.in_(wallet_ids))
    return {(time, wallet_id) for time, wallet_id in conn.execute(wanted)}


def _wallet_days(
    conn: Connection,
    packed: Packed,
    days: range,
    span: range,
    wallet_ids: Collection[int] | None,
) -> Iterator[WalletDay]:
    c = packed.days.c
    wanted = select(c.day, c.wallet_id, c.data).order_by(c.day, c.wallet_id)
    if wallet_ids is not None and len(wallet_ids) * len(days) <= _FEW:
        statements = [wanted.where(c.day.in_(some), c.wallet_id.in_(wallet_ids)) for some in chunked(days)]
    else:
        statements = [wanted.where(c.day >= days.start, c.day < days.stop).execution_options(yield_per=500)]
    among = None if wallet_ids is None else set(wallet_ids)
    for statement in statements:
        for day, wallet_id, data in conn.execute(statement):
            if among is None or wallet_id in among:
                found = decode(packed, day, wallet_id, data)
                begin, end = day * packed.per_day, (day + 1) * packed.per_day
                whole = span.start <= begin and end <= span.stop
                yield found if whole else within(found, span)


def rows(
    conn: Connection,
    packed: Packed,
    *,
    since: int,
    until: int = _END,
    wallet_ids: Collection[int] | None = None,
) -> Iterator[Row]:
    """Yield the rows of `[since, until)`, from the table and from packed days, by time and wallet."""
    passed = since
    for begin, end in _pieces(conn, packed, since, until, wallet_ids):
        yield from _table_rows(conn, packed, passed, begin, wallet_ids)
        days = _days(conn, packed, begin, end)
        unpacked = _wallet_days(conn, packed, days, range(begin, end), wallet_ids)
        found = [row for day in unpacked for row in day.rows()]
        in_table = {row[:2]: row for row in _table_rows(conn, packed, begin, end, wallet_ids)}
        if in_table:
            found = [row for row in found if row[:2] not in in_table]
            found += in_table.values()
        found.sort(key=itemgetter(0, 1))
        yield from found
        passed = end
    yield from _table_rows(conn, packed, passed, until, wallet_ids)


def _pieces(
    conn: Connection, packed: Packed, since: int, until: int, wallet_ids: Collection[int] | None
) -> Iterator[tuple[int, int]]:
    """Yield spans of time that contain packed days, each short enough to hold its rows in memory."""
    days = _days(conn, packed, since, until)
    if not days:
        return
    if wallet_ids is not None and len(wallet_ids) == 1:
        yield since, min(until, days.stop * packed.per_day)
        return
    c = packed.days.c
    sizes = select(c.day, func.sum(c.num_rows)).where(c.day >= days.start, c.day < days.stop)
    for day, num_rows in conn.execute(sizes.group_by(c.day).order_by(c.day)).all():
        parts = 1 + int(num_rows) // _ROWS_AT_ONCE
        for part in range(parts):
            begin, end = (day * packed.per_day + packed.per_day * edge // parts for edge in (part, part + 1))
            if begin < until and end > since:
                yield max(begin, since), min(end, until)


def _table_rows(
    conn: Connection, packed: Packed, since: int, until: int, wallet_ids: Collection[int] | None
) -> Iterator[Row]:
    if since >= until:
        return
    wallet_id = packed.rows.c.wallet_id
    wanted = (
        select(*map(raw, packed.columns))
        .where(packed.time >= since, packed.time < until)
        .order_by(packed.time, wallet_id)
    )
    if wallet_ids is not None and len(wallet_ids) <= MOST_IN_ONE:
        yield from map(tuple, conn.execute(wanted.where(wallet_id.in_(wallet_ids))))
        return
    among = None if wallet_ids is None else set(wallet_ids)
    for row in conn.execute(wanted.execution_options(yield_per=2_000)):
        if among is None or row[1] in among:
            yield tuple(row)


def unpack(conn: Connection, packed: Packed, keys: Iterable[tuple[int, int]]) -> None:
    """Put the packed days of these rows (time, wallet id) back into the table, before the rows are changed."""
    last = last_day(conn, packed)
    if last is None:
        return
    c = packed.days.c
    days = {(time // packed.per_day, wallet_id) for time, wallet_id in keys}
    for some in chunked([key for key in days if key[0] <= last], _UNPACKED_AT_ONCE):
        _put_back(conn, packed, tuple_(c.day, c.wallet_id).in_(some))


def unpack_from(conn: Connection, packed: Packed, *, day: int) -> None:
    """Put the rows of all packed days from `day` on back into the table, and delete those packed days."""
    ahead = packed.days.c.day >= day
    _put_back(conn, packed, ahead)
    conn.execute(delete(packed.days).where(ahead))


def _put_back(conn: Connection, packed: Packed, which: ColumnElement[bool]) -> None:
    c = packed.days.c
    names = [column.name for column in packed.columns]
    statement = insert_into(conn, packed.rows).on_conflict_do_nothing()
    found = conn.execute(select(c.day, c.wallet_id, c.data).where(which)).all()
    for day, wallet_id, data in found:
        values = decode(packed, day, wallet_id, data).rows()
        conn.execute(statement, [dict(zip(names, row, strict=True)) for row in values])


def first_day_to_pack(conn: Connection, packed: Packed, *, before: int, since: int) -> int | None:
    """Return the first day in `[since, before)` that has rows in the table."""
    bounds = packed.time >= since * packed.per_day, packed.time < before * packed.per_day
    found: int | None = conn.scalar(select(func.min(packed.time)).where(*bounds))
    return None if found is None else found // packed.per_day


def count_rows(conn: Connection, packed: Packed, day: int) -> int:
    """Return how many rows the table has for a day."""
    return int(conn.scalar(select(func.count()).select_from(packed.rows).where(_of_day(packed, day))) or 0)


def rows_to_pack(
    conn: Connection, packed: Packed, day: int, *, part: int, parts: int
) -> dict[int, list[Row]]:
    """Return the rows of a day for one part of the wallets, by wallet, oldest first."""
    found: dict[int, list[Row]] = {}
    wanted = (
        select(*map(raw, packed.columns))
        .where(_of_day(packed, day), packed.rows.c.wallet_id % parts == part)
        .order_by(packed.time)
        .execution_options(yield_per=2_000)
    )
    for row in conn.execute(wanted):
        found.setdefault(row[1], []).append(tuple(row))
    return found


def pack(conn: Connection, packed: Packed, day: int, of_wallets: Mapping[int, Sequence[Row]]) -> None:
    """Add rows to the packed days; rows that are packed already stay unless a new one has the same time."""
    take_lock(conn, BOOKING)
    c = packed.days.c
    before: dict[int, WalletDay] = {
        wallet_id: decode(packed, day, wallet_id, data)
        for ids in chunked(of_wallets)
        for wallet_id, data in conn.execute(
            select(c.wallet_id, c.data).where(c.day == day, c.wallet_id.in_(ids))
        )
    }
    values = []
    for wallet_id, new in of_wallets.items():
        whole = new
        if wallet_id in before:
            by_time = {row[0]: row for row in (*before[wallet_id].rows(), *new)}
            whole = [by_time[time] for time in sorted(by_time)]
        data = encode(packed, day, whole)
        values.append({"day": day, "wallet_id": wallet_id, "num_rows": len(whole), "data": data})
    conn.execute(upsert(conn, packed.days, "num_rows", "data"), values)


def fingerprint(row: Row) -> int:
    """Return a number for a row, so that the sum over many rows identifies a set of rows; valid in this process only."""
    return hash(row)


def delete_rows(conn: Connection, packed: Packed, *, since: int, until: int) -> tuple[int, int]:
    """Delete the rows of `[since, until)` from the table; return their number and the sum of their fingerprints."""
    gone = delete(packed.rows).where(packed.time >= since, packed.time < until)
    prints = [fingerprint(tuple(row)) for row in conn.execute(gone.returning(*map(raw, packed.columns)))]
    return len(prints), sum(prints)


def count_wallets(conn: Connection, packed: Packed, day: int) -> int:
    """Return how many wallets have this day packed."""
    c = packed.days.c
    return int(conn.scalar(select(func.count()).select_from(packed.days).where(c.day == day)) or 0)


def _of_day(packed: Packed, day: int) -> ColumnElement[bool]:
    return and_(packed.time >= day * packed.per_day, packed.time < (day + 1) * packed.per_day)


def wallets_of_day(conn: Connection, packed: Packed, day: int, *, most: int) -> list[int]:
    """Return the first `most` wallets that have data for a day, packed or in rows."""
    c = packed.days.c
    ids = {
        *conn.scalars(select(c.wallet_id).where(c.day == day).order_by(c.wallet_id).limit(most)),
        *conn.scalars(select(packed.rows.c.wallet_id).where(_of_day(packed, day)).distinct().limit(most)),
    }
    return sorted(ids)[:most]


def wallets_of_days(conn: Connection, packed: Packed, days: range) -> set[int]:
    """Return the wallets that have data for any of these days, packed or in rows."""
    c, time = packed.days.c, packed.time
    in_rows = (time >= days.start * packed.per_day) & (time < days.stop * packed.per_day)
    return {
        *conn.scalars(select(c.wallet_id).distinct().where(c.day >= days.start, c.day < days.stop)),
        *conn.scalars(select(packed.rows.c.wallet_id).distinct().where(in_rows)),
    }


def delete_day(conn: Connection, packed: Packed, day: int, wallet_ids: Collection[int]) -> None:
    """Delete a day of some wallets, packed or in rows."""
    c = packed.days.c
    for ids in chunked(wallet_ids):
        conn.execute(delete(packed.rows).where(_of_day(packed, day), packed.rows.c.wallet_id.in_(ids)))
        conn.execute(delete(packed.days).where(c.day == day, c.wallet_id.in_(ids)))


def delete_days(conn: Connection, packed: Packed, *, before: int, most: int) -> int:
    """Delete the oldest packed days before the day `before`, about `most` of them; return how many rows they held.

    Only whole days are deleted, so the result is 0 only when nothing is left to delete.
    """
    c = packed.days.c
    last = conn.scalar(select(c.day).where(c.day < before).order_by(c.day).offset(most - 1).limit(1))
    old = c.day < before if last is None else c.day <= last
    num_rows = conn.scalar(select(func.sum(c.num_rows)).where(old))
    conn.execute(delete(packed.days).where(old))
    return int(num_rows or 0)


def damaged(conn: Connection, packed: Packed) -> Iterator[tuple[int, int]]:
    """Yield the packed days (day, wallet id) that can't be unpacked."""
    c = packed.days.c
    wanted = select(c.day, c.wallet_id, c.num_rows, c.data).order_by(c.day, c.wallet_id)
    for day, wallet_id, num_rows, data in conn.execute(wanted.execution_options(yield_per=500)):
        try:
            times = decode(packed, day, wallet_id, data).times
        except (msgspec.MsgspecError, ValueError, TypeError):
            times = ()
        if len(times) != num_rows or any(time // packed.per_day != day for time in times):
            yield day, wallet_id

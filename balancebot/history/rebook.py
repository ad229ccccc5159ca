"""Book past usage again from the stored snapshots, after some were added.

Only hours that live booking no longer changes are written, so that nothing is lost or counted twice.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

from sqlalchemy import Connection

from balancebot.domain.audit import Via
from balancebot.domain.balance import NEVER_READ, Absent, BalanceKey, Category, Reading, Readings, WalletName
from balancebot.domain.holidays import Zone
from balancebot.domain.order import TopUp
from balancebot.domain.usage import (
    NOTHING,
    SECONDS_PER_HOUR,
    BalanceChange,
    Booked,
    Hour,
    WrongReading,
    book_history,
    spread,
)
from balancebot.store import estimates, orders, readings, types, usage, wallets, wrong_readings
from balancebot.store.database import Database
from balancebot.store.readings import SnapshotRow
from balancebot.store.usage import Used, UseRow
from balancebot.store.wallets import WalletRow

_MARGIN = 24
"""How many hours before and after new history are booked again; readings up to as many hours beyond them are used."""
_BATCH = 10_000


def rebook_account(
    database: Database,
    account: str,
    *,
    since: int,
    until: int,
    now: datetime,
    zone: Zone,
    progress: Callable[[float], None],
) -> Mapping[int, SnapshotRow]:
    """Book an account's hours again around new history, from epoch second `since` to `until`.

    If the account isn't polled yet, live booking will continue from the last reading. The usage models are deleted, so
    that they are fitted again. Usage in gaps is spread in proportion to the usual usage by hour of the week in `zone`.
    `progress` is called with the part that is done, from 0 to 1. Returns the last reading of each wallet, by its id.
    """
    first, last = since // SECONDS_PER_HOUR - _MARGIN, until // SECONDS_PER_HOUR + _MARGIN
    past = _RebookedPast(lambda at: progress(0.9 * min(1.0, max(0.0, at - since) / max(1, until - since))))
    with database.read() as conn:
        members = _members(conn, account)
        names = {row.id: row.name for row in members}
        rows = readings.snapshots_of_account(
            conn,
            account,
            since=(first - _MARGIN) * SECONDS_PER_HOUR,
            until=(last + 1 + _MARGIN) * SECONDS_PER_HOUR,
        )
        top_ups: dict[tuple[float, BalanceKey], int] = {}
        wrong: list[WrongReading] = []
        gaps: list[tuple[BalanceChange, BalanceKey, Booked]] = []
        booked = book_history(
            past.readings_of(rows, names), top_ups=top_ups, wrong=wrong, long_stretches=gaps
        )
        ids = {row.name: row.id for row in members}
        if gaps:
            _share_as_usual(conn, booked, gaps, ids, before=first - _MARGIN, zone=zone)
    end = min(last, _open_hour(members) - 1)
    hours = _hours(ids, booked, past.last_of_hour, first, end)
    while batch := list(islice(hours, _BATCH)):
        with database.write() as conn:
            usage.put(conn, batch)
    with database.write() as conn:
        types.take_lock(conn, types.BOOKING)
        orders.replace_top_ups(
            conn,
            account,
            [
                TopUp("", math.ceil(at), balance.wallet, balance.category, messages)
                for (at, balance), messages in top_ups.items()
            ],
            since=first,
            until=int(end) + 1,
            is_known=lambda hour: hour in booked or past.read(hour, ids[hour.balance.wallet]),
        )
        wrong_readings.note(
            conn,
            [reading for reading in wrong if first <= reading.at // SECONDS_PER_HOUR <= end],
            via=Via.SHEET,
            now=now,
        )
        estimates.forget_models(conn, names)
        if not any(map(_is_live, _members(conn, account))):
            readings.record_booked(
                conn,
                [(row.wallet_id, row.readings, row.observed_at) for row in past.latest.values()],
            )
    progress(1.0)
    return past.latest


def _share_as_usual(
    conn: Connection,
    booked: dict[Hour, Booked],
    gaps: Sequence[tuple[BalanceChange, BalanceKey, Booked]],
    ids: Mapping[WalletName, int],
    *,
    before: int,
    zone: Zone,
) -> None:
    """Spread the usage in gaps in proportion to the usual usage by hour of the week, where that is known.

    Hours earlier than `before` are read from the database.
    """
    from balancebot.forecast.profile import course_of_window  # lazy: numpy
    from balancebot.forecast.use_window import WINDOW_HOURS, empty_window  # lazy: numpy

    by_balance: dict[BalanceKey, list[tuple[BalanceChange, Booked]]] = defaultdict(list)
    for change, key, whole in gaps:
        by_balance[key].append((change, whole))
    for key, of_balance in by_balance.items():
        in_gaps: set[int] = set()
        for change, whole in of_balance:
            first, last = (int(at // SECONDS_PER_HOUR) for at in (change.since, change.until))
            window = range(first - WINDOW_HOURS, first)
            # the usage of hours within a gap isn't known; with readings once a day there are no other hours
            in_gaps = {hour for hour in in_gaps if hour in window}
            if len(in_gaps) < WINDOW_HOURS / 2:
                seen = [
                    (hour, part.use, part.exposure)
                    for hour in window
                    if hour not in in_gaps and (part := booked.get(Hour(hour, key)))
                ]
                if window.start < before:
                    seen += _stored(conn, ids[key.wallet], key, range(window.start, min(before, first)))
                usual = course_of_window(
                    empty_window(first).moved_to(first, seen), zone=zone, first=first, count=last - first + 1
                )
                for at, part in spread(change.since, change.until, whole):
                    booked[Hour(at, key)] = booked[Hour(at, key)].minus(part)
                for at, part in spread(change.since, change.until, whole, usual):
                    booked[Hour(at, key)] = booked.get(Hour(at, key), NOTHING).plus(part)
            in_gaps.update(range(first, last + 1))


def _stored(conn: Connection, wallet_id: int, key: BalanceKey, hours: range) -> list[tuple[int, int, int]]:
    return [
        (row.at, used.use, used.exposure)
        for row in usage.hours_of(conn, wallet_id, since=hours.start, until=hours.stop)
        if (used := row.of(key.category)).exposure
    ]


class _RebookedPast:
    """Passes readings on to be booked, and keeps the last ones."""

    def __init__(self, progress: Callable[[int], None]) -> None:
        """`progress` is called from time to time with the epoch second that was reached."""
        self._progress = progress
        self.last_of_hour: dict[tuple[int, int], Readings] = {}
        """By hour and wallet id; each category has its last reading in the hour."""
        self.latest: dict[int, SnapshotRow] = {}
        """By wallet id; each category has its last reading."""

    def read(self, hour: Hour, wallet_id: int) -> bool:
        """Return whether a balance was read in an hour."""
        readings = self.last_of_hour.get((hour.epoch_hour, wallet_id), NEVER_READ)
        return readings.of(hour.balance.category) is not Absent.UNREAD

    def readings_of(
        self, rows: Iterator[SnapshotRow], names: Mapping[int, WalletName]
    ) -> Iterator[tuple[float, BalanceKey, Reading]]:
        """Yield the readings of snapshots, which must be ordered by time."""
        for number, row in enumerate(rows):
            if number % _BATCH == 0:
                self._progress(row.at)
            key = (row.at // SECONDS_PER_HOUR, row.wallet_id)
            self.last_of_hour[key] = _over(self.last_of_hour.get(key, NEVER_READ), row.readings)
            before = self.latest.get(row.wallet_id)
            readings = row.readings if before is None else _over(before.readings, row.readings)
            self.latest[row.wallet_id] = row._replace(readings=readings)
            name = names[row.wallet_id]
            for category, reading in row.readings.items():
                if reading is not Absent.UNREAD:
                    yield row.at, BalanceKey(name, category), reading


def _over(before: Readings, after: Readings) -> Readings:
    if Absent.UNREAD not in after:
        return after
    return Readings(*(old if new is Absent.UNREAD else new for old, new in zip(before, after, strict=True)))


def _members(conn: Connection, account: str) -> list[WalletRow]:
    return wallets.of_accounts(conn, [account], configured_only=False)


def _open_hour(members: list[WalletRow]) -> float:
    """Return the first hour that live booking may still change; infinity if it hasn't begun."""
    if not any(map(_is_live, members)):
        return math.inf
    return min(row.booked_at.timestamp() // SECONDS_PER_HOUR for row in members if row.booked_at is not None)


def _is_live(row: WalletRow) -> bool:
    """Return whether live booking may have begun. (`booked_at` alone may come from an earlier import.)"""
    return row.booked_at is not None and row.attempted_at is not None


def _hours(
    ids: Mapping[WalletName, int],
    booked: Mapping[Hour, Booked],
    last_of_hour: Mapping[tuple[int, int], Readings],
    first: int,
    end: float,
) -> Iterator[UseRow]:
    """Yield the rows of each wallet's hours from `first` to `end`, both included."""
    touched = dict.fromkeys(last_of_hour)
    touched.update(dict.fromkeys((hour.epoch_hour, ids[hour.balance.wallet]) for hour in booked))
    names = {wallet_id: name for name, wallet_id in ids.items()}
    for epoch_hour, wallet_id in sorted(touched):
        if first <= epoch_hour <= end:
            universal, voice, industry, market = (
                _used(booked.get(Hour(epoch_hour, BalanceKey(names[wallet_id], category)), NOTHING))
                for category in Category
            )
            readings = last_of_hour.get((epoch_hour, wallet_id), NEVER_READ)
            yield UseRow(epoch_hour, wallet_id, readings, (universal, voice, industry, market))


def _used(part: Booked) -> Used:
    return Used(
        part.use,
        round(part.exposure),
        part.topped_up,
        part.transferred_in - part.transferred_out,
        part.refunded,
        part.transferred_out,
        part.after,
    )

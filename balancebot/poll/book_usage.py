"""Books usage per account and poll cycle: a transfer is a fall here and a rise there between the same two readings.

Until every wallet of an account that can be read has been read, nothing is booked; what couldn't be read is booked
when it can be, over the longer stretch. Booking is what moves `booked_at` on, so none is lost or counted twice.
"""

import logging
import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from balancebot.clock import JUMP
from balancebot.domain.audit import Act, Actor, Via
from balancebot.domain.balance import BalanceKey, Category, WalletName, app_of
from balancebot.domain.order import TopUp
from balancebot.domain.usage import (
    CORRECTED_TO,
    MAX_CORRECTION_SECONDS,
    NOTHING,
    SECONDS_PER_HOUR,
    BalanceChange,
    Booked,
    Hour,
    Seen,
    book_round,
    is_considerable,
    is_taken_back,
    spread,
)
from balancebot.store import audit, estimates, orders, readings, usage, wallets
from balancebot.store.estimates import EstimateRow
from balancebot.store.wallets import WalletRow

log = logging.getLogger(__name__)

_SECONDS_PER_DAY = 24 * SECONDS_PER_HOUR
_LONGEST_STRETCH = 366 * _SECONDS_PER_DAY
_HOURS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedUsage:
    """What one wallet used since it was booked before. `row` is as it was before the booking."""

    row: WalletRow
    used: Mapping[BalanceKey, int]
    is_certain: bool
    """False while the other end of a transfer can't be read: a fall may be one."""
    is_surely_use: bool
    """Whether it is an app whose pool was read with it: quota moved back would show there."""
    top_ups: tuple[tuple[TopUp, bool], ...] = ()
    """What arrived since then, and whether it was on order."""

    def pace(self) -> Iterator[tuple[BalanceKey, float]]:
        """Yield what was used per hour since it was booked before."""
        row = self.row
        if row.observed_at is not None and row.booked_at is not None:
            seconds = (row.observed_at - row.booked_at).total_seconds()
            for key, used in self.used.items():
                yield key, used * SECONDS_PER_HOUR / seconds


def book_use(
    conn: Connection, accounts: Collection[str], read: Mapping[WalletName, WalletRow], *, now: datetime
) -> tuple[BookedUsage, ...]:
    """Book the usage of each account that is complete; return what each of its wallets used.

    Nothing is booked while a reading lies ahead of `now`: its clock was wrong, and the hours until then would be booked.

    `read` holds wallets as their latest attempts leave them, which isn't stored yet. Whoever calls it has taken the lock
    `BOOKING` before reading them.
    """
    booked: list[BookedUsage] = []
    by_account: dict[str, list[WalletRow]] = defaultdict(list)
    complete = [account for account in accounts if _may_be_complete(conn, account, read)]
    for row in wallets.of_accounts(conn, complete) if complete else ():
        by_account[row.account].append(read.get(row.name, row))
    for _, rows in sorted(by_account.items()):
        if _is_complete(rows) and not any(_is_ahead(row, now) for row in rows):
            booked += _book(conn, rows)
    return tuple(booked)


def _may_be_complete(conn: Connection, account: str, read: Mapping[WalletName, WalletRow]) -> bool:
    """Tell whether no wallet is missing that isn't in `read`: most cycles read a few wallets of a large account."""
    return all(name in read for name in wallets.unbooked(conn, account, at_most=len(read) + 1))


def _is_complete(rows: Collection[WalletRow]) -> bool:
    """Tell whether every wallet was read since the last booking, but for those that can't be."""
    return all(row.error_kind is not None or _is_fresh(row) for row in rows)


def _is_ahead(row: WalletRow, now: datetime) -> bool:
    return row.observed_at is not None and row.observed_at - now > JUMP


def _is_fresh(row: WalletRow) -> bool:
    return row.observed_at is not None and (row.booked_at is None or row.observed_at > row.booked_at)


def _book(conn: Connection, rows: Collection[WalletRow]) -> list[BookedUsage]:
    fresh = [row for row in rows if _is_fresh(row)]
    now = {row.name: Seen(row.observed_at.timestamp(), row.readings) for row in fresh if row.observed_at}
    stretches = {
        row.name: (Seen(row.booked_at.timestamp(), row.booked), now[row.name])
        for row in fresh
        # after longer than a year the clock was wrong then, and hours of decades would be booked
        if row.booked_at is not None and now[row.name].at - row.booked_at.timestamp() <= _LONGEST_STRETCH
    }
    booked = book_round(stretches)
    wrong = list(_wrong_readings(conn, fresh, stretches, booked))
    if wrong:
        for reading in wrong:
            since, until = stretches[reading.balance.wallet]
            replaced = since.readings._replace(**{reading.balance.category.value: reading.instead})
            stretches[reading.balance.wallet] = (since._replace(readings=replaced), until)
        booked = book_round(stretches)
    bought = {balance: part.topped_up for balance, (_, part) in booked.items() if part.topped_up}
    ids = {row.name: row.id for row in fresh}
    expected = estimates.by_balance(conn, {ids[balance.wallet] for balance in bought}) if bought else {}
    topped_up = orders.add_top_ups(
        conn,
        [
            TopUp(
                "",
                math.ceil(now[balance.wallet].at),
                *balance,
                messages,
                _expected_use(
                    expected.get((ids[balance.wallet], balance.category)), *stretches[balance.wallet]
                ),
            )
            for balance, messages in bought.items()
        ],
    )
    for reading in wrong:
        for hour, part in reading.corrections.items():
            if part.topped_up < 0:
                orders.take_back(conn, hour, -part.topped_up)
        _note(conn, reading, at=now[reading.balance.wallet].at)
    _add_hours(conn, ids, now, booked, wrong)
    _forget_models(conn, ids, wrong)
    readings.record_booked(
        conn,
        [(row.id, row.readings, row.observed_at) for row in fresh if row.observed_at is not None],
    )
    used: dict[WalletName, dict[BalanceKey, int]] = defaultdict(dict)
    for balance, (_, part) in booked.items():
        used[balance.wallet][balance] = part.use
    unread = [row for row in rows if not _is_fresh(row)]
    pool_was_read = any(_is_pool(row) for row in fresh)
    return [
        BookedUsage(
            row=row,
            used=used.get(row.name, {}),
            is_certain=not _may_hide_transfer(row, unread),
            is_surely_use=pool_was_read and not _is_pool(row),
            top_ups=tuple(
                (top_up, bool(matches)) for top_up, matches in topped_up if top_up.wallet == row.name
            ),
        )
        for row in fresh
    ]


def _expected_use(estimate: EstimateRow | None, since: Seen, until: Seen) -> int:
    """Return how many messages are usually used in so long, as was expected before; 0 where nothing is known."""
    per_day = None if estimate is None else estimate.burn_per_day
    return round((per_day or 0) * (until.at - since.at) / _SECONDS_PER_DAY)


def _may_hide_transfer(row: WalletRow, unread: Collection[WalletRow]) -> bool:
    """Tell whether a wallet that quota may have moved to or from wasn't read: pool and apps exchange it."""
    return any(_is_pool(other) is not _is_pool(row) for other in unread)


def _is_pool(row: WalletRow) -> bool:
    return app_of(row.name) is None


class _WrongReading(NamedTuple):
    """A reading that was booked, and that the next one shows to be wrong."""

    balance: BalanceKey
    at: float
    """When it was read, in epoch seconds."""
    reading: int
    instead: int
    """The reading before it."""
    corrections: Mapping[Hour, Booked]
    """What must be added to the hours so that they are as if it had never been read."""


def _wrong_readings(
    conn: Connection,
    fresh: Collection[WalletRow],
    stretches: Mapping[WalletName, tuple[Seen, Seen]],
    booked: Mapping[BalanceKey, tuple[BalanceChange, Booked]],
) -> Iterator[_WrongReading]:
    """Yield the booked readings that the present ones show to be wrong.

    A large change without a transfer is suspected; it is a correction if the hours show the opposite change, and the
    snapshot before the booked reading agrees with the one of now. Quota that is bought for the pool and moved on at once
    isn't taken back.
    """
    rows = {row.name: row for row in fresh}
    suspected = [
        (key, before, after)
        for key, (_, total) in booked.items()
        if isinstance(before := stretches[key.wallet][0].readings.of(key.category), int)
        and isinstance(after := stretches[key.wallet][1].readings.of(key.category), int)
        and not total.is_transfer
        and (is_considerable(before, after) or before == 0 < after)
    ]
    if not suspected:
        return
    first = min(stretches[key.wallet][0].at for key, _, _ in suspected) - MAX_CORRECTION_SECONDS
    hours = usage.hours_of_wallets(
        conn, {rows[key.wallet].id for key, _, _ in suspected}, since=int(first // SECONDS_PER_HOUR)
    )
    for key, between, after in suspected:
        row = rows[key.wallet]
        since, until = (seen.at for seen in stretches[key.wallet])
        last = int(since // SECONDS_PER_HOUR) - (since % SECONDS_PER_HOUR == 0)
        recent = [
            (hour.at, hour.of(key.category))
            for hour in hours.get(row.id, ())
            if last - MAX_CORRECTION_SECONDS / SECONDS_PER_HOUR <= hour.at <= last + 1
        ]
        opposite = sum(used.topped_up if after < between else used.use for _, used in recent)
        if opposite < (1 - CORRECTED_TO) * abs(after - between) or any(
            used.transferred for _, used in recent
        ):
            continue
        earlier = readings.snapshot_before(
            conn, row.id, at=int(since), since=int(until - MAX_CORRECTION_SECONDS)
        )
        if earlier is None:
            continue
        good = earlier.readings.of(key.category)
        if not isinstance(good, int) or not is_taken_back(good, between, after):
            continue
        corrections = _corrections(key, between - good, since - earlier.at, recent, was_zero=between == 0)
        if corrections:
            log.info(
                "wrong reading",
                extra={"balance": str(key), "before": good, "reading": between, "after": after},
            )
            yield _WrongReading(key, since, between, good, corrections)


def _note(conn: Connection, wrong: _WrongReading, *, at: float) -> None:
    """Keep in the audit log which reading was taken back `at`; of one balance one a day."""
    now, subject = datetime.fromtimestamp(at, UTC), str(wrong.balance)
    day = now - timedelta(days=1)
    if not audit.newest(conn, limit=1, acts=(Act.CORRECT_READING,), about=subject, since=day):
        read_at = datetime.fromtimestamp(int(wrong.at), UTC).isoformat()
        audit.record_change(
            conn,
            Actor(name="balancebot", via=Via.POLL),
            Act.CORRECT_READING,
            subject,
            before={"balance": wrong.reading, "read_at": read_at},
            after={"balance": wrong.instead, "read_at": read_at},
            now=now,
        )


def _corrections(
    key: BalanceKey,
    change: int,
    seconds: float,
    recent: Collection[tuple[int, usage.Used]],
    *,
    was_zero: bool,
) -> dict[Hour, Booked]:
    """Return what takes a booked change back out of the hours; empty where they don't hold it.

    `seconds` lie between the two readings; where the wrong one was 0 only half of them are booked as exposure.
    """
    corrections: dict[Hour, Booked] = {}
    left = abs(change)
    for hour, used in sorted(recent, reverse=True):
        part = min(left, used.topped_up if change > 0 else used.use)
        if part:
            corrections[Hour(hour, key)] = Booked(topped_up=-part) if change > 0 else Booked(use=-part)
            left -= part
    if corrections:
        latest = max(corrections)
        if change > 0:
            # the usage that the rise hid, and its time
            hidden = Booked(use=left, exposure=min(seconds, SECONDS_PER_HOUR))
            left = 0
        else:
            hidden = Booked(exposure=seconds / 2 if was_zero else 0.0)
        corrections[latest] = corrections[latest].plus(hidden)
    return {} if left else corrections


def _add_hours(
    conn: Connection,
    ids: Mapping[WalletName, int],
    now: Mapping[WalletName, Seen],
    booked: Mapping[BalanceKey, tuple[BalanceChange, Booked]],
    wrong: Collection[_WrongReading],
) -> None:
    """Add what was booked, and what is taken back, to the hours of its wallets, some wallets at a time.

    After a month off a wallet has 720 hours: those of all wallets at once would take a GB.
    """
    hours: dict[Hour, Booked] = {}
    seen: dict[WalletName, Seen] = {}
    taken_back: dict[WalletName, list[tuple[Hour, Booked]]] = defaultdict(list)
    for reading in wrong:
        taken_back[reading.balance.wallet] += reading.corrections.items()
    for wallet in ids:
        for key in (BalanceKey(wallet, category) for category in Category):
            if key in booked:
                change, whole = booked[key]
                hours.update((Hour(at, key), part) for at, part in spread(change.since, change.until, whole))
        seen[wallet] = now[wallet]
        for hour, part in taken_back[wallet]:
            hours[hour] = hours.get(hour, NOTHING).plus(part)
        if len(hours) > _HOURS_AT_ONCE:
            usage.add(conn, ids, hours, seen)
            hours, seen = {}, {}
    usage.add(conn, ids, hours, seen)


def _forget_models(conn: Connection, ids: Mapping[WalletName, int], wrong: Collection[_WrongReading]) -> None:
    """Delete the models that were fitted to usage that did not happen."""
    learned: dict[int, list[tuple[Category, int]]] = defaultdict(list)
    for reading in wrong:
        for hour, part in reading.corrections.items():
            if part.use < 0:
                learned[ids[reading.balance.wallet]].append((reading.balance.category, hour.epoch_hour))
    if not learned:
        return
    fitted = estimates.fitted_models(conn, learned)
    estimates.forget_models(
        conn,
        {
            wallet_id
            for wallet_id, hours in learned.items()
            for category, hour in hours
            if (wallet_id, category) in fitted and fitted[wallet_id, category].hour > hour
        },
    )

"""Book usage per account and poll cycle: a transfer is a fall in one wallet and a rise in another at the same time.

Nothing is booked until every readable wallet of an account has been read. A wallet that can't be read is booked later,
over the longer stretch. Only booking advances `booked_at`, so that no usage is lost or counted twice.
"""

import logging
import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from sqlalchemy import Connection

from balancebot.clock import JUMP
from balancebot.domain.audit import Via
from balancebot.domain.balance import CATEGORIES, BalanceKey, Category, WalletName, app_of
from balancebot.domain.holidays import Zone
from balancebot.domain.order import TopUp
from balancebot.domain.usage import (
    CORRECTED_TO,
    HOURS_PER_DAY,
    LONG_STRETCH,
    MAX_CORRECTION_SECONDS,
    NOTHING,
    SECONDS_PER_DAY,
    SECONDS_PER_HOUR,
    BalanceChange,
    Booked,
    Hour,
    Seen,
    WrongReading,
    book_round,
    is_considerable,
    is_long,
    is_taken_back,
    spread,
)
from balancebot.store import estimates, orders, packing, readings, types, usage, wallets, wrong_readings
from balancebot.store.estimates import EstimateRow
from balancebot.store.wallets import WalletRow

log = logging.getLogger(__name__)

_LONGEST_STRETCH = 366 * SECONDS_PER_DAY
_HOURS_AT_ONCE = 10_000
_WALLETS_AT_ONCE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedUsage:
    """The usage of one wallet since its previous booking. `row` is the state before this booking."""

    row: WalletRow
    used: Mapping[BalanceKey, int]
    is_certain: bool
    """False while the other end of a possible transfer can't be read: then a fall may be a transfer."""
    is_surely_use: bool
    """Whether it is an app whose pool was read too: quota moved back would show there."""
    top_ups: tuple[tuple[TopUp, bool], ...] = ()
    """The top-ups since then, and whether each was on order."""
    wrong_readings: Mapping[BalanceKey, datetime] = field(default_factory=dict)
    """The balances whose booked reading was wrong, and when it was read."""

    def pace(self) -> Iterator[tuple[BalanceKey, float]]:
        """Yield the messages used per hour since the previous booking."""
        row = self.row
        if row.observed_at is not None and row.booked_at is not None:
            seconds = (row.observed_at - row.booked_at).total_seconds()
            for key, used in self.used.items():
                yield key, used * SECONDS_PER_HOUR / seconds


def book_use(
    conn: Connection,
    accounts: Collection[str],
    read: Mapping[WalletName, WalletRow],
    *,
    now: datetime,
    zone: Zone,
    every: timedelta,
) -> tuple[BookedUsage, ...]:
    """Book the usage of each account that is complete; return the usage of its wallets.

    Nothing is booked while a reading is in the future: its clock was wrong, and all hours until then would be booked.

    `read` holds wallets in the state after their latest attempts, which isn't stored yet. The caller must take the lock
    `BOOKING` before it reads them. Readings should be `every` apart: usage over a much longer time is spread in
    proportion to the usual usage by hour of the week in `zone`.
    """
    booked: list[BookedUsage] = []
    by_account: dict[str, list[WalletRow]] = defaultdict(list)
    complete = [account for account in accounts if _may_be_complete(conn, account, read)]
    for row in wallets.of_accounts(conn, complete) if complete else ():
        by_account[row.account].append(read.get(row.name, row))
    for _, rows in sorted(by_account.items()):
        if _is_complete(rows) and not any(_is_ahead(row, now) for row in rows):
            booked += _book(conn, rows, zone=zone, every=every)
    return tuple(booked)


def _may_be_complete(conn: Connection, account: str, read: Mapping[WalletName, WalletRow]) -> bool:
    """Return whether all unbooked wallets are in `read`. Quick, because most cycles read few wallets of a large account."""
    return all(name in read for name in wallets.unbooked(conn, account, at_most=len(read) + 1))


def _is_complete(rows: Collection[WalletRow]) -> bool:
    """Return whether every wallet that can be read was read since the last booking."""
    return all(row.error_kind is not None or _is_fresh(row) for row in rows)


def _is_ahead(row: WalletRow, now: datetime) -> bool:
    return row.observed_at is not None and row.observed_at - now > JUMP


def _is_fresh(row: WalletRow) -> bool:
    return row.observed_at is not None and (row.booked_at is None or row.observed_at > row.booked_at)


def _book(
    conn: Connection, rows: Collection[WalletRow], *, zone: Zone, every: timedelta
) -> list[BookedUsage]:
    fresh = [row for row in rows if _is_fresh(row)]
    now = {row.name: Seen(row.observed_at.timestamp(), row.readings) for row in fresh if row.observed_at}
    stretches = {
        row.name: (Seen(row.booked_at.timestamp(), row.booked), now[row.name])
        for row in fresh
        # a gap of more than a year means that the clock was wrong, and decades of hours would be booked
        if row.booked_at is not None and now[row.name].at - row.booked_at.timestamp() <= _LONGEST_STRETCH
    }
    booked = book_round(stretches)
    wrong = list(_wrong_readings(conn, fresh, stretches, booked))
    if wrong:
        for (wallet, category), instead in ((reading.balance, reading.instead) for reading, _ in wrong):
            since, until = stretches[wallet]
            replaced = since.readings._replace(**{category.value: instead})
            stretches[wallet] = (since._replace(readings=replaced), until)
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
    for _, corrections in wrong:
        for hour, part in corrections.items():
            if part.topped_up < 0:
                orders.reduce_top_ups(conn, hour, -part.topped_up)
    if wrong:
        latest = max(now[reading.balance.wallet].at for reading, _ in wrong)
        wrong_readings.note(
            conn, [reading for reading, _ in wrong], via=Via.POLL, now=datetime.fromtimestamp(latest, UTC)
        )
    courses = _usual_courses(conn, ids, booked, zone=zone, than=max(LONG_STRETCH, 2 * every.total_seconds()))
    _add_hours(conn, ids, now, booked, wrong, courses=courses)
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
            wrong_readings={
                reading.balance: reading.read_at for reading, _ in wrong if reading.balance.wallet == row.name
            },
        )
        for row in fresh
    ]


def _expected_use(estimate: EstimateRow | None, since: Seen, until: Seen) -> int:
    """Return the usual usage in that time by the last estimate, in messages; 0 if there is none."""
    per_day = None if estimate is None else estimate.burn_per_day
    return round((per_day or 0) * (until.at - since.at) / SECONDS_PER_DAY)


def _may_hide_transfer(row: WalletRow, unread: Collection[WalletRow]) -> bool:
    """Return whether a wallet couldn't be read with which this one exchanges quota: pool and apps do."""
    return any(_is_pool(other) is not _is_pool(row) for other in unread)


def _is_pool(row: WalletRow) -> bool:
    return app_of(row.name) is None


_Correction: TypeAlias = tuple[WrongReading, Mapping[Hour, Booked]]
"""A booked reading that the next one proves wrong, and what to add to the hours to undo it."""


def _wrong_readings(
    conn: Connection,
    fresh: Collection[WalletRow],
    stretches: Mapping[WalletName, tuple[Seen, Seen]],
    booked: Mapping[BalanceKey, tuple[BalanceChange, Booked]],
) -> Iterator[_Correction]:
    """Yield the booked readings that the new ones show to be wrong.

    Each large change that isn't a transfer is checked. It is a correction if the hours contain the opposite change and the
    snapshot before the booked reading agrees with the new one. Quota that was bought for the pool and moved on at once
    isn't a correction.
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
            yield WrongReading(since, key, between, good), corrections


def _corrections(
    key: BalanceKey,
    change: int,
    seconds: float,
    recent: Collection[tuple[int, usage.Used]],
    *,
    was_zero: bool,
) -> dict[Hour, Booked]:
    """Return the corrections that remove a booked change from the hours; empty if the hours don't contain it.

    `seconds` is the time between the two readings; if the wrong one was 0, only half of it is booked as exposure.
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
            # the usage that the rise concealed, and its time
            hidden = Booked(use=left, exposure=min(seconds, SECONDS_PER_HOUR))
            left = 0
        else:
            hidden = Booked(exposure=seconds / 2 if was_zero else 0.0)
        corrections[latest] = corrections[latest].plus(hidden)
    return {} if left else corrections


def _usual_courses(
    conn: Connection,
    ids: Mapping[WalletName, int],
    booked: Mapping[BalanceKey, tuple[BalanceChange, Booked]],
    *,
    zone: Zone,
    than: float,
) -> dict[BalanceKey, Sequence[float]]:
    """Return the usual usage in each hour of the changes that took longer, for those with a usage model."""
    gaps = {key: change for key, (change, whole) in booked.items() if is_long(change, whole, than=than)}
    if not gaps:
        return {}
    from balancebot.forecast.model import decode_models, usual_course  # lazy: numpy

    fitted = estimates.fitted_models(conn, {ids[key.wallet] for key in gaps})
    known = {key: found for key in gaps if (found := fitted.get((ids[key.wallet], key.category)))}
    models, _ = decode_models([found.model for found in known.values()])
    courses: dict[BalanceKey, Sequence[float]] = {}
    for row, key in enumerate(known):
        first, last = (int(at // SECONDS_PER_HOUR) for at in (gaps[key].since, gaps[key].until))
        course = usual_course(models[row : row + 1], zone=zone, first=first, count=last - first + 1)
        if course is not None:
            courses[key] = course
    return courses


def _add_hours(
    conn: Connection,
    ids: Mapping[WalletName, int],
    now: Mapping[WalletName, Seen],
    booked: Mapping[BalanceKey, tuple[BalanceChange, Booked]],
    wrong: Collection[_Correction],
    *,
    courses: Mapping[BalanceKey, Sequence[float]],
) -> None:
    """Add the booked usage and the corrections to the hours, some wallets at a time.

    After a month off, a wallet has 720 hours: the hours of all wallets together would take 1 GB of memory.
    """
    hours: dict[Hour, Booked] = {}
    seen: dict[WalletName, Seen] = {}
    corrections_of: dict[WalletName, list[tuple[Hour, Booked]]] = defaultdict(list)
    for reading, corrections in wrong:
        corrections_of[reading.balance.wallet] += corrections.items()
    around_days = _add_whole_days(conn, ids, booked, courses)
    for wallet in ids:
        for key in (BalanceKey(wallet, category) for category in CATEGORIES):
            if key in booked:
                change, whole = booked[key]
                parts = around_days.get(key) or spread(change.since, change.until, whole, courses.get(key))
                hours.update((Hour(at, key), part) for at, part in parts)
        seen[wallet] = now[wallet]
        for hour, part in corrections_of[wallet]:
            hours[hour] = hours.get(hour, NOTHING).plus(part)
        if len(hours) > _HOURS_AT_ONCE:
            usage.add(conn, ids, hours, seen)
            hours, seen = {}, {}
    usage.add(conn, ids, hours, seen)


def _add_whole_days(
    conn: Connection,
    ids: Mapping[WalletName, int],
    booked: Mapping[BalanceKey, tuple[BalanceChange, Booked]],
    courses: Mapping[BalanceKey, Sequence[float]],
) -> dict[BalanceKey, list[tuple[int, Booked]]]:
    """Store the days that lie wholly within long pauses, packed; return what is left for the hours around them.

    It takes less than half the time that a row per hour takes.
    """
    days = {
        key: range(int(change.since // SECONDS_PER_DAY) + 1, int(change.until // SECONDS_PER_DAY))
        for key, (change, _) in booked.items()
        if change.until - change.since >= 2 * SECONDS_PER_DAY
    }
    if not days:
        return {}
    span = range(min(part.start for part in days.values()), max(part.stop for part in days.values()))
    taken = packing.wallets_of_days(conn, usage.PACKED, span)
    left: dict[BalanceKey, list[tuple[int, Booked]]] = {}
    of_wallets: dict[int, dict[Category, tuple[int, list[Booked]]]] = {}
    for key, of_key in days.items():
        if ids[key.wallet] in taken:
            continue
        change, whole = booked[key]
        hours = range(of_key.start * HOURS_PER_DAY, of_key.stop * HOURS_PER_DAY)
        parts = list(spread(change.since, change.until, whole, courses.get(key)))
        within = slice(hours.start - parts[0][0], hours.stop - parts[0][0])
        if len(parts) == parts[-1][0] - parts[0][0] + 1:  # no hour was left out
            stored = [part for _, part in parts[within]]
            of_wallets.setdefault(ids[key.wallet], {})[key.category] = (of_key.start, stored)
            del parts[within]
        left[key] = parts
    for some in types.chunked(list(of_wallets.items()), _WALLETS_AT_ONCE):
        usage.add_days(conn, dict(some))
    return left


def _forget_models(conn: Connection, ids: Mapping[WalletName, int], wrong: Collection[_Correction]) -> None:
    """Delete the models that were fitted to usage that didn't happen."""
    learned: dict[int, list[tuple[Category, int]]] = defaultdict(list)
    for reading, corrections in wrong:
        for hour, part in corrections.items():
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

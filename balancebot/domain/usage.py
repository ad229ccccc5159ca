"""Booking: how much of the change between two readings of an account's balances is usage, top-up, transfer or refund.

The booked numbers add up to what was read: per balance, before + topped_up + transferred_in + refunded
- use - transferred_out = after. Nothing is guessed for a time without readings.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from typing import NamedTuple

from balancebot.domain.balance import (
    Absent,
    BalanceKey,
    Category,
    Reading,
    Readings,
    WalletName,
    account_of,
    app_of,
)

SECONDS_PER_HOUR = 3600
HOURS_PER_DAY = 24
SECONDS_PER_DAY = HOURS_PER_DAY * SECONDS_PER_HOUR

MAX_REFUND = 50
"""A rise is a refund of failed sends if it has at most this many messages; nobody buys so few ..."""
MAX_REFUND_SHARE = 0.01
"""... and is at most this part of the balance; nobody adds so small a part."""
CORRECTED_TO = 0.10
"""The most usage during a wrong reading, as a part of the change that was reversed."""
MAX_CORRECTION_SECONDS = 2 * SECONDS_PER_HOUR
"""A wrong reading must be reversed within this time after the last good one."""
TRANSFER_SLACK = 0.10
"""The most usage, as a part of the transfer, by which a rise and a fall may differ and still be one transfer."""
LONG_STRETCH = MAX_CORRECTION_SECONDS
"""Seconds: usage between readings further apart is spread over its hours in proportion to the usual usage then."""


class Seen(NamedTuple):
    """The readings of one wallet at one instant."""

    at: float
    """Epoch seconds."""
    readings: Readings


class BalanceChange(NamedTuple):
    """Two successive readings of one balance; neither is UNREAD, and `until` is after `since`."""

    wallet: WalletName
    since: float
    until: float
    before: Reading
    after: Reading


class Booked(NamedTuple):
    """The parts of one change, in messages. (A named tuple, because a poll cycle makes tens of thousands.)"""

    use: int = 0
    exposure: float = 0.0
    """Seconds of the interval in which usage is visible: none at a zero, while unallocated or across a top-up."""
    topped_up: int = 0
    transferred_in: int = 0
    transferred_out: int = 0
    refunded: int = 0
    after: int = 0
    """The balance's change after the last reading of the hour, which a later reading books under this hour."""

    def plus(self, other: "Booked") -> "Booked":
        """Return the sum of both."""
        return Booked(
            use=self.use + other.use,
            exposure=self.exposure + other.exposure,
            topped_up=self.topped_up + other.topped_up,
            transferred_in=self.transferred_in + other.transferred_in,
            transferred_out=self.transferred_out + other.transferred_out,
            refunded=self.refunded + other.refunded,
            after=self.after + other.after,
        )

    def minus(self, other: "Booked") -> "Booked":
        """Return the difference to `other`."""
        return Booked(
            use=self.use - other.use,
            exposure=self.exposure - other.exposure,
            topped_up=self.topped_up - other.topped_up,
            transferred_in=self.transferred_in - other.transferred_in,
            transferred_out=self.transferred_out - other.transferred_out,
            refunded=self.refunded - other.refunded,
            after=self.after - other.after,
        )

    @property
    def net(self) -> int:
        """The resulting change of the balance."""
        return self.topped_up + self.transferred_in + self.refunded - self.use - self.transferred_out

    @property
    def is_transfer(self) -> bool:
        """Whether quota was moved."""
        return bool(self.transferred_in or self.transferred_out)


NOTHING = Booked()


class WrongReading(NamedTuple):
    """A reading that the next one proved wrong."""

    at: float
    """When the wrong value was read, in epoch seconds."""
    balance: BalanceKey
    reading: int
    instead: int
    """The reading before it."""

    @property
    def read_at(self) -> datetime:
        """When it was read, in UTC."""
        return datetime.fromtimestamp(self.at, UTC)


class Hour(NamedTuple):
    """One clock hour of one balance: the key of the hourly roll-up."""

    epoch_hour: int
    """Whole hours since 1970 in UTC."""
    balance: BalanceKey


def book_round(
    stretches: Mapping[WalletName, tuple[Seen, Seen]],
) -> dict[BalanceKey, tuple[BalanceChange, Booked]]:
    """Book the readings of one account from one poll cycle; return each change and its parts.

    `stretches` holds per wallet the reading up to which it is booked and the new one. Pass all wallets of the account
    that were read, at once: a transfer is recognised by a fall in one and a rise in another in the same cycle. Leave
    out a wallet that couldn't be read: it stays booked up to its earlier reading, and its next stretch is longer. A
    category that is unread at either end is skipped as well.
    """
    found: dict[BalanceKey, tuple[BalanceChange, Booked]] = {}
    for place, category in enumerate(Category):
        changes = [
            BalanceChange(wallet, before.at, after.at, before.readings[place], after.readings[place])
            for wallet, (before, after) in stretches.items()
            if after.readings[place] is not Absent.UNALLOCATED
            or before.readings[place] is not Absent.UNALLOCATED
        ]
        for change, booked in book_category(changes):
            if booked != NOTHING:
                found[BalanceKey(change.wallet, category)] = change, booked
    return found


def book_history(
    readings: Iterable[tuple[float, BalanceKey, Reading]],
    *,
    top_ups: dict[tuple[float, BalanceKey], int] | None = None,
    wrong: list[WrongReading] | None = None,
    long_stretches: list[tuple[BalanceChange, BalanceKey, Booked]] | None = None,
) -> dict[Hour, Booked]:
    """Book past readings (epoch seconds, ascending) of any number of accounts; return the totals of each hour.

    `top_ups` is filled with the messages bought, by the instant of the reading that showed them; `wrong` with the readings
    that the next one reverses; `long_stretches` with the changes over more than `LONG_STRETCH`, whose usage is spread
    evenly here.

    A cycle of an account ends when one of its balances occurs again. A reading that the next one reverses is ignored: the
    reading before it is compared with the one after it.
    """
    hours: dict[Hour, Booked] = {}
    bought = {} if top_ups is None else top_ups
    wrong_readings = [] if wrong is None else wrong
    last: dict[BalanceKey, tuple[float, Reading]] = {}
    latest: dict[BalanceKey, tuple[BalanceChange, Booked]] = {}
    rounds: dict[tuple[str, Category], dict[WalletName, BalanceChange]] = {}

    def book(changes: Iterable[BalanceChange], category: Category) -> None:
        for change, booked in book_category(changes):
            key = BalanceKey(change.wallet, category)
            previous = latest.pop(key, None)
            if previous is None or not _corrects(previous, change, booked):
                latest[key] = counted = change, booked
            else:
                there, before = previous
                wrong_readings.append(
                    WrongReading(there.until, key, _amount(there.after), _amount(there.before))
                )
                bought.pop((there.until, key), None)
                for epoch_hour, part in spread(there.since, there.until, before):
                    hours[Hour(epoch_hour, key)] = hours[Hour(epoch_hour, key)].minus(part)
                whole = change._replace(since=there.since, before=there.before)
                counted = whole, _book(whole, arrived=0, left=0)
            if counted[1].topped_up:
                bought[counted[0].until, key] = counted[1].topped_up
            if long_stretches is not None and is_long(*counted):
                long_stretches.append((counted[0], key, counted[1]))
            for epoch_hour, part in spread(counted[0].since, counted[0].until, counted[1]):
                hour = Hour(epoch_hour, key)
                hours[hour] = hours.get(hour, NOTHING).plus(part)

    for at, balance, reading in readings:
        wallet, category = balance
        since, before = last.get(balance, (at, reading))
        last[balance] = (at, reading)
        scope = (account_of(wallet), category)
        under_way = rounds.setdefault(scope, {})
        if wallet in under_way:
            book(under_way.values(), category)
            under_way.clear()
        under_way[wallet] = BalanceChange(wallet, since, at, before, reading)
    for (_, category), under_way in rounds.items():
        book(under_way.values(), category)
    return hours


def book_category(changes: Iterable[BalanceChange]) -> Iterator[tuple[BalanceChange, Booked]]:
    """Split each change of one category, within one account and poll cycle, into its parts.

    Changes that are unread at either end, that take no time, or that are unallocated at both ends yield nothing.
    """
    changes = [change for change in changes if _can_be_booked(change)]
    transfers = _transfers(changes)
    for change, (arrived, left) in zip(changes, transfers, strict=True):
        yield change, _book(change, arrived=arrived, left=left)


def is_long(change: BalanceChange, booked: Booked, *, than: float = LONG_STRETCH) -> bool:
    """Whether a change has usage and took more than so many seconds."""
    return booked.use > 0 and change.until - change.since > than


def spread(
    since: float, until: float, booked: Booked, usual: Sequence[float] | None = None
) -> Iterator[tuple[int, Booked]]:
    """Spread usage over the clock hours between two instants; everything else is booked under the last hour.

    `usual` is the usual usage of each clock hour from that of `since` to that of `until`: usage is spread in proportion to
    it, and evenly without it. In the hours before that of the reading at `until`, the booked change came after the last
    reading of the hour (`Booked.after`).
    """
    first, last = int(since // SECONDS_PER_HOUR), int(until // SECONDS_PER_HOUR)
    ends_with_hour = last > first and until == last * SECONDS_PER_HOUR
    if ends_with_hour:
        last -= 1
    used_by = _used_by(since, until, usual) if usual is not None else None
    done, past = 0, 0.0
    for index, epoch_hour in enumerate(range(first, last)):
        share = ((epoch_hour + 1) * SECONDS_PER_HOUR - since) / (until - since)
        # whole messages, so that the hours add up to what was booked
        use = min(int(booked.use * (share if used_by is None else used_by[index])), booked.use)
        if use > done or booked.exposure:
            yield (
                epoch_hour,
                Booked(use=use - done, exposure=booked.exposure * (share - past), after=done - use),
            )
        done, past = use, share
    rest = booked._replace(use=booked.use - done, exposure=booked.exposure * (1 - past))
    yield last, rest._replace(after=rest.net) if ends_with_hour else rest


def _used_by(since: float, until: float, usual: Sequence[float]) -> list[float] | None:
    """Return the part of the usage before the end of each hour; None if `usual` is 0 throughout."""
    first = since // SECONDS_PER_HOUR
    parts = [
        rate
        * (
            min(until, (first + index + 1) * SECONDS_PER_HOUR)
            - max(since, (first + index) * SECONDS_PER_HOUR)
        )
        for index, rate in enumerate(usual)
    ]
    total = sum(parts)
    return [part / total for part in accumulate(parts)] if total > 0 else None


def is_refund(before: int, rise: int) -> bool:
    """Whether a rise is so small, absolutely and relative to the balance, that it is a refund of failed sends."""
    return 0 < rise <= min(MAX_REFUND, before * MAX_REFUND_SHARE)


def is_considerable(before: int, after: int) -> bool:
    """Whether a change is larger than a refund of failed sends can be, absolutely or relative to the balance."""
    return before > 0 and abs(after - before) > max(MAX_REFUND, before * MAX_REFUND_SHARE)


def is_taken_back(before: int, between: int, after: int) -> bool:
    """Whether the reading `between` is wrong: the next reading reverses its rise or fall, except for some usage.

    Such a change is a correction, neither usage nor a top-up. After an empty balance no reading counts as wrong, because
    a balance may be filled and emptied again.
    """
    if not is_considerable(before, between):
        return False
    return 0 <= before - after <= min(CORRECTED_TO * abs(between - before), before / 2)


def _corrects(previous: tuple[BalanceChange, Booked], change: BalanceChange, booked: Booked) -> bool:
    """Return whether `change` reverses the one before it. A transfer, or a transfer back, is not a correction."""
    wrong, before = previous
    return (
        isinstance(wrong.before, int)
        and isinstance(wrong.after, int)
        and isinstance(change.after, int)
        and wrong.until == change.since
        and change.until - wrong.since <= MAX_CORRECTION_SECONDS
        and not before.is_transfer
        and not booked.is_transfer
        and is_taken_back(wrong.before, wrong.after, change.after)
    )


def _can_be_booked(change: BalanceChange) -> bool:
    _, since, until, before, after = change
    return (
        until > since
        and before is not Absent.UNREAD
        and after is not Absent.UNREAD
        and (before is not Absent.UNALLOCATED or after is not Absent.UNALLOCATED)
    )


def _amount(reading: Reading) -> int:
    return reading if isinstance(reading, int) else 0


def _delta(change: BalanceChange) -> int:
    _, _, _, before, after = change
    return _amount(after) - _amount(before)


def _book(change: BalanceChange, *, arrived: int, left: int) -> Booked:
    """Book one change, of which `arrived` and `left` are transfers."""
    _, since, until, before, after = change
    rest = _delta(change) - arrived + left
    if not isinstance(before, int):
        return Booked(topped_up=max(rest, 0), use=max(-rest, 0), transferred_in=arrived)
    if not isinstance(after, int):
        if left:
            return Booked(use=max(-rest, 0), transferred_out=left)
        return Booked(transferred_out=max(-rest, 0))  # withdrawn by an unknown receiver: no usage
    seconds = until - since
    if arrived or left:
        # Usage here is the difference between the two sides: a remainder, not a measurement of the rate.
        return Booked(use=max(-rest, 0), topped_up=max(rest, 0), transferred_in=arrived, transferred_out=left)
    if rest > 0 and not is_refund(before, rest):
        return Booked(topped_up=rest)
    if before == 0:
        exposure = 0.0  # nothing could be sent
    elif after == 0:
        exposure = seconds / 2  # it became empty at an unknown time in between
    else:
        exposure = seconds
    return Booked(use=max(-rest, 0), refunded=max(rest, 0), exposure=exposure)


def _transfers(changes: list[BalanceChange]) -> list[tuple[int, int]]:
    """Return per change how much arrived and how much left by transfer. Quota moves only between pool and apps."""
    arrived = [0] * len(changes)
    left = [0] * len(changes)
    pool = next((i for i, change in enumerate(changes) if app_of(change.wallet) is None), None)
    if pool is None or len(changes) < 2:
        return list(zip(arrived, left, strict=True))
    pool_delta = _delta(changes[pool])
    apps = [i for i in range(len(changes)) if i != pool]
    if pool_delta < 0:
        rises = [i for i in apps if _rise(changes[i]) > 0]
        for i in sorted(rises, key=lambda i: -_rise(changes[i])):
            moved = _moved(_rise(changes[i]), -pool_delta - left[pool])
            if moved:
                arrived[i] = moved
                left[pool] += moved
    elif _rise(changes[pool]) > 0:
        falls = [i for i in apps if _delta(changes[i]) < 0]
        for i, moved in _returned(changes, falls, pool_delta):
            left[i] = moved
            arrived[pool] += moved
    return list(zip(arrived, left, strict=True))


def _rise(change: BalanceChange) -> int:
    """Return the rise of a change; 0 if it is a fall or a refund."""
    rise = _delta(change)
    if rise <= 0 or (isinstance(change.before, int) and is_refund(change.before, rise)):
        return 0
    return rise


def _moved(rise: int, fall: int) -> int:
    """Return the size of the transfer that shows as `rise` in one wallet and, plus some usage, as `fall` in the other.

    People move round numbers. A fall with at most two significant figures is the amount moved, and the receiver has used
    the difference. Otherwise the roundest number that fits is taken, or the rise itself. 0 = they don't match.
    """
    if fall < rise:
        return 0
    if rise >= fall / 2 and fall % 10 ** max(len(str(fall)) - 2, 2) == 0:
        return fall
    most = min(fall, int(rise * (1 + TRANSFER_SLACK)))
    for digits in range(len(str(most)), 0, -1):
        unit: int = 10**digits
        candidate = -(-rise // unit) * unit
        if candidate <= most:
            return candidate
    return rise


def _returned(changes: list[BalanceChange], falls: list[int], rise: int) -> list[tuple[int, int]]:
    """Return which apps returned quota to the pool, and how much, so that it explains the pool's rise."""
    gone = [i for i in falls if not isinstance(changes[i].after, int)]
    back = [(i, -_delta(changes[i])) for i in gone]
    rest = rise - sum(moved for _, moved in back)
    if gone and rest <= 0:
        # Usage before the return can make the parts larger than the total; then later parts are reduced.
        return _capped(back, rise)
    shrunk = [i for i in falls if i not in gone and -_delta(changes[i]) >= rest]
    if shrunk:
        nearest = min(shrunk, key=lambda i: -_delta(changes[i]))
        if -_delta(changes[nearest]) <= rest * (1 + TRANSFER_SLACK) + MAX_REFUND:
            return [*back, (nearest, rest)]
    return back


def _capped(parts: list[tuple[int, int]], total: int) -> list[tuple[int, int]]:
    capped: list[tuple[int, int]] = []
    for i, part in parts:
        moved = min(part, total)
        capped.append((i, moved))
        total -= moved
    return capped

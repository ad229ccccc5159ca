"""Compute each simulated balance at any instant from the scenario, its seed and the time, and from what tests set.

Usage is drawn at random for whole days of steps, around a daily and weekly rhythm. So instants can be requested in any
order, and a month of history agrees with all later answers.
"""

import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from balancebot.domain.balance import (
    Absent,
    BalanceKey,
    Category,
    Reading,
    Readings,
    Snapshot,
    WalletName,
    account_of,
)
from balancebot.jsms.simulator.scenario import Event, EventKind, Quota, Scenario

_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PEAK_HOUR = 14
_KEPT_DAYS = 3
_HORIZON = timedelta(days=400)
"""For how long after the start a scenario's repeated events are expanded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _HigherUsage:
    """A span of steps [first, last) with higher usage."""

    first: int
    last: int
    factor: float
    per_step: float


@dataclass(slots=True, kw_only=True)
class _Track:
    """One balance: the values it was set to, and the usage since then."""

    quota: Quota
    seed: tuple[int, int]
    steps_a_day: int
    offset_steps: int
    anchors: list[tuple[int, int | None]]
    """(step, value at its end), ascending."""
    spans: list[_HigherUsage] = field(default_factory=list)
    _totals: dict[int, int] = field(default_factory=dict)
    _days: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    """The running totals of the days that were requested last: those of the latest anchor and of the present."""

    def value(self, step: int) -> int | None:
        """Return the balance at the end of `step`."""
        place = bisect_right(self.anchors, step, key=lambda anchor: anchor[0]) - 1
        since, value = self.anchors[max(place, 0)]
        if value is None:
            return None
        return max(value - self._used(since, step), 0)

    def put(self, step: int, value: int | None) -> None:
        """Set the balance to `value` at `step`, and drop values that were set for later steps."""
        while self.anchors and self.anchors[-1][0] >= step:
            self.anchors.pop()
        self.anchors.append((step, value))

    def add_span(self, span: _HigherUsage) -> None:
        """Change the usage; the usage in earlier steps stays the same."""
        self.spans.append(span)
        first_day = span.first // self.steps_a_day
        self._totals = {day: total for day, total in self._totals.items() if day < first_day}
        self._days.clear()

    def _used(self, after: int, until: int) -> int:
        """Return the usage in the steps (after, until]."""
        if until <= after or (self.quota.per_day == 0 and not self.spans):
            return 0
        first, last = after // self.steps_a_day, until // self.steps_a_day
        whole_days = sum(self._total(day) for day in range(first, last))
        return whole_days + self._so_far(until) - self._so_far(after)

    def _so_far(self, step: int) -> int:
        """Return the usage of the step's day up to and including `step`."""
        day, place = divmod(step, self.steps_a_day)
        return int(self._day(day)[place])

    def _total(self, day: int) -> int:
        if day not in self._totals:
            self._totals[day] = int(self._day(day)[-1])
        return self._totals[day]

    def _day(self, day: int) -> NDArray[np.int64]:
        """Return the running total of a day's usage."""
        found = self._days.get(day)
        if found is None:
            while len(self._days) >= _KEPT_DAYS:
                del self._days[next(iter(self._days))]
            found = self._days[day] = np.cumsum(self._draw(day))
        return found

    def _draw(self, day: int) -> NDArray[np.int64]:
        quota, num = self.quota, self.steps_a_day
        random = np.random.default_rng((*self.seed, day))
        steps = np.arange(day * num, (day + 1) * num)
        local = steps + self.offset_steps
        hours = (local % num) * (24 / num)
        # 1970-01-01 was a Thursday: days 2 and 3 after it are a weekend.
        weekend = ((local // num) % 7 >= 2) & ((local // num) % 7 < 4)
        shape = 1 + quota.daily * np.cos((hours - _PEAK_HOUR) * (2 * np.pi / 24))
        shape = shape * np.where(weekend, 1 - quota.weekly, 1.0) / (1 - quota.weekly * 2 / 7)
        if quota.noise > 0:
            hourly = random.gamma(quota.noise**-2, quota.noise**2, 24)
            shape = shape * np.repeat(hourly, -(-num // 24))[:num]
        expected = shape * (quota.per_day / num)
        for span in self.spans:
            inside = (steps >= span.first) & (steps < span.last)
            expected = np.where(inside, expected * span.factor + span.per_step, expected)
        drawn: NDArray[np.int64] = random.poisson(expected)
        return drawn


class Ledger:
    """All balances of a scenario. Not thread-safe."""

    def __init__(self, scenario: Scenario, *, started_at: datetime) -> None:
        """Prepare the scenario's history and events around `started_at`."""
        self._step = scenario.step
        self._started = self._index(started_at)
        self._first = self._index(started_at - scenario.history)
        offset = scenario.timezone.utcoffset(started_at) or timedelta()
        self._tracks = {
            BalanceKey(wallet.name, category): self._track(
                scenario, BalanceKey(wallet.name, category), quota, offset
            )
            for wallet in scenario.wallets
            for category, quota in zip(Category, wallet.quotas, strict=True)
        }
        self._events = iter(sorted(self._expanded(scenario), key=lambda planned: planned[0]))
        self._next_event = next(self._events, None)

    def readings(self, wallet: WalletName, at: datetime) -> Readings:
        """Return the wallet's readings at `at`, which must not be earlier than the last `put` or `happen`."""
        step = self._index(at)
        self._play(step)
        return Readings(
            *(_reading(self._tracks[BalanceKey(wallet, category)].value(step)) for category in Category)
        )

    def put(self, balance: BalanceKey, value: int | None, at: datetime) -> None:
        """Set a balance to `value` (None: unallocated); usage continues from there."""
        step = self._index(at)
        self._play(step)
        self._tracks[balance].put(step, value)

    def happen(self, event: Event, at: datetime) -> None:
        """Apply `event` at `at`; its own time is ignored."""
        step = self._index(at)
        self._play(step)
        self._apply(step, event)

    def history(
        self, wallets: Iterator[WalletName], *, every: timedelta, until: datetime
    ) -> Iterator[Snapshot]:
        """Yield readings at intervals of `every`, from the start of the history up to `until`.

        The oldest come first, all wallets at each instant. Instants are whole multiples of `every` since 1970.
        """
        names = tuple(wallets)
        at = _EPOCH + -(-(self._first * self._step) // every) * every
        while at < until:
            for wallet in names:
                yield Snapshot(wallet=wallet, observed_at=at, readings=self.readings(wallet, at))
            at += every

    def _index(self, at: datetime) -> int:
        return (at - _EPOCH) // self._step

    def _track(self, scenario: Scenario, balance: BalanceKey, quota: Quota, offset: timedelta) -> _Track:
        return _Track(
            quota=quota,
            seed=(scenario.seed, zlib.crc32(str(balance).encode())),
            steps_a_day=_DAY // scenario.step,
            offset_steps=offset // scenario.step,
            anchors=[(self._first, quota.start)],
        )

    def _expanded(self, scenario: Scenario) -> Iterator[tuple[int, Event]]:
        for event in scenario.events:
            at = event.at
            while True:
                step = self._started + at // self._step
                if event.kind.lasts:
                    self._apply(step, event)
                else:
                    yield step, event
                if event.every is None or at > _HORIZON:
                    break
                at += event.every

    def _play(self, step: int) -> None:
        """Apply every event that is due by `step`."""
        while self._next_event is not None and self._next_event[0] <= step:
            self._apply(*self._next_event)
            self._next_event = next(self._events, None)

    def _apply(self, step: int, event: Event) -> None:
        track = self._tracks[event.balance]
        held = track.value(step) or 0
        match event.kind:
            case EventKind.TOP_UP | EventKind.REFUND:
                track.put(step, held + event.amount)
            case EventKind.USE:
                track.put(step, max(held - event.amount, 0))
            case EventKind.SET:
                track.put(step, event.amount)
            case EventKind.UNALLOCATE:
                track.put(step, None)
            case EventKind.ALLOCATE | EventKind.RETURN:
                pool = self._tracks[
                    BalanceKey(WalletName(account_of(event.balance.wallet)), event.balance.category)
                ]
                giver, taker = (pool, track) if event.kind is EventKind.ALLOCATE else (track, pool)
                moved = min(event.amount, giver.value(step) or 0)
                taker.put(step, (taker.value(step) or 0) + moved)
                giver.put(step, (giver.value(step) or 0) - moved)
            case EventKind.BURST | EventKind.PUMPING:
                track.add_span(
                    _HigherUsage(
                        first=step + 1,
                        last=step + 1 + event.lasts // self._step,
                        factor=event.factor,
                        per_step=event.per_hour * (self._step / timedelta(hours=1)),
                    )
                )


def _reading(value: int | None) -> Reading:
    return Absent.UNALLOCATED if value is None else value

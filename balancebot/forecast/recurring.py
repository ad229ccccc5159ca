"""Bursts that recur on a day of the week or month, or on paydays: found in a balance's own past, and expected again."""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from balancebot.forecast.bursts import Burst

MOST_RULES = 3
"""The most rules per balance."""
_CERTAIN_ENOUGH = 0.7
"""A rule must have been true on this part of its days since it was first seen ..."""
_ACCIDENT = 0.1
"""... and its probability by chance must be less than this."""
_SPREAD = 0.2
"""The least relative variation of the size of two sends; the more are known, the smaller."""


class Repeats(IntEnum):
    """The days on which a rule applies."""

    NEVER = 0
    WEEKDAY = 1
    """0 = Monday."""
    DAY_OF_MONTH = 2
    FROM_MONTH_END = 3
    """0 = the last day."""
    LAST_WEEKDAY = 4
    """0 = the last Monday of the month."""
    WORKING_DAY_OF_MONTH = 5
    """A day of the month, or the Friday before it where it is on a weekend: paydays."""
    WORKING_DAY_FROM_MONTH_END = 6
    """0 = the last working day of the month, by the same rule."""


_MOVED = {
    Repeats.WORKING_DAY_OF_MONTH: Repeats.DAY_OF_MONTH,
    Repeats.WORKING_DAY_FROM_MONTH_END: Repeats.FROM_MONTH_END,
}
"""Patterns whose days move to the Friday before a weekend, and what names the days that move."""
_LOOKED_FOR = (
    Repeats.WEEKDAY,
    Repeats.FROM_MONTH_END,
    Repeats.DAY_OF_MONTH,
    Repeats.LAST_WEEKDAY,
    Repeats.WORKING_DAY_FROM_MONTH_END,
    Repeats.WORKING_DAY_OF_MONTH,
)
"""Of two that explain as much, the first one counts."""
_FRIDAY = 4


class Rule(NamedTuple):
    """A burst of about `messages` is expected on each day of the rule, with the probability `chance`."""

    repeats: Repeats
    day: int
    hour: int
    """The local hour in which it begins."""
    hours: int
    chance: float
    messages: float
    spread: float


class DatedSend(NamedTuple):
    """A send that was planned by a person or is expected by a rule. Instants are in epoch seconds."""

    start: float
    end: float
    messages: float
    chance: float = 1.0
    spread: float = 0.0


def recurring(bursts: Sequence[Burst], end_hour: int, zone: str) -> tuple[list[Rule], list[Burst]]:
    """Return the rules found in the bursts up to a clock hour, the surest first, and the remaining bursts.

    If both of two bursts are on the same day of the month, that is a rule; with more bursts, more of them must agree.
    """
    if len(bursts) < 2:
        return [], list(bursts)
    left = list(bursts)
    rules: list[Rule] = []
    local = {burst: _local(burst.hour, zone) for burst in left}
    today = _local(end_hour - 1, zone).date()
    while len(rules) < MOST_RULES and len(left) >= 2:
        best: tuple[int, int, Repeats, int, list[Burst]] | None = None
        for repeats in _LOOKED_FOR:
            days: dict[int, list[Burst]] = {}
            for burst in left:
                for day in _days_of(local[burst].date(), repeats):
                    days.setdefault(day, []).append(burst)
            for day, found in days.items():
                dates = {local[burst].date() for burst in found}
                if not _is_no_accident(len(dates), len(left), repeats):
                    continue
                missed = _occasions(dates, today, repeats, day) - len(dates)
                if len(dates) < _CERTAIN_ENOUGH * (len(dates) + missed):
                    continue
                if best is None or (len(dates), -missed) > (best[0], -best[1]):
                    best = (len(dates), missed, repeats, day, found)
        if best is None:
            break
        count, missed, repeats, day, found = best
        sizes = np.array([burst.messages for burst in found]) * len(found) / count
        starts = [local[burst].hour for burst in found]
        rules.append(
            Rule(
                repeats=repeats,
                day=day,
                hour=int(np.median(starts)),
                hours=max(1, int(np.median([burst.hours for burst in found]))),
                chance=count / (count + missed + 0.5),
                messages=float(sizes.mean()),
                spread=float(np.hypot(sizes.std(), _SPREAD * sizes.mean() * math.sqrt(2 / count))),
            )
        )
        left = [burst for burst in left if burst not in found]
    return rules, left


def occurrences(rule: Rule, since: float, until: float, zone: str) -> Iterator[DatedSend]:
    """Yield the sends that a rule expects in [since, until) (epoch seconds)."""
    tz = ZoneInfo(zone)
    first, last = (datetime.fromtimestamp(at, tz).date() for at in (since, until))
    for day in _named(rule.repeats, rule.day, first, last):
        start = datetime(day.year, day.month, day.day, rule.hour, tzinfo=tz).timestamp()
        if since <= start < until:
            yield DatedSend(start, start + rule.hours * 3600.0, rule.messages, rule.chance, rule.spread)


def _is_no_accident(hits: int, count: int, repeats: Repeats) -> bool:
    """Whether `hits` of `count` bursts on the same day of the week or month are unlikely by chance."""
    chance = 1 / 7 if repeats is Repeats.WEEKDAY else 2 / 30
    return hits >= 2 and math.comb(count, hits) * chance ** (hits - 1) < _ACCIDENT


def _local(hour: int, zone: str) -> datetime:
    return datetime.fromtimestamp(hour * 3600 + 1800, UTC).astimezone(ZoneInfo(zone))


def _day(day: date, repeats: Repeats) -> int | None:
    """Return the day of a pattern that doesn't move which a date is; None where it is none."""
    match repeats:
        case Repeats.WEEKDAY:
            return day.weekday()
        case Repeats.DAY_OF_MONTH:
            return day.day
        case Repeats.LAST_WEEKDAY:
            return day.weekday() if (day + timedelta(days=7)).month != day.month else None
        case _:
            return (day.replace(day=28) + timedelta(days=4)).replace(day=1).toordinal() - day.toordinal() - 1


def _days_of(day: date, repeats: Repeats) -> set[int]:
    """Return all days of a pattern that may have been meant by a burst on a date."""
    if repeats not in _MOVED:
        found = _day(day, repeats)
        return set() if found is None else {found}
    if day.weekday() > _FRIDAY:
        return set()
    meant = (day + timedelta(days=i) for i in range(3 if day.weekday() == _FRIDAY else 1))
    return {found for other in meant if (found := _day(other, _MOVED[repeats])) is not None}


def _named(repeats: Repeats, day: int, first: date, last: date) -> Iterator[date]:
    """Yield the dates from `first` to `last` that a pattern names."""
    meant_by = _MOVED.get(repeats)
    later = 0 if meant_by is None else 2
    for i in range(last.toordinal() - first.toordinal() + 1 + later):
        named = first + timedelta(days=i)
        if _day(named, meant_by or repeats) != day:
            continue
        if meant_by is not None:
            named -= timedelta(days=max(named.weekday() - _FRIDAY, 0))
        if first <= named <= last:
            yield named


def _occasions(dates: set[date], today: date, repeats: Repeats, day: int) -> int:
    """Return on how many dates a pattern could have been seen since it was first; today it may still come."""
    last = today if today in dates else today - timedelta(days=1)
    return sum(1 for _ in _named(repeats, day, min(dates), last))

"""Bursts that recur on a day of the week or month: found in a balance's own past, and expected again."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from math import comb
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
"""The least relative variation of the size."""


class Repeats(IntEnum):
    """The days on which a rule applies."""

    NEVER = 0
    WEEKDAY = 1
    """0 = Monday."""
    DAY_OF_MONTH = 2
    FROM_MONTH_END = 3
    """0 = the last day."""


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


def recurring(
    bursts: Sequence[Burst], first_hour: int, end_hour: int, zone: str
) -> tuple[list[Rule], list[Burst]]:
    """Return the rules found in the bursts of clock hours [first, end), the surest first, and the remaining bursts.

    If both of two bursts are on the same day of the month, that is a rule; with more bursts, more of them must agree.
    """
    if len(bursts) < 2:
        return [], list(bursts)
    left = list(bursts)
    rules: list[Rule] = []
    local = {burst: _local(burst.hour, zone) for burst in left}
    first, today = _local(first_hour, zone).date(), _local(end_hour - 1, zone).date()
    while len(rules) < MOST_RULES and len(left) >= 2:
        best: tuple[int, float, Repeats, int, list[Burst]] | None = None
        for repeats in (Repeats.WEEKDAY, Repeats.FROM_MONTH_END, Repeats.DAY_OF_MONTH):
            days: dict[int, list[Burst]] = {}
            for burst in left:
                days.setdefault(_day(local[burst].date(), repeats), []).append(burst)
            for day, found in days.items():
                dates = {local[burst].date() for burst in found}
                occasions = _occasions(max(min(dates), first), today, repeats, day)
                chance = len(dates) / max(occasions, 1)
                if chance < _CERTAIN_ENOUGH or not _is_no_accident(len(dates), len(left), repeats):
                    continue
                if best is None or (len(dates), chance) > best[:2]:
                    best = (len(dates), chance, repeats, day, found)
        if best is None:
            break
        count, _, repeats, day, found = best
        occasions = _occasions(min(local[burst].date() for burst in found), today, repeats, day)
        sizes = np.array([burst.messages for burst in found]) * len(found) / count
        starts = [local[burst].hour for burst in found]
        rules.append(
            Rule(
                repeats=repeats,
                day=day,
                hour=int(np.median(starts)),
                hours=max(1, int(np.median([burst.hours for burst in found]))),
                chance=count / (occasions + 0.5),
                messages=float(sizes.mean()),
                spread=float(np.hypot(sizes.std(), _SPREAD * sizes.mean())),
            )
        )
        left = [burst for burst in left if burst not in found]
    return rules, left


def occurrences(rule: Rule, since: float, until: float, zone: str) -> Iterator[DatedSend]:
    """Yield the sends that a rule expects in [since, until) (epoch seconds)."""
    tz = ZoneInfo(zone)
    day = datetime.fromtimestamp(since, tz).date()
    last = datetime.fromtimestamp(until, tz).date()
    while day <= last:
        if _day(day, rule.repeats) == rule.day:
            start = datetime(day.year, day.month, day.day, rule.hour, tzinfo=tz).timestamp()
            if since <= start < until:
                yield DatedSend(start, start + rule.hours * 3600.0, rule.messages, rule.chance, rule.spread)
        day += timedelta(days=1)


def _is_no_accident(hits: int, count: int, repeats: Repeats) -> bool:
    """Whether `hits` of `count` bursts on the same day of the week or month are unlikely by chance."""
    chance = 1 / 7 if repeats is Repeats.WEEKDAY else 2 / 30
    return hits >= 2 and comb(count, hits) * chance ** (hits - 1) < _ACCIDENT


def _local(hour: int, zone: str) -> datetime:
    return datetime.fromtimestamp(hour * 3600 + 1800, UTC).astimezone(ZoneInfo(zone))


def _day(day: date, repeats: Repeats) -> int:
    match repeats:
        case Repeats.WEEKDAY:
            return day.weekday()
        case Repeats.DAY_OF_MONTH:
            return day.day
        case _:
            return (day.replace(day=28) + timedelta(days=4)).replace(day=1).toordinal() - day.toordinal() - 1


def _occasions(first: date, last: date, repeats: Repeats, day: int) -> int:
    return sum(
        _day(first + timedelta(days=i), repeats) == day
        for i in range(last.toordinal() - first.toordinal() + 1)
    )

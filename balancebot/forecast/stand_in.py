"""Universal quota that stands in for an empty category of its wallet: their usage then counts as one.

Universal quota can be used for every category. While it stands in, its model is fitted to the sum of both windows,
because it is then used at the rate of both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from balancebot.domain.balance import Category
from balancebot.domain.holidays import Zone
from balancebot.forecast.model import Models, fit
from balancebot.forecast.recurring import DatedSend
from balancebot.forecast.use_window import WINDOW_HOURS, UseWindow

OTHERS = tuple(category for category in Category if category is not Category.UNIVERSAL)
"""The categories that universal quota can stand in for, in the order of a model's fields."""
_MIN_RISE = 0.3
"""Universal quota stands in if its usage rises by at least this share of the other category's expected usage ..."""
_MIN_EXPECTED = 10.0
"""... and that expected usage is at least so many messages."""
_MIN_SEEN = 0.5
"""The part of an hour that must be seen; if less of the other category is, it counts as empty."""


class StandIn(NamedTuple):
    """When universal quota stands in for another category."""

    is_on: bool
    """Whether it does now."""
    hours: NDArray[np.bool_]
    """The hours of the window in which it did."""


def stand_in(universal: UseWindow, other: UseWindow) -> StandIn:
    """Find the hours in which universal quota was used for the empty other category; both windows end at the same hour."""
    is_read = universal.exposure > _MIN_SEEN
    is_empty = is_read & (other.exposure < _MIN_SEEN)
    if not universal.use[is_empty].any() or not other.use.any():
        return StandIn(is_on=False, hours=np.zeros(WINDOW_HOURS, np.bool_))
    filled = np.flatnonzero(is_read & ~is_empty)
    now = is_empty & (np.arange(WINDOW_HOURS) > filled.max(initial=-1))
    before = is_empty & ~now
    drawn, drawn_before = (_stands_in(universal, other, hours) for hours in (now, before))
    return StandIn(
        is_on=bool(now.any() and (drawn_before if drawn is None else drawn)),
        hours=(now & bool(drawn)) | (before & bool(drawn_before)),
    )


def _stands_in(universal: UseWindow, other: UseWindow, hours: NDArray[np.bool_]) -> bool | None:
    """Return whether universal usage rose in `hours` by the other category's expected usage; None if that is too low."""
    hour = (universal.end + np.arange(WINDOW_HOURS)) % 24
    usual = other.exposure >= _MIN_SEEN
    seen, used = (np.bincount(hour, values * usual, 24) for values in (other.exposure, other.use))
    expected = float(((used / np.maximum(seen, 1.0))[hour] * universal.exposure)[hours].sum())
    if expected < _MIN_EXPECTED:
        return None
    own = float((universal.use * usual).sum()) / max(float((universal.exposure * usual).sum()), 1.0)
    risen = float(universal.use[hours].sum()) - own * float(universal.exposure[hours].sum())
    return risen >= _MIN_RISE * expected


def together(windows: Sequence[UseWindow]) -> UseWindow:
    """Return the sum of several categories' windows."""
    since = [window.since for window in windows if window.since is not None]
    return UseWindow(
        end=windows[0].end,
        use=np.sum([window.use for window in windows], axis=0, dtype=np.float32),
        exposure=np.max([window.exposure for window in windows], axis=0),
        since=min(since, default=None),
        bursts=tuple(sorted(burst for window in windows for burst in window.bursts)),
    )


def set_stand_ins(
    models: Models,
    places: Mapping[tuple[int, Category], int],
    windows: Sequence[UseWindow],
    zone: Zone,
    announced: Sequence[Sequence[DatedSend]],
) -> None:
    """Set in the models of universal quota which categories it stands in for.

    While it does, its model is fitted to the usage of all of them; earlier hours in which it did are left out of it.
    `places` are the positions of the models by wallet and category.
    """
    for (wallet, category), place in places.items():
        own = windows[place]
        if category is not Category.UNIVERSAL or not own.use.any():
            continue
        members = [place]
        seen = [0] * len(OTHERS)
        on = 0
        for bit, of in enumerate(OTHERS):
            if (other := places.get((wallet, of))) is None:
                continue
            found = stand_in(windows[place], windows[other])
            used = np.flatnonzero(found.hours & (own.use > 0))
            if used.size:
                seen[bit] = own.end - WINDOW_HOURS + int(used[-1])
            if found.is_on:
                members.append(other)
                on |= 1 << bit
            elif used.size:
                own = replace(
                    own,
                    use=np.where(found.hours, np.float32(0), own.use),
                    exposure=np.where(found.hours, np.float32(0), own.exposure),
                )
        if on or any(seen):
            stream = together([own, *(windows[member] for member in members[1:])])
            sends = [send for member in members for send in announced[member]]
            models[place] = fit([stream], zone, [sends]).models[0]
            models["drawn"][place], models["stands_in"][place] = seen, on


def as_stand_in(model: np.void, category: Category) -> np.void:
    """Return a model of universal quota that has just begun to stand in for `category`, made from the `model` of that."""
    fresh = model.copy()
    fresh["stands_in"] = 1 << OTHERS.index(category)
    return fresh


def stands_in_now(model: np.void) -> list[Category]:
    """Return the categories for which universal quota with this model stands in now."""
    return [category for bit, category in enumerate(OTHERS) if int(model["stands_in"]) >> bit & 1]


def drawn_for(model: np.void) -> dict[Category, int]:
    """Return the categories for which universal quota was used, each with the last clock hour of that."""
    return {category: hour for category, hour in zip(OTHERS, model["drawn"].tolist(), strict=True) if hour}

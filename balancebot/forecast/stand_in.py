"""Universal quota that is sent from while another category of its wallet is empty: what is used is then one stream.

Universal quota is usable for every category. Where it is seen to take over, it is used at the rate of both: its model is
fitted to the sum of their windows while that lasts.
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
"""The categories that universal quota may be used for, in the order in which a model names them."""
_IS_DRAWN = 0.3
"""Universal quota is sent from instead if its use rises by so much of what the other would have used ..."""
_LEAST = 10.0
"""... in hours in which that would have been so many messages."""
_SEEN = 0.5
"""An hour counts as read with more of it seen, and as empty with less."""


class StandIn(NamedTuple):
    """How universal quota stands in for another category."""

    is_on: bool
    """Whether it is sent from instead now."""
    hours: NDArray[np.bool_]
    """The hours of the window in which it was."""


def stand_in(universal: UseWindow, other: UseWindow) -> StandIn:
    """Look in windows that end at the same hour for use of universal quota while the other category was empty."""
    is_read = universal.exposure > _SEEN
    is_empty = is_read & (other.exposure < _SEEN)
    if not universal.use[is_empty].any() or not other.use.any():
        return StandIn(is_on=False, hours=np.zeros(WINDOW_HOURS, np.bool_))
    filled = np.flatnonzero(is_read & ~is_empty)
    now = is_empty & (np.arange(WINDOW_HOURS) > filled.max(initial=-1))
    before = is_empty & ~now
    drawn, drawn_before = (_is_drawn(universal, other, hours) for hours in (now, before))
    return StandIn(
        is_on=bool(now.any() and (drawn_before if drawn is None else drawn)),
        hours=(now & bool(drawn)) | (before & bool(drawn_before)),
    )


def _is_drawn(universal: UseWindow, other: UseWindow, hours: NDArray[np.bool_]) -> bool | None:
    """Tell whether universal use rose in `hours` as the other category's would have been; None where that is too few."""
    hour = (universal.end + np.arange(WINDOW_HOURS)) % 24
    usual = other.exposure >= _SEEN
    seen, used = (np.bincount(hour, values * usual, 24) for values in (other.exposure, other.use))
    expected = float(((used / np.maximum(seen, 1.0))[hour] * universal.exposure)[hours].sum())
    if expected < _LEAST:
        return None
    own = float((universal.use * usual).sum()) / max(float((universal.exposure * usual).sum()), 1.0)
    risen = float(universal.use[hours].sum()) - own * float(universal.exposure[hours].sum())
    return risen >= _IS_DRAWN * expected


def together(windows: Sequence[UseWindow]) -> UseWindow:
    """Return the window of what several categories use as one stream."""
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
    """Set in the models of universal quota what it is sent from instead of, by `places` of wallets and categories.

    While it is, the model is that of all of them together; hours in which it was are no use of its own.
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
    """Return the model of universal quota that has just begun to be used instead of `category`, whose model is given."""
    fresh = model.copy()
    fresh["stands_in"] = 1 << OTHERS.index(category)
    return fresh


def stands_in_now(model: np.void) -> list[Category]:
    """Return the categories that universal quota is sent from instead of, by its model."""
    return [category for bit, category in enumerate(OTHERS) if int(model["stands_in"]) >> bit & 1]


def drawn_for(model: np.void) -> dict[Category, int]:
    """Return for which categories universal quota was seen to be sent from, and in which clock hour it was last."""
    return {category: hour for category, hour in zip(OTHERS, model["drawn"].tolist(), strict=True) if hour}

"""The shape of a balance's week: the usage in each hour of the week relative to the mean hour.

Every cell is shrunk towards a coarser shape by empirical Bayes, as much as its difference is noise according to the data:
hour of the week -> (working day or weekend) x hour -> hour -> flat. So an intermittent balance isn't over-fitted.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from balancebot.domain.holidays import HolidayCalendar, Zone, zone_name
from balancebot.forecast.use_window import WINDOW_HOURS, UseWindow

Floats = NDArray[np.float64]

OUTLIER = 3.0
"""An hour counts in the shape up to this multiple of the mean at its hour of the day."""
FLOOR = 0.02
"""The least usage of an hour of the week, as a part of the mean hour."""
LEFT_OUT = 0.9
"""The part of a week's own data that is left out when that week is forecast. Leaving out all of it would leave nothing of
a history of one week."""
_TINY = 1e-9
LEAST_SEEN = 24
"""Hours of exposure below which a shape says nothing."""
HOURS_OF_WEEK = 168
DAY_OFF = HOURS_OF_WEEK
"""With holidays: the index of the first of the 24 hours of a public holiday ..."""
WORKED_WEEKEND = DAY_OFF + 24
"""... and of a worked weekend day."""
_MIN_OTHER_HOURS = 72.0
"""Seen outside of holidays; with fewer, holidays count like other days."""
_BLOCK = 1024
"""Clock hours per cached table, about six weeks."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Profiles:
    """The shapes of N balances."""

    mean: Floats
    """[N] usage per hour of exposure."""
    rate: Floats
    """[N, 168] usage per hour of exposure, by hour of the week."""
    left_out: Floats
    """[N, 840] the same per hour of the window, estimated without that hour's own week."""
    dispersion: Floats
    """[N] the variance of an hour's usage divided by its mean; 1 is Poisson."""
    day_off: Floats
    """[N] usage on a public holiday, relative to a weekend day."""

    def at(self, hours: NDArray[np.int16]) -> Floats:
        """Return the rates at hours of the week, including hours of holidays."""
        return np.asarray(with_holidays(self.rate, self.day_off, hours.max())[:, hours])

    def replace(self, rows: NDArray[np.intp], others: "Profiles") -> None:
        """Replace the shapes in `rows` by `others`."""
        self.mean[rows], self.rate[rows] = others.mean, others.rate
        self.left_out[rows], self.dispersion[rows] = others.left_out, others.dispersion
        self.day_off[rows] = others.day_off


def with_holidays(rate: Floats, day_off: Floats, last: int) -> Floats:
    """Append the rates of holidays and worked weekends to `rate` [N, 168] if `last` is one of their hours: [N, 216].

    A holiday has the mean rates of the weekend times `day_off` [N], a worked weekend day those of the working days.
    """
    if last < HOURS_OF_WEEK:
        return rate
    days = rate.reshape(-1, 7, 24)
    return np.concatenate([rate, days[:, 5:].mean(1) * day_off[:, None], days[:, :5].mean(1)], axis=1)


def fit_with_holidays(
    use: Floats, exposure: Floats, hours: NDArray[np.int16], kinds: NDArray[np.int16]
) -> tuple[Profiles, NDArray[np.bool_]]:
    """Fit the shapes of windows whose hours [840] are `hours` of the week and, with holidays, `kinds`.

    Return also which hours [N, 840] belong to holidays and say nothing about other days. The usage of a holiday relative
    to a weekend day is a mean over the holidays in the window and one assumed holiday that equals a weekend day.
    """
    special, off = kinds >= HOURS_OF_WEEK, (kinds >= DAY_OFF) & (kinds < WORKED_WEEKEND)
    if not special.any():
        return fit_profiles(use, exposure, hours), np.zeros(use.shape, np.bool_)
    left_out = special & (np.where(special, 0.0, exposure).sum(1) >= _MIN_OTHER_HOURS)[:, None]
    profiles = fit_profiles(np.where(left_out, 0.0, use), np.where(left_out, 0.0, exposure), hours)
    weekend = profiles.rate.reshape(-1, 7, 24)[:, 5:].mean(1)
    day = np.maximum(weekend.sum(1), _TINY)
    used = np.where(off, use, 0.0).sum(1) / day
    expected = np.where(off, exposure * weekend[:, hours % 24], 0.0).sum(1) / day
    profiles.day_off[:] = np.where(left_out.any(1), (used + 1.0) / (expected + 1.0), 1.0)
    profiles.left_out[:] = np.where(left_out, profiles.at(kinds), profiles.left_out)
    return profiles, left_out & off


def fit_profiles(use: Floats, exposure: Floats, hours: NDArray[np.int16]) -> Profiles:
    """Fit the shapes of windows [N, 840]; `hours` [840] are the hours of the week of the window's hours."""
    slots, where = _slots(hours)
    mean = use.sum(1) / np.maximum(exposure.sum(1), _TINY)
    seen = _by_slot(exposure, slots)
    used = _by_slot(_without_outliers(use, exposure, mean, hours, slots), slots)
    all_used, all_seen = used.sum(1), seen.sum(1)
    dispersion = _dispersion(used, seen, all_used, all_seen)
    left_out = _shrunk(
        all_used[:, None] - LEFT_OUT * used, all_seen[:, None] - LEFT_OUT * seen, dispersion[:, None, None]
    )
    return Profiles(
        mean=mean,
        rate=_shrunk(all_used, all_seen, dispersion[:, None]),
        left_out=left_out.reshape(len(use), -1)[:, where],
        dispersion=dispersion,
        day_off=np.ones(len(use)),
    )


def _slots(hours: NDArray[np.int16]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the window's hours for each hour of the week, [R, 168] (840 = none), and the inverse mapping, [840].

    R is 5, or 6 if the clocks change.
    """
    order = np.argsort(hours, kind="stable")
    count = np.bincount(hours, minlength=HOURS_OF_WEEK)
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    rank = np.arange(WINDOW_HOURS) - first[hours[order]]
    slots = np.full((count.max(), HOURS_OF_WEEK), WINDOW_HOURS)
    slots[rank, hours[order]] = order
    where = np.empty(WINDOW_HOURS, np.intp)
    where[order] = rank * HOURS_OF_WEEK + hours[order]
    return slots, where


def _by_slot(values: Floats, slots: NDArray[np.intp]) -> Floats:
    padded = np.concatenate([values, np.zeros((len(values), 1))], axis=1)
    return np.asarray(padded[:, slots])


def _without_outliers(
    use: Floats, exposure: Floats, mean: Floats, hours: NDArray[np.int16], slots: NDArray[np.intp]
) -> Floats:
    used = _by_slot(use, slots).sum(1).reshape(-1, 7, 24).sum(1)
    seen = _by_slot(exposure, slots).sum(1).reshape(-1, 7, 24).sum(1)
    hourly = np.maximum(used / np.maximum(seen, _TINY), mean[:, None] / 2)
    return np.asarray(np.minimum(use, OUTLIER * hourly[:, hours % 24] * exposure))


def _dispersion(used: Floats, seen: Floats, all_used: Floats, all_seen: Floats) -> Floats:
    """Return the variance within the cells divided by their mean; based on the flat shape if there are few cells.

    It is halved, because weeks also differ in their level, which isn't noise of the shape.
    """
    enough = seen > 0.3
    within = (all_used / np.maximum(all_seen, _TINY))[:, None] * seen
    freedom = np.maximum((enough.sum(1) - 1).clip(0).sum(1), 1)
    cells = _pearson(used, within, enough) / freedom
    flat = (all_used.sum(1) / np.maximum(all_seen.sum(1), _TINY))[:, None, None] * seen
    overall = _pearson(used, flat, enough) / np.maximum(enough.sum((1, 2)) - 1, 1)
    trust = freedom / (freedom + 50.0)
    return np.asarray(0.5 * np.maximum(trust * cells + (1 - trust) * 0.5 * overall, 1.0))


def _pearson(used: Floats, expected: Floats, enough: NDArray[np.bool_]) -> Floats:
    terms = np.where(enough, (used - expected) ** 2 / np.maximum(expected, _TINY), 0.0)
    return np.asarray(np.where(expected > 0, terms, 0.0).sum((1, 2)))


def _shrunk(used: Floats, seen: Floats, dispersion: Floats) -> Floats:
    """Return rates [..., 168] from usage and exposure [..., 168], shrunk in the three steps."""
    flat = used.sum(-1, keepdims=True) / np.maximum(seen.sum(-1, keepdims=True), _TINY)
    days = (*used.shape[:-1], 7, 24)
    used_by_day, seen_by_day = used.reshape(days), seen.reshape(days)
    used_by_kind, seen_by_kind = _by_kind_of_day(used_by_day), _by_kind_of_day(seen_by_day)
    by_hour = _step(used_by_kind.sum(-2), seen_by_kind.sum(-2), flat, dispersion)
    by_kind = _step(used_by_kind, seen_by_kind, by_hour[..., None, :], dispersion[..., None], axes=(-2, -1))
    coarse = np.concatenate(
        [np.repeat(by_kind[..., :1, :], 5, axis=-2), np.repeat(by_kind[..., 1:, :], 2, axis=-2)], axis=-2
    )
    fine = _step(used, seen, coarse.reshape(used.shape), dispersion)
    return np.asarray(np.maximum(fine, FLOOR * flat))


def _by_kind_of_day(by_day: Floats) -> Floats:
    return np.stack([by_day[..., :5, :].sum(-2), by_day[..., 5:, :].sum(-2)], axis=-2)


def _step(
    used: Floats, seen: Floats, prior: Floats, dispersion: Floats, *, axes: tuple[int, ...] = (-1,)
) -> Floats:
    """Shrink the rates used/seen towards `prior`.

    The true ratios to the prior are assumed to vary with the variance tau^2 between the cells of `axes`. It is estimated by
    moments: the observed variance minus its noise, dispersion / expected. Each cell keeps the part
    tau^2 / (tau^2 + noise) of its difference.
    """
    expected = prior * seen
    known = expected > 0
    noise = dispersion / np.maximum(expected, _TINY)
    excess = np.where(known, used / np.maximum(expected, _TINY) - 1.0, 0.0)
    weight = expected.sum(axes, keepdims=True)
    spread = (expected * (excess**2 - noise)).sum(axes, keepdims=True) / np.maximum(weight, _TINY)
    spread = np.maximum(spread, 1e-3)
    return np.asarray(prior * (1.0 + excess * np.where(known, spread / (spread + noise), 0.0)))


def course_of_window(window: UseWindow, *, zone: Zone, first: int, count: int) -> list[float] | None:
    """Return the usual usage in each of `count` clock hours from `first` on, in messages per hour; holidays are ignored.

    None if the window has less than a day of readings, or no use.
    """
    if window.exposure.sum() < LEAST_SEEN or not window.use.any():
        return None
    name = zone_name(zone)
    fitted = fit_profiles(
        window.use[None].astype(np.float64),
        window.exposure[None].astype(np.float64),
        hours_of_week(name, window.end - WINDOW_HOURS, WINDOW_HOURS),
    )
    course: list[float] = fitted.rate[0][hours_of_week(name, first, count)].tolist()
    return course


def hours_of_week(zone: Zone, first: int, count: int) -> NDArray[np.int16]:
    """Return the hour of the week (0 = Monday 00:00, to 167) of `count` clock hours from `first` on, in local time.

    With holidays, the hours of days off are 168 to 191, and those of worked weekends 192 to 215.

    Clock hours are whole hours since 1970 in UTC. If the zone's offset isn't a whole number of hours (Kolkata), a clock
    hour counts as the local hour that contains its middle.
    """
    blocks = range(first // _BLOCK, (first + count - 1) // _BLOCK + 1)
    table = np.concatenate([_block(zone, block) for block in blocks])
    start = first - blocks[0] * _BLOCK
    return table[start : start + count]


@lru_cache(maxsize=64)
def _block(zone: Zone, block: int) -> NDArray[np.int16]:
    local = ZoneInfo(zone_name(zone))
    middle = datetime.fromtimestamp(block * _BLOCK * 3600, UTC) + timedelta(minutes=30)
    hours = np.empty(_BLOCK, np.int16)
    for i in range(_BLOCK):
        at = (middle + timedelta(hours=i)).astimezone(local)
        first = at.weekday() * 24
        if isinstance(zone, HolidayCalendar):
            day = at.date()
            first = DAY_OFF if day in zone.days_off else WORKED_WEEKEND if day in zone.workdays else first
        hours[i] = first + at.hour
    hours.setflags(write=False)
    return hours

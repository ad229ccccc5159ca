"""Estimate usage and runway from models and present balances, for many balances at once, at every reading.

Everything starts at the last reading with its balance; future top-ups are never assumed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from balancebot.domain.holidays import Zone, zone_name
from balancebot.domain.runway import HISTORY_HOURS, NO_END_HOURS, UNKNOWN, Estimate, Runway
from balancebot.forecast.distribution import P90
from balancebot.forecast.model import Models
from balancebot.forecast.paths import SAME_BURST, GoesOn, Paths
from balancebot.forecast.recurring import DatedSend, Repeats, Rule, occurrences

Floats = NDArray[np.float64]

_CHUNK = 512
_AHEAD = 366 * 86400.0
"""How far ahead dated sends are considered, in seconds."""
_RUNS_LATE = 3600.0
"""How long after its end a recurring send may still explain usage, in seconds, as with an announced one."""
_LONGEST_SEND = 2 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forecasts:
    """The forecasts for N balances; hours from `now`, `inf` beyond 365 days. Values are meaningless if `known` is False."""

    known: NDArray[np.bool_]
    burn_per_day: Floats
    """Expected usage of the next 24 hours, in messages."""
    usual_per_day: Floats
    """Expected usage per day without bursts and dated sends, in messages: the mean of the next week."""
    p10: Floats
    p50: Floats
    p90: Floats
    judged: Floats
    not_counted: Floats
    """Messages of the latest burst that usual usage leaves out."""
    not_counted_at: Floats
    """When that burst began, in epoch seconds; meaningless if there is none."""
    bursts_per_day: Floats
    burst: Floats
    """The P90 of a burst's size, in messages."""
    history: Floats
    """Hours of readings since the first usage; infinite if that was more than five weeks ago."""
    sends: Floats
    """Messages of dated sends within `p50`."""

    def estimates(self) -> list[Estimate]:
        """Return the forecasts as a list of estimates."""
        rows = (
            self.known,
            self.burn_per_day,
            self.usual_per_day,
            self.p10,
            self.p50,
            self.p90,
            self.judged,
            self.not_counted,
            self.not_counted_at,
            self.bursts_per_day,
            self.burst,
            self.history,
            self.sends,
        )
        return [
            Estimate(
                burn_per_day=burn,
                usual_burn_per_day=usual,
                runway=Runway(
                    p10=p10,
                    p50=p50,
                    p90=p90,
                    judged=judged,
                    history_hours=history if history < HISTORY_HOURS else None,
                    sends=two_figures(sends),
                ),
                not_counted=round(left_out),
                not_counted_at=datetime.fromtimestamp(at, UTC) if left_out else None,
                bursts_per_day=bursts,
                burst=burst,
            )
            if known
            else UNKNOWN
            for known, burn, usual, p10, p50, p90, judged, left_out, at, bursts, burst, history, sends in zip(
                *(row.tolist() for row in rows), strict=True
            )
        ]


def forecast(
    models: Models,
    *,
    balances: Floats,
    observed_at: Floats,
    now: float,
    zone: Zone,
    confidence: float,
    open_use: Floats | None = None,
    open_exposure: Floats | None = None,
    pace: Floats | None = None,
    plans: Sequence[Sequence[DatedSend]] | None = None,
) -> Forecasts:
    """Forecast how long `balances` [N], read at `observed_at` [N] (epoch seconds, up to `now`), will last.

    `open_use` and `open_exposure` (hours) are booked since the models' last closed hours, `pace` is in messages per hour
    between the last two readings; `plans` are the planned sends per balance, in addition to expected usage. With less
    than an hour of exposure, or without any usage, the forecast isn't `known`.
    """
    count = len(models)
    use = np.zeros(count) if open_use is None else open_use
    exposure = np.zeros(count) if open_exposure is None else open_exposure
    answers = np.zeros((10, count))
    known = np.zeros(count, np.bool_)
    has_dates = models["rules"] > 0
    if plans is not None:
        has_dates = has_dates | np.array([bool(of) for of in plans], np.bool_)
    bursts = models["bursts_per_day"] > 0  # a sum over numbers of bursts takes five times as long
    parts = [
        rows[start : start + _CHUNK]
        for rows in (np.flatnonzero(~has_dates & ~bursts), np.flatnonzero(~has_dates & bursts))
        for start in range(0, len(rows), _CHUNK)
    ]
    parts += [np.array([row]) for row in np.flatnonzero(has_dates)]
    for rows in parts:
        dated = (
            dated_sends(
                models[rows[0]],
                float(observed_at[rows[0]]),
                zone,
                plans[rows[0]] if plans is not None else (),
            )
            if has_dates[rows[0]]
            else ()
        )
        paths = Paths(
            models[rows],
            observed_at[rows],
            zone,
            open_use=use[rows],
            open_exposure=exposure[rows],
            pace=None if pace is None else pace[rows],
            dated=dated,
        )
        known[rows] = paths.known
        seconds = now - observed_at[rows]
        answers[:6, rows] = _answers(paths, balances[rows], seconds, confidence)
        now_bursting = paths.open_burst > 0
        before = models["end"][rows] - models["not_counted_hour"][rows].astype(np.float64) - 0.5
        rate = paths.open_burst / np.maximum(exposure[rows], 0.1)
        is_new = now_bursting & (models["not_counted"][rows] < SAME_BURST * rate * before)
        closed = np.where(is_new, 0.0, models["not_counted"][rows])
        answers[6, rows] = closed + np.where(now_bursting, paths.open_burst, 0.0)
        answers[7, rows] = np.where(is_new, paths.hour, models["not_counted_hour"][rows]) * 3600.0
        answers[8, rows] = paths.history
        if dated:
            empty_at = answers[3, rows] + seconds / 3600.0
            answers[9, rows] = np.where(
                np.isfinite(empty_at), paths.dated_by(np.minimum(empty_at, NO_END_HOURS)[:, None])[:, 0], 0.0
            )
    burn, usual, p10, p50, p90, judged, left_out, left_out_at, history, sends = answers
    return Forecasts(
        known=known,
        burn_per_day=burn,
        usual_per_day=usual,
        p10=p10,
        p50=p50,
        p90=p90,
        judged=judged,
        not_counted=left_out,
        not_counted_at=left_out_at,
        bursts_per_day=models["bursts_per_day"].astype(np.float64),
        burst=(models["burst_mean"] + P90 * models["burst_spread"]).astype(np.float64),
        history=history,
        sends=sends,
    )


def dated_sends(
    model: np.void, since: float, zone: Zone, plans: Sequence[DatedSend] = (), until: float | None = None
) -> tuple[DatedSend, ...]:
    """Return the future dated sends of one balance: planned ones, and those that its rules expect."""
    last = since + _AHEAD if until is None else until
    sends = [plan for plan in plans if plan.end > since]
    for place in range(int(model["rules"])):
        kept = model["recurring"][place]
        rule = Rule(
            Repeats(int(kept["repeats"])), int(kept["day"]), int(kept["hour"]), int(kept["hours"]),
            float(kept["chance"]), float(kept["messages"]), float(kept["spread"]),
        )  # fmt: skip
        sends += occurrences(rule, since, last, zone_name(zone))
    return tuple(sends)


def is_expected(model: np.void, use: float, since: float, until: float, zone: Zone) -> bool:
    """Return whether a recurring send explains usage of at most its size, from its start to an hour after its end."""
    sends = dated_sends(model, since - _LONGEST_SEND, zone, until=until) if model["rules"] else ()
    return any(send.end + _RUNS_LATE > since and use <= send.messages for send in sends)


def two_figures(messages: float) -> int:
    """Round an expected number of messages to two figures."""
    return int(round(messages, 1 - int(math.log10(max(messages, 10.0)))))


def _answers(paths: Paths, balances: Floats, seconds: Floats, confidence: float) -> Floats:
    age = seconds / 3600.0
    chances = np.array([0.1, 0.5, 0.9, 1.0 - confidence])
    hours = paths.lasts(balances, chances)
    goes_on = paths.burst_goes_on(balances)
    for row in np.flatnonzero(goes_on.chance).tolist():
        hours[row] = _with_burst(paths, balances, chances, row=row, goes_on=goes_on)
    hours = np.maximum(hours - age[:, None], 0.0)
    hours[balances <= 0] = 0.0
    hours[hours > NO_END_HOURS] = math.inf
    p10, p50, p90, judged = hours.T
    start = np.minimum(age, NO_END_HOURS - 24.0)
    ends = start[:, None] + (0.0, 24.0, 168.0)
    begin, day, week = paths.usual_by(ends).T
    burn = day - begin + paths.bursts_per_day
    if paths.usage.dated.any():
        burn = burn + np.diff(paths.dated_by(ends[:, :2]))[:, 0]
    week = (week - begin) / 7.0
    return np.stack([burn, week, p10, p50, p90, judged])


def _with_burst(paths: Paths, balances: Floats, chances: Floats, *, row: int, goes_on: GoesOn) -> Floats:
    """Return when a balance is used up with each of `chances`, by usual usage or by a burst that continues."""
    chance, empty = float(goes_on.chance[row]), float(goes_on.hours[row])
    before = paths.lasts(balances, np.minimum(chances / (1.0 - chance), 1.0))[row]
    after = paths.lasts(balances, np.maximum(chances - chance, 0.0) / (1.0 - chance))[row]
    return np.asarray(np.where(before < empty, before, np.maximum(after, empty)))

"""The distribution of usage up to each future moment: usual usage, bursts, and dated sends (planned or recurring).

Usual usage is shape x level, log-normal around its path; bursts are a compound Poisson process; dated sends happen on
their days. The P10 of the runway is the moment by which the balance is used up with a probability of 10 %.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from balancebot.domain.holidays import Zone
from balancebot.forecast.bursts import BURST_DAYS, CAP
from balancebot.forecast.distribution import P90, UsageDistribution
from balancebot.forecast.level import HALF_LIVES, decay, levels, schedule_weights
from balancebot.forecast.model import Models, shape_at, week_shape
from balancebot.forecast.profile import DAY_OFF, HOURS_OF_WEEK, WORKED_WEEKEND, hours_of_week
from balancebot.forecast.recurring import DatedSend
from balancebot.forecast.replay import HORIZONS
from balancebot.forecast.use_window import WINDOW_HOURS

Floats = NDArray[np.float64]

MIN_SEEN = 0.99
"""With fewer hours of exposure, nothing is known."""
_ENOUGH_TO_TELL = 30.0
_HARDLY = 0.1
"""Usage in a single hour was a burst if afterwards, where it would have been at least so many messages, it is less than
this part of that."""
_LAST_READING = 1 / 12
"""The least time between two readings, in hours, as far as it counts for this."""
_HOURLY = 35 * 24
"""How many hours ahead are computed hour by hour; beyond, whole weeks repeat."""
# fmt: off
_KNOTS = np.array([
    0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 24, 25, 26, 30, 36, 48, 64, 85, 113, 151, 201, 268, 357, 476, 635, _HOURLY,
    1120, 1500, 2000, 2700, 3600, 4900, 6600, 8800,
], np.float64)
# fmt: on
"""Clock hours ahead at which the distribution is computed. In between it is assumed to move with the path."""
_DAMPING = 16 * 168.0
"""The time constant, in hours, with which a trend fades: a month ahead most of it still applies."""
_DRIFT = 0.015
"""In log2 per week: how much every level may drift."""
_RETURNS = 0.5
"""The probability that a fall ends some day: one that has lasted for L hours has ended after x more with 0.5 x / (L + x)."""
_BELIEVED = 12.0, 36.0
"""In hours: how long a fall lasts until orders begin to believe it, and until they do."""
_UNSEEN_DAY = 1.2
_UNSEEN_WEEK = 0.3
"""In log2: by how much the range is wider until a day and a week of readings are known."""
_UNSEEN_HOLIDAY = 1.0
"""In log2: by how much the range is wider for holidays before the first one is seen (half or twice a weekend day)."""
_STARTED = 0.12
"""The least probability that a burst continues until the balance is empty, because the range must cover that."""
_SHOWS_DAYS = 0.25
"""Excess of this many usual days in the open hours may be a burst that continues."""
_BURST_HOURS = 1.0
"""A burst that has lasted for L hours continues for x more with the probability L / (L + x + 1 h)."""
_LONGEST_BURST = 24.0
"""In hours: what lasts longer isn't a burst, but a change."""
SAME_BURST = 0.5
"""A burst in closed hours has continued until now if it is at least this part of what the present pace would have sent."""
_BISECTIONS = 6
_HALVINGS = 24
"""Of the range of a quantile, about 50 in log2: exact to 3 parts in a million."""
_TINY = 1e-9


class GoesOn(NamedTuple):
    """What happens to N balances if the present burst continues."""

    chance: Floats
    """The probability that it continues until the balance is empty; 0 if there is no burst now."""
    hours: Floats
    """After how many hours the balance is empty then."""


class Paths:
    """The distribution of the usage of N balances from `since` [N] on."""

    def __init__(
        self,
        models: Models,
        since: Floats,
        zone: Zone,
        *,
        open_use: Floats,
        open_exposure: Floats,
        pace: Floats | None = None,
        dated: Sequence[DatedSend] = (),
        at: Sequence[float] = (),
        for_order: bool = False,
    ) -> None:
        """Compute the paths. `open_use` and `open_exposure` (hours) are those since the models' last closed hours.

        `pace` is in messages per hour between the last two readings, if known: it shows whether a burst continues. `dated`
        sends are those of the only balance (N is 1), and `at` are further moments, in hours after `since`. `for_order`
        ignores after some days that a fall may end, because what is needed then can still be ordered.
        """
        self.hour = hour = np.floor(since / 3600.0)
        """The clock hours in which the paths begin."""
        self.rest = 1.0 - (since / 3600.0 - hour)
        """The remaining part of the first clock hour."""
        self._hours = hour.astype(np.int64)
        self._zone = zone
        self._models = models
        self._pace = pace
        # time before the first use doesn't count
        seen = np.where(models["mean"] > 0, models["seen"], 0.0) + open_exposure
        self.known = (models["version"] > 0) & (seen >= MIN_SEEN) & (models["used"][:, -1] + open_use > 0)
        is_young = models["begun"].astype(np.int64) > models["end"].astype(np.int64) - WINDOW_HOURS
        self.history = np.where(is_young, seen, np.inf)
        """[N] hours of readings since the first usage, if that was within the window of the model; otherwise infinite."""
        self.known &= ~_only_one_burst(models, open_use, open_exposure, pace)
        self.knots = _KNOTS if not dated and not len(at) else self._with_moments(dated, at)
        self.time = self.knots[1:] - (1.0 - self.rest[:, None])
        """[N, K] hours from `since` to the end of each span between two knots."""
        usual, weeks, up, down, back = self._usual(models, since, open_use, open_exposure)
        if for_order:
            first, last = _BELIEVED
            back = back * np.clip((last - models["changed"][:, None]) / (last - first), 0.0, 1.0)
        self.changed = up = np.maximum(up, back)
        """[N, K] by how much, in log2, the other level of a change is above the path, as far as it counts."""
        # hours of the day and days of the week that weren't seen yet, and the error of the trend
        blind = _UNSEEN_DAY * np.exp(-seen / 24.0) + _UNSEEN_WEEK * np.maximum(1.0 - seen / 168.0, 0.0)
        unclear = (models["trend_errors"].T[:, :, None] + _DRIFT) * weeks
        blind = np.hypot(blind[:, None], _UNSEEN_HOLIDAY * self._holidays)
        widened = blind**2 + (P90 * models["level_error"][:, None]) ** 2 + unclear**2
        low, high = np.sqrt(_at_ends(np.stack([models["low"], models["high"]]), self.knots) ** 2 + widened)
        dated_mean, dated_variance = np.zeros((2, *usual.shape))
        for send in dated:
            self._add(send, float(since[0]), dated_mean[0], dated_variance[0])
        rate, size, spread, evidence = (
            models[field].astype(np.float64)[:, None]
            for field in ("bursts_per_day", "burst_mean", "burst_spread", "burst_evidence")
        )
        self.bursts_per_day = models["bursts_per_day"] * size[:, 0]
        """[N] the mean usage of bursts per day, in messages."""
        self.usage = UsageDistribution(
            usual,
            high + up,
            low + down,
            dated_mean,
            dated_variance,
            rate * self.time / 24.0,
            size,
            spread**2,
            np.maximum(evidence, 1.0),
        )
        """[N, K] usage up to the end of each span; what bursts are like is [N, 1]."""

    def _with_moments(self, dated: Sequence[DatedSend], at: Sequence[float]) -> Floats:
        start = float(self._hours[0])
        moments = [moment / 3600.0 - start for send in dated for moment in (send.start, send.end)]
        moments += [1.0 - float(self.rest[0]) + hours for hours in at]
        first = 1.0 - float(self.rest[0]) + 1e-6
        return np.unique(np.concatenate([_KNOTS, [m for m in moments if first < m < _KNOTS[-1]]]))

    def _usual(
        self, models: Models, since: Floats, open_use: Floats, open_exposure: Floats
    ) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """Return the path up to the end of each span, the weeks of trend until then, and its uncertainties.

        These are, in log2, how far the level before or since a recent change is above or below the path, if its probability
        is at least 10 %, and the same for the level before a fall that may be a holiday.
        """
        fresh = models["mean"] <= 0  # the first use ever was seen in the open hour
        mean = np.where(
            fresh,
            np.maximum(open_use, _TINY) / np.maximum(models["seen"] + open_exposure, 1e-2),
            models["mean"],
        )
        self._shape = shape = np.where(fresh[:, None], 1.0, week_shape(models, self._zone)) * mean[:, None]
        holidays = np.zeros((len(models), len(self.knots) - 1))
        middle = (self.knots[:-1] + self.knots[1:]) / 2
        weights = _knot_weights() if self.knots is _KNOTS else schedule_weights(middle)
        level = self._levels_now(models, since, open_use, open_exposure, mean)
        changed = models["changed_weight"].astype(np.float64)
        at_knots = _at_knots(models, level, weights)
        rows = np.flatnonzero(changed)
        if rows.size:
            since_it = models[rows]
            lasting = np.where(
                since_it["changed"][:, None] / 2 < HALF_LIVES, since_it["changed_level"][:, None], level[rows]
            )
            other = np.log2(np.maximum(_at_knots(since_it, lasting, weights), 1e-6))
            before = np.log2(np.maximum(at_knots[rows], 1e-6))
            at_knots[rows] = 2.0 ** (before + changed[rows, None] * (other - before))
        weeks = (_DAMPING / 168.0) * (1 - np.exp(-middle / _DAMPING))
        trend = models["trend"][:, None]
        if trend.any():
            at_knots = at_knots * 2.0 ** (trend * weeks)
        pieces = np.empty_like(at_knots)
        for start in np.unique(self._hours):
            of = self._hours == start
            local, counts = _counts(self._zone, int(start))
            spans = np.diff(_interpolated(counts, self.knots), axis=0).T
            pieces[of] = shape[of] @ spans
            if len(spans) > HOURS_OF_WEEK:
                holidays[of] = shape[of, DAY_OFF:WORKED_WEEKEND] @ spans[DAY_OFF:WORKED_WEEKEND]
            pieces[of, 0] -= (1.0 - self.rest[of]) * shape[of, local[0]]
        pieces = np.maximum(pieces, 0.0)
        usual = np.cumsum(pieces * at_knots, axis=1)
        if holidays.any():  # as a part of the usage, until the first one is seen
            is_unseen = (models["day_off"] == 1.0)[:, None]
            holidays = is_unseen * np.cumsum(holidays * at_knots, axis=1) / (usual + _TINY)
        self._holidays = holidays
        up, down, back = np.zeros((3, *usual.shape))
        if rows.size:
            path = np.log2((usual[rows] + _TINY) / (np.cumsum(pieces[rows], axis=1) + _TINY))
            up[rows], down[rows], back[rows] = self._other_levels(models[rows], path)
        return usual, weeks, up, down, back

    def _other_levels(self, models: Models, path: Floats) -> tuple[Floats, Floats, Floats]:
        """Return how far the level before or since a change is above, and below, the mean level of the `path` [N, K].

        In log2, as far as it counts. The third result is the same for the level before a fall that may end some day.
        """
        chance = models["changed_weight"].astype(np.float64)[:, None]
        since, before = (
            np.log2(np.maximum(models[field].astype(np.float64), 1e-6))[:, None] - path
            for field in ("changed_level", "changed_from")
        )
        since_it, before_it = since * _counts_from(chance), before * _counts_from(1 - chance)
        returns = _RETURNS * self.knots[1:] / (models["changed"][:, None] + self.knots[1:])
        fell = models["changed_level"] < models["changed_from"]
        return (
            np.maximum(np.maximum(since_it, before_it), 0.0),
            np.maximum(-np.minimum(since_it, before_it), 0.0),
            np.where(fell[:, None], np.maximum(before, 0.0) * _counts_from(returns), 0.0),
        )

    def _add(self, send: DatedSend, since: float, means: Floats, variances: Floats) -> None:
        """Add a dated send to means and variances; its past part is assumed to be sent already."""
        begin = max(send.start, since)
        to_come = (send.end - begin) / max(send.end - send.start, 1e-9)
        if to_come <= 0:
            return
        ends = since + self.time[0] * 3600.0
        share = min(to_come, 1.0) * np.clip((ends - begin) / max(send.end - begin, 1e-9), 0.0, 1.0)
        mean = send.chance * send.messages
        means += share * mean
        variances += share**2 * (send.chance * (send.messages**2 + send.spread**2) - mean**2)

    def lasts(self, balances: Floats, chances: Floats) -> Floats:
        """Return the hours from `since` by which `balances` [N] are used up with each of `chances` [Q]: [N, Q].

        Infinite if that isn't within a year.
        """
        chance = np.maximum.accumulate(self.usage.exceeds(balances[:, None]), axis=1)
        after = (chance[:, :, None] < chances).sum(1)
        never = after >= chance.shape[1]
        after = np.minimum(after, chance.shape[1] - 1)
        rows = np.arange(len(balances))[:, None]
        before = np.maximum(after - 1, 0)
        of_bursts = self.usage[6:]  # the same in every span
        fields = np.stack(self.usage[:6])
        start, end = fields[:, rows, before], fields[:, rows, after]
        start[[0, 3, 4, 5]] *= after > 0  # nothing is used at the beginning
        step = end - start
        low, high = np.zeros(after.shape), np.ones(after.shape)
        for _ in range(_BISECTIONS):
            share = (low + high) / 2
            at = UsageDistribution._make([*(start + share * step), *of_bursts])
            reached = at.exceeds(balances[:, None]) >= chances
            low, high = np.where(reached, low, share), np.where(reached, share, high)
        share = (low + high) / 2
        begun = np.where(after > 0, self.time[rows, before], 0.0)
        hours = begun + (self.time[rows, after] - begun) * share
        self._follow_shape(hours, after, share, (step[3] <= 0) & ~never)
        return np.where(never, np.inf, np.maximum(hours, 0.0))

    def _follow_shape(
        self, hours: Floats, span: NDArray[np.intp], share: Floats, of: NDArray[np.bool_]
    ) -> None:
        """Set `hours` [N, Q] to when the path has covered `share` of a span between two knots, hour by hour.

        Only of those that are asked `of`, and where the span is of whole clock hours.
        """
        for place in np.unique(span[of & (span > 0)]).tolist():
            first, last = self.knots[place], self.knots[place + 1]
            if last > _HOURLY or last - first < 2 or first % 1 or last % 1:
                continue
            whole = slice(int(first), int(last))
            rows, columns = np.nonzero(of & (span == place))
            rate = np.empty((len(rows), whole.stop - whole.start), np.float32)
            for start in np.unique(self._hours[rows]):
                begun = self._hours[rows] == start
                local = _counts(self._zone, int(start))[0][whole]
                rate[begun] = self._shape[rows[begun, None], local]
            total = np.cumsum(rate, axis=1)
            wanted = share[rows, columns] * total[:, -1]
            row = np.arange(len(rows))
            step = np.minimum((total < wanted[:, None]).sum(1), rate.shape[1] - 1)
            into = rate[row, step]
            before = total[row, step] - into
            found = first - (1.0 - self.rest[rows]) + step + (wanted - before) / np.maximum(into, 1e-12)
            hours[rows, columns] = np.where(total[:, -1] > 0, found, hours[rows, columns])

    def usage_by(self, span: int | NDArray[np.int64]) -> UsageDistribution:
        """Return the distribution of the usage up to the end of a span, with fields [N], or of S spans: [N, S]."""
        return UsageDistribution(*(field[:, np.minimum(span, field.shape[1] - 1)] for field in self.usage))

    def quantile(self, chance: float | Floats, span: int | NDArray[np.int64]) -> Floats:
        """Return the usage that isn't exceeded with a probability by the end of a span, [N], or of S spans, [N, S].

        Several probabilities are broadcast against these shapes.
        """
        at = self.usage_by(span)
        most = at.usual + at.dated + at.burst_mean * (at.bursts + 8.0)
        low, high = np.full(most.shape, -20.0), np.log2(most + 1.0) + 4 * at.up + 1
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            over = at.exceeds(2.0**middle) > 1.0 - chance
            low, high = np.where(over, middle, low), np.where(over, high, middle)
        return np.asarray(2.0 ** ((low + high) / 2))

    def burst_goes_on(self, balances: Floats) -> GoesOn:
        """Return the probability that a burst between the last two readings continues until `balances` [N] are empty."""
        models = self._models
        if self._pace is None:
            return GoesOn(np.zeros(len(models)), np.zeros(len(models)))
        pace = np.maximum(self._pace, _TINY)
        hours = models["end"].astype(np.float64) - models["not_counted_hour"] - 0.5
        went_on = models["not_counted"] >= SAME_BURST * pace * hours
        sent = self._open_excess + np.where(went_on, models["not_counted"], 0.0)
        rare = models["gap"] > 1.0
        usual = np.where(rare, models["mean"], self._usual_now)
        is_on = self.known & (sent > 0) & (pace > CAP * usual)
        lasted, left = np.minimum(sent / pace, _LONGEST_BURST), balances / pace
        chance = np.maximum(lasted / (lasted + left + _BURST_HOURS), _STARTED)
        # a single high reading of a whole day may be a burst or a change: nothing tells yet
        chance = np.where(rare, _STARTED, np.where(left <= _LONGEST_BURST, chance, 0.0))
        return GoesOn(np.where(is_on, chance, 0.0), left)

    def _levels_now(
        self, models: Models, since: Floats, open_use: Floats, open_exposure: Floats, mean: Floats
    ) -> Floats:
        """Return the level per half-life [N, 10], including the usage since the fit, which is capped like a closed hour."""
        fresh = models["mean"] <= 0
        shape, kept, closed = open_hours(models, since, self._zone)
        fading = decay(np.maximum(open_exposure, closed))
        expected = open_exposure * np.where(fresh, 1.0, shape) * mean
        usual = mean * np.maximum(shape, models["changed_weight"] * models["changed_level"]).clip(0.5)
        cap = CAP * np.maximum(open_exposure, 1.0) ** 2 * usual + 3.0
        use = np.where(fresh, open_use, np.minimum(open_use, cap))
        self._usual_now = usual
        is_burst = open_use - use >= BURST_DAYS * 24.0 * mean
        self._open_excess = np.where(open_use - use >= _SHOWS_DAYS * 24.0 * mean, open_use - use, 0.0)
        if self._pace is not None:  # of a burst that has ended, only the usual part counts
            use = np.where(is_burst & (self._pace < CAP / 2 * usual), np.minimum(use, expected), use)
        self.open_burst = np.where(is_burst, open_use - use, 0.0)
        """[N] the usage of a burst since the models were fitted, which doesn't count in the level."""
        return levels(
            models["used"] * fading + use[:, None] * kept,
            models["expected"] * fading + expected[:, None] * kept,
            mean,
            np.maximum(models["dispersion"], 0.5).astype(np.float64),
        )

    def usual_by(self, hours: Floats) -> Floats:
        """Return the median of usual usage within `hours` [N, M] of `since`."""
        return self._by(hours, self.usage.usual)

    def dated_by(self, hours: Floats) -> Floats:
        """Return the expected usage of dated sends within `hours` [N, M] of `since`."""
        return self._by(hours, self.usage.dated)

    def _by(self, hours: Floats, total: Floats) -> Floats:
        begun = 1.0 - self.rest[:, None]
        at = hours + begun
        rows = np.arange(len(at))[:, None]
        after = np.searchsorted(self.knots, at).clip(1, len(self.knots) - 1) - 1
        before = np.where(after > 0, total[rows, np.maximum(after - 1, 0)], 0.0)
        start = np.where(after > 0, self.knots[after], begun)
        share = ((at - start) / (self.knots[after + 1] - start)).clip(0.0, 1.0)
        return np.asarray(before + (total[rows, after] - before) * share)


def open_hours(models: Models, at: Floats, zone: Zone) -> tuple[Floats, Floats, Floats]:
    """Return the shape of the open hours, from each model's end up to its last reading `at` [N] (epoch seconds).

    The results are their mean shape [N], the part of it that remains per half-life [N, 10], and how many are closed [N].
    Only the total of their usage is known, so it is assumed to be distributed as in the shape of the week.
    """
    hours = np.floor(at / 3600.0).astype(np.int64)
    shape = shape_at(models, hours, zone)
    kept = np.ones((len(models), len(HALF_LIVES)))
    closed = np.where(
        models["version"] > 0, np.clip(hours - models["end"].astype(np.int64), 0, WINDOW_HOURS), 0
    )
    for hour, num in {(int(hours[row]), int(closed[row])) for row in np.flatnonzero(closed)}:
        rows = np.flatnonzero((hours == hour) & (closed == num))
        used = week_shape(models[rows], zone)[:, hours_of_week(zone, hour - num, num + 1)].astype(np.float64)
        passed = at[rows] / 3600.0 - hour
        used[:, -1] *= passed
        total = used.sum(1)
        shape[rows] = total / (num + passed)
        kept[rows] = np.where(
            shape[rows, None] > 0,
            used @ decay(np.arange(float(num), -1.0, -1.0)) / np.maximum(total, _TINY)[:, None],
            1.0,
        )
    return shape, kept, closed.astype(np.float64)


def _only_one_burst(
    models: Models, open_use: Floats, open_exposure: Floats, pace: Floats | None
) -> NDArray[np.bool_]:
    """Tell which balances were used in a single hour only, and hardly since: that is no rate, and nothing else is known."""
    fresh = models["mean"] <= 0  # the hour isn't closed yet: only the last reading came after its usage
    last = 0.0 if pace is None else _LAST_READING
    rate = np.where(fresh, open_use / np.maximum(open_exposure, MIN_SEEN), models["mean"])
    expected = rate * (last + np.where(fresh, 0.0, open_exposure))
    used = np.where(fresh, 0.0, open_use) + (0.0 if pace is None else pace * last)
    return np.asarray((models["seen"] <= 1.0) & (expected >= _ENOUGH_TO_TELL) & (used < expected * _HARDLY))


def _counts_from(chance: Floats) -> Floats:
    """Return how far the range includes a case with this probability: from 10 % on partly, from 30 % on in full."""
    return np.asarray(np.clip((chance - 0.1) / 0.2, 0.0, 1.0))


def _at_ends(band: Floats, knots: Floats) -> Floats:
    """Interpolate bands at HORIZONS [..., 10] to the ends of the spans, linearly in log time."""
    known = np.log2(HORIZONS)
    wanted = np.log2(np.maximum(knots[1:], 1.0))
    upper = np.clip(np.searchsorted(known, wanted), 1, len(known) - 1)
    share = np.clip((wanted - known[upper - 1]) / (known[upper] - known[upper - 1]), 0.0, 1.0)
    band = band.astype(np.float64)
    return np.asarray(band[..., upper - 1] * (1 - share) + band[..., upper] * share)


def _at_knots(models: Models, level: Floats, weights: Floats) -> Floats:
    return np.asarray(sum(models["schedules"][:, k, None] * (level @ mix.T) for k, mix in enumerate(weights)))


@lru_cache(maxsize=1)
def _knot_weights() -> Floats:
    return schedule_weights((_KNOTS[:-1] + _KNOTS[1:]) / 2)


@lru_cache(maxsize=4)
def _counts(zone: Zone, first: int) -> tuple[NDArray[np.int16], Floats]:
    """Return the hours of the week from a clock hour on, and how often each occurs before the i-th.

    [841, 168], and with holidays [841, 216].
    """
    local = hours_of_week(zone, first, _HOURLY)
    num_kinds = HOURS_OF_WEEK if isinstance(zone, str) else WORKED_WEEKEND + 24
    counts = np.zeros((_HOURLY + 1, num_kinds))
    counts[np.arange(1, _HOURLY + 1), local] = 1.0
    np.cumsum(counts, axis=0, out=counts)
    return local, counts


def _interpolated(counts: Floats, knots: Floats) -> Floats:
    near = np.minimum(knots, _HOURLY)
    lower = np.minimum(near.astype(np.intp), _HOURLY - 1)
    share = (near - lower)[:, None]
    hours = counts[lower] * (1 - share) + counts[lower + 1] * share
    hours[:, :HOURS_OF_WEEK] += np.maximum(knots - _HOURLY, 0.0)[:, None] / HOURS_OF_WEEK
    return np.asarray(hours)

"""Draws the chart of a balance with axes, limits and expected range, and a runway as a bar."""

import json
import math
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum

from markupsafe import Markup

from balancebot.catalogue import number
from balancebot.domain.balance import Reading
from balancebot.domain.runway import Runway, position_on_bar
from balancebot.domain.threshold import Limits
from balancebot.domain.verdict import Severity
from balancebot.forecast.course_ahead import LevelAhead
from balancebot.i18n import Wording

_STEPS = tuple(timedelta(hours=hours) for hours in (1, 3, 6, 12)) + tuple(
    timedelta(days=days) for days in (1, 2, 7, 14, 28, 91, 182, 364)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A linear scale from `low` to `high`, drawn from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the place of `value`, which may be beyond the ends."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def round_values(highest: float, *, about: int) -> list[float]:
    """Return 0, then multiples of 1, 2 or 5 times a power of ten: `about` steps until `highest` is reached.

    The last is at least `highest`. Balances are whole numbers, so no step is below 1.
    """
    raw = max(highest, 1.0) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = max(1.0, next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999))
    return (
        [step * index for index in range(math.ceil(highest / step - 1e-9) + 1)] if highest > 0 else [0.0, 1.0]
    )


def round_instants(start: datetime, end: datetime, zone: tzinfo, *, at_most: int) -> Iterator[datetime]:
    """Yield at most `at_most` local midnights (or hours, in a short range) at equal distances within a range."""
    step = next((step for step in _STEPS if (end - start) / step <= at_most), _STEPS[-1])
    local = start.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    if step >= timedelta(days=7):
        local -= timedelta(days=local.weekday())
    while True:
        # wall-clock arithmetic: midnight stays midnight when the clocks change
        instant = local.astimezone(UTC)
        if instant > end:
            return
        if instant >= start:
            yield instant
        local += step


_VISIBLE = 3.0
"""Pixels. An extreme that is less far from the line isn't drawn, and a shorter line becomes a point."""
_MOST_VALUES = 240
"""How many values of a chart can be read under the pointer."""
_LABEL, _LABEL_HEIGHT = 76.0, 15.0
"""The size of a limit's label, in pixels."""


class ChartMarkKind(StrEnum):
    """What made a balance jump."""

    TOP_UP = "top-up"
    TRANSFER = "transfer"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartMark:
    """A jump; `messages` is negative for quota that was moved away."""

    at: datetime
    kind: ChartMarkKind
    messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartCurve:
    """Everything that the chart of one balance shows."""

    points: Sequence[tuple[datetime, Reading]]
    """The oldest first; an absence leaves a gap."""
    marks: Sequence[ChartMark]
    since: datetime
    now: datetime
    reading: Reading
    observed_at: datetime | None
    """When `reading` was read."""
    until: datetime
    """The end of the chart's time axis."""
    ahead: Sequence[LevelAhead]
    """The forecast's range, from `observed_at` on."""
    limits: Limits
    longest_gap: timedelta
    """Points further apart than this aren't connected: there were no readings between them."""
    extremes: Sequence[tuple[datetime, int, int]] = ()
    """The middle of each bucket of readings with its lowest and highest reading, if known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartPaper:
    """The size of the drawing, in pixels of the style sheet's text."""

    name: str
    width: float
    height: float
    left: float
    top: float = 26.0
    right: float = 14.0
    bottom: float = 26.0


WIDE = ChartPaper(name="wide", width=1000, height=330, left=74)
NARROW = ChartPaper(name="narrow", width=360, height=280, left=62)


def draw(curve: ChartCurve, paper: ChartPaper, *, words: Wording, title: str) -> Markup:
    """Draw the curve. `title` describes it to people who can't see it."""
    across = Axis(
        low=curve.since.timestamp(),
        high=curve.until.timestamp(),
        start=paper.left,
        end=paper.width - paper.right,
    )
    steps = round_values(_highest(curve), about=4)
    up = Axis(low=0.0, high=steps[-1], start=paper.height - paper.bottom, end=paper.top)
    pen = _ChartPen(curve=curve, paper=paper, across=across, up=up, words=words)
    layers = [
        *pen.levels(steps),
        *pen.dates(),
        *pen.fan(),
        *pen.history(),
        *pen.extremes(),
        *pen.limits(),
        *pen.jumps(),
    ]
    picture = Markup('<svg viewBox="0 0 {:g} {:g}" aria-hidden="true">{}{}</svg>').format(
        paper.width,
        paper.height,
        Markup("").join(layers),
        _line("cursor", -1, paper.top, -1, up.start),
    )
    values = pen.values()
    return Markup(
        '<div class="chart {}" role="slider" tabindex="0" aria-label="{}" aria-valuemin="0" aria-valuemax="{}"'
        ' aria-valuenow="{}" aria-valuetext="{}" data-width="{:g}" data-values="{}">{}'
        '<p class="chart-value" aria-hidden="true"></p></div>'
    ).format(
        paper.name,
        title,
        max(0, len(values) - 1),
        max(0, len(values) - 1),
        values[-1][1] if values else "",
        paper.width,
        json.dumps(values, ensure_ascii=False),
        picture,
    )


def _highest(curve: ChartCurve) -> float:
    """Return the top of the value axis: the highest balance, or a limit that isn't far above it."""
    balances = [float(reading) for _, reading in curve.points if isinstance(reading, int)]
    balances += [float(high) for _, _, high in curve.extremes]
    if isinstance(curve.reading, int):
        balances.append(float(curve.reading))
    highest = max(balances, default=0.0)
    limits = [
        float(limit)
        for limit in (curve.limits.warning_below, curve.limits.critical_below)
        if limit is not None and (limit <= 3 * highest or highest == 0)
    ]
    return max([highest, *limits]) * 1.06


def future_levels(past: timedelta, runway: Runway | None) -> timedelta:
    """Return how much of the future is drawn next to `past`: up to P90 if there is room, at least a fifth."""
    if runway is None:
        return past * 0.12
    most = past / timedelta(hours=1)
    return timedelta(hours=min(max(runway.p90 * 1.06, most * 0.2), most))


@dataclass(frozen=True, slots=True, kw_only=True)
class _ChartPen:
    curve: ChartCurve
    paper: ChartPaper
    across: Axis
    up: Axis
    words: Wording

    def levels(self, steps: Sequence[float]) -> Iterable[Markup]:
        for step in steps:
            y = self.up.at(step)
            yield _line("axis" if step == 0 else "grid", self.paper.left, y, self.across.end, y)
            yield _text(number(step), self.paper.left - 8, y + 4, anchor="end")

    def dates(self) -> Iterable[Markup]:
        bottom = self.up.start
        room = int((self.across.end - self.across.start) / 104)
        for at in round_instants(self.curve.since, self.curve.until, self.words.zone, at_most=max(3, room)):
            x = self._x(at)
            yield _line("grid", x, bottom, x, bottom + 5)
            if self.across.start + 30 <= x <= self.across.end - 34:
                yield _text(self.words.date(at), x, bottom + 20, anchor="middle")
        if self.curve.now <= self.curve.until:
            now = self._x(self.curve.now)
            yield _line("now", now, self.paper.top - 8, now, bottom)
            yield _text(self.words.gettext("now"), now, self.paper.top - 13, anchor="middle")

    def fan(self) -> Iterable[Markup]:
        ahead = self.curve.ahead
        if not ahead or self.curve.reading == 0:
            return
        low, middle, high = (
            [(self._x(level.at), self.up.at(getattr(level, name))) for level in ahead]
            for name in ("p10", "p50", "p90")
        )
        yield Markup('<path class="fan" d="{}Z"/>').format(_path([*high, *reversed(low)]))
        yield Markup('<path class="median" d="{}"/>').format(_path(self._until_empty(middle)))

    def _until_empty(self, path: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
        floor = self.up.start - 0.05
        empty = next((index for index, (_, y) in enumerate(path) if y > floor), len(path))
        return path[: empty + 1]

    def history(self) -> Iterable[Markup]:
        stretches: list[list[tuple[float, float]]] = [[]]
        before: datetime | None = None
        latest = [] if self.curve.observed_at is None else [(self.curve.observed_at, self.curve.reading)]
        for at, reading in [*self.curve.points, *latest]:
            if not isinstance(reading, int) or (before is not None and at - before > self.curve.longest_gap):
                stretches.append([])
            if isinstance(reading, int):
                stretches[-1].append((self._x(at), self.up.at(reading)))
                before = at
        for stretch in stretches:
            if stretch and all(math.dist(point, stretch[-1]) < _VISIBLE for point in stretch):
                yield Markup('<circle class="point" cx="{:.1f}" cy="{:.1f}" r="2"/>').format(*stretch[-1])
            elif stretch:
                floor = [(stretch[-1][0], self.up.start), (stretch[0][0], self.up.start)]
                yield Markup('<path class="area" d="{}Z"/>').format(_path([*stretch, *floor]))
                yield Markup('<path class="history" d="{}"/>').format(_path(stretch))

    def extremes(self) -> Iterable[Markup]:
        """Draw the extremes of a bucket beyond the line, so that a fall that ended within the hour is visible."""
        levels = [(at, reading) for at, reading in self.curve.points if isinstance(reading, int)]
        instants = [at for at, _ in levels]
        for at, low, high in self.curve.extremes:
            index = bisect(instants, at)
            near = [reading for _, reading in levels[max(0, index - 1) : index + 1]]
            if not near:
                continue
            x, top, bottom = self._x(at), self.up.at(max(high, *near)), self.up.at(min(low, *near))
            line_top, line_bottom = self.up.at(max(near)), self.up.at(min(near))
            if line_top - top > _VISIBLE or bottom - line_bottom > _VISIBLE:
                yield _line("extreme", x, top, x, bottom)

    def values(self) -> list[tuple[float, str]]:
        """Return what can be read under the pointer: horizontal places, each with its instant and balance as text."""
        levels = [(at, reading) for at, reading in self.curve.points if isinstance(reading, int)]
        if self.curve.observed_at is not None and isinstance(self.curve.reading, int):
            levels.append((self.curve.observed_at, self.curve.reading))
        by_instant = {at: (low, high) for at, low, high in self.curve.extremes}
        instants = sorted(by_instant)
        labels = []
        for at, reading in levels[:: max(1, len(levels) // _MOST_VALUES)]:
            text = self.words.gettext(
                "%(at)s: %(balance)s", at=self.words.when(at), balance=self.words.messages(reading)
            )
            index = bisect(instants, at) - 1
            if index >= 0 and at - instants[index] <= timedelta(hours=13):
                low, high = by_instant[instants[index]]
                if low < reading or high > reading:
                    text = self.words.gettext(
                        "%(text)s (between %(low)s and %(high)s)",
                        text=text,
                        low=self.words.number(min(low, reading)),
                        high=self.words.number(max(high, reading)),
                    )
            labels.append((round(self._x(at), 1), text))
        return labels

    def limits(self) -> Iterable[Markup]:
        limits = self.curve.limits
        beside, above = self.across.start + 4, -math.inf
        for name, count in (("warning", limits.warning_below), ("critical", limits.critical_below)):
            if count is not None and count <= self.up.high:
                y = self.up.at(count)
                yield _line(f"limit {name}", self.across.start, y, self.across.end, y)
                # two limits may be so close that one label would cover the other
                x = beside + _LABEL if y - above < _LABEL_HEIGHT else beside
                yield _text(number(count), x, y - 5, name=name)
                above = y
        labelled = self._x(self.curve.now)
        for name, days in (("critical", limits.critical_days), ("warning", limits.warning_days)):
            # quota that is used up already has no last day in the future
            x = (
                math.inf
                if days is None or self.curve.reading == 0
                else self._x(self.curve.now + timedelta(days=days))
            )
            if days is not None and x <= self.across.end:
                yield _line(f"limit {name}", x, self.paper.top, x, self.up.start)
                if x - labelled >= 48:
                    middle = min(x, self.across.end - 14)
                    yield _text(self.words.days(days), middle, self.paper.top - 5, anchor="middle", name=name)
                    labelled = x

    def jumps(self) -> Iterable[Markup]:
        labelled = -math.inf
        for mark in sorted(self.curve.marks, key=lambda mark: mark.at):
            x = self._x(mark.at)
            if x < self.across.start:
                continue
            sign = "+" if mark.messages > 0 else "−"
            what = (
                self.words.gettext("top-up")
                if mark.kind is ChartMarkKind.TOP_UP
                else self.words.gettext("transfer")
            )
            words = f"{self.words.when(mark.at)}: {what} {sign}{number(abs(mark.messages))}"
            top = self.paper.top
            shape = (
                _path([(x - 5, top + 5), (x, top - 4), (x + 5, top + 5)])
                if mark.kind is ChartMarkKind.TOP_UP
                else _path([(x - 5, top), (x, top - 5), (x + 5, top), (x, top + 5)])
            )
            yield _line("mark", x, top + 5, x, self.up.start)
            yield Markup('<path class="{}" d="{}Z"><title>{}</title></path>').format(
                mark.kind.value, shape, words
            )
            if (
                x - labelled >= 70
                and self.across.start + 30 <= x <= min(self._x(self.curve.now), self.across.end) - 44
            ):
                yield _text(f"{sign}{number(abs(mark.messages))}", x, top - 10, anchor="middle")
                labelled = x

    def _x(self, at: datetime) -> float:
        return self.across.at(at.timestamp())


def _path(points: Iterable[tuple[float, float]]) -> str:
    """Return a polyline without points at the same place as the one before."""
    written: list[str] = []
    for x, y in points:
        point = f"{x:.1f} {y:.1f}"
        if not written or written[-1] != point:
            written.append(point)
    return "M" + "L".join(written)


def _line(name: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(
        name, x1, y1, x2, y2
    )


def _text(words: str, x: float, y: float, *, anchor: str = "start", name: str = "") -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        name, x, y, anchor, words
    )


_WIDTH, _HEIGHT = 170.0, 22.0
_TOP, _BAR = 5.0, 12.0
_TICKS_DAYS = (1, 7, 30, 90)


def runway_bar(runway: Runway | None, severity: Severity, limits: Limits, *, words: str) -> Markup:
    """Draw a bar from P10 to P90 with the median; `words` says the same to people who can't see it."""
    parts = [
        Markup('<rect class="track" x="0" y="{}" width="{}" height="{}" rx="3"/>').format(_TOP, _WIDTH, _BAR)
    ]
    if runway is not None:
        low, middle, high = (_x(hours) for hours in (runway.p10, runway.p50, runway.p90))
        parts.append(_block("maybe", 0.0, high))
        parts.append(_block("sure", 0.0, low))
        parts.append(
            Markup('<rect class="middle" x="{:.1f}" y="{}" width="2" height="{}"/>').format(
                min(max(middle - 1, 0.0), _WIDTH - 2), _TOP - 3, _BAR + 6
            )
        )
    parts += [_bar_line("tick", _x(days * 24.0), _TOP, _TOP + _BAR) for days in _TICKS_DAYS]
    parts += [
        _bar_line("limit", _x(days * 24.0), 0.0, _HEIGHT)
        for days in (limits.warning_days, limits.critical_days)
        if days is not None
    ]
    return Markup(
        '<svg class="runway {}" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}" preserveAspectRatio="none">{}</svg>'
    ).format(severity.word, _WIDTH, _HEIGHT, words, Markup("").join(parts))


def _x(hours: float) -> float:
    """Return the place of a length of time on the scale, which ends at a year."""
    return _WIDTH * position_on_bar(hours)


def _block(name: str, start: float, end: float) -> Markup:
    return Markup('<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="{}" rx="3"/>').format(
        name, start, _TOP, end - start, _BAR
    )


def _bar_line(name: str, x: float, top: float, bottom: float) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(
        name, x, x, top, bottom
    )

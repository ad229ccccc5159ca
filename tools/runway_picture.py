"""Draws docs/runway.svg: one balance with its top-ups, its limits and the range of its runway.

    PYTHONPATH=. python tools/runway_picture.py

The balance is invented (with a fixed seed): an app that sends log-in codes, mostly on working days. The estimate is
real.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from balancebot.forecast.burn_model import fit
from balancebot.forecast.forecast import Paths, PlannedLoad, forecast
from balancebot.forecast.profile import hours_of_week
from balancebot.forecast.use_window import WINDOW_HOURS, UseWindow

END = 494_090  # Wednesday 2026-05-13 02:00 UTC, 10:00 in Shanghai
ZONE = "Asia/Shanghai"
SHOWN, AHEAD = 16 * 24, 15 * 24
STOCK, TOP_UP, LOW = 26_000, 25_000, 4_000
WARNING, CRITICAL = 8_000, 3_000
PLAN = PlannedLoad(start=(END + 56) * 3600.0, end=(END + 58) * 3600.0, messages=4_000)

WIDTH, HEIGHT = 960, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 56, 64
INK, QUIET, GRID = "#1f2937", "#6b7280", "#e5e7eb"
FAN, MIDDLE = "#2563eb", "#1d4ed8"
AMBER, RED, GREEN, VIOLET = "#d97706", "#dc2626", "#059669", "#7c3aed"


@dataclass(frozen=True, kw_only=True)
class Past:
    """Hourly usage, the balance after each hour, and the hours of the top-ups."""

    use: np.ndarray
    stock: np.ndarray
    tops: list[int]


def past() -> Past:
    """Invent 35 days of usage by the hour of the week, and the balances that it leaves."""
    rng = np.random.default_rng(11)
    week = hours_of_week(ZONE, END - WINDOW_HOURS, WINDOW_HOURS)
    day, hour = week // 24, week % 24
    shape = 15 + 130 * np.exp(-(((hour - 11) / 3.2) ** 2)) + 150 * np.exp(-(((hour - 19) / 2.8) ** 2))
    use = rng.poisson(shape * np.where(day < 5, 1.0, 0.45) * rng.gamma(3, 1 / 3, WINDOW_HOURS))
    stock, tops, left = np.empty(WINDOW_HOURS), [], STOCK
    for i, used in enumerate(use):
        left -= used
        if left < LOW:
            left += TOP_UP
            tops.append(i)
        stock[i] = left
    return Past(use=use, stock=stock, tops=tops)


def x(hours: float) -> float:
    """Return the horizontal place of an instant, in hours from now."""
    return LEFT + (hours + SHOWN) / (SHOWN + AHEAD) * (WIDTH - LEFT - RIGHT)


def y(balance: float) -> float:
    """Return the vertical place of a balance."""
    return HEIGHT - BOTTOM - balance / 32_000 * (HEIGHT - TOP - BOTTOM)


def line(points: list[tuple[float, float]], **style: str) -> str:
    """Return a line through (hours, balance)."""
    d = " ".join(f"{x(hours):.1f},{y(balance):.1f}" for hours, balance in points)
    return f'<polyline points="{d}" fill="none" {_attributes(style)}/>'


def upright(hours: float, top: float, bottom: float, **style: str) -> str:
    """Return a vertical line at an instant."""
    place = f'x1="{x(hours):.1f}" x2="{x(hours):.1f}" y1="{top:.1f}" y2="{bottom:.1f}"'
    return f"<line {place} {_attributes(style)}/>"


def text(at: tuple[float, float], words: str, **style: str) -> str:
    """Return text at a place in the picture."""
    return f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" {_attributes(style)}>{words}</text>'


def _attributes(style: dict[str, str]) -> str:
    return " ".join(f'{name.replace("_", "-")}="{value}"' for name, value in style.items())


def axes() -> list[str]:
    """Return the grid, the days and the limits."""
    parts = []
    for balance in range(0, 30_001, 10_000):
        parts.append(line([(-SHOWN, balance), (AHEAD, balance)], stroke=GRID))
        parts.append(text((LEFT - 8, y(balance) + 4), f"{balance:,}", fill=QUIET, text_anchor="end"))
    week = hours_of_week(ZONE, END - SHOWN, SHOWN + AHEAD)
    for i in np.flatnonzero(week % 24 == 0):
        hours = float(i - SHOWN)
        monday = week[i] == 0
        length = 8 if monday else 4
        parts.append(upright(hours, y(0), y(0) + length, stroke=QUIET))
        if monday:
            parts.append(text((x(hours), y(0) + 22), "Mon", fill=QUIET, text_anchor="middle"))
    for limit, name, colour in ((WARNING, "warning", AMBER), (CRITICAL, "critical", RED)):
        parts.append(line([(-SHOWN, limit), (AHEAD, limit)], stroke=colour, stroke_dasharray="5 4"))
        parts.append(text((LEFT + 6, y(limit) - 5), f"{name} below {limit:,}", fill=colour))
    return parts


def fan(paths: Paths, balance: float) -> list[str]:
    """Return the range of the future balances: P10 to P90, and P50."""
    hours = np.arange(0.0, AHEAD + 0.5, 1.0)

    def left(quantile: float) -> list[tuple[float, float]]:
        used = [float(paths.used_by(np.array([h]), quantile)[0]) for h in hours]
        rest = balance - np.maximum.accumulate(used)
        until = int(np.argmax(rest <= 0)) + 1 if (rest <= 0).any() else len(rest)
        return [(h, max(b, 0.0)) for h, b in zip(hours[:until], rest[:until], strict=True)]

    low, high = left(0.9), left(0.1)
    edge = " ".join(f"{x(h):.1f},{y(b):.1f}" for h, b in low + high[::-1])
    return [
        f'<polygon points="{edge}" fill="{FAN}" fill-opacity="0.16"/>',
        line(low, stroke=FAN, stroke_opacity="0.45"),
        line(high, stroke=FAN, stroke_opacity="0.45"),
        line(left(0.5), stroke=MIDDLE, stroke_width="2.2"),
    ]


def main() -> None:
    """Write the picture."""
    seen = past()
    model = fit(
        [UseWindow(end=END, use=seen.use.astype(np.float32), exposure=np.ones(WINDOW_HOURS, np.float32))],
        ZONE,
    )
    balance, now = float(seen.stock[-1]), END * 3600.0
    nothing = np.zeros(1)
    paths = Paths(model, np.array([now]), ZONE, nothing, nothing)
    paths.add_plans([[PLAN]])
    answer = forecast(
        model,
        balances=np.array([balance]),
        observed_at=np.array([now]),
        now=now,
        zone=ZONE,
        confidence=0.75,
        plans=[[PLAN]],
    )
    parts = axes() + fan(paths, balance)
    points = [
        (float(i - WINDOW_HOURS + 1), float(seen.stock[i])) for i in range(WINDOW_HOURS - SHOWN, WINDOW_HOURS)
    ]
    parts.append(line(points, stroke=INK, stroke_width="1.8", stroke_linejoin="round"))
    for i in seen.tops:
        hours = i - WINDOW_HOURS + 1.0
        if hours > -SHOWN:
            parts.append(f'<circle cx="{x(hours):.1f}" cy="{y(seen.stock[i]):.1f}" r="4" fill="{GREEN}"/>')
            parts.append(text((x(hours) + 8, y(seen.stock[i]) - 6), f"top-up +{TOP_UP:,}", fill=GREEN))
    parts.append(upright(0, TOP - 10, y(0), stroke=INK, stroke_dasharray="2 3"))
    parts.append(
        text((x(0), TOP - 16), f"now: {balance:,.0f} left", fill=INK, text_anchor="middle", font_weight="600")
    )
    planned = (
        PLAN.end / 3600 - END,
        balance - float(paths.used_by(np.array([PLAN.end / 3600 - END]), 0.5)[0]),
    )
    parts.append(text((x(planned[0]) + 10, y(planned[1]) - 22), f"announced: {PLAN.messages:,}", fill=VIOLET))
    parts.append(line([planned, (planned[0] + 5, planned[1] + 1_500)], stroke=VIOLET))
    for i, (name, hours) in enumerate(
        (("P10", answer.p10[0]), ("P50", answer.p50[0]), ("P90", answer.p90[0]))
    ):
        parts.append(upright(hours, y(0), y(0) + 22 + 14 * (i % 2), stroke=MIDDLE))
        parts.append(f'<circle cx="{x(hours):.1f}" cy="{y(0):.1f}" r="4" fill="{MIDDLE}"/>')
        below = (x(hours), y(0) + 34 + 14 * (i % 2))
        label = f"{name} {hours / 24:.1f} d"
        parts.append(text(below, label, fill=MIDDLE, text_anchor="middle", font_weight="600"))
    title = f"acme/checkout:industry, {answer.burn_per_day[0]:,.0f} expected in the next 24 hours"
    parts.append(text((LEFT, 24), title, fill=INK, font_size="15", font_weight="600"))
    body = "\n".join(parts)
    (Path(__file__).parents[1] / "docs" / "runway.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="A balance, its top-ups and limits, and the fan of its runway" '
        f'font-family="system-ui, sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    main()

"""How accurate runway estimates are, compared with simpler forecasts, on series of real usage.

    python benchmarks/accuracy.py FOLDER

Each series of FOLDER (see series.py) draws down a stock that is topped up when it is low or some hours after it reached
zero, and that is read every 5, 15 or 60 minutes with gaps. At random moments every forecaster gets the last 28 days of
readings and forecasts how long the present stock will last; the truth is known. Errors are log2((forecast + 1/4 h) /
(truth + 1/4 h)): 1 is a factor of 2. WIS is the weighted interval score of the 80 % interval in the same unit, lower is
better; without an interval it is the mean absolute error.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from series import READINGS, load

from balancebot.forecast.series import estimate_series

LONGEST = 60 * 24.0
"""Hours; longer forecasts are cut to this."""
DAY = 24 * READINGS
QUESTIONS = 40
"""How many questions are asked per walk."""

Forecast = tuple[float, float, float]
Forecaster = Callable[[np.ndarray, np.ndarray, float], Forecast]


@dataclass(frozen=True, kw_only=True)
class Question:
    """The input of a forecaster, and the truth in hours."""

    at: np.ndarray
    balance: np.ndarray
    now: float
    truth: float


def ours(at: np.ndarray, balance: np.ndarray, now: float) -> Forecast:
    """The estimate of this project."""
    runway = estimate_series(at, balance, now, "UTC").runway
    return (math.inf,) * 3 if runway is None else (runway.p10, runway.p50, runway.p90)


def predict_linear(hours: float) -> Forecaster:
    """Least squares over the last hours, as Prometheus' predict_linear does, including top-ups."""

    def forecast(at: np.ndarray, balance: np.ndarray, now: float) -> Forecast:
        near = at >= now - hours * 3600
        if near.sum() < 2:
            return (math.inf,) * 3
        slope, level = np.polyfit((at[near] - now) / 3600, balance[near], 1)
        lasts = max(-level / slope, 0.0) if slope < 0 else math.inf
        return (lasts,) * 3

    return forecast


def mean_use(days: float) -> Forecaster:
    """The balance divided by the mean usage of the last days, without top-ups."""

    def forecast(at: np.ndarray, balance: np.ndarray, now: float) -> Forecast:
        first = min(int(np.searchsorted(at, now - days * 86400)), len(at) - 2)
        change = np.diff(balance[first:])
        seen = (change < 0) | ((change == 0) & (balance[first + 1 :] > 0))
        used, hours = -change[change < 0].sum(), np.diff(at[first:])[seen].sum() / 3600
        lasts = balance[-1] * hours / used - (now - at[-1]) / 3600 if used > 0 else math.inf
        return (max(lasts, 0.0),) * 3

    return forecast


FORECASTERS: dict[str, Forecaster] = {
    "balancebot": ours,
    "mean of 7 days": mean_use(7),
    "mean of 28 days": mean_use(28),
    "mean of 24 hours": mean_use(1),
    "predict_linear, 6 h": predict_linear(6),
    "predict_linear, 24 h": predict_linear(24),
}


def questions(start: int, use: np.ndarray, rng: np.random.Generator) -> Iterator[Question]:
    """Draw one series down three times, from a small, a medium and a large stock, and yield questions at random moments."""
    total = np.concatenate([[0], np.cumsum(use)])
    per_day = total[-1] / len(use) * DAY
    for days, step in ((1.5, 1), (5, 3), (15, 12)):
        stock, tops = _walk(total, per_day * days, rng)
        readings_at = np.arange(0, len(stock), step)
        readings_at = readings_at[rng.random(len(readings_at)) > 0.02]
        for i in rng.integers(2 * DAY, len(use) - DAY, QUESTIONS):
            seen = readings_at[(readings_at <= i) & (readings_at > i - 28 * DAY)]
            dry = int(np.searchsorted(total, total[i] + stock[i]))
            expected = stock[i] / max((total[i] - total[max(i - 7 * DAY, 0)]) / min(i, 7 * DAY), 1e-9)
            topped_since = np.any((tops > seen[-1]) & (tops <= i))
            # Ask only if the series is long enough for an answer, judged by what was known at that moment.
            if (
                stock[i] <= 0
                or stock[seen[-1]] <= 0
                or topped_since
                or i + 2.5 * expected + 2 * DAY > len(use)
            ):
                continue
            instants = start * 3600.0 + seen * 300.0
            truth = min((dry - i) / READINGS, LONGEST)
            yield Question(
                at=instants, balance=stock[seen].astype(float), now=start * 3600.0 + i * 300.0, truth=truth
            )


def _walk(total: np.ndarray, size: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the stock before each bin, and the bins of the top-ups."""
    stock = np.zeros(len(total), np.int64)
    i, left, tops = 0, max(int(size), 5), []
    while True:
        low = 0 if rng.random() < 0.35 else int(left * rng.uniform(0.05, 0.5))
        end = int(np.searchsorted(total, total[i] + left - low)) + int(rng.uniform(1, DAY / 2))
        end = min(end, len(total))
        stock[i:end] = np.maximum(left - (total[i:end] - total[i]), 0)
        if end == len(total):
            return stock, np.array(tops, int)
        left = int(stock[end - 1]) + max(int(size * rng.lognormal(0, 0.5)), 5)
        i = end
        tops.append(i)


def main() -> None:
    """Print one line per forecaster, with means over all series."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    rng = np.random.default_rng(4)
    asked = [list(questions(*load(path), rng)) for path in sorted(parser.parse_args().folder.glob("*.csv"))]
    asked = [series for series in asked if series]
    print(f"{sum(map(len, asked))} questions on {len(asked)} series")
    print(f"{'':22}{'WIS':>7}{'median':>8}{'within 1.25 x':>15}{'within 2 x':>12}{'covered':>9}{'ms':>8}")
    for name, forecaster in FORECASTERS.items():
        began = time.process_time()
        answers = [np.array([forecaster(q.at, q.balance, q.now) for q in series]) for series in asked]
        spent = 1000 * (time.process_time() - began) / sum(map(len, asked))
        scores = [_scores(answer, series) for answer, series in zip(answers, asked, strict=True)]
        wis = np.mean([wis.mean() for wis, _, _ in scores])
        error = np.concatenate([error for _, error, _ in scores])
        covered = np.concatenate([covered for _, _, covered in scores]).mean()
        has_interval = any((answer[:, 0] < answer[:, 2]).any() for answer in answers)
        print(
            f"{name:22}{wis:7.3f}{np.median(error):8.2f}{(error <= math.log2(1.25)).mean():14.0%} "
            f"{(error <= 1).mean():11.0%} {f'{covered:.0%}' if has_interval else '-':>8}{spent:8.2f}"
        )


def _scores(answers: np.ndarray, series: list[Question]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    low, middle, high = np.log2(np.clip(answers, 0.0, LONGEST) + 0.25).T
    truth = np.log2(np.array([question.truth for question in series]) + 0.25)
    error = np.abs(middle - truth)
    outside = np.maximum(low - truth, 0) + np.maximum(truth - high, 0)
    wis = (0.5 * error + 0.1 * (high - low + 10 * outside)) / 1.5
    return wis, error, outside < 1e-9


if __name__ == "__main__":
    main()

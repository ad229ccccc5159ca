"""Adaptive polling compared with fixed intervals, on series of usage: requests per day, and the delay of crossed
limits.

    python benchmarks/polling.py [FOLDER] [--every 60] [--fastest 2] [--days 10] [--seed 1]

Without a FOLDER of series (as `series.py` reads them) senders are simulated. Each series begins with 35 days of usage;
it gets a stock, three limits (the usage of a day, of a third of a day, and 0) and a top-up some time after the critical
limit. Models, estimates and the instants of reading are the program's own. A delay runs from the crossing of a limit to
the first reading that shows it, or to the top-up that hides it. Fixed intervals begin at a random instant for each
series.
"""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
from playback import CODES, OFFICE, sends
from series import READINGS, load

from balancebot.domain.balance import Category
from balancebot.domain.next_reading import PollIntervals, WatchedBalance, next_reading
from balancebot.domain.threshold import Limits
from balancebot.forecast.forecast import forecast
from balancebot.forecast.model import Models, fit
from balancebot.forecast.use_window import WINDOW_HOURS, UseWindow

DAY = 1440
"""Minutes."""
WEEK_HOURS = 168
START_HOUR = int(datetime(2026, 3, 12, tzinfo=UTC).timestamp()) // 3600
"""All series are shifted by whole weeks, so that they begin together: this is a Thursday, as 1 January 1970 was."""
ZONE = "UTC"
REFIT_HOURS = 3
MIN_USE = 5.0
"""Messages per day; a series with less is left out."""
FIXED_MINUTES = (1, 2, 3, 5, 7, 10, 15, 20, 30, 45, 60, 90, 120)
STARTS = 20
"""How many random starts each fixed interval gets."""


class Sender(NamedTuple):
    """One balance: its usage per hour, including the past, and the simulated days by minute."""

    name: str
    hourly: np.ndarray
    balance: np.ndarray
    limits: Limits
    crossings: np.ndarray
    """Pairs of minutes: when a limit is crossed, and until when a reading can show it."""


def senders(chosen: argparse.Namespace) -> list[Sender]:
    """Return the senders of a folder, or simulated ones."""
    rng = np.random.default_rng(chosen.seed)
    if chosen.folder is None:
        series = made(rng, WINDOW_HOURS // 24 + chosen.days)
    else:
        series = [(path.stem, *load(path)) for path in sorted(chosen.folder.glob("*.csv"))]
    found = []
    for name, first_hour, use in series:
        part = use[-first_hour % WEEK_HOURS * READINGS :][: (WINDOW_HOURS + chosen.days * 24) * READINGS]
        days = len(part) / READINGS / 24
        if days == WINDOW_HOURS / 24 + chosen.days and part.sum() >= MIN_USE * days:
            found.append(sender(rng, name, part))
        else:
            print(f"left out: {name}, of {days:.0f} days and {part.sum() / max(days, 1):.0f} messages a day")
    return found


def made(rng: np.random.Generator, days: int) -> list[tuple[str, int, np.ndarray]]:
    """Return senders of log-in codes and of office messages; a third of them have mailings in addition."""
    found = []
    for number in range(30):
        use = sends(rng, days, float(10 ** rng.uniform(2.5, 5)), shape=(CODES, OFFICE)[number % 2])
        if number % 3 == 0:
            per_day = use.sum() / days
            for day in np.flatnonzero(rng.random(days) < 0.25):
                at = day * 288 + int(rng.integers(100, 200))
                use[at : at + 12] += rng.poisson(per_day * rng.uniform(0.3, 2.0) / 12, 12)
        found.append((f"made {number}", 0, use))
    return found


def sender(rng: np.random.Generator, name: str, use: np.ndarray) -> Sender:
    """Give a series its stock, limits and top-ups."""
    past = WINDOW_HOURS * READINGS
    per_day = use[:past].sum() / past * READINGS * 24
    limits = Limits(warning_below=max(3, round(per_day)), critical_below=max(2, round(per_day / 3)))
    bars = (limits.warning_below, limits.critical_below, 1)
    balance: list[int] = []
    crossings: list[tuple[int, int]] = []
    unseen: list[int] = []
    left, top_up_at = per_day * rng.uniform(1.5, 5.0), -1
    for minute, used in enumerate(np.repeat(use[past:] / 5.0, 5).tolist()):
        if minute == top_up_at:
            left += per_day * rng.uniform(3.0, 8.0)
            crossings += [(at, minute) for at in unseen]
            unseen, top_up_at = [], -1
        before, left = int(left), max(0.0, left - used)
        for bar in bars:
            if bar is not None and before >= bar > int(left):
                unseen.append(minute)
                if bar == limits.critical_below and top_up_at < 0:
                    top_up_at = minute + int(rng.uniform(2, 36) * 60)
        balance.append(int(left))
    crossings += [(at, len(balance)) for at in unseen]
    return Sender(
        name,
        use.reshape(-1, READINGS).sum(1).astype(np.float64),
        np.array(balance),
        limits,
        np.array(crossings, np.int64).reshape(-1, 2),
    )


def delays(of: Sender, reads: np.ndarray) -> np.ndarray:
    """Return after how many minutes each crossing is seen."""
    seen = np.append(reads, len(of.balance))[np.searchsorted(reads, of.crossings[:, 0])]
    return np.minimum(seen, of.crossings[:, 1]) - of.crossings[:, 0]


def models_at(found: Sequence[Sender], hour: int) -> Models:
    """Return the models of the usage before one hour of the simulated days."""
    return fit(
        [
            UseWindow(
                end=START_HOUR + hour,
                use=of.hourly[hour : hour + WINDOW_HOURS].astype(np.float32),
                exposure=np.ones(WINDOW_HOURS, np.float32),
            )
            for of in found
        ],
        ZONE,
    ).models


def adaptive(found: Sequence[Sender], chosen: argparse.Namespace) -> list[np.ndarray]:
    """Simulate the days; return the minutes in which each sender is read."""
    intervals = PollIntervals(
        every=timedelta(minutes=chosen.every),
        fastest=timedelta(minutes=chosen.fastest),
        stale_after=timedelta(days=1),
    )
    due = np.zeros(len(found), np.int64)
    reads: list[list[int]] = [[] for _ in found]
    models, closed = models_at(found, 0), 0
    for minute in range(chosen.days * DAY):
        if minute % (REFIT_HOURS * 60) == 0:
            closed = minute // 60
            models = models_at(found, closed)
        rows = np.flatnonzero(due <= minute)
        if not rows.size:
            continue
        now = datetime.fromtimestamp(START_HOUR * 3600 + minute * 60, UTC)
        values = np.array([found[row].balance[minute] for row in rows])
        hours = slice(WINDOW_HOURS + closed, WINDOW_HOURS + minute // 60)
        answers = forecast(
            models[rows],
            balances=values.astype(np.float64),
            observed_at=np.full(len(rows), now.timestamp()),
            now=now.timestamp(),
            zone=ZONE,
            confidence=0.75,
            open_use=np.array([found[row].hourly[hours].sum() for row in rows]),
            open_exposure=np.full(len(rows), float(minute // 60 - closed)),
        ).estimates()
        for row, value, expected in zip(rows.tolist(), values.tolist(), answers, strict=True):
            of, before = found[row], reads[row][-1:]
            pace = 0.0 if not before else (of.balance[before[0]] - value) / (minute - before[0]) * 60.0
            watched = WatchedBalance(Category.INDUSTRY, value, of.limits, expected, max(0.0, float(pace)))
            following = next_reading([watched], account=of.name, due_at=now, read_at=now, intervals=intervals)
            reads[row].append(minute)
            due[row] = minute + max(1, round((following.at - now).total_seconds() / 60))
    return [np.array(minutes) for minutes in reads]


class Outcome(NamedTuple):
    """The cost of a way of polling, and how late it sees crossed limits."""

    requests: float
    """Per balance and day."""
    mean: float
    p95: float
    """Minutes."""


def outcome(found: Sequence[Sender], reads: Sequence[np.ndarray], days: int) -> Outcome:
    """Return the outcome of reading each sender in these minutes."""
    late = np.concatenate([delays(of, minutes) for of, minutes in zip(found, reads, strict=True)])
    requests = sum(map(len, reads)) / len(found) / days
    return Outcome(requests, float(late.mean()), float(np.percentile(late, 95)))


def fixed(found: Sequence[Sender], interval: float, chosen: argparse.Namespace) -> Outcome:
    """Return the outcome of reading each sender every `interval` minutes, over several random starts."""
    rng = np.random.default_rng(chosen.seed)
    outcomes = [
        outcome(
            found,
            [np.ceil(np.arange(rng.uniform(0, interval), chosen.days * DAY, interval)) for _ in found],
            chosen.days,
        )
        for _ in range(STARTS)
    ]
    return Outcome(*np.mean(outcomes, axis=0).tolist())


def equal(
    found: Sequence[Sender], chosen: argparse.Namespace, wanted: float, figure: str
) -> tuple[float, Outcome]:
    """Return the fixed interval at which `figure` is as wanted, found by bisection, and its outcome."""
    low, high = 0.5, float(DAY)
    for _ in range(14):
        middle = (low * high) ** 0.5
        if getattr(fixed(found, middle, chosen), figure) < wanted:
            low = middle
        else:
            high = middle
    return low, fixed(found, low, chosen)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("folder", type=Path, nargs="?")
    options.add_argument("--every", type=int, default=60, help="minutes")
    options.add_argument("--fastest", type=int, default=2, help="minutes")
    options.add_argument("--days", type=int, default=10)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    found = senders(chosen)
    num = sum(len(of.crossings) for of in found)
    print(f"{len(found)} balances, {chosen.days} days, {num} limits crossed; delays in minutes")
    ours = outcome(found, adaptive(found, chosen), chosen.days)
    per_request = DAY / ours.requests
    rows = [
        (f"adaptive, {chosen.fastest} to {chosen.every} min", ours),
        (f"fixed {per_request:.1f} min: equal requests", fixed(found, per_request, chosen)),
    ]
    for figure, name in (("mean", "equal mean delay"), ("p95", "equal 95th percentile")):
        interval, same = equal(found, chosen, getattr(ours, figure), figure)
        rows.append((f"fixed {interval:.1f} min: {name}", same))
    rows += [
        (f"fixed {minutes} min", fixed(found, minutes, chosen))
        for minutes in (chosen.fastest, 5, chosen.every)
    ]
    print("| polling | requests a day | x ours | mean delay | 95th percentile |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, row in rows:
        ratio = row.requests / ours.requests
        print(f"| {name} | {row.requests:.0f} | {ratio:.1f} | {row.mean:.1f} | {row.p95:.1f} |")


if __name__ == "__main__":
    main()

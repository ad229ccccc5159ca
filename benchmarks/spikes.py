"""How often a spike is told that is none, and how many attacks are found, on series of real use.

    python benchmarks/spikes.py FOLDER

Each series of FOLDER (see series.py) is read every five minutes, the model refitted when an hour closes, as in
operation. An attack adds 5 or 20 times what its hour usually uses, for 30 minutes from a random reading on, to hours
that usually use 30 messages or more; of 5 x in smaller hours nothing could be told from chance.
"""

import argparse
from pathlib import Path

import numpy as np
from series import READINGS, load

from balancebot.domain.burn_model import MODEL, fit
from balancebot.domain.local_week import hours_of_week
from balancebot.domain.spike import PER_ALERT, REMEMBERED_DAYS, SPIKING, judge_spikes, next_streak
from balancebot.domain.use_window import WINDOW_HOURS, UseWindow

ATTACKS = 500
USUAL = 30
WIDTHS = (14, 10, 10, 20, 8)


def replay(start: int, use: np.ndarray) -> np.ndarray:
    """Return the model of each hour, fitted on what came before it."""
    hourly = np.concatenate([np.zeros(WINDOW_HOURS), use.reshape(-1, READINGS).sum(1)]).astype(np.float32)
    exposed = (np.arange(len(hourly)) >= WINDOW_HOURS).astype(np.float32)
    models = np.zeros(len(use) // READINGS, MODEL)
    for hour in range(len(models)):
        part = slice(hour, hour + WINDOW_HOURS)
        models[hour] = fit([UseWindow(end=start + hour, use=hourly[part], exposure=exposed[part])], "UTC")[0]
    return models


def measure(start: int, use: np.ndarray, models: np.ndarray, rng: np.random.Generator) -> list[float]:
    """Return false alarms a quarter, then the part of 5x and 20x attacks found: at all, by the second reading."""
    at = start * 3600.0 + np.arange(len(use)) * 300.0
    hour = np.arange(len(use)) // READINGS
    judged = judge_spikes(models[hour], use=use.astype(float), since=at, until=at + 300.0, zone="UTC")
    told: list[int] = []
    alerts = np.zeros(len(use), np.int64)
    streak, is_open = 0, False
    for i in range(24 * READINGS, len(use)):
        alerts[i] = sum(i - when < REMEMBERED_DAYS * 24 * READINGS for when in told)
        bar = judged.bar[i] + PER_ALERT * alerts[i]
        over, calm = judged.score[i] > bar, judged.score[i] < bar / 2
        streak = next_streak(streak, over=over, calm=calm, drained=bool(over and judged.drained[i]))
        if streak >= SPIKING and not is_open:
            told.append(i)
        is_open = streak >= SPIKING or (is_open and streak > -SPIKING)
    usual = (models["mean"] * models["shape"].T)[hours_of_week("UTC", start, len(models)), range(len(models))]
    hours = np.flatnonzero(usual[25:-1] >= USUAL) + 25
    found = []
    for times in (5, 20):
        if len(hours) < 20:
            found.append((np.nan, np.nan))
            continue
        first = rng.choice(hours, ATTACKS) * READINGS + rng.integers(0, READINGS, ATTACKS)
        rows = first[:, None] + np.arange(6)
        attacked = use[rows] + rng.poisson(times * usual[first // READINGS, None] / READINGS, rows.shape)
        flat = rows.ravel()
        over = judge_spikes(
            models[hour[flat]],
            use=attacked.ravel().astype(float),
            since=at[flat],
            until=at[flat] + 300.0,
            zone="UTC",
            alerts=alerts[flat],
        ).over.reshape(rows.shape)
        both = over[:, 1:] & over[:, :-1]
        found.append((both.any(1).mean(), both[:, 0].mean()))
    return [len(told) / len(use) * 288 * 91, found[0][0], found[1][0], found[0][1], found[1][1]]


def line(name: str, row: list[float]) -> str:
    """Return one row of the table."""
    return f"{name:32}" + "".join(
        f"{'-':>{width}}" if np.isnan(value) else f"{value:{width}.2f}"
        for value, width in zip(row, WIDTHS, strict=True)
    )


def main() -> None:
    """Print one line per series, their means and medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    rng = np.random.default_rng(1)
    rows = []
    print(
        f"{'':32}{'false/quarter':>14}{'5x found':>10}{'20x found':>10}{'by 2nd reading: 5x':>20}{'20x':>8}"
    )
    for path in sorted(parser.parse_args().folder.glob("*.csv")):
        start, use = load(path)
        rows.append(measure(start, use, replay(start, use), rng))
        print(line(path.stem, rows[-1]), flush=True)
    print(line("mean", np.nanmean(rows, axis=0).tolist()))
    print(line("median", np.nanmedian(rows, axis=0).tolist()))


if __name__ == "__main__":
    main()

"""How often a spike is falsely reported, and how many attacks are found, on series of real usage.

    python benchmarks/spikes.py FOLDER [--seed N] [--instead] [--usual N] [--every MINUTES] [--bursty] [--shift LOG2 ...]

Each series of FOLDER (see series.py) is read every five minutes, and the model is refitted when an hour closes, as in
operation. Every reported spike of the series itself counts as false. An attack adds 5 or 20 times the usual usage of
its hour of the week, for 30 minutes from a random reading on, in hours that usually use 30 messages or more; if an hour
closes meanwhile, the attack is in the next model. The evidence and the alerts remembered at its start are those of
operation.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from series import READINGS, load

from balancebot.forecast.model import MODEL, Models, fit
from balancebot.forecast.profile import hours_of_week
from balancebot.forecast.spike import (
    PER_ALERT,
    SPIKING,
    Spikes,
    far_above,
    gather,
    judge_spikes,
    points_of,
    remembered,
)
from balancebot.forecast.use_window import WINDOW_HOURS, UseWindow

DAY = 24 * READINGS
ATTACK = 6
"""How many five-minute bins it lasts."""
HEADS = ("false/quarter", "5x found", "20x found", "by 2nd reading: 5x", "20x")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """How attacks are simulated and spikes judged."""

    rng: np.random.Generator
    attacks: int = 500
    usual: float = 30
    """Attacks are simulated in hours that usually use at least this many messages."""
    instead: bool = False
    """Whether the attack replaces the usual usage or adds to it."""
    every: int = 1
    """How many five-minute bins lie between readings."""
    bursty: bool = False
    """Whether the category may burst."""
    shift: float = 0.0
    """Added to every bar, in log2: shows the effect of the bar's height."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """A series with the model of each hour, fitted to the data before it."""

    start: int
    use: np.ndarray
    models: Models

    def model(self, hour: int, *, added: float = 0.0) -> Models:
        """Return the model of an hour; `added` is additional usage in the hour before."""
        first = max(hour - WINDOW_HOURS, 0) * READINGS
        hourly = np.zeros(WINDOW_HOURS, np.float32)
        exposed = np.zeros(WINDOW_HOURS, np.float32)
        known = self.use[first : hour * READINGS].reshape(-1, READINGS).sum(1)
        if known.size:
            hourly[-known.size :], exposed[-known.size :] = known, 1.0
            hourly[-1] += added
        return fit([UseWindow(end=self.start + hour, use=hourly, exposure=exposed)], "UTC").models

    def usual(self) -> np.ndarray:
        """Return the usual usage of each hour of the week, as known at that hour."""
        rows = range(len(self.models))
        local = hours_of_week("UTC", self.start, len(self.models))
        return np.asarray(self.models["mean"] * self.models["shape"][rows, local])


def read(path: Path) -> Series:
    """Return a series with its models."""
    start, use = load(path)
    series = Series(start=start, use=use, models=np.zeros(len(use) // READINGS, MODEL))
    for hour in range(len(series.models)):
        series.models[hour] = series.model(hour)[0]
    return series


def judged(series: Series, models: Models, first: np.ndarray, use: np.ndarray, trial: Trial) -> Spikes:
    """Judge readings that begin at the bins `first` and saw `use`, as if no spike had been reported before."""
    since = series.start * 3600.0 + first * 300.0
    return judge_spikes(
        models,
        use=use.astype(float),
        since=since,
        until=since + 300.0 * trial.every,
        zone="UTC",
        bursty=np.full(len(use), trial.bursty),
    )


def points(score: np.ndarray, bar: np.ndarray, memory: np.ndarray, trial: Trial) -> np.ndarray:
    """Return the points of readings, with the remembered alerts of earlier spikes."""
    bar = bar + PER_ALERT * memory + trial.shift
    far = far_above(bar, np.float64(300.0 * trial.every), memory, bursty=trial.bursty)
    return points_of(score, bar, far)


def operate(series: Series, trial: Trial) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the number of reported spikes; and before each reading, the evidence and the remembered alerts."""
    first = np.arange(0, len(series.use) // trial.every * trial.every, trial.every)
    use = series.use[: first.size * trial.every].reshape(-1, trial.every).sum(1)
    spikes = judged(series, series.models[first // READINGS], first, use, trial)
    reported: list[int] = []
    evidence, memory = np.zeros(len(first), int), np.zeros(len(first))
    gathered, is_open = 0, False
    for i, at in enumerate(first.tolist()):
        memory[i] = remembered((at - when) / DAY for when in reported)
        evidence[i] = gathered
        if at >= DAY:
            gathered = gather(gathered, int(points(spikes.score[i], spikes.bar[i], memory[i], trial)))
        if gathered >= SPIKING and not is_open:
            reported.append(at)
        is_open = gathered >= SPIKING or (is_open and gathered > 0)
    return len(reported), evidence, memory


def found(series: Series, times: int, evidence: np.ndarray, memory: np.ndarray, trial: Trial) -> np.ndarray:
    """Return at which reading each attack was found; 0 = not found."""
    usual = series.usual()
    hours = np.flatnonzero(usual[25:-2] >= trial.usual) + 25
    if len(hours) < 20:
        return np.zeros(0, int)
    begin = trial.rng.choice(hours, trial.attacks) * READINGS + trial.rng.integers(0, READINGS, trial.attacks)
    bins = begin[:, None] + np.arange(ATTACK)
    sent = trial.rng.poisson(times * usual[begin // READINGS, None] / READINGS, bins.shape)
    change = sent - series.use[bins] if trial.instead else sent
    number = -(-ATTACK // trial.every) + (trial.every > 1)
    readings = begin[:, None] // trial.every + np.arange(number)
    use = np.zeros(readings.shape)
    models = np.zeros(readings.shape, MODEL)
    for i, k in np.ndindex(readings.shape):
        first = int(readings[i, k]) * trial.every
        within = (bins[i] >= first) & (bins[i] < first + trial.every)
        use[i, k] = series.use[first : first + trial.every].sum() + change[i, within].sum()
        hour = first // READINGS
        before = bins[i] // READINGS == hour - 1
        added = float(change[i, before].sum())
        models[i, k] = series.model(hour, added=added)[0] if before.any() else series.models[hour]
    spikes = judged(series, models.ravel(), readings.ravel() * trial.every, use.ravel(), trial)
    evidence_of = points(
        spikes.score.reshape(use.shape), spikes.bar.reshape(use.shape), memory[readings[:, :1]], trial
    )
    at = np.zeros(len(begin), int)
    for i in range(len(begin)):
        gathered = int(evidence[readings[i, 0]])
        for k in range(number):
            gathered = gather(gathered, int(evidence_of[i, k]))
            if gathered >= SPIKING:
                at[i] = k + 1
                break
    return at


def measure(series: Series, trial: Trial) -> list[float]:
    """Return one row of the table."""
    reported, evidence, memory = operate(series, trial)
    five, twenty = (found(series, times, evidence, memory, trial) for times in (5, 20))
    parts = [
        float(((at > 0) & (at <= latest)).mean())
        for latest in (ATTACK, 2)
        for at in (five, twenty)
        if at.size
    ]
    return [reported / (len(series.use) / DAY - 1) * 91, *(parts or [np.nan] * 4)]


def line(name: str, row: list[float]) -> str:
    """Return one row of the table as text."""
    cells = [f"{row[0]:.2f}", *("-" if np.isnan(part) else f"{part:.0%}" for part in row[1:])]
    return f"{name:32}" + "".join(f"{cell:>{len(head) + 3}}" for cell, head in zip(cells, HEADS, strict=True))


def main() -> None:
    """Print one line per series, their mean and median; with several shifts, one mean each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--instead", action="store_true", help="the attack takes the place of the usual use")
    parser.add_argument("--usual", type=float, default=30, help="messages an hour that attacked hours use")
    parser.add_argument("--every", type=int, default=5, help="minutes between readings, a multiple of 5")
    parser.add_argument("--bursty", action="store_true", help="judge as `market`, which may burst")
    parser.add_argument("--shift", type=float, nargs="+", default=[0.0], help="added to every bar, in log2")
    asked = parser.parse_args()
    rows: dict[float, list[list[float]]] = {shift: [] for shift in asked.shift}
    print(f"{'':32}" + "".join(f"{head:>{len(head) + 3}}" for head in HEADS))
    for path in sorted(asked.folder.glob("*.csv")):
        series = read(path)
        for shift, measured in rows.items():
            trial = Trial(
                rng=np.random.default_rng(asked.seed),
                usual=asked.usual,
                instead=asked.instead,
                every=asked.every // 5,
                bursty=asked.bursty,
                shift=shift,
            )
            measured.append(measure(series, trial))
            print(line(path.stem + (f" {shift:+}" if shift else ""), measured[-1]), flush=True)
    for shift, measured in rows.items():
        print(line(f"mean {shift:+}" if shift else "mean", np.nanmean(measured, axis=0).tolist()))
        print(line(f"median {shift:+}" if shift else "median", np.nanmedian(measured, axis=0).tolist()))


if __name__ == "__main__":
    main()

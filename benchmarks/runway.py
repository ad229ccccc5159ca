"""The cost of estimates: CPU and memory for thousands of balances, amortised over a day of 5-minute readings.

    python benchmarks/runway.py [BALANCES ...]     (4000 40000)

Per hour and balance: update and store one window, fit and store one model. Per reading: one forecast and one check each
for a spike and for traffic that stopped, with the stored model. Windows are always full, 35 days: a longer history
makes no difference.
"""

import argparse
import resource
import time

import numpy as np

from balancebot.forecast.forecast import forecast
from balancebot.forecast.model import MODEL, decode_models, encode_models, fit
from balancebot.forecast.spike import have_stopped, judge_spikes
from balancebot.forecast.use_window import WINDOW_HOURS, UseWindow, decode_window, encode_window

READINGS_PER_HOUR = 12
AT_A_TIME = 1000
"""How many balances are in memory at once, as in the poll cycle."""
END = 494_000
NOW = END * 3600.0 + 600.0


def windows(count: int, rng: np.random.Generator) -> list[bytes]:
    """Return stored windows of balances with a daily rhythm, from a few to some thousand messages per hour."""
    hours = np.arange(WINDOW_HOURS)
    rate = rng.lognormal(3, 1.5, (count, 1)) * (1.1 + np.sin(hours * 2 * np.pi / 24))
    use = rng.poisson(rate * rng.gamma(4, 0.25, rate.shape)).astype(np.float32)
    exposure = np.ones(WINDOW_HOURS, np.float32)
    return [encode_window(UseWindow(end=END - 1, use=row, exposure=exposure)) for row in use]


def close_hour(stored: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Move the windows on by an hour and fit the models; return what is stored."""
    moved = []
    for blob in stored:
        window = decode_window(blob)
        assert window is not None
        moved.append(window.moved_to(END, [(END - 1, 12.0, 3600.0)]))
    fitted = fit(moved, "Asia/Shanghai")
    return [encode_window(window) for window in fitted.windows], encode_models(fitted.models)


def read(stored: list[bytes], rng: np.random.Generator) -> int:
    """Estimate one reading of each balance from its stored model; return how many estimates are known."""
    models, _ = decode_models(stored)
    count = len(models)
    at = np.full(count, NOW)
    use = rng.poisson(5, count).astype(np.float64)
    answers = forecast(
        models,
        balances=rng.uniform(100, 100_000, count),
        observed_at=at,
        now=NOW + 5,
        zone="Asia/Shanghai",
        confidence=0.75,
        open_use=use,
        open_exposure=np.full(count, 1 / 6),
    ).estimates()
    judge_spikes(models, use=use, since=at - 300, until=at, zone="Asia/Shanghai")
    have_stopped(models, open_use=use, open_exposure=np.full(count, 1 / 6), at=at, zone="Asia/Shanghai")
    return sum(answer.runway is not None for answer in answers)


def main() -> None:
    """Print a line per number of balances."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("balances", nargs="*", type=int, default=[4000, 40_000])
    rng = np.random.default_rng(0)
    close_hour(windows(8, rng))  # loads imports and the tables of the calendar
    for count in parser.parse_args().balances:
        hourly = reading = 0.0
        size = known = 0
        for start in range(0, count, AT_A_TIME):
            stored = windows(min(AT_A_TIME, count - start), rng)
            began = time.process_time()
            closed, models = close_hour(stored)
            hourly += time.process_time() - began
            began = time.process_time()
            known += read(models, rng)
            reading += time.process_time() - began
            size += sum(map(len, closed))
        each = 1000 / count
        total = (hourly / READINGS_PER_HOUR + reading) * each
        print(
            f"{count:6} balances: {total:.3f} ms CPU per balance and reading "
            f"(an hour's close {hourly * each:.3f}, a reading {reading * each:.3f}); "
            f"stored {size / count:.0f} + {MODEL.itemsize} bytes; {known} known; "
            f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
        )


if __name__ == "__main__":
    main()

"""The value of a holiday calendar: simulated senders over a Spring Festival and a National Day, with and without it.

    python benchmarks/holidays.py [SEED...]

Offices send half on weekends and a third on holidays, shops twice on weekends and half as much again on holidays, and
banks hardly differ. Errors are of P50 in log2, of runways of 2 to 20 days; "held" is how often P10 to P90 contains
them, and an order is the quantity for 30 days beyond the balance, at 90 %.
"""

import sys
from collections import defaultdict
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from balancebot.domain.holidays import HolidayCalendar, Zone
from balancebot.estimates.holidays import holidays_of_china
from balancebot.forecast.order_advice import needed_until
from balancebot.forecast.series import fit_series, forecast_series

ZONE = ZoneInfo("Asia/Shanghai")
FIRST_DAYS = (
    datetime(2025, 10, 1, tzinfo=ZONE),
    datetime(2026, 2, 15, tzinfo=ZONE),
    datetime(2026, 5, 1, tzinfo=ZONE),
)
SENDERS = {"office": (0.5, 0.3), "shop": (2.0, 3.0), "bank": (0.9, 0.8)}
"""What is used on a weekend and on a holiday, as parts of a working day."""
MOMENTS = {"before": (-6, -3, -1), "within": (1, 2, 4, 6), "after": (9, 10, 12, 16)}
"""Days from the first day of the holidays."""


def hourly(seed: int, sender: str, begun: datetime, days: int, calendar: HolidayCalendar) -> np.ndarray:
    """Return the usage of each hour from `begun` on."""
    rng = np.random.default_rng([seed, sorted(SENDERS).index(sender)])
    weekend, holiday = SENDERS[sender]
    per_day = float(np.exp(rng.uniform(np.log(300), np.log(20_000))))
    hours = np.arange(24)
    shape = 0.05 + np.exp(-((hours - rng.uniform(11, 16)) ** 2) / 18)
    used = []
    for n in range(days):
        day = (begun + timedelta(days=n)).date()
        worked = day.weekday() < 5 or day in calendar.workdays
        part = holiday * rng.lognormal(0, 0.1) if day in calendar.days_off else 1.0 if worked else weekend
        mean = per_day * part * rng.lognormal(0, 0.12) * shape / shape.sum()
        used.append(rng.poisson(mean * rng.gamma(8, 1 / 8, 24)))
    return np.concatenate(used)


def main() -> None:
    """Simulate the senders and print the errors with and without the calendar."""
    seeds = [int(text) for text in sys.argv[1:]] or list(range(100, 110))
    calendar = holidays_of_china(ZONE.key)
    errors: dict[tuple[str, str, bool], list[tuple[float, bool, float, bool]]] = defaultdict(list)
    for sender in SENDERS:
        for first in FIRST_DAYS:
            begun = first - timedelta(days=60)
            for seed in seeds:
                use = hourly(seed, sender, begun, 120, calendar)
                total = np.concatenate([[0], np.cumsum(use)])
                rng = np.random.default_rng(seed)
                for when, moments in MOMENTS.items():
                    for day in moments:
                        place = (60 + day) * 24 + int(rng.integers(0, 24))
                        truth = float(np.exp(rng.uniform(np.log(48), np.log(480))))
                        end = min(place + round(truth), len(use) - 1)
                        left = total[end] - total[place]
                        if left < 50:
                            continue
                        at = begun.timestamp() + 3600.0 * np.arange(place + 1)
                        balance = (total[place] - total[: place + 1] + left).astype(float)
                        for knows in (False, True):
                            zone: Zone = calendar if knows else ZONE.key
                            series = fit_series(at, balance, zone)
                            found = forecast_series(series, at[-1], zone, 0.75)
                            needed = needed_until(
                                series.model, observed_at=float(at[-1]), until=float(at[-1]) + 30 * 86400, zone=zone,
                                confidence=0.9, plans=(), open_use=series.open_use,
                                open_exposure=series.open_exposure,
                            )  # fmt: skip
                            month = float(total[min(place + 720, len(use))] - total[place])
                            hours = float(end - place)
                            error = abs(float(np.log2(min(found.p50[0], 8760) / hours)))
                            held = bool(found.p10[0] <= hours <= found.p90[0])
                            errors[sender, when, knows].append(
                                (error, held, float(needed or 0) / month, (needed or 0) >= month)
                            )
    print("sender  when    error    held     order/need  suffices   (without -> with holidays)")
    for sender in SENDERS:
        for when in MOMENTS:
            plain, knowing = (np.array(errors[sender, when, knows], float) for knows in (False, True))
            print(
                f"{sender:7} {when:7} {np.median(plain[:, 0]):.2f} -> {np.median(knowing[:, 0]):.2f}  "
                f"{plain[:, 1].mean():.0%} -> {knowing[:, 1].mean():.0%}  "
                f"{np.median(plain[:, 2]):.2f} -> {np.median(knowing[:, 2]):.2f}  "
                f"{plain[:, 3].mean():.0%} -> {knowing[:, 3].mean():.0%}"
            )


if __name__ == "__main__":
    main()

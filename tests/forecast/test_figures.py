"""Forecasts of simulated series, stored to four digits, so that a review shows what a change of the model moves.

`pytest tests/forecast/test_figures.py --update-golden` updates the file. Other tests and
`python -m benchmarks accuracy` measure whether the forecasts are good.
"""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import numpy as np
import pytest

from balancebot.domain.holidays import Zone
from balancebot.estimates.holidays import holidays_of_china
from balancebot.forecast.course_ahead import course_ahead
from balancebot.forecast.order_advice import needed_until
from balancebot.forecast.recurring import DatedSend
from balancebot.forecast.series import fit_series, forecast_series
from balancebot.forecast.spike import have_stopped, judge_spikes

STORED = Path(__file__).parent / "figures.json"
STEP = timedelta(minutes=15)
STEPS_A_DAY = 96
ENDS = datetime(2026, 4, 23, 10, 40, tzinfo=UTC)
"""A Thursday, three weeks and a half after Europe's clocks changed."""
Course = list[float]
"""Messages sent in each quarter of an hour."""
Figures = dict[str, float | None]


class SimulatedSender:
    """A simulated sender."""

    def __init__(
        self,
        days: float,
        rate: Callable[[datetime], float] = lambda _: 25.0,
        *,
        zone: Zone = "UTC",
        left: float = 24_000.0,
        noise: float = 0.2,
        seed: int = 1,
        every: int = 1,
    ) -> None:
        """`rate` is per quarter of an hour; what is left lasts ten days at 25. Read `every` so many quarters."""
        self.zone, self.left, self.every = zone, left, every
        self.plans: tuple[DatedSend, ...] = ()
        self.lost: set[int] = set()
        self.bought: dict[int, float] = {}
        self.misread: dict[int, float] = {}
        chance = Random(seed)
        self.count = int(days * STEPS_A_DAY)
        self.use = [
            round(rate(self.at(step)) * math.exp(chance.gauss(0.0, noise) if noise else 0.0))
            for step in range(self.count)
        ]

    def at(self, step: int) -> datetime:
        return ENDS - STEP * (self.count - step)

    def sends(self, hours_ago: float, messages: int, *, hours: float = 0.25) -> "SimulatedSender":
        first, steps = self.count - int(hours_ago * 4), max(1, int(hours * 4))
        for step in range(first, min(first + steps, self.count)):
            self.use[step] += messages // steps
        return self

    def plan(self, in_hours: float, messages: float, *, hours: float = 2.0) -> "SimulatedSender":
        start = (ENDS + timedelta(hours=in_hours)).timestamp()
        self.plans += (DatedSend(start, start + hours * 3600.0, messages),)
        return self

    def readings(self) -> tuple[np.ndarray, np.ndarray]:
        """Return instants and balances, up to `ENDS`."""
        balance = self.left + sum(self.use) - sum(self.bought.values())
        at_each_step = [(self.at(0).timestamp(), balance)]
        for step, used in enumerate(self.use):
            balance += self.bought.get(step, 0.0) - used
            at_each_step.append((self.at(step + 1).timestamp(), self.misread.get(step, balance)))
        readings = [
            reading
            for step, reading in enumerate(reversed(at_each_step))
            if step % self.every == 0 and step not in self.lost
        ]
        at, balances = zip(*reversed(readings), strict=True)
        return np.array(at), np.array(balances, np.float64)


def office(at: datetime) -> float:
    return 60.0 if 8 <= at.hour < 20 and at.weekday() < 5 else 5.0


def nights(at: datetime) -> float:
    return 100.0 if at.hour in {22, 23, 0} else 0.0


def stepped(
    by: float, *, days_ago: float, of: Callable[[datetime], float] = office
) -> Callable[[datetime], float]:
    return lambda at: of(at) * (by if at > ENDS - timedelta(days=days_ago) else 1.0)


def grows(a_week: float) -> Callable[[datetime], float]:
    return lambda at: 25.0 * a_week ** ((at - ENDS) / timedelta(weeks=1))


def _campaigns() -> SimulatedSender:
    sender = SimulatedSender(80, office)
    for days in (78, 60, 47, 31, 19, 8):
        sender.sends(days * 24, 30_000, hours=1)
    return sender


def _paydays() -> SimulatedSender:
    sender = SimulatedSender(110, office)
    for month, day in ((1, 23), (2, 25), (3, 25)):
        sender.sends((ENDS - datetime(2026, month, day, 9, tzinfo=UTC)) / timedelta(hours=1), 40_000, hours=2)
    return sender


def _wednesdays() -> SimulatedSender:
    sender = SimulatedSender(56)
    for weeks in range(8):
        sender.sends(24 * (1 + 7 * weeks) + 3, 9_000, hours=0.5)
    return sender


def _misread() -> SimulatedSender:
    sender = SimulatedSender(20)
    sender.misread = {sender.count - 30: 5e6, sender.count - 300: 20.0, sender.count - 700: 0.0}
    return sender


def _gaps() -> SimulatedSender:
    sender = SimulatedSender(30, office)
    sender.lost = {*range(200, 320), *range(900, 910), 5, 6, 7}
    return sender


def _topped_up() -> SimulatedSender:
    sender = SimulatedSender(40, office, left=90_000)
    sender.bought = {500: 100_000.0, 1500: 200_000.0, 3000: 50_000.0, 3100: 20.0}
    return sender


def _stops() -> SimulatedSender:
    return SimulatedSender(30, lambda at: 25.0 if at < ENDS - timedelta(hours=30) else 0.0)


SENDERS: dict[str, Callable[[], SimulatedSender]] = {
    "steady": lambda: SimulatedSender(35),
    "steady, without noise": lambda: SimulatedSender(35, noise=0.0),
    "office hours": lambda: SimulatedSender(35, office),
    "office hours in Berlin": lambda: SimulatedSender(50, office, zone="Europe/Berlin"),
    "office hours in Shanghai, with holidays": lambda: SimulatedSender(
        90, office, zone=holidays_of_china("Asia/Shanghai")
    ),
    "nights": lambda: SimulatedSender(35, nights, left=5_000),
    "few messages": lambda: SimulatedSender(35, lambda _: 0.6, noise=0.8, left=300),
    "many messages": lambda: SimulatedSender(35, lambda at: 2e5 * office(at), left=4e9),
    "no messages": lambda: SimulatedSender(20, lambda _: 0.0),
    "noisy": lambda: SimulatedSender(35, noise=1.5),
    "five days": lambda: SimulatedSender(5, office),
    "two days": lambda: SimulatedSender(2),
    "nine hours": lambda: SimulatedSender(0.4),
    "read every day": lambda: SimulatedSender(60, office, every=96),
    "read every three hours": lambda: SimulatedSender(30, every=12),
    "three times as much for four days": lambda: SimulatedSender(35, stepped(3.0, days_ago=4)),
    "a third for two days": lambda: SimulatedSender(35, stepped(0.3, days_ago=2)),
    "twice as much for ten hours": lambda: SimulatedSender(35, stepped(2.0, days_ago=0.4, of=lambda _: 25.0)),
    "six times as much for a day": lambda: SimulatedSender(35, stepped(6.0, days_ago=1.0, of=lambda _: 25.0)),
    "half for twelve days": lambda: SimulatedSender(35, stepped(0.5, days_ago=12)),
    "begun ten days ago": lambda: SimulatedSender(
        35, stepped(0.0, days_ago=-1, of=lambda at: 25.0 * (at > ENDS - timedelta(10)))
    ),
    "grows by a fifth a week": lambda: SimulatedSender(35, grows(1.2), left=60_000),
    "shrinks by a quarter a week": lambda: SimulatedSender(35, grows(0.75)),
    "campaigns": _campaigns,
    "paydays": _paydays,
    "every Wednesday": _wednesdays,
    "one campaign": lambda: SimulatedSender(35, office).sends(100, 50_000),
    "a campaign an hour ago": lambda: SimulatedSender(35).sends(1, 60_000),
    "a campaign that goes on": lambda: SimulatedSender(35).sends(3, 36_000, hours=3),
    "a campaign that ended": lambda: SimulatedSender(35, office).sends(6, 36_000, hours=3),
    "a planned send": lambda: SimulatedSender(35, office).plan(30, 12_000).plan(200, 3_000),
    "a planned send that has run": lambda: SimulatedSender(35).sends(27, 30_000, hours=2).plan(-27, 30_000),
    "a planned send that runs": lambda: SimulatedSender(35).sends(1, 5_000, hours=1).plan(-1, 20_000),
    "wrong readings": _misread,
    "without readings for a while": _gaps,
    "topped up": _topped_up,
    "has stopped": _stops,
    "nearly empty": lambda: SimulatedSender(35, office, left=90.0),
    "empty": lambda: SimulatedSender(35, left=0.0),
    "lasts for years": lambda: SimulatedSender(35, left=3e6),
    "read every hour, and a campaign goes on": lambda: SimulatedSender(35, every=4).sends(3, 36_000, hours=3),
    "three messages a day": lambda: SimulatedSender(
        35, lambda at: float(at.hour in {6, 12, 18} and at.minute == 10), noise=0.0, left=40
    ),
    "first messages half an hour ago": lambda: SimulatedSender(
        3, lambda at: 25.0 * (at >= ENDS - timedelta(minutes=30))
    ),
    "bursts every day": lambda: SimulatedSender(
        35, lambda at: 900.0 if at.hour == at.day % 24 else 10.0, left=90_000
    ),
    "a third for two days, with Sundays off": lambda: SimulatedSender(
        35, stepped(0.3, days_ago=2.5, of=lambda at: office(at) * (at.weekday() < 6))
    ),
    "two days of office hours and a campaign": lambda: SimulatedSender(2, office).sends(20, 20_000, hours=1),
}


def figures(sender: SimulatedSender) -> Figures:
    """Return the forecast now, the one after seven hours without a reading, and the expected recurring sends."""
    at, balances = sender.readings()
    series = fit_series(at, balances, sender.zone, sender.plans)
    more: dict[str, float] = {"open_use": series.open_use, "open_exposure": series.open_exposure}
    result: Figures = {}
    for after in (0.0, 7.0):
        found = forecast_series(series, series.at + after * 3600.0, sender.zone, 0.8, sender.plans)
        for name in (
            "burn_per_day", "usual_per_day", "p10", "p50", "p90", "judged", "not_counted", "bursts_per_day", "burst",
        ):  # fmt: skip
            result[f"{name} after {after:.0f} h"] = float(getattr(found, name)[0])
    for days in (3, 30):
        result[f"needed for {days} days"] = needed_until(
            series.model,
            observed_at=series.at,
            until=series.at + days * 86400.0,
            zone=sender.zone,
            confidence=0.9,
            plans=sender.plans,
            **more,
        )
    ahead = course_ahead(
        series.model,
        balance=int(series.balance),
        observed_at=datetime.fromtimestamp(series.at, UTC),
        until=datetime.fromtimestamp(series.at, UTC) + timedelta(days=6),
        step=timedelta(days=2),
        zone=sender.zone,
        plans=sender.plans,
        **more,
    )
    for level in ahead[1:]:
        hours = (level.at.timestamp() - series.at) / 3600.0
        result |= {f"level {hours:.0f} h ahead": level.p50, f"low level {hours:.0f} h ahead": level.p10}
    for used in (30.0, 300.0, 3_000.0):
        spikes = judge_spikes(
            series.model,
            use=np.array([used]),
            since=np.array([series.at]),
            until=np.array([series.at + 900.0]),
            zone=sender.zone,
            left=np.array([series.balance]),
        )
        for name in ("expected", "score", "bar", "points"):
            result[f"{name} of {used:.0f}"] = float(getattr(spikes, name)[0])
    result["has stopped"] = float(
        have_stopped(
            series.model,
            open_use=np.array([series.open_use]),
            open_exposure=np.array([series.open_exposure]),
            at=np.array([series.at]),
            zone=sender.zone,
        )[0]
    )
    return {name: _written(value) for name, value in result.items()}


def _written(value: float | None) -> float | None:
    """Return a value for JSON; None is unknown or infinite."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def _is_same(before: float | None, now: float | None) -> bool:
    if before is None or now is None:
        return before is now
    return math.isclose(before, now, rel_tol=1e-3, abs_tol=1e-3)


@pytest.fixture(scope="module")
def stored(request: pytest.FixtureRequest) -> dict[str, Figures]:
    """The stored figures; `--update-golden` updates them."""
    if request.config.getoption("--update-golden", default=False):
        current = {name: figures(make()) for name, make in SENDERS.items()}
        STORED.write_text(json.dumps(current, indent=1) + "\n", encoding="utf-8")
    found: dict[str, Figures] = json.loads(STORED.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", SENDERS)
def test_the_forecast_of_a_simulated_sender_is_unchanged(name: str, stored: dict[str, Figures]) -> None:
    result = figures(SENDERS[name]())

    different = {
        figure: (value, result.get(figure))
        for figure, value in stored[name].items()
        if not _is_same(value, result.get(figure))
    }
    assert ({}, stored[name].keys()) == (different, result.keys())

"""How long users wait: from the answer that shows a drop until Slack has the message, and from start to first alert.

    PYTHONPATH=. python benchmarks/latency.py --drops 1000

`balancebot run` is a process of its own; JSMS and Slack are stand-ins in this process, over HTTP on loopback. The
measured time ends when Slack has accepted the message; Slack's own limit of about one message per second and channel
isn't simulated.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from sqlalchemy import select

from balancebot.clock import SystemClock
from balancebot.domain.balance import Category, WalletName
from balancebot.domain.message import Action
from balancebot.domain.threshold import OFF, ThresholdRow
from balancebot.jsms.simulator import Scenario, Simulator, crowd
from balancebot.store import thresholds
from balancebot.store.database import Database
from balancebot.store.tables import alerts, deliveries
from tests.standins.slack_api import SlackStandIn

_LOW = 400
_LIMITS = ThresholdRow(wallet="*", warning_below=450, critical_below=10, warning_days=OFF, critical_days=OFF)
_PATIENCE = 60.0


class TimedJsms(Simulator):
    """Records when it first answered that a balance is low."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario, clock=SystemClock())
        self.shown: dict[WalletName, float] = {}
        self.low: set[WalletName] = set()

    def drop(self, wallet: WalletName) -> None:
        """Make the wallet's balance low from now on."""
        self.set(wallet, Category.INDUSTRY, _LOW)
        self.low.add(wallet)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = await super()._answer(request)
        wallet = self.requests[-1].wallet
        if wallet in self.low and wallet is not None:
            self.shown.setdefault(wallet, time.monotonic())
        return answer


class TimedSlack(SlackStandIn):
    """Records when it got each delivery."""

    def __init__(self) -> None:
        super().__init__()
        self.had: dict[str, float] = {}

    def _post(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = super()._post(params)
        self.had.setdefault(params["metadata"]["event_payload"]["delivery"], time.monotonic())
        return answer


class Scene:
    """A company of many apps, and its bot."""

    def __init__(self, folder: Path, num_wallets: int, every: str) -> None:
        self._folder = folder
        self._every = every
        self.jsms = TimedJsms(crowd(num_wallets))
        self.slack = TimedSlack()
        self.database = Database(f"sqlite:///{folder}/balancebot.db")

    def __enter__(self) -> Self:
        self.jsms.__enter__()
        self.slack.__enter__()
        self.slack.add_channel("ops-alerts")
        pool, *apps = self.jsms.scenario.wallets
        listed = ",\n".join(
            f'{{ name = "{app.name.partition("/")[2]}", app_key = "{app.key}", master_secret = "{app.secret}" }}'
            for app in apps
        )
        (self._folder / "balancebot.toml").write_text(
            f"""\
[poll]
every = "{self._every}"
[slack]
bot_token = "{self.slack.token}"
channel = "#ops-alerts"
api_url = "{self.slack.api_url}"
[[accounts]]
name = "acme"
base_url = "{self.jsms.url}"
dev_key = "{pool.key}"
dev_secret = "{pool.secret}"
apps = [
{listed}
]
"""
        )
        self.database.upgrade()
        with self.database.write() as conn:
            thresholds.put(conn, [_LIMITS], by="benchmark", now=SystemClock().now())
        return self

    def __exit__(self, *_: object) -> None:
        self.database.dispose()
        self.slack.__exit__(*_)
        self.jsms.__exit__(None, None, None)

    @contextmanager
    def bot(self) -> Iterator[float]:
        """Run the bot; yield the instant at which it was started."""
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        command = [sys.executable, "-m", "balancebot", "run"]
        with (self._folder / "log").open("ab") as log:
            began = time.monotonic()
            process = subprocess.Popen(command, cwd=self._folder, env=environment, stderr=log)
        try:
            yield began
        finally:
            process.terminate()
            process.wait(30)

    def waits(self) -> list[float]:
        """Return how long Slack waited for the message of each drop, counted from the answer that showed it."""
        posted = self._posted()
        return sorted(
            self.slack.had[posted[wallet]] - shown
            for wallet, shown in self.jsms.shown.items()
            if posted.get(wallet) in self.slack.had
        )

    def _posted(self) -> Mapping[WalletName, str]:
        """Return the delivery of each wallet's alert, alone or in a group."""
        with self.database.read() as conn:
            rows = conn.execute(
                select(alerts.c.wallet, deliveries.c.id, deliveries.c.superseded_by)
                .select_from(deliveries.join(alerts, alerts.c.id == deliveries.c.alert_id))
                .where(deliveries.c.action == Action.POST, deliveries.c.channel == "slack")
            )
            return {WalletName(row.wallet): row.superseded_by or row.id for row in rows}

    def until(self, num_notified: int) -> bool:
        """Wait until Slack has the messages of this many drops."""
        end = time.monotonic() + _PATIENCE
        while len(self.waits()) < num_notified:
            if time.monotonic() > end:
                return False
            time.sleep(0.25)
        return True


def one_by_one(num_drops: int, num_wallets: int = 100) -> list[float]:
    """Let an app's balance drop at random times, about three per second, while all are read every second."""
    chance = random.Random(1)
    waits: list[float] = []
    while len(waits) < num_drops:
        with (
            tempfile.TemporaryDirectory() as folder,
            Scene(Path(folder), num_wallets, "1s") as scene,
            scene.bot(),
        ):
            _until_all_read(scene)
            wallets = chance.sample(scene.jsms.wallets[1:], min(num_wallets, num_drops - len(waits)))
            for wallet in wallets:
                time.sleep(chance.expovariate(3.0))
                scene.jsms.drop(wallet)
            scene.until(len(wallets))
            waits += scene.waits()
    return sorted(waits)


def many_at_once(num_drops: int, every: str, at_once: int = 100) -> list[float]:
    """Let a hundred balances drop in the same instant, repeatedly."""
    with tempfile.TemporaryDirectory() as folder, Scene(Path(folder), num_drops, every) as scene, scene.bot():
        _until_all_read(scene)
        wallets = scene.jsms.wallets[1 : num_drops + 1]
        for start in range(0, num_drops, at_once):
            for wallet in wallets[start : start + at_once]:
                scene.jsms.drop(wallet)
            scene.until(min(num_drops, start + at_once))
        return scene.waits()


def first_alert(num_wallets: int, times: int = 5) -> list[float]:
    """Start the bot when one app of many is low already, and wait for the message."""
    took = []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder, Scene(Path(folder), num_wallets, "5m") as scene:
            scene.jsms.drop(scene.jsms.wallets[-1])
            with scene.bot() as began:
                while not scene.slack.had:
                    time.sleep(0.01)
                took.append(min(scene.slack.had.values()) - began)
    return sorted(took)


def _until_all_read(scene: Scene) -> None:
    while len({request.wallet for request in list(scene.jsms.requests)}) < len(scene.jsms.wallets):
        time.sleep(0.1)
    time.sleep(2)


def _print_percentiles(what: str, seconds: Sequence[float]) -> None:
    num = len(seconds)
    at = {name: seconds[min(num - 1, int(num * part))] for name, part in (("p50", 0.5), ("p99", 0.99))}
    print(
        f"{what}: {num} drops, " + ", ".join(f"{name} {value:.3f} s" for name, value in at.items()),
        f"max {seconds[-1]:.3f} s",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--drops", type=int, default=1000)
    parser.add_argument("--every", default="10s")
    options = parser.parse_args()
    _print_percentiles("one by one", one_by_one(options.drops))
    _print_percentiles("a hundred at once", many_at_once(options.drops, options.every))
    waits = first_alert(1000)
    print("from start to the first alert, 1,000 wallets:", ", ".join(f"{wait:.2f} s" for wait in waits))

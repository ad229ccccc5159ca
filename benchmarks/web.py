"""The size and speed of all pages, requested over HTTP on loopback, with many wallets.

    python benchmarks/web.py [--wallets 1000] [--times 15]

The wallets have a balance in about half of their categories; the wallet whose page is requested has a month of hourly
history with mailings, and every fifth wallet has a threshold row. Prints kilobytes and the median and 95th percentile in
milliseconds. Exits with 1 if a page is over 200 KB, or slower than 100 ms in the median at up to 1,000 wallets. `first`
is the first request of the overview after new readings, while it is computed again in the background.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from balancebot.app import build_app
from balancebot.config import (
    AccountConfig,
    AppConfig,
    DatabaseConfig,
    ListenAddress,
    Secret,
    Settings,
    WebConfig,
)
from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import Absent, BalanceKey, Category, Reading, Readings, WalletName
from balancebot.domain.next_reading import NextReading
from balancebot.domain.threshold import Scope, ThresholdRow
from balancebot.domain.usage import Booked, Hour, Seen
from balancebot.domain.user import Role
from balancebot.estimates.refit import refit_models
from balancebot.people.users import add_user
from balancebot.store import estimates, readings, thresholds, usage, wallets
from balancebot.store.database import Database
from balancebot.store.estimates import EstimateRow
from balancebot.web.app import create_pages
from balancebot.web.server import serve

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
MAX_KILOBYTES, MAX_MILLISECONDS = 200.0, 100.0
HISTORY_HOURS = 30 * 24
LEFT = 400_000
PASSWORD = "a long secret"


class Clock:
    """A clock that only moves when it is set."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at


def names(count: int) -> list[WalletName]:
    """Return the shared pool and its apps."""
    return [WalletName("acme"), *(WalletName(f"acme/app {number:05d}") for number in range(count - 1))]


def fill(database: Database, watched: list[WalletName], at: datetime) -> None:
    """Store a reading of every wallet just before `at`, and an estimate of each balance."""
    dice = random.Random(1)
    with database.write() as conn:
        wallets.sync(conn, watched, now=at)
        ids = wallets.ids(conn)
        reads, estimate_rows = [], []
        for name in watched:
            found = Readings(*(reading(dice) for _ in Category))
            if name == watched[1]:
                found = Readings(*(LEFT,) * 4)
            reads.append(
                readings.GoodRead(
                    wallet_id=ids[name],
                    readings=found,
                    observed_at=at - timedelta(seconds=dice.randint(1, 200)),
                    next_reading=NextReading(at + timedelta(seconds=100)),
                )
            )
            estimate_rows += [
                estimate_row(ids[name], category, value, at, dice)
                for category, value in found.items()
                if isinstance(value, int)
            ]
        readings.record_good(conn, reads)
        estimates.save_estimates(conn, estimate_rows)


def reading(dice: random.Random) -> Reading:
    """Return a balance, one that isn't allocated, or one that is used up."""
    kind = dice.random()
    return Absent.UNALLOCATED if kind < 0.5 else 0 if kind < 0.52 else dice.randint(1_000, 500_000)


def estimate_row(
    wallet_id: int, category: Category, value: int, at: datetime, dice: random.Random
) -> EstimateRow:
    """Return an estimate as a poll cycle would have stored it."""
    hours = dice.uniform(5, 3_000)
    return EstimateRow(
        wallet_id=wallet_id,
        category=category,
        ever_positive=True,
        burn_per_day=value / hours * 24,
        runway_known=True,
        p10_at=at + timedelta(hours=hours * 0.7),
        p50_at=at + timedelta(hours=hours),
        p90_at=at + timedelta(hours=hours * 1.5),
        judged_at=at + timedelta(hours=hours * 0.8),
    )


def give_history(database: Database, name: WalletName) -> None:
    """Store a month of history of one wallet, with a mailing every 100 hours, and fit its usage models."""
    last = int(NOW.timestamp() // 3600)
    left = LEFT + HISTORY_HOURS * 1_000 + HISTORY_HOURS // 100 * 50_000
    with database.write() as conn:
        ids = wallets.ids(conn)
        for back in range(HISTORY_HOURS, 0, -1):
            hour = last - back
            used = 51_000 if back % 100 == 50 else 1_000
            left -= used
            usage.add(
                conn,
                ids,
                {
                    Hour(hour, BalanceKey(name, category)): Booked(use=used, exposure=3600)
                    for category in Category
                },
                {name: Seen(hour * 3600 + 3599, Readings(*(left,) * 4))},
            )
    with database.read() as conn:
        row = wallets.find(conn, name)
    assert row is not None
    refit_models(database, [row], zone="UTC", from_scratch=True)


def set_limits(database: Database, watched: list[WalletName]) -> None:
    """Store a threshold row for every fifth wallet, and for two patterns."""
    rows = [
        ThresholdRow(wallet="*", warning_days=14),
        ThresholdRow(wallet="acme/*", category=Category.VOICE, warning_below=500),
    ]
    rows += [ThresholdRow(wallet=name, warning_below=5_000, note="call Ops") for name in watched[::5]]
    with database.write() as conn:
        thresholds.put(conn, rows, by="finance", now=NOW)


def add_admin(database: Database, now: datetime) -> None:
    """Add the user who requests the pages."""
    root = Actor(name="root", via=Via.CLI)
    add_user(database, name="finance", role=Role.ADMIN, password=PASSWORD, by=root, now=now)


def log_in(client: httpx.Client) -> None:
    """Log that user in."""
    client.post("/login", data={"name": "finance", "password": PASSWORD})


def settings_for(file: Path, watched: list[WalletName]) -> Settings:
    """Return the configuration of such a bot."""
    key, secret = Secret("k"), Secret("s")
    apps = tuple(
        AppConfig(name=name.partition("/")[2], app_key=key, master_secret=secret) for name in watched[1:]
    )
    return Settings(
        path=file.with_suffix(".toml"),
        resolved=True,
        database=DatabaseConfig(url=Secret(f"sqlite:///{file}")),
        accounts=(AccountConfig(name="acme", dev_key=key, dev_secret=secret, apps=apps),),
        web=WebConfig(
            listen=ListenAddress("127.0.0.1", 0), public_url="http://127.0.0.1", secret_key=Secret("key")
        ),
    )


def asked(wallet: WalletName) -> Iterator[tuple[str, str]]:
    """Yield the name and address of every page."""
    yield from {
        "overview": "/",
        "overview, page 20": "/?page=20",
        "overview, searched": "/?q=app+000*:market&order=runway",
        "wallet": f"/wallets/{wallet}?category=industry",
        "wallet, 90 days": f"/wallets/{wallet}?category=industry&days=90",
        "thresholds": "/thresholds",
        "thresholds, every balance": "/thresholds?view=balances",
        "editor": f"/thresholds/edit?wallet={wallet}&category=industry",
        "sheet": "/thresholds/sheet",
        "alerts": "/alerts",
        "past alerts": "/alerts?show=past",
        "plans": "/plans",
        "audit": "/audit",
        "users": "/users",
        "me": "/me",
    }.items()


def timed(
    ask: Callable[[], httpx.Response], times: int, before: Callable[[], None] = lambda: None
) -> tuple[float, list[float]]:
    """Return kilobytes, and the milliseconds of each call; calls of `before` aren't counted."""
    size, taken = 0.0, []
    for _ in range(times):
        before()
        began = time.perf_counter()
        answer = ask()
        taken.append((time.perf_counter() - began) * 1000)
        answer.raise_for_status()
        size = len(answer.content) / 1000
    return size, taken


def main() -> int:
    """Measure; return the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--wallets", type=int, default=1000)
    parser.add_argument("--times", type=int, default=15)
    options = parser.parse_args()
    watched = names(options.wallets)
    is_bad = False
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "balancebot.db"
        settings = settings_for(file, watched)
        database = Database(f"sqlite:///{file}")
        database.upgrade()
        fill(database, watched, NOW)
        give_history(database, watched[1])
        set_limits(database, watched)
        add_admin(database, NOW)
        clock = Clock()
        bot = build_app(settings, database, clock=clock)
        assert settings.web is not None
        bot.edit_thresholds.set(Scope("acme"), {"note": "x"}, by=Actor(name="finance", via=Via.CLI))
        server = serve(create_pages(bot, metrics=bytes), host="127.0.0.1", port=0)
        print(f"{options.wallets:,} wallets{'':<24} {'KB':>7} {'median ms':>10} {'p95 ms':>8}")
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
            log_in(client)

            def read_again() -> None:
                """Store a new reading of every wallet."""
                clock.at += timedelta(minutes=1)
                with database.write() as conn:
                    conn.exec_driver_sql(
                        "UPDATE wallets SET attempted_at = datetime(attempted_at, '+60 seconds')"
                    )
                time.sleep(0.5)

            for name, address in asked(watched[1]):
                client.get(address)
                size, taken = timed(lambda address=address: client.get(address), options.times)  # type: ignore[misc]
                is_bad |= show(name, size, taken, options.wallets)
            size, taken = timed(lambda: client.get("/"), 5, before=read_again)
            is_bad |= show("overview, first", size, taken, options.wallets)
        server.stop()
    return int(is_bad)


def show(name: str, size: float, taken: list[float], num_wallets: int) -> bool:
    """Print one line; return whether it exceeds a bound."""
    middle = statistics.median(taken)
    late = sorted(taken)[int(len(taken) * 0.95)] if len(taken) > 1 else middle
    is_bad = size > MAX_KILOBYTES or (num_wallets <= 1000 and middle > MAX_MILLISECONDS)
    print(f"{name:<34} {size:>7.1f} {middle:>10.1f} {late:>8.1f}{'  TOO MUCH' if is_bad else ''}")
    return is_bad


if __name__ == "__main__":
    sys.exit(main())

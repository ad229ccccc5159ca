"""How long commands take to start, against bare Python in the same run.

    python benchmarks/startup.py [--rounds 15]

The commands take turns, so that whatever else the machine does hits them alike; the median of each is shown.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from balancebot.domain.balance import Absent, Category, Readings, WalletName
from balancebot.domain.next_reading import NextReading
from balancebot.store import estimates, readings, wallets, workers
from balancebot.store.database import Database
from balancebot.store.estimates import EstimateRow
from balancebot.store.readings import GoodRead

NUM_WALLETS = 20
AIMS = {"--help": 6, "status": 14}
HERE = Path(__file__).parent.parent


def prepare(folder: Path) -> None:
    """Write a configuration and a database with readings and estimates of two balances a wallet."""
    apps = "".join(
        f'  {{ name = "app-{number}", app_key = "k{number}", master_secret = "s" }},\n'
        for number in range(NUM_WALLETS)
    )
    (folder / "balancebot.toml").write_text(f'[[accounts]]\nname = "acme"\napps = [\n{apps}]\n')
    database = Database(f"sqlite:///{folder / 'balancebot.db'}")
    database.upgrade()
    now = datetime(2026, 11, 24, tzinfo=UTC)
    names = [WalletName(f"acme/app-{number}") for number in range(NUM_WALLETS)]
    with database.write() as conn:
        workers.register(conn, "benchmark", kind="poll", now=now)
        wallets.sync(conn, names, now=now)
        claimed = wallets.claim_due(conn, "benchmark", now=now)
        read = Readings(Absent.UNALLOCATED, Absent.UNALLOCATED, 5_000, 90_000)
        readings.record_good(
            conn,
            [
                GoodRead(wallet_id=row.id, readings=read, observed_at=now, next_reading=NextReading(now))
                for row in claimed
            ],
        )
        lasts = now + timedelta(days=20)
        estimates.save_estimates(
            conn,
            [
                EstimateRow(
                    wallet_id=row.id,
                    category=category,
                    ever_positive=True,
                    burn_per_day=900.0,
                    runway_known=True,
                    p10_at=lasts,
                    p50_at=lasts,
                    p90_at=lasts,
                    judged_at=lasts,
                )
                for row in claimed
                for category in (Category.INDUSTRY, Category.MARKET)
            ],
        )
    database.dispose()


def seconds(folder: Path, *words: str) -> float:
    """Run Python with `words` to its end; return how long it took."""
    environ = {**os.environ, "PYTHONPATH": str(HERE)}
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], cwd=folder, env=environ, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Print the medians and their ratio to bare Python."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    commands = {
        "bare": ("-c", "pass"),
        "--help": ("-m", "balancebot", "--help"),
        "status": ("-m", "balancebot", "status"),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        for words in commands.values():  # compiles what isn't yet
            seconds(folder, *words)
        took: dict[str, list[float]] = {command: [] for command in commands}
        for _ in range(rounds):
            for command, words in commands.items():
                took[command].append(seconds(folder, *words))
    bare = statistics.median(took["bare"])
    for command, all_of_them in took.items():
        median = statistics.median(all_of_them)
        aim = f"  (aim: {AIMS[command]} x)" if command in AIMS else ""
        print(f"{command:8} {median * 1000:7.0f} ms {median / bare:6.1f} x{aim}")


if __name__ == "__main__":
    main()

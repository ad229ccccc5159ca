"""How long commands take to start, compared with bare Python in the same run.

    python benchmarks/startup.py [--rounds 15]

The commands alternate, so that the machine's other load affects them equally; the median of each is shown.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from balancebot.cli.ask_daemon import socket_path
from balancebot.domain.balance import Absent, Category, Readings, WalletName
from balancebot.domain.next_reading import NextReading
from balancebot.store import estimates, readings, wallets, workers
from balancebot.store.database import Database
from balancebot.store.estimates import EstimateRow
from balancebot.store.readings import GoodRead

NUM_WALLETS = 20
COMMANDS = (
    "status",
    "alerts list",
    "why acme/app-1:market",
    "thresholds set acme/app-1 market --note seen",
)
ENVIRON = {
    **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
    "PYTHONPATH": str(Path(__file__).parent.parent),
}
"""Bytecode is cached, as for an installed program."""


def prepare(folder: Path) -> None:
    """Write a configuration and a database with readings and estimates of two balances per wallet."""
    apps = "".join(
        f'  {{ name = "app-{number}", app_key = "k{number}", master_secret = "s" }},\n'
        for number in range(NUM_WALLETS)
    )
    (folder / "balancebot.toml").write_text(
        '[poll]\nevery = "1h"\nstale_after = "2h"\n'
        f'[[accounts]]\nname = "acme"\nbase_url = "http://127.0.0.1:9"\napps = [\n{apps}]\n'
    )
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


@contextmanager
def daemon(folder: Path) -> Iterator[None]:
    """Run the daemon in `folder` until it answers commands, and stop it at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "balancebot", "run"],
        cwd=folder,
        env=ENVIRON,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        path = socket_path(folder / "balancebot.toml")
        until = time.monotonic() + 30
        while (path is None or not path.exists()) and time.monotonic() < until:
            time.sleep(0.1)
            path = socket_path(folder / "balancebot.toml")
        time.sleep(2)  # for its first cycle
        yield
    finally:
        process.terminate()
        process.wait(20)


def run(folder: Path, *words: str) -> tuple[float, float]:
    """Run Python with `words` to its end; return its duration and its processor time, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], cwd=folder, env=ENVIRON, stdout=subprocess.DEVNULL, check=True)
    took = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(folder: Path, rounds: int) -> dict[str, tuple[float, float]]:
    """Return the medians of `run` for each command; the commands alternate."""
    commands = {"bare": ("-c", "pass")} | {
        name: ("-m", "balancebot", *name.split()) for name in ("--help", *COMMANDS)
    }
    for words in commands.values():  # compiles what isn't cached yet
        run(folder, *words)
    took: dict[str, list[tuple[float, float]]] = {command: [] for command in commands}
    for _ in range(rounds):
        for command, words in commands.items():
            took[command].append(run(folder, *words))
    return {
        command: (statistics.median(t for t, _ in all_of_them), statistics.median(c for _, c in all_of_them))
        for command, all_of_them in took.items()
    }


def main() -> None:
    """Print the medians and their ratio to bare Python, without and with a daemon."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        alone = measure(folder, rounds)
        with daemon(folder):
            answered = measure(folder, rounds)
    print(f"{'':45} {'alone':^24} {'a daemon answers':^24}")
    print(f"{'':45} {'ms':>7} {'CPU ms':>7} {'x bare':>8} {'ms':>7} {'CPU ms':>7} {'x bare':>8}")
    for command in alone:
        figures = ""
        for medians in (alone, answered):
            took, cpu = medians[command]
            figures += f" {took * 1000:7.0f} {cpu * 1000:7.0f} {took / medians['bare'][0]:7.1f}x"
        print(f"{command:45}{figures}")


if __name__ == "__main__":
    main()

"""Five weeks of poll cycles in minutes: does memory grow?

    python -m benchmarks growth [--wallets 10] [--cycles 10080] [--database FILE]

Each cycle is five minutes later than the last one, so that hours close, models are refitted, and old readings are packed
and deleted as in a real process. Balances fall by day and by night, run low and are topped up; alerts open, are delivered
and recover. Exits with 1 if memory grew by more than 2 % in the last three quarters.
"""

import argparse
import ctypes
import gc
import math
import random
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from balancebot.cli.process import share_one_heap
from balancebot.domain.balance import WalletName
from balancebot.history.prune import pack, prune_steadily
from balancebot.store.database import Database
from tests.world import World, industry

EVERY = timedelta(minutes=5)
PER_HOUR = 12
ROWS = 20
"""How many rows are printed."""
MOST_GROWTH = 0.02
FULL, LOW, TOP_UP = 30_000, 8_000, 30_000
MESSAGES_A_CYCLE = 40


class _Allocated(ctypes.Structure):
    """`struct mallinfo2` of glibc."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"
        )
    )  # fmt: skip


def allocated_mb() -> float:
    """Return what is allocated apart from Python's small objects: SQLite's caches, arrays, long strings; 0 without glibc."""
    mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo2 is None:
        return 0.0
    mallinfo2.restype = _Allocated
    found = mallinfo2()
    return float(found.uordblks + found.hblkhd) / 1e6


def resident_mb() -> float:
    """Return the memory of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


class Senders:
    """Wallets whose balances fall at random, more by day, and are topped up when they are low."""

    def __init__(self, world: World, num: int) -> None:
        self._world = world
        self._random = random.Random(1)
        self._left = {WalletName(f"acme/app-{number}"): FULL for number in range(num)}

    def send(self) -> None:
        """Let five minutes pass."""
        at = self._world.clock.now()
        by_day = 1 + 0.8 * math.sin((at.hour + at.minute / 60) / 24 * 2 * math.pi)
        for wallet, left in self._left.items():
            used = round(MESSAGES_A_CYCLE * by_day * math.exp(self._random.gauss(0, 0.4)))
            left = max(0, left - used)  # noqa: PLW2901
            if left == 0 or (left < LOW and self._random.random() < 0.02):
                left += TOP_UP  # noqa: PLW2901
            self._left[wallet] = left
            self._world.shows(industry(left), wallet=wallet)


def cycle(world: World, number: int) -> None:
    """Do what the daemon's jobs do in five minutes."""
    app = world.app
    app.poll_cycle.run_due(failing=False)
    app.poll_cycle.run_due(failing=True)
    app.operate_alerts.tick()
    app.operate_orders.tick()
    app.send_digest.run_due()
    world.deliver()
    app.latest.read(now=world.clock.now())
    if number % PER_HOUR == 0:
        now = world.clock.now()
        zone = app.settings.timezone
        if prune_steadily(app.database, app.settings.retention, zone=zone, now=now) is not None:
            for _ in pack(app.database, now=now):
                pass
    for channel in (world.slack, world.mail):
        channel.requests.clear()
        del channel.messages[:-20]
        for message in channel.messages:
            message.edits.clear()
    world.source.requests.clear()
    world.clock.at += EVERY


def main() -> int:
    """Measure; return the exit status."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--wallets", type=int, default=10)
    options.add_argument("--cycles", type=int, default=10_080)
    options.add_argument("--database", type=Path, help="where the SQLite file stays")
    chosen = options.parse_args()
    share_one_heap()
    with tempfile.TemporaryDirectory(prefix="growth-") as folder:
        file = chosen.database or Path(folder, "balancebot.db")
        database = Database(f"sqlite:///{file.absolute()}")
        database.upgrade()
        world = World(database)
        world.limit(warning_below=20_000, critical_below=5_000)
        senders = Senders(world, chosen.wallets)
        senders.send()
        world.app.sync_wallets()
        print(
            "| cycles | memory, MB | Python's blocks | other allocations, MB | database, MB | CPU a cycle, ms |"
        )
        print("| ---: | ---: | ---: | ---: | ---: | ---: |")
        memory: list[float] = []
        step = max(1, chosen.cycles // ROWS)
        began = time.process_time()
        for number in range(1, chosen.cycles + 1):
            senders.send()
            cycle(world, number)
            if number % step == 0:
                cpu = 1000 * (time.process_time() - began) / step
                gc.collect()
                memory.append(resident_mb())
                size = file.stat().st_size / 1e6
                print(
                    f"| {number:,} | {memory[-1]:.1f} | {sys.getallocatedblocks():,} | {allocated_mb():.1f} "
                    f"| {size:.1f} | {cpu:.1f} |",
                    flush=True,
                )
                began = time.process_time()
        world.close()
        database.dispose()
    grown = memory[-1] / memory[len(memory) // 4] - 1
    print(f"grown by {grown:.1%} in the last three quarters")
    return 0 if grown <= MOST_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())

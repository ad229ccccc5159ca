"""The cost of the store: CPU per wallet and cycle, step by step; disk per wallet and year; growth after a year.

    python benchmarks/store.py [--wallets 1000] [--url URL]

Compare the figures of one run with each other; between machines, only their ratios.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import text

from balancebot.config import RetentionConfig
from balancebot.domain.balance import Absent, BalanceKey, Category, Readings, WalletName
from balancebot.domain.next_reading import NextReading
from balancebot.domain.usage import Booked, Hour, Seen
from balancebot.history.prune import prune
from balancebot.store import estimates, readings, usage, wallets, workers
from balancebot.store.database import Database
from balancebot.store.estimates import EstimateRow
from balancebot.store.readings import GoodRead, SnapshotRow
from balancebot.store.usage import Used, UseRow

START = datetime(2026, 11, 24, tzinfo=UTC)
EVERY = timedelta(minutes=5)
IN_USE = (Category.INDUSTRY, Category.MARKET)
ME = "benchmark"
_IN_ONE = 288
"""How many hours or instants of the past are written in one transaction."""


class Costs:
    """CPU seconds by step; a step inside another one is counted separately."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = 0.0

    @contextmanager
    def of(self, step: str) -> Iterator[None]:
        """Count the cost of the block."""
        outer, self._inner = self._inner, 0.0
        began = time.process_time()
        yield
        took = time.process_time() - began
        self.seconds[step] += took - self._inner
        self._inner = outer + took


def shown(number: int) -> Readings:
    """Return two categories in use, and two unallocated."""
    return Readings(Absent.UNALLOCATED, Absent.UNALLOCATED, 1_000_000 - 3 * number, 500_000 - 7 * number)


def cycle(database: Database, ids: dict[WalletName, int], number: int, costs: Costs) -> None:
    """Read and write as a cycle does, in one transaction."""
    at = START + number * EVERY
    second, read = int(at.timestamp()), shown(number)
    keys = [BalanceKey(name, category) for name in ids for category in IN_USE]
    with costs.of("transaction"), database.write() as conn:
        workers.renew(conn, ME, now=at)
        with costs.of("claim"):
            rows = wallets.claim_due(conn, ME, now=at)
            wallets.held(conn, ME, [row.id for row in rows])
        with costs.of("wallets"):
            next_read_at = at + EVERY
            good = [
                GoodRead(
                    wallet_id=row.id, readings=read, observed_at=at, next_reading=NextReading(next_read_at)
                )
                for row in rows
            ]
            readings.record_good(conn, good)
        with costs.of("snapshots"):
            readings.append_snapshots(conn, [SnapshotRow(second, row.id, read) for row in rows])
        with costs.of("beliefs read"):
            estimates.of_wallets(conn, [row.id for row in rows])
        with costs.of("beliefs written"):
            estimates.save_estimates(
                conn, [estimate_row(row.id, category, at) for row in rows for category in IN_USE]
            )
        with costs.of("roll-up"):
            booked = {Hour(second // 3600, key): Booked(3, 300.0) for key in keys}
            usage.add(conn, ids, booked, {name: Seen(second, read) for name in ids})
        with costs.of("booked"):
            readings.record_booked(conn, [(row.id, read, at) for row in rows])


def estimate_row(wallet_id: int, category: Category, at: datetime) -> EstimateRow:
    """Return the estimate of one balance."""
    return EstimateRow(
        wallet_id=wallet_id,
        category=category,
        ever_positive=True,
        burn_per_day=864.0,
        runway_known=True,
        p10_at=at + timedelta(days=20),
        p50_at=at + timedelta(days=30),
        p90_at=at + timedelta(days=40),
        judged_at=at + timedelta(days=25),
    )


def measure_cycles(
    database: Database, ids: dict[WalletName, int], first: int, times: int
) -> dict[str, float]:
    """Return microseconds of CPU per wallet and cycle, by step."""
    cycle(database, ids, first, Costs())  # fills caches
    costs = Costs()
    for number in range(first + 1, first + 1 + times):
        cycle(database, ids, number, costs)
    return {step: seconds / times / len(ids) * 1e6 for step, seconds in costs.seconds.items()}


def write_year(database: Database, wallet_ids: list[int]) -> None:
    """Write the rows that a year of 5-minute readings leaves with the default retention."""
    end = int(START.timestamp())
    used = (Used(), Used(), Used(36, 3600), Used(84, 3600))
    hours = range(end // 3600 - 365 * 24, end // 3600)
    instants = range(end - int(RetentionConfig().raw.total_seconds()), end, int(EVERY.total_seconds()))
    for some in (hours[start : start + _IN_ONE] for start in range(0, len(hours), _IN_ONE)):
        with database.write() as conn:
            for hour in some:
                seen = shown(12 * (hour - hours.stop))
                usage.put(conn, [UseRow(hour, wallet_id, seen, used) for wallet_id in wallet_ids])
    for start in range(0, len(instants), _IN_ONE):
        with database.write() as conn:
            for number in range(start, min(start + _IN_ONE, len(instants))):
                seen = shown(number - len(instants))
                readings.append_snapshots(
                    conn, [SnapshotRow(instants[number], wallet_id, seen) for wallet_id in wallet_ids]
                )


def size_of(database: Database) -> int:
    """Return the bytes of the database."""
    with database.read() as conn:
        if not database.is_sqlite:
            return int(conn.scalar(text("SELECT pg_database_size(current_database())")))
        pages, size = (conn.scalar(text(f"PRAGMA {name}")) for name in ("page_count", "page_size"))
        return int(pages * size)


def report(database: Database, *, num_wallets: int, num_cycles: int, num_years: int) -> None:
    """Measure and print."""
    names = [WalletName(f"acme/app-{number}") for number in range(num_wallets)]
    with database.write() as conn:
        workers.register(conn, ME, kind="run", now=START)
        wallets.sync(conn, names, now=START)
        ids = wallets.ids(conn)
    empty = measure_cycles(database, ids, 0, num_cycles)
    size = size_of(database)
    write_year(database, list(ids.values())[:num_years])
    grown = size_of(database) - size
    year = measure_cycles(database, ids, num_cycles + 1, num_cycles)
    print(
        f"{num_wallets} wallets: microseconds of CPU per wallet and cycle\n{'':18}{'empty':>8}{'a year':>8}"
    )
    for step in empty:
        print(f"{step:18}{empty[step]:8.1f}{year[step]:8.1f}")
    print(f"{'sum':18}{sum(empty.values()):8.1f}{sum(year.values()):8.1f}")
    print(f"disk per wallet and year: {grown / num_years / 1e6:.2f} MB")
    began = time.perf_counter()
    pruned = prune(database, RetentionConfig(), zone=ZoneInfo("UTC"), now=START + timedelta(days=7))
    print(f"pruning a week of {num_years} wallets: {time.perf_counter() - began:.2f} s ({pruned})")


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--wallets", type=int, default=1_000)
    parser.add_argument("--cycles", type=int, default=12)
    parser.add_argument("--years", type=int, default=30, help="for how many wallets a year is written")
    parser.add_argument("--url", help="an empty database; default: a SQLite file that is removed afterwards")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(asked.url or f"sqlite:///{Path(folder) / 'store.db'}")
        database.upgrade()
        report(database, num_wallets=asked.wallets, num_cycles=asked.cycles, num_years=asked.years)
        database.dispose()


if __name__ == "__main__":
    main()

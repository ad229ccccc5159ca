"""The cost of the store: CPU per wallet and cycle, step by step; disk per wallet and year; reads and growth after a year.

    python -m benchmarks store [--wallets 1000] [--years 30] [--postgresql | --url URL]

Compare the figures of one run with each other; between machines, only their ratios.
"""

import argparse
import random
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
from sqlalchemy import Connection, text

from balancebot.config import RetentionConfig
from balancebot.domain.balance import Absent, BalanceKey, Category, Readings, WalletName
from balancebot.domain.next_reading import NextReading
from balancebot.domain.usage import Booked, Hour, Seen
from balancebot.history.prune import pack, prune
from balancebot.store import estimates, readings, statements, usage, use_totals, wallets, workers
from balancebot.store.database import Database
from balancebot.store.estimates import EstimateRow
from balancebot.store.readings import GoodRead, SnapshotRow
from tests.databases import empty_databases

START = datetime(2026, 11, 24, tzinfo=UTC)
EVERY = timedelta(minutes=5)
IN_USE = (Category.INDUSTRY, Category.MARKET)
ME = "benchmark"
_DAY = 24 * 3600


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
            wallets.named(conn, [row.name for row in rows], held_by=ME)
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
        with costs.of("evidence read"):
            estimates.evidence(conn, [row.id for row in rows])
        with costs.of("estimates written"):
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


def write_year(database: Database, ids: dict[WalletName, int], until: datetime = START) -> None:
    """Write the rows that a year of 5-minute readings leaves with the default retention, not packed yet.

    Usage follows the hour of the day and chance, and readings come some seconds early or late, as they do.
    """
    chance = random.Random(20261124)
    end, raw = int(until.timestamp()), int(RetentionConfig().raw.total_seconds())
    levels = {name: [10_000_000, 4_000_000] for name in ids}
    for first in range(end - 365 * _DAY, end, _DAY):
        snapshots = []
        seen: dict[int, dict[WalletName, Seen]] = defaultdict(dict)
        booked: dict[int, dict[Hour, Booked]] = defaultdict(dict)
        for name, level in levels.items():
            wallet_id = ids[name]
            for hour in range(first // 3600, first // 3600 + 24):
                used = [0, 0]
                for at in range(hour * 3600, (hour + 1) * 3600, int(EVERY.total_seconds())):
                    for index, rate in enumerate((10, 4)):
                        use = int(chance.gammavariate(2, rate / 2 * (0.3 if hour % 24 < 7 else 1)))
                        used[index] += use
                        level[index] -= use
                    read = Readings(Absent.UNALLOCATED, Absent.UNALLOCATED, *level)
                    if first >= end - raw:
                        snapshots.append(SnapshotRow(at + chance.randrange(20), wallet_id, read))
                seen[hour][name] = Seen(hour * 3600 + 3599, read)
                for category, use in zip(IN_USE, used, strict=True):
                    key = BalanceKey(name, category)
                    booked[hour][Hour(hour, key)] = Booked(use, 3600.0, after=-chance.randrange(9))
        with database.write() as conn:
            for hour, of_wallets in seen.items():
                usage.add(conn, ids, booked[hour], of_wallets)
            readings.append_snapshots(conn, snapshots)


def sizes(database: Database) -> dict[str, int]:
    """Return the bytes of each table with its indices, the largest first."""
    query = (
        "SELECT tbl_name, sum(pgsize) FROM dbstat JOIN sqlite_master USING (name) GROUP BY 1 ORDER BY 2 DESC"
        if database.is_sqlite
        else "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' "
        "AND relnamespace = 'public'::regnamespace ORDER BY 2 DESC"
    )
    with database.read() as conn:
        return {name: int(size) for name, size in conn.execute(text(query))}


def measure_reads(database: Database, wallet_ids: list[int]) -> dict[str, float]:
    """Return milliseconds that reading the past takes, the better of two: in a transaction of its own each."""
    end, hour, one = int(START.timestamp()), int(START.timestamp()) // 3600, wallet_ids[0]
    month = {"since": hour - 90 * 24, "until": hour - 60 * 24}
    reads: dict[str, Callable[[Connection], object]] = {
        "a year of one wallet by hour": lambda conn: usage.hours_of(conn, one, since=0, until=hour),
        "30 days of one wallet, every reading": lambda conn: readings.snapshots_of_wallet(
            conn, one, since=end - 30 * _DAY, until=end
        ),
        "35 days of all by hour": lambda conn: list(usage.use_since(conn, wallet_ids, hour - 35 * 24)),
        "totals of a month, all": lambda conn: statements.totals(conn, wallet_ids, **month),
        "what was there at its begin, all": lambda conn: statements.values_at(
            conn, wallet_ids, hour=month["since"], deep=False
        ),
        "sums of two weeks, all": lambda conn: use_totals.of_hours(conn, since=hour - 14 * 24, until=hour),
        "a week of all, every reading": lambda conn: deque(
            readings.snapshots_between(conn, since=end - 9 * _DAY, until=end - 2 * _DAY), maxlen=0
        ),
    }
    found = {}
    for name, read in reads.items():
        took = []
        for _ in range(2):
            with database.read() as conn:
                began = time.process_time() if database.is_sqlite else time.perf_counter()
                read(conn)
                took.append((time.process_time() if database.is_sqlite else time.perf_counter()) - began)
        found[name] = min(took) * 1000
    return found


def pack_all(database: Database, now: datetime = START) -> None:
    """Pack all complete days, and print the cost."""
    cpu, num_rows, longest, last = time.process_time(), 0, 0.0, time.perf_counter()
    for gone in pack(database, now=now):
        num_rows += gone
        longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
    each = (time.process_time() - cpu) / max(1, num_rows) * 1e6
    print(f"packed {num_rows:,} rows: {each:.1f} us of CPU a row, longest step {longest:.2f} s")
    if not database.is_sqlite:
        with psycopg.connect(
            database.url.set(drivername="postgresql").render_as_string(False), autocommit=True
        ) as conn:
            conn.execute("VACUUM FULL")  # the space of deleted rows is reused; here it must show


def show_sizes(database: Database, before: dict[str, int], num_years: int, how: str) -> None:
    """Print by how much tables have grown, per wallet."""
    history = (readings.PACKED.rows, readings.PACKED.days, usage.PACKED.rows, usage.PACKED.days)
    now = sizes(database)
    grown = {table.name: (now[table.name] - before[table.name]) / num_years for table in history}
    parts = ", ".join(f"{name} {size / 1e3:.0f} KB" for name, size in grown.items())
    print(f"disk per wallet and year, {how}: {sum(grown.values()) / 1e6:.3f} MB ({parts})")


def report(database: Database, *, num_wallets: int, num_cycles: int, num_years: int) -> None:
    """Measure and print."""
    names = [WalletName(f"acme/app-{number}") for number in range(num_wallets)]
    with database.write() as conn:
        workers.register(conn, ME, kind="run", now=START)
        wallets.sync(conn, names, now=START)
        ids = wallets.ids(conn)
    empty = measure_cycles(database, ids, 0, num_cycles)
    size = sizes(database)
    with_past = dict(list(ids.items())[:num_years])
    write_year(database, with_past)
    show_sizes(database, size, num_years, "in rows")
    past = list(with_past.values())
    in_rows = measure_reads(database, past)
    pack_all(database)
    show_sizes(database, size, num_years, "packed")
    packed = measure_reads(database, past)
    print(f"{num_years} wallets with a year: milliseconds to read\n{'':38}{'in rows':>8}{'packed':>8}")
    for name, took in in_rows.items():
        print(f"{name:38}{took:8.1f}{packed[name]:8.1f}")
    year = measure_cycles(database, ids, num_cycles + 1, num_cycles)
    print(
        f"{num_wallets} wallets: microseconds of CPU per wallet and cycle\n{'':18}{'empty':>8}{'a year':>8}"
    )
    for step in empty:
        print(f"{step:18}{empty[step]:8.1f}{year[step]:8.1f}")
    print(f"{'sum':18}{sum(empty.values()):8.1f}{sum(year.values()):8.1f}")
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
    parser.add_argument("--postgresql", action="store_true", help="on a server of this run's own")
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="store") as folder,
        empty_databases("postgresql" if asked.postgresql else "sqlite") as url,
    ):
        database = Database(asked.url or url(Path(folder)))
        database.upgrade()
        report(database, num_wallets=asked.wallets, num_cycles=asked.cycles, num_years=asked.years)
        database.dispose()


if __name__ == "__main__":
    main()

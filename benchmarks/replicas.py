"""Several `balancebot run` on one PostgreSQL: readings per second, how they are shared, and the database's work for
them.

    PYTHONPATH=. python benchmarks/replicas.py [--replicas 1 2 4] [--wallets 1000] [--every 10] [--seconds 60]

With `--every 1` every wallet is due each second, which is more than two processors can do: so the result is their
maximum. JSMS is the server of cycle.py, over TLS. PostgreSQL is a server of this run's own, behind a socket, without
waiting for the disk. All share the processors of this machine: more replicas than processors show the cost of sharing,
not its gain.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from cycle import configure, running_server
from sqlalchemy import text

from balancebot.clock import SystemClock
from balancebot.store import wallets
from balancebot.store.database import Database
from tests.databases import PostgreSQL, run_postgresql

HERE = Path(__file__).parent.parent
_TICKS = os.sysconf("SC_CLK_TCK")
_PROBES = 50


def processor_seconds(pids: list[int]) -> float:
    """Return the processor time of processes and of their ended children."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))
    return total / _TICKS


def children(pid: int) -> list[int]:
    """Return a process and the processes that it has started."""
    found = [pid]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
        except OSError:
            continue
    return found


def postmaster(server: PostgreSQL) -> int:
    """Return the server's main process, which started the others."""
    return int((server.folder / "data" / "postmaster.pid").read_text().split()[0])


def counts(database: Database, since: int, until: int) -> list[int]:
    """Return how often each wallet was read in `[since, until)`."""
    query = text(
        "SELECT count(s.observed_at) FROM wallets w LEFT JOIN snapshots s ON s.wallet_id = w.id"
        " AND s.observed_at >= :since AND s.observed_at < :until WHERE w.configured GROUP BY w.id"
    )
    with database.read() as conn:
        return sorted(conn.scalars(query, {"since": since, "until": until}))


def commits(database: Database) -> int:
    """Return how many transactions the database has committed."""
    with database.read() as conn:
        return int(
            conn.scalar(text("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"))
        )


def claim_ms(database: Database) -> float:
    """Return the median time of a claim that finds nothing, in ms."""
    took = []
    long_ago = SystemClock().now() - timedelta(days=365)
    for _ in range(_PROBES):
        with database.write() as conn:
            begun = time.perf_counter()
            wallets.claim_due(conn, "probe", now=long_ago)
            took.append(time.perf_counter() - begun)
    return statistics.median(took) * 1000


def measure(folder: Path, database: Database, server: int, num: int, seconds: float) -> None:
    """Run `num` replicas for some time, and print a row."""
    environ = {**os.environ, "PYTHONPATH": str(HERE)}
    logs = [(folder / f"log-{num}-{index}").open("w+") for index in range(num)]
    replicas = [
        subprocess.Popen(
            [sys.executable, "-m", "balancebot", "run"], cwd=folder, env=environ, stdout=log, stderr=log
        )
        for log in logs
    ]
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until and any(
            (folder / f"log-{num}-{index}").read_text().count("poll.cycle") < 3 for index in range(num)
        ):
            time.sleep(0.5)
        pids = [replica.pid for replica in replicas]
        before = [processor_seconds([pid]) for pid in pids]
        server_before, commits_before = processor_seconds(children(server)), commits(database)
        since = int(time.time())
        time.sleep(seconds)
        read = counts(database, since, int(time.time()))
        total = sum(read)
        own = [processor_seconds([pid]) - start for pid, start in zip(pids, before, strict=True)]
        of_server = processor_seconds(children(server)) - server_before
        claim, committed = claim_ms(database), commits(database) - commits_before - _PROBES
        shares = sorted(100 * cpu / sum(own) for cpu in own)
        print(
            f"{num:>8}{total / seconds:>12.0f}{read[0]:>8}{statistics.median(read):>8.0f}{read[-1]:>8}"
            f"{' '.join(f'{share:.0f}' for share in shares):>16}{1000 * sum(own) / total:>12.2f}"
            f"{1000 * of_server / total:>12.2f}{committed / total * 100:>12.1f}{claim:>10.1f}",
            flush=True,
        )
    finally:
        for replica in replicas:
            replica.terminate()
        for replica in replicas:
            replica.wait(30)
        for log in logs:
            log.close()


def main() -> None:
    """Start the JSMS server and PostgreSQL, and measure each number of replicas in turn."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 4])
    options.add_argument("--wallets", type=int, default=1000)
    options.add_argument("--connections", type=int, default=50)
    options.add_argument("--latency-ms", type=float, default=50)
    options.add_argument("--every", type=int, default=10, help="seconds between two readings of a wallet")
    options.add_argument("--seconds", type=float, default=60)
    chosen = options.parse_args()
    print(
        f"{chosen.wallets} wallets, each due every {chosen.every} s; {os.cpu_count()} processors\n"
        f"{'replicas':>8}{'readings/s':>12}{'least':>8}{'median':>8}{'most':>8}{'CPU shares, %':>16}"
        f"{'CPU ms':>12}{'server ms':>12}{'commits %':>12}{'claim ms':>10}"
    )
    with run_postgresql() as server, running_server(chosen.latency_ms) as (folder, url):
        for num in chosen.replicas:
            name = f"replicas_{num}"
            server.create(name, template="template0")
            database = Database(server.url(name))
            configure(folder, url, chosen.wallets, chosen.connections, every=f"{chosen.every}s")
            with (folder / "balancebot.toml").open("a") as file:
                file.write(f'[database]\nurl = "{server.url(name)}"\n')
            database.upgrade()
            measure(folder, database, postmaster(server), num, chosen.seconds)
            database.dispose()


if __name__ == "__main__":
    main()

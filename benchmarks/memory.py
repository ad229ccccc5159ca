"""What the daemon and a `poll` need: resident memory, and the time in addition to the cycle.

    python benchmarks/memory.py [--wallets 1000] [--connections 50] [--latency-ms 50]

`run` is started as a process of its own, with pages and without channels, and measured after some cycles; `poll` is one
process, timed from start to end. The server is that of cycle.py.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from cycle import configure, running_server

HERE = Path(__file__).parent.parent
NUM_CYCLES = 3
_RESIDENT = re.compile(r"VmRSS:\s+(\d+) kB")
_HIGHEST = re.compile(r"VmHWM:\s+(\d+) kB")


def megabytes(pid: int, pattern: re.Pattern[str]) -> float:
    """Return a figure of the kernel about a process's memory."""
    found = pattern.search(Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def balancebot(folder: Path, *words: str, **streams: object) -> subprocess.Popen:
    environ = {**os.environ, "PYTHONPATH": str(HERE)}
    command = [sys.executable, "-m", "balancebot", *words]
    return subprocess.Popen(command, cwd=folder, env=environ, text=True, **streams)


def measure_poll(folder: Path, bound: float) -> None:
    """Run `poll` twice; the second has no tables to create or migrate."""
    for time_of in ("first", "second"):
        began = time.perf_counter()
        process = balancebot(folder, "poll", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        print(
            f"{time_of} poll: {took:.2f} s (bound + {took - bound:.2f} s), "
            f"{usage.ru_maxrss / 1024:.0f} MB at most, CPU {usage.ru_utime + usage.ru_stime:.2f} s, "
            f"status {process.returncode}"
        )


def measure_run(folder: Path) -> None:
    """Start `run`, let some cycles end, measure its memory, and stop it."""
    process = balancebot(folder, "run", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    num_cycles = 0
    try:
        for line in process.stdout:
            num_cycles += "poll.cycle" in line
            if num_cycles == NUM_CYCLES:
                break
        time.sleep(2)
        print(
            f"run after {num_cycles} cycles: {megabytes(process.pid, _RESIDENT):.0f} MB resident, "
            f"{megabytes(process.pid, _HIGHEST):.0f} MB at most (aims: 110 MB at 1,000 wallets, 150 MB at 10,000)"
        )
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--wallets", type=int, default=1000)
    options.add_argument("--connections", type=int, default=50)
    options.add_argument("--latency-ms", type=float, default=50)
    chosen = options.parse_args()
    bound = chosen.wallets * chosen.latency_ms / 1000 / chosen.connections
    with running_server(chosen.latency_ms) as (folder, url):
        configure(folder, url, chosen.wallets, chosen.connections, every=f"{max(2, round(3 * bound))}s")
        measure_poll(folder, bound)
        measure_run(folder)


if __name__ == "__main__":
    main()

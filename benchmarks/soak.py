"""A day of all kinds of faults in minutes: does `balancebot run` grow, and is the outcome right at the end?

    python -m benchmarks soak [--database sqlite] [--wallets 300] [--every 2] [--minutes 10] [--seed 1]

One process reads as often as in a day of five-minute readings. Meanwhile balances move, answers are faulty, connections
break, the clock jumps, the database is unavailable, strangers open connections to the pages, and the process is frozen.
Its memory, handles, threads and processor time per reading are sampled all the time and printed for the beginning
(without the first minute), the middle and the end, each a fifth of the time. At the end the messages are compared with
those that were due. Exits with 1 if a message was lost or sent twice, or a traceback was logged.
"""

import argparse
import itertools
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median
from urllib.request import urlopen

from balancebot.clock import SystemClock
from balancebot.domain.balance import WalletName
from balancebot.jsms.simulator import FaultKind, SimulatedFault
from tests.crash.deployment import Deployment
from tests.crash.episodes import Level
from tests.crash.faults import inject_fault
from tests.crash.interruptions import Interruption, InterruptionKind
from tests.crash.reconcile import reconcile
from tests.databases import empty_databases

_BODIES = tuple(
    FaultKind(word)
    for word in (
        "server_error", "rate_limited", "outage", "refused", "out_of_freq", "silence", "slow", "trickle", "truncated",
        "html", "empty", "huge", "missing_field", "unknown_field", "redirect",
    )
)  # fmt: skip
"""The faults of an answer that don't change balances."""
_JUMPS = (3600.0, -3600.0, 60 * 86400.0, -60 * 86400.0, -50 * 365 * 86400.0)
"""Seconds: in addition to the small jumps of the crash rounds, an hour, two months, and back to 1976."""
_MAX_OPENINGS = 2
"""Per balance: a balance whose alert opens more often flaps, and its message comes hours later."""
_PATIENCE = 300.0
_HALF_REQUESTS = (b"", b"GET / HT", b"\x16\x03\x01", b"POST /login HTTP/1.1\r\nHo")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Sample:
    """The figures of the kernel and the log about the process at one moment."""

    at: float
    memory_mb: float
    handles: int
    threads: int
    cpu_seconds: float
    readings: int
    after: str = ""
    """The last fault before the sample."""


def sample(deployment: Deployment, pid: int, after: str = "") -> Sample:
    """Measure the process."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Sample(
        at=time.monotonic(),
        memory_mb=int(status["VmRSS"].split()[0]) / 1024,
        handles=len(os.listdir(f"/proc/{pid}/fd")),
        threads=int(status["Threads"]),
        cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICKS,
        readings=sum(line["wallets"] for line in deployment.log() if line.get("event") == "poll.cycle"),
        after=after,
    )


class Day:
    """Changes balances and injects faults."""

    def __init__(self, deployment: Deployment, pages: int, seed: int) -> None:
        self._deployment = deployment
        self._pages = pages
        self._rng = random.Random(seed)
        self._opened: Counter[WalletName] = Counter()
        self.happened: Counter[str] = Counter()
        self._acts: Sequence[Callable[[], str]] = (
            *(lambda: inject_fault(deployment, self._rng),) * 4,
            *(self._fail_jsms,) * 3,
            *(self._break_connection,) * 2,
            self._jump_clock,
            self._open_connections,
            self._freeze,
        )

    def act(self) -> str:
        """Let balances move, unless the last moves aren't known yet, and cause one fault; return it."""
        if self._deployment.wait_until_recorded(0.5):
            self._deployment.set_levels(self._moves())
        what = self._rng.choice(self._acts)()
        self.happened[" ".join(word for word in what.split() if word.strip("-.").isalpha())] += 1
        return what

    def _moves(self) -> dict[WalletName, Level]:
        found: dict[WalletName, Level] = {}
        for wallet in self._rng.sample(self._deployment.episodes.wallets, 6):
            level = self._deployment.episodes.level(wallet)
            if level is not Level.OK:
                worse = [other for other in Level if other > level]
                found[wallet] = self._rng.choice([Level.OK, *worse])
            elif self._opened[wallet] < _MAX_OPENINGS:
                self._opened[wallet] += 1
                found[wallet] = self._rng.choice([Level.WARNING, Level.CRITICAL, Level.DEPLETED])
        return found

    def _fail_jsms(self) -> str:
        kind = self._rng.choice(_BODIES)
        wallet = self._rng.choice(self._deployment.episodes.wallets)
        delay = timedelta(seconds=0.02 if kind is FaultKind.TRICKLE else self._rng.uniform(0.5, 6.0))
        fault = SimulatedFault(kind=kind, times=self._rng.randint(1, 40), delay=delay)
        self._deployment.jsms.fail(self._rng.choice(("*", str(wallet))), fault)
        return f"JSMS {kind}"

    def _break_connection(self) -> str:
        seen = sorted(
            place
            for place in self._deployment.interrupter.reached
            if place.startswith(("slack", "mail", "jsms"))
        )
        if not seen:
            return "no connection to break"
        place = self._rng.choice(seen)
        self._deployment.interrupter.arm(
            Interruption(boundary=place, nth=self._rng.randint(1, 3), kind=InterruptionKind.DISCONNECT)
        )
        return (
            f"connection broken at {place}"
            if self._deployment.interrupter.wait(5.0)
            else "no connection broken"
        )

    def _jump_clock(self) -> str:
        seconds = self._rng.choice(_JUMPS)
        self._deployment.set_clock(timedelta(seconds=seconds))
        time.sleep(self._rng.uniform(0.5, 4.0))
        self._deployment.set_clock(timedelta())
        return f"clock wrong by {seconds / 3600:.0f} hours"

    def _open_connections(self) -> str:
        lines = []
        with suppress(OSError):
            for _ in range(40):
                lines.append(socket.create_connection(("127.0.0.1", self._pages), timeout=2))
                lines[-1].sendall(self._rng.choice(_HALF_REQUESTS))
        for path in ("metrics", "healthz", "readyz", "login", "api/v1/balances"):
            with suppress(OSError):
                urlopen(f"http://127.0.0.1:{self._pages}/{path}", timeout=5).close()
        for line in lines[:30]:
            line.close()
        return "strangers at the pages"

    def _freeze(self) -> str:
        pid = self._deployment.pids[0]
        os.kill(pid, signal.SIGSTOP)
        time.sleep(self._rng.uniform(0.5, 10.0))
        os.kill(pid, signal.SIGCONT)
        return "frozen"


def report(samples: Sequence[Sample]) -> None:
    """Print the figures of the three windows."""
    print("| | memory, MB | handles | threads | CPU a reading, ms | readings |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    warm = [taken for taken in samples if taken.at > samples[0].at + 60] or list(samples)
    fifth = max(2, len(warm) // 5)
    half = (len(warm) - fifth) // 2
    for name, window in (
        ("beginning", warm[:fifth]),
        ("middle", warm[half : half + fifth]),
        ("end", warm[-fifth:]),
    ):
        first, last = window[0], window[-1]
        readings = last.readings - first.readings
        cpu = 1000 * (last.cpu_seconds - first.cpu_seconds) / max(1, readings)
        memory, handles, threads = (
            median(getattr(taken, field) for taken in window) for field in ("memory_mb", "handles", "threads")
        )
        print(f"| {name} | {memory:.1f} | {handles:.0f} | {threads:.0f} | {cpu:.2f} | {readings:,} |")

    steps = sorted(
        ((later.memory_mb - before.memory_mb, later) for before, later in itertools.pairwise(samples)),
        key=lambda step: -step[0],
    )
    for step, taken in steps[:5]:
        print(f"  {step:+.1f} MB, {taken.at - samples[0].at:.0f} s after the start, after: {taken.after}")


def free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    options.add_argument("--wallets", type=int, default=300)
    options.add_argument("--every", type=float, default=2, help="seconds; also parts of one")
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--keep", type=Path, help="where the log and an SQLite database stay")
    chosen = options.parse_args()
    pages = free_port()
    sections = f'[web]\nlisten = "127.0.0.1:{pages}"'
    with (
        nullcontext(chosen.keep) if chosen.keep else tempfile.TemporaryDirectory(prefix="soak-") as name,
        empty_databases(chosen.database) as url_of,
        Deployment(
            Path(name),
            url_of(Path(name).absolute()),
            seed=chosen.seed,
            num_wallets=chosen.wallets,
            every=chosen.every,
            sections=sections,
        ) as deployment,
    ):
        began = SystemClock().now()
        deployment.start()
        if not deployment.wait_until_read_since(began, _PATIENCE):
            sys.exit("the wallets aren't read")
        (pid,) = deployment.pids
        day = Day(deployment, pages, chosen.seed)
        samples = [sample(deployment, pid)]
        while time.monotonic() < samples[0].at + 60 * chosen.minutes:
            what = day.act()
            if pid not in deployment.pids:
                sys.exit(f"it ended: {deployment.log()[-3:]}")
            samples.append(sample(deployment, pid, what))
        deployment.end_faults()  # the comparison below is after the end of all faults
        settled = deployment.wait_until_settled(_PATIENCE)
        result = reconcile(deployment)
        until = time.monotonic() + _PATIENCE
        while result.repeats and time.monotonic() < until:
            time.sleep(1)  # deliveries in doubt are searched for after a minute, and deleted
            result = reconcile(deployment)
        traces = [line for line in deployment.log() if "trace" in line or "output" in line]
    print(f"{chosen.database}, {chosen.wallets} wallets every {chosen.every:g} s, {chosen.minutes:g} minutes")
    for what, times in sorted(day.happened.items()):
        print(f"  {times:4} {what}")
    report(samples)
    print(
        f"transitions {result.num_transitions}, lost {len(result.losses)}, "
        f"sent twice {len(result.repeats)}, settled {settled}"
    )
    for fault in (*result.losses, *result.repeats, *traces[:5]):
        print(f"  {fault}")
    return 0 if settled and not result.losses and not result.repeats and not traces else 1


if __name__ == "__main__":
    sys.exit(main())

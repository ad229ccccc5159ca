"""A partial outage: how late `balancebot run` reads healthy wallets while others hang, are refused or fail.

    python benchmarks/outage.py [--wallets 2000] [--hang 614] [--limited 500] [--broken 207] [--every 60] [--seconds 300]

`balancebot run` is a process of its own; the server is a bare asyncio program in this process, on loopback. It never
answers the requests of some wallets, answers others with "out of freq" and others with 500, and the rest after
`--latency-ms`. Some healthy balances fall to 0 meanwhile: the number of them that have an alert at the end is counted,
too. Each healthy wallet is due for one reading per interval; more readings don't count. A gap runs from one answer to
the next, or from the start or to the end.
"""

import argparse
import asyncio
import base64
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import select

from balancebot.store.database import Database
from balancebot.store.tables import alerts

_DROPS = 30
_START_PATIENCE = 60.0
"""Seconds within which the first request must arrive."""


class Outage:
    """The behaviour of each wallet, and when it was asked and answered."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        names = [f"app-{number:05}" for number in range(chosen.wallets)]
        shuffled = random.Random(1).sample(names, len(names))
        behaviours = ["hang"] * chosen.hang + ["limited"] * chosen.limited + ["broken"] * chosen.broken
        self.behaviours = dict.fromkeys(names, "healthy") | dict(zip(shuffled, behaviours, strict=False))
        self.healthy = [name for name in names if self.behaviours[name] == "healthy"]
        self.answered: dict[str, list[float]] = defaultdict(list)
        self.num_requests: Counter[str] = Counter()
        self.empty: set[str] = set()
        self.num_open = self.most_open = 0
        self.latency = chosen.latency_ms / 1000

    def answer(self, name: str) -> bytes | None:
        """Return the whole answer to a request for `name`; None if it is never answered."""
        behaviour = self.behaviours[name]
        self.num_requests[behaviour] += 1
        match behaviour:
            case "hang":
                return None
            case "limited":
                return _http("403 Forbidden", '{"error": {"code": 50009, "message": "out of freq"}}')
            case "broken":
                return _http(
                    "500 Internal Server Error", '{"error": {"code": 50019, "message": "server error"}}'
                )
            case _:
                self.answered[name].append(time.monotonic())
                industry = 0 if name in self.empty else 900_000
                return _http(
                    "200 OK",
                    f'{{"app_balance": null, "app_voice": null, "app_industry": {industry}, "app_market": 7}}',
                )


def _http(status: str, body: str) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


class Server(asyncio.Protocol):
    """One connection to the server."""

    def __init__(self, outage: Outage) -> None:
        self.outage = outage
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.outage.num_open += 1
        self.outage.most_open = max(self.outage.most_open, self.outage.num_open)

    def connection_lost(self, _exc: Exception | None) -> None:
        self.outage.num_open -= 1

    def data_received(self, data: bytes) -> None:
        self.received += data
        while b"\r\n\r\n" in self.received:
            request, _, self.received = self.received.partition(b"\r\n\r\n")
            pair = base64.b64decode(request.partition(b"Basic ")[2].partition(b"\r\n")[0]).decode()
            answer = self.outage.answer(pair.partition(":")[0])
            if answer is not None:
                asyncio.get_running_loop().call_later(self.outage.latency, self.write, answer)

    def write(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)


def configure(folder: Path, url: str, outage: Outage, chosen: argparse.Namespace) -> Path:
    """Write the configuration of one account whose apps are the wallets."""
    (folder / "apps.csv").write_text(
        "name,app_key,master_secret\n" + "".join(f"{name},{name},secret\n" for name in outage.behaviours)
    )
    file = folder / "balancebot.toml"
    file.write_text(
        f"""\
[poll]
every = "{chosen.every}s"
fastest = "{chosen.every}s"
concurrency = {chosen.connections}
proxy = "direct"
stale_after = "1h"
[[accounts]]
name = "acme"
base_url = "{url}"
apps_file = "apps.csv"
"""
    )
    return file


async def play(outage: Outage, folder: Path, chosen: argparse.Namespace) -> tuple[float, float, int]:
    """Run balancebot against the server; return when it began and ended, and how many balances fell to 0."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Server(outage), "127.0.0.1", 0, backlog=1024)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    file = configure(folder, url, outage, chosen)
    command = [sys.executable, "-m", "balancebot", "--config", str(file), "run"]
    with (folder / "run.log").open("wb") as out:
        running = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, "PYTHONPATH": "."})
    try:
        launched = time.monotonic()
        while not outage.num_requests:
            if running.poll() is not None or time.monotonic() > launched + _START_PATIENCE:
                raise SystemExit((folder / "run.log").read_text()[-3000:])
            await asyncio.sleep(0.05)
        started = time.monotonic()
        dropping = random.Random(2).sample(outage.healthy, min(_DROPS, len(outage.healthy)))
        # A drop that couldn't be read before the end shows nothing: the last two intervals have none.
        span = max(chosen.seconds - 2.0 * chosen.every, chosen.seconds / 2) - chosen.every
        for place, name in enumerate(dropping):
            at = started + chosen.every + max(span, 0.0) * place / len(dropping)
            loop.call_at(at, outage.empty.add, name)
        await asyncio.sleep(chosen.seconds)
        ended = time.monotonic()
        running.send_signal(signal.SIGTERM)
        await loop.run_in_executor(None, running.wait, 30)
    finally:
        if running.poll() is None:
            running.kill()
        server.close()
    return started, ended, len(dropping)


def report(outage: Outage, folder: Path, times: tuple[float, float, int], chosen: argparse.Namespace) -> None:
    """Print the readings due and done, the gaps, and the drops that have an alert."""
    started, ended, num_drops = times
    due = chosen.seconds // chosen.every
    done = 0
    gaps: list[float] = []
    for name in outage.healthy:
        instants = [at for at in outage.answered[name] if at <= ended]
        done += min(len(instants), due)
        marks = [started, *instants, ended]
        gaps += [later - earlier for earlier, later in itertools.pairwise(marks)]
    gaps.sort()
    database = Database(f"sqlite:///{folder}/balancebot.db")
    with database.read() as conn:
        opened: Sequence[str] = conn.scalars(
            select(alerts.c.wallet).where(alerts.c.kind == "low_balance", alerts.c.category == "industry")
        ).all()
    num_alerted = len({wallet.partition("/")[2] for wallet in opened} & outage.empty)
    database.dispose()
    print(f"healthy readings: {done} of {due * len(outage.healthy)} due")
    print(f"gaps between them: median {gaps[len(gaps) // 2]:.0f} s, worst {gaps[-1]:.0f} s")
    print(f"drops with an alert: {num_alerted} of {num_drops}")
    print(f"requests: {dict(outage.num_requests)}; most connections open: {outage.most_open}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--wallets", type=int, default=2000)
    options.add_argument("--hang", type=int, default=614)
    options.add_argument("--limited", type=int, default=500)
    options.add_argument("--broken", type=int, default=207)
    options.add_argument("--connections", type=int, default=50)
    options.add_argument("--latency-ms", type=float, default=50)
    options.add_argument("--every", type=int, default=60, help="seconds")
    options.add_argument("--seconds", type=int, default=300)
    chosen = options.parse_args()
    if chosen.hang + chosen.limited + chosen.broken >= chosen.wallets:
        options.error("no wallet is healthy")
    outage = Outage(chosen)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report(outage, folder, asyncio.run(play(outage, folder, chosen)), chosen)


if __name__ == "__main__":
    main()

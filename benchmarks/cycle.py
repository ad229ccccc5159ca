"""One whole poll cycle: fetch over TLS, store, estimate for two balances in use, judge, notify; wall time and CPU.

    python benchmarks/cycle.py [--wallets 1000] [--connections 50] [--latency-ms 50] [--cycles 14] [--profile FILE]

The server is a bare asyncio program in a process of its own, whose balances fall with every answer. The clock is set by
the benchmark, five minutes per cycle, so that hours close and models are refitted as in a real day; every balance has
five weeks of history. The bound is wallets x latency / connections. CPU is this process's own, user and system.
"""

import argparse
import asyncio
import cProfile
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import numpy as np
import trustme

from balancebot.app import build_app
from balancebot.config import Settings, load
from balancebot.domain.balance import Category
from balancebot.forecast.model import encode_models, fit
from balancebot.forecast.use_window import WINDOW_HOURS, UseWindow, encode_window
from balancebot.store import estimates, wallets
from balancebot.store.database import Database
from balancebot.store.estimates import ModelRow

START = datetime(2026, 11, 24, 8, 2, tzinfo=UTC)
EVERY = timedelta(minutes=5)
CYCLES_PER_HOUR = 12
IN_USE = (Category.INDUSTRY, Category.MARKET)


class Clock:
    """A clock that only moves when it is set."""

    at = START

    def now(self) -> datetime:
        return self.at


class Falling(asyncio.Protocol):
    """Answers each request, after a delay, with balances that are a little lower than the last time."""

    latency = 0.0
    asked: ClassVar[dict[bytes, int]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        while b"\r\n\r\n" in self.received:
            request, _, self.received = self.received.partition(b"\r\n\r\n")
            key = request.partition(b"Basic ")[2].partition(b"\r\n")[0]
            number = self.asked[key] = self.asked.get(key, 0) + 1
            asyncio.get_running_loop().call_later(self.latency, self.answer, number)

    def answer(self, number: int) -> None:
        if not self.transport.is_closing():
            industry, market = 900_000 - number * 9 - number % 4, 500_000 - number * 30 - number % 7
            body = b'{"app_balance":null,"app_voice":null,"app_industry":%d,"app_market":%d}' % (
                industry,
                market,
            )
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (len(body), body)
            )


async def serve(chain: str, latency: float) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    Falling.latency = latency
    server = await asyncio.get_running_loop().create_server(
        Falling, "127.0.0.1", 0, ssl=context, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def running_server(latency_ms: float) -> Iterator[tuple[Path, str]]:
    """Run the server; yield a folder with its certificate in ca.pem, and its address."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        chain = folder / "chain.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(chain)
        command = [sys.executable, __file__, "--serve", str(chain), "--latency-ms", str(latency_ms)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            yield folder, f"https://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.terminate()
            server.wait()


def configure(folder: Path, url: str, num: int, connections: int, *, every: str = "5m") -> Settings:
    """Write the configuration of one account with `num` apps."""
    (folder / "apps.csv").write_text(
        "name,app_key,master_secret\n"
        + "".join(f"app-{number:05},key-{number},secret\n" for number in range(num))
    )
    file = folder / "balancebot.toml"
    file.write_text(
        f"""\
[poll]
every = "{every}"
fastest = "{every}"
ca_bundle = "ca.pem"
concurrency = {connections}
proxy = "direct"
[web]
listen = "127.0.0.1:0"
secret_key = "a secret key of a benchmark, long enough"
[[accounts]]
name = "acme"
base_url = "{url}"
apps_file = "apps.csv"
"""
    )
    settings = load(file, environ={}, resolve_secrets=True)
    if isinstance(settings, tuple):
        raise SystemExit("\n".join(map(str, settings)))
    return settings


def put_past(database: Database, zone: str) -> None:
    """Give every balance the model of five weeks of usage day and night, more by day."""
    rng = np.random.default_rng(1)
    hour = int(START.timestamp() // 3600)
    daily = 100 + 80 * np.sin(np.arange(hour - WINDOW_HOURS, hour) * np.pi / 12)
    with database.read() as conn:
        ids = list(wallets.ids(conn).values())
    for start in range(0, len(ids), 500):
        balances = [(wallet_id, category) for wallet_id in ids[start : start + 500] for category in IN_USE]
        windows = [
            UseWindow(end=hour, use=rng.poisson(daily).astype(np.float64), exposure=np.ones(WINDOW_HOURS))
            for _ in balances
        ]
        models = encode_models(fit(windows, zone).models)
        with database.write() as conn:
            estimates.save_models(
                conn,
                [
                    ModelRow(*balance, hour, encode_window(window), model)
                    for balance, window, model in zip(balances, windows, models, strict=True)
                ],
            )


def measure(folder: Path, url: str, chosen: argparse.Namespace) -> None:
    """Run the cycles and print the time of each."""
    bound = chosen.wallets * chosen.latency_ms / 1000 / chosen.connections
    settings = configure(folder, url, chosen.wallets, chosen.connections)
    database = Database(settings.database.url.reveal())
    database.upgrade()
    clock = Clock()
    bot = build_app(settings, database, clock=clock)
    bot.sync_wallets()
    put_past(database, settings.timezone.key)
    presence = bot.worker_heartbeat("run")
    print(f"{chosen.wallets} wallets, {chosen.connections} connections: bound {bound:.2f} s")
    print(f"{'cycle':>5}{'seconds':>9}{'x bound':>9}{'CPU ms/wallet':>15}  lost")
    usual: list[float] = []
    closing: list[float] = []
    with cProfile.Profile() if chosen.profile else nullcontext() as profile:
        for number in range(chosen.cycles):
            clock.at = START + number * EVERY
            presence.show()
            wall, cpu = time.perf_counter(), time.process_time()
            report = bot.poll_cycle.run_due()
            wall, cpu = time.perf_counter() - wall, (time.process_time() - cpu) / chosen.wallets * 1000
            closes_hour = number > 0 and clock.at.minute < EVERY.seconds // 60
            if number > 0:  # the first cycle connects and imports
                (closing if closes_hour else usual).append(cpu)
            lost = chosen.wallets if report is None else len(report.errors) + len(report.faults)
            print(
                f"{number:>5}{wall:>9.2f}{wall / bound if bound else 0:>9.2f}{cpu:>15.3f}  {lost}"
                f"{'  an hour closes' if closes_hour else ''}",
                flush=True,
            )
    if profile is not None:
        profile.dump_stats(chosen.profile)
    if usual and closing:
        day = (np.median(usual) * (CYCLES_PER_HOUR - 1) + np.median(closing)) / CYCLES_PER_HOUR
        print(f"CPU per wallet and cycle, over a day: {day:.3f} ms (aim: 1.0, stretch: 0.6)")
    bot.close()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--wallets", type=int, default=1000)
    options.add_argument("--connections", type=int, default=50)
    options.add_argument("--latency-ms", type=float, default=50)
    options.add_argument("--cycles", type=int, default=14)
    options.add_argument("--profile", help="write a cProfile of all cycles to this file")
    options.add_argument("--serve", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.serve:
        asyncio.run(serve(chosen.serve, chosen.latency_ms / 1000))
        return
    with running_server(chosen.latency_ms) as (folder, url):
        measure(folder, url, chosen)


if __name__ == "__main__":
    main()

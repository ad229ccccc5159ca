"""Reads many wallets over TLS, with balancebot's own client and with alternatives, in one run.

    python benchmarks/fetch.py --wallets 1000 --connections 50 --latency-ms 50

The server is a bare asyncio program in a process of its own. Absolute figures depend on the machine: compare the
ratios. The bound is wallets x latency / connections. CPU is the client's own, user and system.
"""

import argparse
import asyncio
import queue
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx
import trustme
from httpx_aiohttp import HttpxAiohttpClient

from balancebot.clock import SystemClock
from balancebot.config import Proxy, Secret
from balancebot.domain.balance import Snapshot, WalletName
from balancebot.jsms.answer import EndpointKind, ParsedBalances, Reply, parse_answer
from balancebot.jsms.endpoint import Endpoint
from balancebot.jsms.source import JsmsSource

PATH = EndpointKind.APP.path
AUTH = ("key", "secret")
BODY = b'{"app_balance": 1, "app_voice": 22, "app_industry": 44, "app_market": null}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)


class Answering(asyncio.Protocol):
    """Answers each request with the same bytes, after a delay."""

    latency = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        while b"\r\n\r\n" in self.received:
            self.received = self.received.partition(b"\r\n\r\n")[2]
            asyncio.get_running_loop().call_later(self.latency, self.answer)

    def answer(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(ANSWER)


async def serve(chain: str, latency: float) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    Answering.latency = latency
    server = await asyncio.get_running_loop().create_server(
        Answering, "127.0.0.1", 0, ssl=context, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def good(response: httpx.Response) -> bool:
    reply = Reply(status=response.status_code, headers=response.headers, body=response.content)
    return isinstance(parse_answer(reply, EndpointKind.APP, now=SystemClock().now()), ParsedBalances)


class Balancebot:
    """The program's own source."""

    def __init__(self, url: str, bundle: Path, num: int, connections: int) -> None:
        endpoint = Endpoint(base_url=url, kind=EndpointKind.APP, key=Secret(AUTH[0]), secret=Secret(AUTH[1]))
        endpoints = {WalletName(f"acme/{number}"): endpoint for number in range(num)}
        self.wallets = list(endpoints)
        self.source = JsmsSource(
            endpoints, clock=SystemClock(), concurrency=connections, ca_bundle=bundle, proxy=Proxy(url=None)
        )

    def cycle(self) -> int:
        results = self.source.fetch(self.wallets, budget=timedelta(seconds=60))
        return sum(isinstance(result, Snapshot) for result in results)

    def close(self) -> None:
        self.source.close()


class Workers:
    """An httpx async client, used by a fixed set of workers."""

    def __init__(
        self, client: Callable[..., httpx.AsyncClient], url: str, bundle: Path, num: int, connections: int
    ):
        self.url, self.num, self.connections = url, num, connections
        self.loop = asyncio.new_event_loop()
        self.client = client(
            verify=ssl.create_default_context(cafile=bundle),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            timeout=60.0,
            trust_env=False,
        )

    def cycle(self) -> int:
        return self.loop.run_until_complete(self.all())

    async def all(self) -> int:
        left = iter(range(self.num))
        return sum(await asyncio.gather(*(self.worker(left) for _ in range(self.connections))))

    async def worker(self, left) -> int:
        read = 0
        for _ in left:
            try:
                read += good(await self.client.get(self.url + PATH, auth=AUTH))
            except httpx.HTTPError:
                continue
        return read

    def close(self) -> None:
        self.loop.run_until_complete(self.client.aclose())
        self.loop.close()


class Threads:
    """A fixed set of threads, each with an httpx client of its own."""

    def __init__(self, url: str, bundle: Path, num: int, connections: int) -> None:
        self.url, self.num = url, num
        context = ssl.create_default_context(cafile=bundle)
        self.clients = [
            httpx.Client(verify=context, timeout=60.0, trust_env=False) for _ in range(connections)
        ]

    def cycle(self) -> int:
        jobs: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(self.num):
            jobs.put(number)
        read = [0] * len(self.clients)

        def work(place: int) -> None:
            while True:
                try:
                    jobs.get_nowait()
                except queue.Empty:
                    return
                try:
                    read[place] += good(self.clients[place].get(self.url + PATH, auth=AUTH))
                except httpx.HTTPError:
                    continue

        threads = [threading.Thread(target=work, args=(place,)) for place in range(len(self.clients))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(read)

    def close(self) -> None:
        for client in self.clients:
            client.close()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--wallets", type=int, default=1000)
    options.add_argument("--connections", type=int, default=50)
    options.add_argument("--latency-ms", type=float, default=50)
    options.add_argument("--cycles", type=int, default=2)
    options.add_argument("--only", default="", help="names of variants, with commas between")
    options.add_argument("--serve", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    latency = chosen.latency_ms / 1000
    if chosen.serve:
        asyncio.run(serve(chosen.serve, latency))
        return
    with tempfile.TemporaryDirectory() as folder:
        authority = trustme.CA()
        bundle, chain = Path(folder, "ca.pem"), Path(folder, "chain.pem")
        authority.cert_pem.write_to_path(bundle)
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(chain)
        command = [sys.executable, __file__, "--serve", str(chain), "--latency-ms", str(chosen.latency_ms)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            url = f"https://127.0.0.1:{server.stdout.readline().strip()}"
            measure(chosen, url, bundle, bound=chosen.wallets * latency / chosen.connections)
        finally:
            server.terminate()
            server.wait()


def measure(chosen: argparse.Namespace, url: str, bundle: Path, *, bound: float) -> None:
    common = (url, bundle, chosen.wallets, chosen.connections)
    variants = {
        "balancebot": lambda: Balancebot(*common),
        "httpx-aiohttp": lambda: Workers(HttpxAiohttpClient, *common),
        "threads": lambda: Threads(*common),
        "httpx": lambda: Workers(httpx.AsyncClient, *common),
    }
    wanted = chosen.only.split(",") if chosen.only else list(variants)
    print(
        f"{chosen.wallets} wallets, {chosen.connections} connections, {chosen.latency_ms:g} ms: bound {bound:.2f} s"
    )
    print(f"{'variant':<15}{'cycle':>7}{'seconds':>10}{'x bound':>10}{'CPU ms/request':>16}{'lost':>7}")
    for name in wanted:
        variant = variants[name]()
        for cycle in range(1, chosen.cycles + 1):
            wall, cpu = time.perf_counter(), time.process_time()
            read = variant.cycle()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            ratio = f"{wall / bound:.2f}" if bound else "-"
            each = cpu / chosen.wallets * 1000
            print(
                f"{name:<15}{cycle:>7}{wall:>10.2f}{ratio:>10}{each:>16.3f}{chosen.wallets - read:>7}",
                flush=True,
            )
        variant.close()


if __name__ == "__main__":
    main()

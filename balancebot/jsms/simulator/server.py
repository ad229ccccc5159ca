"""A JSMS over real HTTP on loopback, as documented, including error bodies, with every known fault on demand.

`Simulator` serves from its own thread; tests and the demo change balances and start faults while it runs.
"""

import asyncio
import base64
import binascii
import queue
import random
import ssl
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from aiohttp import web

from balancebot.config import Secret
from balancebot.domain.balance import BalanceKey, Category, Readings, Snapshot, WalletName, account_of, app_of
from balancebot.domain.pattern import WalletPattern
from balancebot.jsms.answer import EndpointKind
from balancebot.jsms.endpoint import Endpoint
from balancebot.jsms.simulator.answers import broken, error, good
from balancebot.jsms.simulator.ledger import Ledger
from balancebot.jsms.simulator.scenario import Event, Scenario, SimulatedFault
from balancebot.ports import Clock

_KEPT_REQUESTS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One received request."""

    at: datetime
    method: str
    path: str
    wallet: WalletName | None
    """The wallet of its key pair; None if the pair isn't valid for this call."""
    authorized: bool


@dataclass(slots=True)
class _ActiveFault:
    """A fault that was started, and how many answers it still affects (None: no such limit)."""

    fault: SimulatedFault
    since: datetime
    left: int | None

    def holds(self, wallet: WalletName, at: datetime) -> bool:
        fault = self.fault
        return (
            self.left != 0
            and self.since <= at
            and (fault.lasts is None or at < self.since + fault.lasts)
            and fault.match.matches(wallet)
        )


class Simulator:
    """A simulated JSMS: a context manager that serves while it is open."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        clock: Clock,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`clock` may run faster than real time; `port` 0 means any free one; `tls` makes it https."""
        self.scenario = scenario
        self.started_at = clock.now()
        self.requests: deque[Request] = deque(maxlen=_KEPT_REQUESTS)
        self._clock = clock
        self._port = port
        self._tls = tls
        self._lock = threading.Lock()
        self._ledger = Ledger(scenario, started_at=self.started_at)
        self._random = random.Random(scenario.seed)  # noqa: S311 -- the same scenario twice, no secret
        self._faults = [
            _ActiveFault(fault, self.started_at + fault.at, fault.times) for fault in scenario.faults
        ]
        self._by_pair = {(w.kind, w.key, w.secret): w for w in scenario.wallets}
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self.url = ""
        """The base URL, set when it serves."""

    # Balances and faults

    @property
    def wallets(self) -> tuple[WalletName, ...]:
        """The names of all wallets."""
        return tuple(wallet.name for wallet in self.scenario.wallets)

    def endpoints(self) -> Mapping[WalletName, Endpoint]:
        """Return the endpoints with which a `JsmsSource` reads the wallets."""
        return {
            wallet.name: Endpoint(
                base_url=self.url, kind=wallet.kind, key=Secret(wallet.key), secret=Secret(wallet.secret)
            )
            for wallet in self.scenario.wallets
        }

    def readings(self, wallet: WalletName) -> Readings:
        """Return the wallet's readings now."""
        with self._lock:
            return self._ledger.readings(wallet, self._clock.now())

    def history(self, *, every: timedelta) -> Iterator[Snapshot]:
        """Yield the readings from before the simulator started, oldest first, all wallets at each instant."""
        return self._ledger.history(iter(self.wallets), every=every, until=self.started_at)

    def set(self, wallet: WalletName, category: Category, value: int | None) -> None:
        """Set a balance to `value` (None: unallocated) now."""
        with self._lock:
            self._ledger.put(BalanceKey(wallet, category), value, self._clock.now())

    def happen(self, event: Event) -> None:
        """Apply `event` now; its own time is ignored."""
        with self._lock:
            self._ledger.happen(event, self._clock.now())

    def fail(self, wallets: str, fault: SimulatedFault) -> None:
        """Start `fault` for `wallets` (a name or a pattern), now or after its `at`."""
        with self._lock:
            fault = replace(fault, match=WalletPattern(text=wallets))
            self._faults.append(_ActiveFault(fault, self._clock.now() + fault.at, fault.times))

    def end_faults(self, wallets: str = "*") -> None:
        """End every fault that was started for exactly this name or pattern; `*` ends all."""
        with self._lock:
            self._faults = [
                active for active in self._faults if wallets not in {"*", active.fault.match.text}
            ]

    # Serving

    def __enter__(self) -> Self:
        """Start serving. Raises OSError if the port is in use."""
        opened: queue.SimpleQueue[str | OSError] = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=self._serve, args=(opened,), name="jsms-simulator", daemon=True
        )
        self._thread.start()
        outcome = opened.get()
        if isinstance(outcome, OSError):
            self._thread.join()
            raise outcome
        self.url = outcome
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection and stop."""
        if self._thread is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _serve(self, opened: "queue.SimpleQueue[str | OSError]") -> None:
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        try:
            runner = self._loop.run_until_complete(self._open())
        except OSError as error:
            opened.put(error)
        else:
            port = runner.addresses[0][1]
            opened.put(f"{'https' if self._tls else 'http'}://127.0.0.1:{port}")
            self._loop.run_forever()
            self._loop.run_until_complete(runner.cleanup())
        finally:
            self._loop.close()

    async def _open(self) -> web.ServerRunner:
        # aiohttp's low-level server: no routing, no middleware, no log line per request.
        # A shutdown_timeout of 0 would mean no limit: a request that is never answered must not keep it open.
        server = web.Server(self._answer, access_log=None, handler_cancellation=True)
        runner = web.ServerRunner(server, shutdown_timeout=0.01)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port, ssl_context=self._tls, backlog=1024).start()
        except OSError:
            await runner.cleanup()
            raise
        return runner

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        kind = next((kind for kind in EndpointKind if kind.path == request.path), None)
        pair = _basic(request.headers.get("Authorization", ""))
        wallet = self._by_pair.get((kind, *pair)) if kind is not None and pair is not None else None
        at = self._clock.now()
        self.requests.append(
            Request(
                at=at,
                method=request.method,
                path=request.path,
                wallet=wallet.name if wallet is not None else None,
                authorized=pair is not None,
            )
        )
        if self.scenario.latency:
            await asyncio.sleep(self.scenario.latency.total_seconds())
        if kind is None:
            return error(50016)
        if request.method != "GET":
            return error(50018)
        if request.can_read_body and request.content_type != "application/json":
            return error(50017)
        if "Authorization" not in request.headers:
            return error(50001)
        if wallet is None:
            return error(50002)
        with self._lock:
            readings = self._ledger.readings(wallet.name, at)
            fault = self._fault(wallet.name, at)
        if fault is None:
            return good(wallet, readings)
        try:
            return await broken(request, wallet, readings, fault)
        except ConnectionError:  # the client has given up, as it should
            return web.Response()

    def _fault(self, wallet: WalletName, at: datetime) -> SimulatedFault | None:
        for active in reversed(self._faults):
            if active.holds(wallet, at) and self._random.random() < active.fault.share:
                if active.left is not None:
                    active.left -= 1
                return active.fault
        return None


def _basic(header: str) -> tuple[str, str] | None:
    """Return user and password of a Basic `Authorization` header; None if it is anything else."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if colon else None


def configuration(simulator: Simulator) -> str:
    """Return the `[[accounts]]` of a configuration file that reads every wallet of `simulator`."""
    lines: list[str] = []
    wallets = sorted(simulator.scenario.wallets, key=lambda wallet: account_of(wallet.name))
    for wallet in wallets:
        app = app_of(wallet.name)
        if app is None:
            lines += [
                "[[accounts]]",
                f'name = "{wallet.name}"',
                f'base_url = "{simulator.url}"',
                f'dev_key = "{wallet.key}"',
                f'dev_secret = "{wallet.secret}"',
            ]
        else:
            lines += [
                "",
                "  [[accounts.apps]]",
                f'  name = "{app}"',
                f'  app_key = "{wallet.key}"',
                f'  master_secret = "{wallet.secret}"',
            ]
    return "\n".join(lines) + "\n"

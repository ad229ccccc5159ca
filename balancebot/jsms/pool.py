"""Fetches many wallets on one event loop: a queue for each host, rate limited, and a fixed set of workers."""

import asyncio
import queue
import threading
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from balancebot.domain.balance import WalletName
from balancebot.ports import FetchResult

_CATCH_UP_SECONDS = 0.01
"""How far behind its pace a lane may fall and still make it good: timers are late by about a millisecond."""


@dataclass(eq=False, slots=True, kw_only=True)
class FetchCall:
    """One `fetch`: until when it is worth anything, what it has under way, and where its results go."""

    deadline: float
    """On the event loop's (monotonic) clock, in seconds."""
    results: queue.SimpleQueue[Sequence[FetchResult]] = field(default_factory=queue.SimpleQueue)
    """What the caller takes; an empty one: nothing more will come."""
    under_way: set[asyncio.Timeout] = field(default_factory=set)
    abandoned: bool = False
    unanswered: Counter[str] = field(default_factory=Counter)
    """By base URL: how many wallets running got no answer at all, at the first attempt."""
    _fresh: list[FetchResult] = field(default_factory=list)

    def deliver(self, result: FetchResult) -> None:
        """Hand `result` to the caller, together with all that this turn of the loop brings: a wake-up is dear."""
        if not self._fresh:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._fresh.append(result)

    def _hand_over(self) -> None:
        fresh, self._fresh = self._fresh, []
        self.results.put(fresh)

    def abandon(self) -> None:
        """Let nothing more go out for this call, and cut off what is under way."""
        self.abandoned = True
        self.results.put(())
        for limit in self.under_way:
            if not limit.expired():
                limit.reschedule(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchTask:
    """One wallet to be read for one call; `attempt` counts from 1."""

    call: FetchCall
    wallet: WalletName
    attempt: int = 1


class HostQueue:
    """The way to one base URL."""

    def __init__(self, ready: asyncio.Queue[FetchTask], *, max_rate: float | None) -> None:
        """Hand jobs over to `ready`, at most `max_rate` a second and evenly spaced (None: as fast as it takes them)."""
        self._ready = ready
        self._interval = 1 / max_rate if max_rate else 0.0
        self._waiting: deque[deque[FetchTask]] = deque()
        self._arrived = asyncio.Event()

    def add(self, jobs: Iterable[FetchTask]) -> None:
        """Queue `jobs`, which take turns with those that were added before."""
        queued = deque(jobs)
        if queued:
            self._waiting.append(queued)
            self._arrived.set()

    async def feed(self) -> None:
        """Hand over for ever."""
        loop = asyncio.get_running_loop()
        slot = loop.time()
        while True:
            await self._arrived.wait()
            job = self._next()
            if job.call.abandoned:
                continue
            if self._interval:
                slot = max(slot + self._interval, loop.time() - _CATCH_UP_SECONDS)
                await asyncio.sleep(slot - loop.time())
            await self._ready.put(job)

    def _next(self) -> FetchTask:
        jobs = self._waiting.popleft()
        job = jobs.popleft()
        if jobs:
            self._waiting.append(jobs)
        if not self._waiting:
            self._arrived.clear()
        return job


class FetchPool:
    """Does `work` on jobs, at most `num_workers` at once, each base URL at most `max_rate` times a second."""

    def __init__(
        self,
        *,
        work: Callable[[FetchTask], Awaitable[None]],
        at_end: Callable[[], Awaitable[None]],
        num_workers: int,
        max_rate: float | None,
    ) -> None:
        """Take the work, which raises nothing, and what is to be awaited on the loop at its end. Starts nothing."""
        self._work = work
        self._at_end = at_end
        self._num_workers = num_workers
        self._max_rate = max_rate
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._closed = False
        self._calls: set[FetchCall] = set()
        self._lanes: dict[str, HostQueue] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready: asyncio.Queue[FetchTask] = asyncio.Queue(maxsize=num_workers)

    def submit(self, call: FetchCall, by_lane: Mapping[str, Iterable[FetchTask]]) -> None:
        """Queue the jobs of `call`, given by base URL. Raises RuntimeError after `close`."""
        with self._lock:
            if self._closed:
                raise RuntimeError("this source is closed")
            if self._thread is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._run, name="balance-source", daemon=True)
                self._thread.start()
            self._loop.call_soon_threadsafe(self._accept, call, by_lane)

    def later(self, seconds: float, base_url: str, job: FetchTask) -> None:
        """Queue `job` again after a while. On the loop only."""
        self._loop.call_later(seconds, self._lane(base_url).add, (job,))

    def abandon(self, call: FetchCall) -> None:
        """Let nothing more be done for `call`."""
        with self._lock:
            if not self._closed:
                self._loop.call_soon_threadsafe(self._forget, call)

    def close(self) -> None:
        """Abandon every call and end the thread. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        for _ in range(self._num_workers):
            self._start(self._worker())
        self._loop.run_forever()
        self._loop.run_until_complete(self._end())

    async def _end(self) -> None:
        for call in self._calls:
            call.abandon()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._at_end()

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(self._loop.create_task(coroutine))

    def _accept(self, call: FetchCall, by_lane: Mapping[str, Iterable[FetchTask]]) -> None:
        self._calls.add(call)
        for base_url, jobs in by_lane.items():
            self._lane(base_url).add(jobs)

    def _forget(self, call: FetchCall) -> None:
        self._calls.discard(call)
        call.abandon()

    def _lane(self, base_url: str) -> HostQueue:
        lane = self._lanes.get(base_url)
        if lane is None:
            lane = self._lanes[base_url] = HostQueue(self._ready, max_rate=self._max_rate)
            self._start(lane.feed())
        return lane

    async def _worker(self) -> None:
        while True:
            job = await self._ready.get()
            if not job.call.abandoned:
                await self._work(job)

"""One thread, one event loop, a fixed set of workers: the asynchronous half of a source, started when first needed.

Its methods may be called from any thread; `work` runs on the loop alone.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any

from balancebot.sources.lanes import Call, Job, Lane


class Crew:
    """Does `work` on jobs, at most `num_workers` at once, each base URL at most `max_rate` times a second."""

    def __init__(
        self,
        *,
        work: Callable[[Job], Awaitable[None]],
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
        self._calls: set[Call] = set()
        self._lanes: dict[str, Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready: asyncio.Queue[Job] = asyncio.Queue(maxsize=num_workers)

    def submit(self, call: Call, by_lane: Mapping[str, Iterable[Job]]) -> None:
        """Queue the jobs of `call`, given by base URL. Raises RuntimeError after `close`."""
        with self._lock:
            if self._closed:
                raise RuntimeError("this source is closed")
            if self._thread is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._run, name="balance-source", daemon=True)
                self._thread.start()
            self._loop.call_soon_threadsafe(self._accept, call, by_lane)

    def later(self, seconds: float, base_url: str, job: Job) -> None:
        """Queue `job` again after a while. On the loop only."""
        self._loop.call_later(seconds, self._lane(base_url).add, (job,))

    def abandon(self, call: Call) -> None:
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

    def _accept(self, call: Call, by_lane: Mapping[str, Iterable[Job]]) -> None:
        self._calls.add(call)
        for base_url, jobs in by_lane.items():
            self._lane(base_url).add(jobs)

    def _forget(self, call: Call) -> None:
        self._calls.discard(call)
        call.abandon()

    def _lane(self, base_url: str) -> Lane:
        lane = self._lanes.get(base_url)
        if lane is None:
            lane = self._lanes[base_url] = Lane(self._ready, max_rate=self._max_rate)
            self._start(lane.feed())
        return lane

    async def _worker(self) -> None:
        while True:
            job = await self._ready.get()
            if not job.call.abandoned:
                await self._work(job)

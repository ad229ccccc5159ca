"""Run requests on one event loop: choose the next wallet, limit the requests at a time and the rate of each host.

Connections are scarce, and a wallet that never answers occupies one for a whole timeout. So a wallet whose last request
failed or took too long is a *suspect*. Suspects wait in a separate queue, quick failures first, then those whose last
request is the longest ago. While any other wallet waits, suspects may use at most a quarter of the connections: if they
use more because no other wallet needed them, their requests are cut off when one does. A request that takes far longer
than usual for its host makes its wallet a suspect while it runs. Suspects that wait too long while none of them answers
are given up for this call.

`FetchPool` may be called from any thread; everything else happens on its event loop.
"""

import asyncio
import heapq
import itertools
import math
import queue
import threading
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from balancebot.domain.balance import WalletName
from balancebot.ports import FetchResult

_CATCH_UP_SECONDS = 0.01
"""How far a host may fall behind its rate and still catch up, because timers are about a millisecond late."""
_SUSPECT_SHARE = 4
"""One of this many connections, and one of this many requests to a host, is for suspects."""
_LEAST_SLOW = 1.0
"""A request that takes fewer seconds than this is never slow."""
_FIRST_SLOW = 5.0
"""The seconds after which a request is slow if its host hasn't answered yet."""
_SLOW_FACTOR = 8.0
"""A request is slow after this multiple of its host's usual time."""
_USUAL_WEIGHT = 1 / 16
"""The weight of the latest answer in the usual time of a host (an exponential average)."""


@dataclass(eq=False, slots=True, kw_only=True)
class FetchCall:
    """One `fetch`: its deadline, its running requests, and its results."""

    deadline: float
    """On the event loop's (monotonic) clock, in seconds."""
    results: queue.SimpleQueue[Sequence[FetchResult]] = field(default_factory=queue.SimpleQueue)
    """What the caller reads; an empty list marks the end."""
    under_way: set[asyncio.Timeout] = field(default_factory=set)
    abandoned: bool = False
    unanswered: Counter[str] = field(default_factory=Counter)
    """By base URL: how many wallets in a row got no answer."""
    waiting_suspects: "set[FetchTask]" = field(default_factory=set)
    giving_up: asyncio.TimerHandle | None = None
    """The timer that ends when they have waited too long."""
    _undelivered: list[FetchResult] = field(default_factory=list)

    def deliver(self, result: FetchResult) -> None:
        """Deliver `result` to the caller, together with others of this iteration of the loop, as waking a thread is slow."""
        if not self._undelivered:
            asyncio.get_running_loop().call_soon(self._flush)
        self._undelivered.append(result)

    def _flush(self) -> None:
        results, self._undelivered = self._undelivered, []
        self.results.put(results)

    def abandon(self) -> None:
        """Send no more requests for this call, and cancel the running ones."""
        self.abandoned = True
        self.results.put(())
        self.waiting_suspects.clear()
        if self.giving_up is not None:
            self.giving_up.cancel()
        for limit in self.under_way:
            if not limit.expired():
                limit.reschedule(0)


@dataclass(eq=False, slots=True, kw_only=True)
class FetchTask:
    """One wallet to be read for one call, attempt by attempt."""

    call: FetchCall
    wallet: WalletName
    base_url: str
    attempt: int = 1
    limit: asyncio.Timeout | None = None
    """The timeout of the running request."""
    watch: asyncio.TimerHandle | None = None
    is_suspect: bool = False
    is_cut_off: bool = False
    """Whether the request was stopped to make room for others, not by its timeout."""
    is_given_up: bool = False


@dataclass(slots=True)
class SuspectRecord:
    """The record of a wallet whose latest request failed or was slow."""

    requested_at: float
    is_slow: bool
    """Whether it occupied its connection for long."""
    num_rate_limited: int = 0
    """How many readings in a row were rate limited."""


class HostQueue:
    """The tasks that wait for one base URL, and its rate limit."""

    def __init__(self, *, max_rate: float | None, now: float) -> None:
        """`max_rate` is the limit of tasks per second, evenly spaced (None: no limit)."""
        self.interval = 1 / max_rate if max_rate else 0.0
        self.next_at = now + self.interval if self.interval else -math.inf
        """When the next request may go out."""
        self.usual: float | None = None
        """The usual seconds until an answer; None before the first one."""
        self.is_silent = False
        """Whether it was given up, and hasn't answered since."""
        self.wakes_at = now
        self._usual_tasks: deque[deque[FetchTask]] = deque()
        self._suspects: list[tuple[bool, float, int, FetchTask]] = []
        self._sequence = itertools.count()
        self._turn = 0

    def add(self, tasks: Iterable[FetchTask]) -> None:
        """Queue `tasks`; they alternate with those of earlier calls."""
        queued = deque(tasks)
        if queued:
            self._usual_tasks.append(queued)

    def add_suspect(self, task: FetchTask, record: SuspectRecord | None) -> None:
        """Queue `task`, a slow one after all quick failures, and each after those requested longer ago."""
        order = (False, 0.0) if record is None else (record.is_slow, record.requested_at)
        heapq.heappush(self._suspects, (*order, next(self._sequence), task))

    def has_usual(self) -> bool:
        """Return whether a wallet waits that isn't a suspect."""
        while self._usual_tasks and self._usual_tasks[0][0].call.abandoned:
            self._usual_tasks.popleft()
        return bool(self._usual_tasks)

    def has_suspects(self) -> bool:
        """Return whether a suspect waits."""
        while self._suspects and _has_ended(self._suspects[0][3]):
            heapq.heappop(self._suspects)
        return bool(self._suspects)

    def take(self, *, now: float, suspects_too: bool) -> FetchTask | None:
        """Take the next task; None if none may be sent now."""
        has_suspects = suspects_too and self.has_suspects()
        if now < self.next_at or not (has_suspects or self.has_usual()):
            return None
        if self.interval:
            self.next_at = max(self.next_at, now - _CATCH_UP_SECONDS) + self.interval
        self._turn += 1
        if has_suspects and (not self._usual_tasks or self._turn % _SUSPECT_SHARE == 0):
            task = heapq.heappop(self._suspects)[3]
            task.call.waiting_suspects.discard(task)
            task.is_suspect = True
            return task
        tasks = self._usual_tasks.popleft()
        task = tasks.popleft()
        if tasks:
            self._usual_tasks.append(tasks)
        return task

    def note_answer(self, seconds: float) -> None:
        """Update the usual time by an answer that took so many seconds."""
        self.is_silent = False
        self.usual = seconds if self.usual is None else self.usual + (seconds - self.usual) * _USUAL_WEIGHT

    @property
    def slow_after(self) -> float:
        """The seconds after which a request is slow and its wallet a suspect."""
        if self.usual is None:
            return _FIRST_SLOW
        return max(_LEAST_SLOW, self.usual * _SLOW_FACTOR)


class FetchPool:
    """Does `work` on tasks, on at most `num_workers` at once and on at most `max_rate` per second for each base URL."""

    def __init__(
        self,
        *,
        work: Callable[[FetchTask], Awaitable[None]],
        give_up: Callable[[FetchTask], None],
        at_end: Callable[[], Awaitable[None]],
        num_workers: int,
        max_rate: float | None,
        longest_wait: float,
    ) -> None:
        """`work` must not raise; `at_end` is awaited on the loop at its end. Nothing is started yet.

        `give_up` is called with each suspect that has waited for about `longest_wait` seconds without being started.
        """
        self._work = work
        self._give_up = give_up
        self._at_end = at_end
        self._num_workers = num_workers
        self._max_suspects = max(1, num_workers // _SUSPECT_SHARE)
        self._max_rate = max_rate
        self._longest_wait = longest_wait
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._closed = False
        self._calls: set[FetchCall] = set()
        self._hosts: dict[str, HostQueue] = {}
        self._turns: deque[HostQueue] = deque()
        self._records: dict[WalletName, SuspectRecord] = {}
        self._running_suspects: dict[FetchTask, None] = {}
        """In the order in which they became suspects; without those that were cut off."""
        self._suspect_read_at = -math.inf
        self._idle: deque[asyncio.Future[None]] = deque()
        self._workers: set[asyncio.Task[None]] = set()

    # From any thread

    def submit(self, call: FetchCall, tasks: Mapping[str, Collection[FetchTask]]) -> None:
        """Queue the tasks of `call`, given by base URL. Raises RuntimeError after `close`."""
        with self._lock:
            if self._closed:
                raise RuntimeError("this source is closed")
            if self._thread is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._run, name="balance-source", daemon=True)
                self._thread.start()
            self._loop.call_soon_threadsafe(self._accept, call, tasks)

    def abandon(self, call: FetchCall) -> None:
        """Send no more requests for `call`."""
        with self._lock:
            if not self._closed:
                self._loop.call_soon_threadsafe(self._forget, call)

    def forget_records(self, wallets: Collection[WalletName]) -> None:
        """Forget the failures of these wallets, whose key pairs were replaced."""
        for wallet in wallets:
            self._records.pop(wallet, None)

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

    # On the event loop

    def suspect_record(self, wallet: WalletName) -> SuspectRecord | None:
        """Return the record of a wallet's latest failure, if any."""
        return self._records.get(wallet)

    def note_answer(self, task: FetchTask, seconds: float) -> None:
        """Record that a request was answered, with success or not, after so many seconds."""
        self._hosts[task.base_url].note_answer(seconds)

    def note_good(self, task: FetchTask, seconds: float) -> None:
        """Record that a wallet was read; if that took too long, it stays a suspect."""
        slow_after = self._hosts[task.base_url].slow_after
        if task.is_suspect:
            self._suspect_read_at = self._loop.time()
        if seconds > slow_after:
            self.record_suspect(task, is_slow=True)
        else:
            self._records.pop(task.wallet, None)

    def record_suspect(
        self, task: FetchTask, *, is_slow: bool, is_rate_limited: bool = False
    ) -> SuspectRecord:
        """Record that a request failed or was slow, and return the wallet's record."""
        before = self._records.get(task.wallet)
        num_before = 0 if before is None else before.num_rate_limited
        record = SuspectRecord(self._loop.time(), is_slow, num_before + 1 if is_rate_limited else 0)
        self._records[task.wallet] = record
        return record

    def note_silence(self, base_url: str) -> None:
        """Treat every wallet of a host that was given up as a suspect until one answers."""
        self._hosts[base_url].is_silent = True

    def retry(self, task: FetchTask, *, after: float = 0.0) -> None:
        """Queue `task` among the suspects, in `after` seconds."""
        if after:
            self._loop.call_later(after, self._queue_suspect, task)
        else:
            self._queue_suspect(task)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        for _ in range(self._num_workers):
            self._start(self._worker())
        self._loop.run_forever()
        self._loop.run_until_complete(self._end())

    async def _end(self) -> None:
        for call in self._calls:
            call.abandon()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        await self._at_end()

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._workers.add(self._loop.create_task(coroutine))

    def _accept(self, call: FetchCall, tasks: Mapping[str, Collection[FetchTask]]) -> None:
        self._calls.add(call)
        for base_url, queued in tasks.items():
            host = self._hosts.get(base_url)
            if host is None:
                host = HostQueue(max_rate=self._max_rate, now=self._loop.time())
                self._hosts[base_url] = host
                self._turns.append(host)
            usual: list[FetchTask] = []
            suspects: list[FetchTask] = []
            for task in queued:
                is_suspect = host.is_silent or task.wallet in self._records
                (suspects if is_suspect else usual).append(task)
            host.add(usual)
            for task in suspects:
                self._queue_suspect(task)
            self._wake(len(queued))
            self._make_room(len(usual))

    def _forget(self, call: FetchCall) -> None:
        self._calls.discard(call)
        call.abandon()

    def _queue_suspect(self, task: FetchTask) -> None:
        call = task.call
        if call.abandoned:
            return
        call.waiting_suspects.add(task)
        if call.giving_up is None:
            call.giving_up = self._loop.call_later(self._longest_wait, self._give_up_waiting, call)
        self._hosts[task.base_url].add_suspect(task, self._records.get(task.wallet))
        self._wake(1)

    def _give_up_waiting(self, call: FetchCall) -> None:
        """Give up the waiting suspects, unless suspects have been read lately: then the others get their turn."""
        call.giving_up = None
        if self._loop.time() - self._suspect_read_at < self._longest_wait:
            call.giving_up = self._loop.call_later(self._longest_wait, self._give_up_waiting, call)
            return
        waiting = list(call.waiting_suspects)
        call.waiting_suspects.clear()
        for task in waiting:
            task.is_given_up = True
            self._give_up(task)

    async def _worker(self) -> None:
        while True:
            task = self._next()
            if task is None:
                woken = self._loop.create_future()
                self._idle.append(woken)
                await woken
            elif not task.call.abandoned:
                await self._run_task(task)

    async def _run_task(self, task: FetchTask) -> None:
        if task.is_suspect:
            self._running_suspects[task] = None
        else:
            self._watch(task, self._loop.time())
        try:
            await self._work(task)
        finally:
            if task.watch is not None:
                task.watch.cancel()
            self._running_suspects.pop(task, None)

    def _watch(self, task: FetchTask, started_at: float) -> None:
        """Make a running task a suspect when it is slow. It is checked repeatedly, as the host's usual time may change."""
        left = started_at + self._hosts[task.base_url].slow_after - self._loop.time()
        if left > 0:
            task.watch = self._loop.call_later(min(left, _LEAST_SLOW), self._watch, task, started_at)
        else:
            task.is_suspect = True
            self._running_suspects[task] = None
            self._make_room(1)

    def _make_room(self, num: int) -> None:
        """If other wallets wait, cut off up to `num` suspects beyond their share, the latest ones first."""
        if self._idle or not self._usual_wait():
            return
        for _ in range(min(num, len(self._running_suspects) - self._max_suspects)):
            task, _ = self._running_suspects.popitem()
            task.is_cut_off = True
            if task.limit is not None and not task.limit.expired():
                task.limit.reschedule(0)

    def _usual_wait(self) -> bool:
        return any(host.has_usual() for host in self._turns)

    def _next(self) -> FetchTask | None:
        """Take the next task that may be sent now; hosts take turns."""
        now = self._loop.time()
        suspects_too = len(self._running_suspects) < self._max_suspects or not self._usual_wait()
        for _ in range(len(self._turns)):
            host = self._turns[0]
            self._turns.rotate(-1)
            task = host.take(now=now, suspects_too=suspects_too)
            if host.interval and (host.has_usual() or host.has_suspects()):
                self._wake_for(host, now)
            if task is not None:
                if len(self._turns) > 1:  # another host may have a task for an idle worker
                    self._wake(1)
                return task
        return None

    def _wake_for(self, host: HostQueue, now: float) -> None:
        """Wake a worker when the rate of `host` allows the next request."""
        if host.wakes_at <= now:
            host.wakes_at = host.next_at
            self._loop.call_at(host.next_at, self._wake, 1)

    def _wake(self, num: int) -> None:
        """Wake up to `num` idle workers."""
        while num and self._idle:
            woken = self._idle.popleft()
            if not woken.done():
                woken.set_result(None)
                num -= 1


def _has_ended(task: FetchTask) -> bool:
    return task.is_given_up or task.call.abandoned

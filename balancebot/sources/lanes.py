"""In which order requests go out: a lane to each base URL, paced, and one fixed set of workers behind all of them.

A lane serves the calls that wait in it in turn, so a second look at one wallet isn't stuck behind a whole cycle.
Runs on one event loop; nothing here is touched from another thread.
"""

import asyncio
import queue
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from balancebot.domain.balance import WalletName
from balancebot.ports import FetchResult

_CATCH_UP_SECONDS = 0.01
"""How far behind its pace a lane may fall and still make it good: timers are late by about a millisecond."""


@dataclass(eq=False, slots=True, kw_only=True)
class Call:
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
class Job:
    """One wallet to be read for one call; `attempt` counts from 1."""

    call: Call
    wallet: WalletName
    attempt: int = 1


class Lane:
    """The way to one base URL."""

    def __init__(self, ready: asyncio.Queue[Job], *, max_rate: float | None) -> None:
        """Hand jobs over to `ready`, at most `max_rate` a second and evenly spaced (None: as fast as it takes them)."""
        self._ready = ready
        self._interval = 1 / max_rate if max_rate else 0.0
        self._waiting: deque[deque[Job]] = deque()
        self._arrived = asyncio.Event()

    def add(self, jobs: Iterable[Job]) -> None:
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

    def _next(self) -> Job:
        jobs = self._waiting.popleft()
        job = jobs.popleft()
        if jobs:
            self._waiting.append(jobs)
        if not self._waiting:
            self._arrived.clear()
        return job

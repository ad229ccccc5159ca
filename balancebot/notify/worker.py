"""Deliver what waits in the outbox. Each destination has its own thread, so that a slow one doesn't delay others."""

import logging
import threading
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from time import monotonic

from balancebot.domain.routing import Destination
from balancebot.domain.sentence import sentence
from balancebot.notify.queue import DeliverNotes, DeliverReport, DestinationQueue
from balancebot.ports import Channel as ChannelPort
from balancebot.ports import Clock
from balancebot.store import deliveries, outbox, queues, workers
from balancebot.store.database import Database
from balancebot.store.errors import DatabaseError

log = logging.getLogger(__name__)

_AT_ONCE = 8
"""How many destinations of one channel are served at the same time."""
_WAIT_FOR_OTHERS = workers.LEASE + timedelta(seconds=2)
"""How long `run` waits for what other processes are sending: until the claims of a dead process have expired."""
_CHECK_EVERY = timedelta(seconds=0.2)


class DeliverOutbox:
    """Sends due deliveries. `worker_id` must be registered, and its heartbeat must be renewed while this runs."""

    def __init__(
        self,
        database: Database,
        channels: Mapping[str, ChannelPort],
        clock: Clock,
        worker_id: str,
        *,
        group_over: int,
        defaults: Mapping[str, Sequence[str]],
    ) -> None:
        """`channels` are the configured ones; `defaults` are the destinations to notify if another channel fails."""
        self._database = database
        self._channels = channels
        self._clock = clock
        self._worker_id = worker_id
        self._group_over = group_over
        self._defaults = defaults
        self._notes = DeliverNotes()
        self._dispatching = threading.Lock()
        self._lock = threading.Lock()
        """Protects the next three."""
        self._running: dict[Destination, threading.Thread] = {}
        self._unsaved: list[DestinationQueue] = []
        self._notified: set[Destination] = set()
        """Destinations to which another one's failure must be reported: `run` serves them once more."""
        self._saving = threading.Lock()
        self._closing = threading.Event()

    def tick(self) -> DeliverReport:
        """Start on every destination that is due, without waiting; return the attempts since the last report."""
        self._dispatch(())
        return self._notes.report()

    def run(self) -> DeliverReport:
        """Try every due delivery once and wait for the outcomes; `num_pending` is how many deliveries remain.

        It also waits for what another process is sending: either that is done soon, or the process is dead and its claim
        expires.
        """
        served: set[Destination] = set()
        try:
            for _ in range(int(_WAIT_FOR_OTHERS / _CHECK_EVERY)):
                while started := self._dispatch(served):
                    served |= started
                    for thread in self._threads():
                        thread.join()
                    with self._lock:
                        served -= self._notified
                        self._notified.clear()
                with self._database.read() as conn:
                    taken = queues.destinations_of_others(
                        conn, worker_id=self._worker_id, now=self._clock.now()
                    )
                if not taken or self._closing.wait(_CHECK_EVERY.total_seconds()):
                    break
                served -= taken
            self._save_late()
            with self._database.read() as conn:
                return self._notes.report(num_pending=outbox.num_pending(conn))
        except DatabaseError as error:
            self._notes.fault(str(error.message))
            return self._notes.report()

    def close(self, grace: timedelta) -> DeliverReport:
        """Start nothing more, and wait up to `grace` for what is being sent. Idempotent.

        A delivery that isn't finished by then is in doubt; the next process to run searches for it.
        """
        self._closing.set()
        until = monotonic() + grace.total_seconds()
        for thread in self._threads():
            thread.join(max(0.0, until - monotonic()))
        self._save_late()
        return self._notes.report()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being sent, and every outcome is stored."""
        with self._lock:
            return not self._running and not self._unsaved

    def _dispatch(self, served: Collection[Destination]) -> set[Destination]:
        """Start on the due destinations that aren't in `served`, and return them."""
        started: set[Destination] = set()
        with self._dispatching:
            if self._closing.is_set():
                return started
            self._save_late()
            try:
                with self._database.read() as conn:
                    due = queues.due_destinations(conn, worker_id=self._worker_id, now=self._clock.now())
                with self._lock:
                    taken = {*served, *self._running, *(queue.destination for queue in self._unsaved)}
                    num_running = Counter(destination.channel for destination in self._running)
                for destination in due:
                    if destination in taken:
                        continue
                    if destination.channel not in self._channels:
                        self._give_up(destination)
                    elif num_running[destination.channel] < _AT_ONCE:
                        num_running[destination.channel] += 1
                        self._start(destination)
                        started.add(destination)
            except DatabaseError as error:
                self._notes.fault(str(error.message))
        return started

    def _start(self, destination: Destination) -> None:
        queue = DestinationQueue(
            destination,
            database=self._database,
            channel=self._channels[destination.channel],
            clock=self._clock,
            worker_id=self._worker_id,
            group_over=self._group_over,
            others=self._others(destination),
            notes=self._notes,
            is_closing=self._closing.is_set,
        )

        def work() -> None:
            try:
                queue.run()
            except Exception:
                # a bug: it must not stop other destinations, and this one is tried again later
                log.exception("deliver.internal_error", extra={"channel": destination.channel})
                self._notes.fault("internal error, see above")
            finally:
                with self._lock:
                    self._notified |= queue.notified
                    if queue.unsaved is not None:
                        self._unsaved.append(queue)
                    del self._running[destination]

        # a daemon thread: a hanging destination must not keep the process from exiting
        thread = threading.Thread(
            target=work, name=f"{destination.channel} {destination.address}", daemon=True
        )
        with self._lock:
            self._running[destination] = thread
        thread.start()

    def _threads(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._running.values())

    def _save_late(self) -> None:
        """Store the outcomes that couldn't be stored earlier because the database failed."""
        with self._saving:
            with self._lock:
                late = list(self._unsaved)
            for queue in late:
                try:
                    queue.save()
                except DatabaseError as error:
                    self._notes.fault(str(error.message))
                    return
                except Exception:
                    # a bug: the claim is taken over later, and the other destinations continue
                    log.exception("deliver.internal_error", extra={"channel": queue.destination.channel})
                    self._notes.fault("internal error, see above")
                with self._lock:
                    self._unsaved.remove(queue)

    def _give_up(self, destination: Destination) -> None:
        message = sentence("%(channel)s is no longer configured", channel=destination.channel)
        with self._database.write() as conn:
            deliveries.give_up_destination(conn, destination, message=message, now=self._clock.now())
        self._notes.fault(f"{message}: what waits for {destination.address} is given up")

    def _others(self, destination: Destination) -> list[Destination]:
        """Return where to report that `destination` fails: the other channels, or else other addresses of the same one."""
        known = [
            Destination(channel, address)
            for channel, addresses in self._defaults.items()
            if channel in self._channels
            for address in addresses
        ]
        others = [other for other in known if other.channel != destination.channel]
        return others or [other for other in known if other != destination]

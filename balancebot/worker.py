"""A process that is seen alive: its claims hold for as long as it goes on giving signs of life."""

from dataclasses import dataclass
from datetime import timedelta

from balancebot.ports import Clock
from balancebot.store import workers
from balancebot.store.database import Database

EVERY = timedelta(seconds=2)
"""How often a sign of life is due: several fit into a lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerHeartbeat:
    """The signs of life of one worker."""

    database: Database
    clock: Clock
    worker_id: str
    kind: str

    def show(self) -> None:
        """Give a sign of life; the first one, or one after it was forgotten, makes the worker known."""
        now = self.clock.now()
        with self.database.write() as conn:
            if not workers.renew(conn, self.worker_id, now=now):
                workers.register(conn, self.worker_id, kind=self.kind, now=now)

    def succeed(self) -> None:
        """Take the place of every other worker of its kind, without waiting for their leases: they must be dead."""
        with self.database.write() as conn:
            workers.expire(conn, kind=self.kind, successor=self.worker_id)

    def leave(self) -> None:
        """Give up every claim at once, so that nobody waits for it."""
        with self.database.write() as conn:
            workers.leave(conn, self.worker_id)

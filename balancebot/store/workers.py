"""The processes that share the work. A claim is valid while the heartbeat of its worker is younger than `LEASE`.

There is no leader and no lease per row: others take over the work of a dead or frozen process as soon as its heartbeat
is old. On PostgreSQL, heartbeats and leases use the server's clock, as the clocks of the processes may differ much.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, ScalarSelect, delete, insert, literal, or_, select, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from balancebot.ports import Clock
from balancebot.store.database import Database
from balancebot.store.tables import workers
from balancebot.store.types import UtcDateTime

LEASE = timedelta(seconds=8)
"""How long after its last heartbeat a worker keeps its claims."""
HEARTBEAT_EVERY = timedelta(seconds=2)
"""How often a heartbeat is due; several fit into a lease."""

_FORGOTTEN = timedelta(days=1)


def register(conn: Connection, worker_id: str, *, kind: str, now: datetime) -> None:
    """Add the worker, and remove those that died long ago."""
    conn.execute(delete(workers).where(workers.c.seen_at < _Now(now, -_FORGOTTEN)))
    conn.execute(insert(workers).values(id=worker_id, kind=kind, started_at=now, seen_at=_Now(now)))


def renew(conn: Connection, worker_id: str, *, now: datetime) -> bool:
    """Write a heartbeat; False if the worker was removed and has to register again."""
    return (
        conn.execute(update(workers).where(workers.c.id == worker_id).values(seen_at=_Now(now))).rowcount == 1
    )


def leave(conn: Connection, worker_id: str) -> None:
    """Release all claims of the worker at once."""
    conn.execute(delete(workers).where(workers.c.id == worker_id))


def expire(conn: Connection, *, kind: str, successor: str) -> None:
    """Remove all other workers of a kind, which are known to be dead, so that their claims are released."""
    conn.execute(delete(workers).where(workers.c.kind == kind, workers.c.id != successor))


def is_alive(conn: Connection, worker_id: str, *, now: datetime) -> bool:
    """Return whether the claims of the worker are valid."""
    return (
        conn.execute(select(workers.c.id).where(workers.c.id == worker_id, _fresh(now))).first() is not None
    )


def alive(now: datetime) -> ScalarSelect[str]:
    """Return the ids of the workers whose claims are valid, as a subquery."""
    return select(workers.c.id).where(_fresh(now)).scalar_subquery()


def is_free(claimed_by: ColumnElement[str | None], now: datetime) -> ColumnElement[bool]:
    """Return the condition that no living worker has claimed a row."""
    return or_(claimed_by.is_(None), claimed_by.not_in(alive(now)))


def _fresh(now: datetime) -> ColumnElement[bool]:
    # a heartbeat far in the future was written before the clock was set back, and doesn't count
    return workers.c.seen_at.between(_Now(now, -LEASE), _Now(now, LEASE))


class _Now(FunctionElement[datetime]):
    """The present instant plus a time span. On PostgreSQL it is the server's, as each process may have its own clock."""

    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, now: datetime, more: timedelta = timedelta()) -> None:
        super().__init__(literal(now + more, UtcDateTime()), literal(more.total_seconds()))


@compiles(_Now)
def _process_clock(element: _Now, compiler: SQLCompiler, **options: Any) -> str:
    at, _ = element.clauses
    return compiler.process(at, **options)


@compiles(_Now, "postgresql")
def _server_clock(element: _Now, compiler: SQLCompiler, **options: Any) -> str:
    _, more = element.clauses
    return f"(statement_timestamp() + make_interval(secs => {compiler.process(more, **options)}))"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerHeartbeat:
    """The heartbeat of one worker; each call uses its own transaction."""

    database: Database
    clock: Clock
    worker_id: str
    kind: str

    def show(self) -> None:
        """Write a heartbeat; register the worker first if it is new or was removed. End the sessions of frozen ones."""
        now = self.clock.now()
        with self.database.write() as conn:
            self.database.end_frozen_sessions(conn)
            if not renew(conn, self.worker_id, now=now):
                register(conn, self.worker_id, kind=self.kind, now=now)

    def expire_others(self) -> None:
        """Expire all other workers of its kind without waiting for their leases. They must be dead."""
        with self.database.write() as conn:
            expire(conn, kind=self.kind, successor=self.worker_id)

    def leave(self) -> None:
        """Release all claims at once, so that others don't have to wait for the lease."""
        with self.database.write() as conn:
            leave(conn, self.worker_id)

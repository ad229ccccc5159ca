"""The processes that share the work. A claim holds while the worker that made it was seen within `LEASE`.

There is no leader and no lease per row: a dead or frozen process is replaced as soon as its last sign of life is old.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, ScalarSelect, delete, insert, or_, select, update

from balancebot.store.tables import workers

LEASE = timedelta(seconds=8)
"""How long after its last sign of life a worker keeps its claims."""

_FORGOTTEN = timedelta(days=1)


def register(conn: Connection, worker_id: str, *, kind: str, now: datetime) -> None:
    """Let the worker be known as alive, and forget those that died long ago."""
    conn.execute(delete(workers).where(workers.c.seen_at < now - _FORGOTTEN))
    conn.execute(insert(workers).values(id=worker_id, kind=kind, started_at=now, seen_at=now))


def renew(conn: Connection, worker_id: str, *, now: datetime) -> bool:
    """Give a sign of life; False when the worker was forgotten and has to register anew."""
    return conn.execute(update(workers).where(workers.c.id == worker_id).values(seen_at=now)).rowcount == 1


def leave(conn: Connection, worker_id: str) -> None:
    """Give up every claim of the worker at once."""
    conn.execute(delete(workers).where(workers.c.id == worker_id))


def expire(conn: Connection, *, kind: str, successor: str) -> None:
    """Free what every other worker of a kind has claimed: they are known to be dead."""
    conn.execute(delete(workers).where(workers.c.kind == kind, workers.c.id != successor))


def is_alive(conn: Connection, worker_id: str, *, now: datetime) -> bool:
    """Return whether the claims of the worker hold."""
    return (
        conn.execute(select(workers.c.id).where(workers.c.id == worker_id, _fresh(now))).first() is not None
    )


def alive(now: datetime) -> ScalarSelect[str]:
    """Return the ids of the workers whose claims hold, as a subquery."""
    return select(workers.c.id).where(_fresh(now)).scalar_subquery()


def is_free(claimed_by: ColumnElement[str | None], now: datetime) -> ColumnElement[bool]:
    """Return the condition that nobody alive has claimed a row."""
    return or_(claimed_by.is_(None), claimed_by.not_in(alive(now)))


def _fresh(now: datetime) -> ColumnElement[bool]:
    # a sign of life from far in the future was given before the clock was set back: it proves nothing
    return workers.c.seen_at.between(now - LEASE, now + LEASE)

"""Which configuration each running process works with, and why it refused a newer one: facts of the installation."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, select

from balancebot.store import installation
from balancebot.store.tables import facts, workers
from balancebot.store.workers import alive

_PREFIX = "configuration:"
"""Before the id of a worker."""
_MAX_FAULTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningConfiguration:
    """The configuration of one process."""

    worker_id: str
    host: str
    pid: int
    at: datetime
    """When it was taken; where there are faults, when a newer one was refused."""
    faults: tuple[str, ...] = ()
    """Why a newer one was refused, the earlier one being kept."""
    needs_restart: tuple[str, ...] = ()
    """Keys that have changed and count from the next start only."""

    def remarks(self) -> Iterator[str]:
        """Yield in lines what people should know of it; nothing where it is as the file says."""
        if self.faults:
            yield (
                f"configuration of {self.host} (pid {self.pid}): the file was refused at {self.at:%Y-%m-%d %H:%M:%S} UTC, "
                "and what was in force before still is:"
            )
            yield from (f"  {fault}" for fault in self.faults)
        if self.needs_restart:
            yield (
                f"configuration of {self.host} (pid {self.pid}): changed, but needs a restart: "
                + ", ".join(self.needs_restart)
            )


def note(conn: Connection, configuration: RunningConfiguration) -> None:
    """Store it in place of the worker's last one, and drop those of workers that are gone."""
    gone = func.substr(facts.c.key, len(_PREFIX) + 1).not_in(select(workers.c.id))
    conn.execute(delete(facts).where(facts.c.key.startswith(_PREFIX, autoescape=True), gone))
    value = {
        "host": configuration.host,
        "pid": configuration.pid,
        "faults": list(configuration.faults[:_MAX_FAULTS]),
        "needs_restart": list(configuration.needs_restart),
    }
    installation.note(
        conn, _PREFIX + configuration.worker_id, json.dumps(value, ensure_ascii=False), now=configuration.at
    )


def running(conn: Connection, *, now: datetime) -> list[RunningConfiguration]:
    """Return those of the processes that are alive: of each its latest, since a worker may end while the next works."""
    worker_id = func.substr(facts.c.key, len(_PREFIX) + 1)
    rows = conn.execute(
        select(worker_id.label("worker_id"), facts.c.value, facts.c.at)
        .where(facts.c.key.startswith(_PREFIX, autoescape=True), worker_id.in_(alive(now)))
        .order_by(facts.c.at)
    )
    found = [_configuration(row.worker_id, row.at, **json.loads(row.value)) for row in rows]
    return list({(configuration.host, configuration.pid): configuration for configuration in found}.values())


def _configuration(
    worker_id: str, at: datetime, *, host: str, pid: int, faults: list[str], needs_restart: list[str]
) -> RunningConfiguration:
    return RunningConfiguration(
        worker_id=worker_id,
        host=host,
        pid=pid,
        at=at,
        faults=tuple(faults),
        needs_restart=tuple(needs_restart),
    )

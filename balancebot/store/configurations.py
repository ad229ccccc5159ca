"""The configuration that each running process uses, and why it refused a newer one, stored as facts."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, select

from balancebot.store import installation
from balancebot.store.tables import facts, workers
from balancebot.store.workers import alive

_PREFIX = "configuration:"
"""The prefix of a worker's id."""
_MAX_FAULTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningConfiguration:
    """The configuration of one process."""

    worker_id: str
    host: str
    pid: int
    at: datetime
    """When it was loaded; if there are faults, when a newer one was refused."""
    faults: tuple[str, ...] = ()
    """Why a newer one was refused; the earlier one is still in use."""
    needs_restart: tuple[str, ...] = ()
    """Keys that have changed, but take effect only after a restart."""

    def remarks(self) -> Iterator[str]:
        """Yield lines for people; none if the configuration is the one in the file."""
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
    """Store it in place of the worker's last one, and delete those of workers that no longer exist."""
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
    """Return those of living processes: the latest per process, because one worker may end while the next is running."""
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

"""Processes of `balancebot run` that are killed, frozen and started again, one database, and all services on loopback."""

import json
import multiprocessing
import os
import random
import resource
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Self

from sqlalchemy import func, select, update

from balancebot.clock import SystemClock
from balancebot.domain.balance import Category, WalletName
from balancebot.domain.threshold import OFF, ThresholdRow
from balancebot.jsms.simulator import Scenario, simulated_wallet
from balancebot.store import thresholds, types
from balancebot.store.database import Database
from balancebot.store.errors import DatabaseError
from balancebot.store.tables import alerts, deliveries, wallets
from tests.crash import driver
from tests.crash.driver import BOUNDARY_PORT, CLOCK, EVERY
from tests.crash.episodes import Episodes, Level
from tests.crash.interruptions import BoundaryServer, Interrupter, InterruptionKind
from tests.crash.standins import RequestBoundaries, WatchedJsms, WatchedMail, WatchedSlack

ROOM = "ops-alerts"
MAILBOX = "finance@example.com"
_LONGER_THAN_LEASE = (9.0, 13.0)
"""Seconds for which a process is frozen: its lease of 8 expires."""
NUM_WALLETS = 10
_ROOT = Path(__file__).parents[2]
_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(
    [
        driver.__name__,
        "balancebot.cli.run",
        "balancebot.forecast.spike",
        "balancebot.jsms.source",
        "balancebot.notify.email.smtp",
        "balancebot.notify.slack.listener",
    ]
)
_MIGRATING = threading.Lock()
"""Alembic has global state: two deployments of one process must not migrate at the same time."""


class Deployment:
    """One process of the bot, or several on one database, and the services that it uses."""

    def __init__(
        self,
        folder: Path,
        database_url: str,
        *,
        seed: int,
        num_replicas: int = 1,
        group_over: int = 1000,
        remind_every: str = "0s",
        frozen_for: tuple[float, float] = _LONGER_THAN_LEASE,
        num_wallets: int = NUM_WALLETS,
        every: float = 1.0,
        sections: str = "",
    ) -> None:
        """`folder` is empty; several replicas need PostgreSQL. `frozen_for` is in seconds, from and to.

        A wallet is read every so many seconds, also below the second that the configuration allows. `sections` are added
        to the configuration.
        """
        self._every = every
        self._sections = sections
        self._frozen_for = frozen_for
        self._folder = folder
        self._url = database_url
        self._group_over = group_over
        self._remind_every = remind_every
        self._random = random.Random(seed)
        self._processes: list[ForkServerProcess | None] = [None] * num_replicas
        self._interrupting = threading.Lock()
        self.interrupter = Interrupter(self._interrupt)
        self.num_kills = 0
        self.num_freezes = 0
        self.interrupted_at = time.monotonic()
        """When the last process was killed or frozen."""
        self.episodes = Episodes(
            tuple(WalletName(f"acme/app-{number}") for number in range(1, num_wallets + 1))
        )

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._log = _Log(self._folder / "log")
            stack.callback(self._log.close)
            self.set_clock(timedelta())
            boundaries = RequestBoundaries(self.interrupter, self._client_of)
            scenario = Scenario(
                wallets=tuple(
                    simulated_wallet("acme", str(name).removeprefix("acme/"), industry=Level.OK.messages)
                    for name in self.episodes.wallets
                )
            )
            self.jsms = stack.enter_context(WatchedJsms(scenario, boundaries))
            self.slack = stack.enter_context(WatchedSlack(boundaries))
            self.mail = stack.enter_context(WatchedMail(boundaries))
            self._boundaries = BoundaryServer(self.interrupter)
            stack.callback(self._boundaries.close)
            self.slack.add_channel(ROOM)
            (self._folder / "balancebot.toml").write_text(self._configuration())
            self.database = Database(self._url)
            stack.callback(self.database.dispose)
            with _MIGRATING:
                self.database.upgrade()
            with self.database.write() as conn:
                thresholds.put(conn, [_LIMITS], by="tests", now=SystemClock().now())
            stack.callback(self._end)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _configuration(self) -> str:
        apps = ",\n".join(
            f'  {{ name = "{str(wallet.name).removeprefix("acme/")}", app_key = "{wallet.key}", '
            f'master_secret = "{wallet.secret}" }}'
            for wallet in self.jsms.scenario.wallets
        )
        return f"""\
[database]
url = "{self._url}"
[poll]
every = "{max(1, round(self._every))}s"
fastest = "{max(1, round(self._every))}s"
timeout = "5s"
stale_after = "1h"
[alerts]
remind_every = "{self._remind_every}"
group_over = {self._group_over}
[slack]
bot_token = "{self.slack.token}"
channel = "#{ROOM}"
api_url = "{self.slack.api_url}"
[email]
host = "{self.mail.host}"
port = {self.mail.port}
security = "none"
from = "SMS balances <balances@example.com>"
to = ["{MAILBOX}"]
{self._sections}
[[accounts]]
name = "acme"
base_url = "{self.jsms.url}"
apps = [
{apps}
]
"""

    # --- processes

    @property
    def num_replicas(self) -> int:
        """How many processes there are when all run."""
        return len(self._processes)

    def start(self, *, watched: bool = True) -> None:
        """Start every process that isn't running; a watched one reports its boundaries, and starts quicker."""
        environment = {"PYTHONPATH": str(_ROOT), BOUNDARY_PORT: str(self._boundaries.port)}
        if self._every < 1:
            environment[EVERY] = str(self._every)
        for number, process in enumerate(self._processes):
            if process is None or not process.is_alive():
                clock = {CLOCK: str(self._clock_of(number))}
                forked = _FORKING.Process(
                    target=driver.start,
                    args=(self._folder, environment | clock, self._log.pipe),
                    kwargs={"watched": watched},
                )
                forked.start()
                self._processes[number] = forked

    def log(self) -> list[dict[str, Any]]:
        """Return the log lines of the processes; another line of theirs is under `output`."""
        lines = self._log.path.read_text().splitlines()
        return [json.loads(line) if line.startswith("{") else {"output": line} for line in lines]

    def set_clock(self, shift: timedelta, *, replica: int | None = None) -> None:
        """Shift the clock of every watched process, or of one."""
        for number in range(self.num_replicas) if replica is None else [replica]:
            shifted = self._clock_of(number).with_suffix(".new")
            shifted.write_text(str(shift.total_seconds()))
            shifted.replace(self._clock_of(number))  # replaced as a whole, so that nobody reads half of it

    def _clock_of(self, replica: int) -> Path:
        return self._folder / f"clock-{replica}"

    def limit_files(self, size: int | None) -> None:
        """Limit the files of the running processes to `size` bytes; None: no limit."""
        for process in self._running():
            limits = (resource.RLIM_INFINITY if size is None else size, resource.RLIM_INFINITY)
            resource.prlimit(_pid_of(process), resource.RLIMIT_FSIZE, limits)

    def end_faults(self) -> None:
        """End every fault, present and planned: of answers, connections, clocks and frozen processes."""
        self.interrupter.disarm()
        self.jsms.end_faults()
        self.slack.end_faults()
        self.mail.end_faults()
        self.set_clock(timedelta())
        self.thaw()

    def kill_one(self) -> None:
        """Kill one of the processes that run."""
        running = self._running()
        if running:
            self._interrupt(InterruptionKind.KILL, _pid_of(self._random.choice(running)))

    def freeze_one(self) -> None:
        """Freeze one of the processes that run, for longer than a lease."""
        running = self._running()
        if running:
            self._interrupt(InterruptionKind.FREEZE, _pid_of(self._random.choice(running)))

    def thaw(self) -> None:
        """Continue every frozen process."""
        for process in self._running():
            _thaw(process)

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that run."""
        return [_pid_of(process) for process in self._running()]

    def _running(self) -> list[ForkServerProcess]:
        return [process for process in self._processes if process is not None and process.is_alive()]

    def _interrupt(self, kind: InterruptionKind, pid: int) -> None:
        with self._interrupting:
            process = next((process for process in self._running() if _pid_of(process) == pid), None)
            if process is None:
                return
            self.interrupted_at = time.monotonic()
            if kind is InterruptionKind.KILL:
                process.kill()
                process.join()
                self.num_kills += 1
                return
            os.kill(pid, signal.SIGSTOP)
            self.num_freezes += 1
            thaw = threading.Timer(self._random.uniform(*self._frozen_for), _thaw, (process,))
            thaw.daemon = True
            thaw.start()

    def _end(self) -> None:
        for process in self._running():
            process.kill()
            process.join()

    def _client_of(self, port: int) -> int:
        """Return the id of the process that opened a connection from `port`."""
        running = self._running()
        if len(running) == 1:
            return _pid_of(running[0])
        inode = _inode_of(port)
        pids = map(_pid_of, running)
        return next((pid for pid in pids if inode in _sockets_of(pid)), 0)

    # --- balances and time

    def set_levels(self, levels: dict[WalletName, Level]) -> None:
        """Change balances."""
        for wallet, level in levels.items():
            self.episodes.set_level(wallet, level)
            self.jsms.set(wallet, Category.INDUSTRY, level.messages)

    def age_by_an_hour(self) -> None:
        """Make every state of an alert an hour older. Waits while a frozen process holds the lock of the alerts."""
        assert _until(self._have_aged, 60)
        self.episodes.age_by_an_hour()

    def _have_aged(self) -> bool:
        try:
            self._age()
        except DatabaseError:
            return False
        return True

    def _age(self) -> None:
        c = alerts.c
        with self.database.write() as conn:
            types.take_lock(conn, types.ALERTS)
            waiting = conn.execute(select(c.id, c.calm_since, c.eased_since).where(c.closed_at.is_(None)))
            for row in waiting.all():
                conn.execute(
                    update(alerts)
                    .where(c.id == row.id)
                    .values(calm_since=_earlier(row.calm_since), eased_since=_earlier(row.eased_since))
                )

    def wait_until_recorded(self, patience: float) -> bool:
        """Wait until the alerts agree with every balance; return whether they do."""
        return _until(self._is_recorded, patience)

    def wait_until_settled(self, patience: float) -> bool:
        """Wait until the alerts agree with every balance and nothing is left to send; return whether that is so."""
        return _until(lambda: self._is_recorded() and self._num_unsettled() == 0, patience)

    def wait_until_read_since(self, at: datetime, patience: float) -> bool:
        """Wait until every wallet was read after an instant; return whether it was."""
        return _until(lambda: self._oldest_reading() > at, patience)

    def _oldest_reading(self) -> datetime:
        with self.database.read() as conn:
            oldest = conn.execute(select(func.min(wallets.c.observed_at))).scalar_one()
        return SystemClock().now() if oldest is None else oldest

    def _is_recorded(self) -> bool:
        opened = select(alerts).where(alerts.c.closed_at.is_(None))
        with self.database.read() as conn:
            found = {row.wallet: (row.severity, row.calm_since is not None) for row in conn.execute(opened)}
        return found == self.episodes.open_alerts()

    def _num_unsettled(self) -> int:
        unsettled = select(func.count()).select_from(deliveries).where(deliveries.c.settled_at.is_(None))
        with self.database.read() as conn:
            return conn.execute(unsettled).scalar_one()


_LIMITS = ThresholdRow(
    wallet="*",
    category=Category.INDUSTRY,
    warning_below=1000,
    critical_below=100,
    warning_days=OFF,
    critical_days=OFF,
)


class _Log:
    """Writes the output of the processes to a file; they can't do that themselves while `limit_files` limits them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        reading, self.pipe = _FORKING.Pipe(duplex=False)
        self._thread = threading.Thread(target=self._copy, args=(reading,), daemon=True)
        self._thread.start()

    def _copy(self, reading: Connection) -> None:
        with reading, self.path.open("ab", buffering=0) as file:
            while data := os.read(reading.fileno(), 65536):
                file.write(data)

    def close(self) -> None:
        """Wait for the last output; the processes have ended."""
        self.pipe.close()
        self._thread.join()


def _thaw(process: ForkServerProcess) -> None:
    if process.is_alive():
        os.kill(_pid_of(process), signal.SIGCONT)


def _pid_of(process: ForkServerProcess) -> int:
    assert process.pid is not None  # it was started
    return process.pid


def _earlier(at: datetime | None) -> datetime | None:
    return None if at is None else at - timedelta(hours=1)


def _until(holds: Callable[[], bool], patience: float) -> bool:
    end = time.monotonic() + patience
    while True:
        try:
            if holds():
                return True
        except DatabaseError:
            pass
        if time.monotonic() > end:
            return False
        time.sleep(0.1)


def _inode_of(port: int) -> str:
    """Return the inode of the socket that is bound to a loopback port and connected; '' when there is none."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port:
            return fields[9]
    return ""


def _sockets_of(pid: int) -> set[str]:
    found = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(handle)
        except FileNotFoundError:
            continue
        found.add(target.removeprefix("socket:[").removesuffix("]"))
    return found

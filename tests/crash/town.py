"""A firm on loopback with its bot: real processes that are killed, frozen and started again, and one database."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
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
from tests.crash.driver import CLOCK, DOOR
from tests.crash.episodes import Episodes, Level
from tests.crash.standins import Reports, WatchedJsms, WatchedMail, WatchedSlack
from tests.crash.traps import Door, Fate, Traps

ROOM = "ops-alerts"
MAILBOX = "finance@example.com"
_LEASE_AND_MORE = (9.0, 13.0)
"""Seconds for which a frozen process sleeps: its lease of 8 has run out."""
NUM_WALLETS = 10
_ROOT = Path(__file__).parents[2]
_MIGRATING = threading.Lock()
"""Alembic keeps its state in globals: two towns of one harness must not migrate at once."""


class Town:
    """One bot (or several on one database) and all that stands around it, for many rounds."""

    def __init__(
        self,
        folder: Path,
        database_url: str,
        *,
        seed: int,
        num_replicas: int = 1,
        group_over: int = 1000,
        remind_every: str = "0s",
        frozen_for: tuple[float, float] = _LEASE_AND_MORE,
        num_wallets: int = NUM_WALLETS,
        every: str = "1s",
        sections: str = "",
    ) -> None:
        """`folder` is empty; several replicas need PostgreSQL. What is frozen thaws after so many seconds.

        `sections` are further ones of the configuration.
        """
        self._every = every
        self._sections = sections
        self._frozen_for = frozen_for
        self._folder = folder
        self._url = database_url
        self._group_over = group_over
        self._remind_every = remind_every
        self._random = random.Random(seed)
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * num_replicas
        self._striking = threading.Lock()
        self.traps = Traps(self._strike)
        self.num_kills = 0
        self.num_freezes = 0
        self.struck_at = time.monotonic()
        """When the last process was killed or frozen."""
        self.episodes = Episodes(
            tuple(WalletName(f"acme/app-{number}") for number in range(1, num_wallets + 1))
        )

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._log = _Log(self._folder / "log")
            stack.callback(self._log.close)
            self.set_clock(timedelta())
            reports = Reports(self.traps, self._whose)
            scenario = Scenario(
                wallets=tuple(
                    simulated_wallet("acme", str(name).removeprefix("acme/"), industry=Level.OK.messages)
                    for name in self.episodes.wallets
                )
            )
            self.jsms = stack.enter_context(WatchedJsms(scenario, reports))
            self.slack = stack.enter_context(WatchedSlack(reports))
            self.mail = stack.enter_context(WatchedMail(reports))
            self._door = Door(self.traps)
            stack.callback(self._door.close)
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
every = "{self._every}"
fastest = "{self._every}"
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
        """Start every process that isn't running; a watched one reports its boundaries."""
        command = ["-m", "tests.crash.driver"] if watched else ["-m", "balancebot", "run"]
        environment = os.environ | {
            "PYTHONPATH": str(_ROOT),
            DOOR: str(self._door.port),
        }
        for number, process in enumerate(self._processes):
            if process is None or process.poll() is not None:
                self._processes[number] = subprocess.Popen(
                    [sys.executable, *command],
                    cwd=self._folder,
                    env=environment | {CLOCK: str(self._clock_of(number))},
                    stderr=self._log.pipe,
                    stdin=subprocess.DEVNULL,
                )

    def log(self) -> list[dict[str, Any]]:
        """Return what the processes said; a line that isn't a log line is under `said`."""
        lines = self._log.path.read_text().splitlines()
        return [json.loads(line) if line.startswith("{") else {"said": line} for line in lines]

    def set_clock(self, shift: timedelta, *, replica: int | None = None) -> None:
        """Set the clock of every watched process, or of one, wrong by so much."""
        for number in range(self.num_replicas) if replica is None else [replica]:
            wrong = self._clock_of(number).with_suffix(".new")
            wrong.write_text(str(shift.total_seconds()))
            wrong.replace(self._clock_of(number))  # nobody reads half of it

    def _clock_of(self, replica: int) -> Path:
        return self._folder / f"clock-{replica}"

    def limit_files(self, size: int | None) -> None:
        """Let the processes that run make no file longer than so many bytes; None lets them again."""
        for process in self._running():
            limits = (resource.RLIM_INFINITY if size is None else size, resource.RLIM_INFINITY)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limits)

    def mend(self) -> None:
        """Lift every fault that still stands or is yet to come: lies, broken lines, wrong clocks, frozen processes."""
        self.traps.disarm()
        self.jsms.end_faults()
        self.slack.mend()
        self.mail.mend()
        self.set_clock(timedelta())
        self.thaw()

    def kill_one(self) -> None:
        """Kill one of the processes that run."""
        running = self._running()
        if running:
            self._strike(Fate.KILL, self._random.choice(running).pid)

    def freeze_one(self) -> None:
        """Freeze one of the processes that run, for longer than a lease."""
        running = self._running()
        if running:
            self._strike(Fate.FREEZE, self._random.choice(running).pid)

    def thaw(self) -> None:
        """Let every frozen process go on."""
        for process in self._running():
            process.send_signal(signal.SIGCONT)

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that run."""
        return [process.pid for process in self._running()]

    def _running(self) -> list[subprocess.Popen[bytes]]:
        return [process for process in self._processes if process is not None and process.poll() is None]

    def _strike(self, fate: Fate, pid: int) -> None:
        with self._striking:
            process = next((process for process in self._running() if process.pid == pid), None)
            if process is None:
                return
            self.struck_at = time.monotonic()
            if fate is Fate.KILL:
                process.kill()
                process.wait()
                self.num_kills += 1
                return
            process.send_signal(signal.SIGSTOP)
            self.num_freezes += 1
            thaw = threading.Timer(self._random.uniform(*self._frozen_for), _thaw, (process,))
            thaw.daemon = True
            thaw.start()

    def _end(self) -> None:
        for process in self._running():
            process.kill()
            process.wait()

    def _whose(self, port: int) -> int:
        """Return the process that holds the other end of a connection from `port`."""
        running = self._running()
        if len(running) == 1:
            return running[0].pid
        inode = _inode_of(port)
        return next((process.pid for process in running if inode in _sockets_of(process.pid)), 0)

    # --- what happens in the town

    def move(self, moves: dict[WalletName, Level]) -> None:
        """Let balances be at other levels from now on."""
        for wallet, level in moves.items():
            self.episodes.move(wallet, level)
            self.jsms.set(wallet, Category.INDUSTRY, level.messages)

    def let_an_hour_pass(self) -> None:
        """Let whatever flaps have been as it is for an hour longer; a frozen process may hold the alerts for a while."""
        assert _until(self._have_waited_an_hour, 60)
        self.episodes.an_hour_passes()

    def _have_waited_an_hour(self) -> bool:
        try:
            self._wait_an_hour()
        except DatabaseError:
            return False
        return True

    def _wait_an_hour(self) -> None:
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

    def until_recorded(self, patience: float) -> bool:
        """Wait until the bot has judged every balance as it is."""
        return _until(self._is_recorded, patience)

    def until_quiet(self, patience: float) -> bool:
        """Wait until every balance is judged as it is and nothing waits to be sent."""
        return _until(lambda: self._is_recorded() and self._num_unsettled() == 0, patience)

    def until_read_since(self, at: datetime, patience: float) -> bool:
        """Wait until every wallet was read after an instant."""
        return _until(lambda: self._oldest_reading() > at, patience)

    def _oldest_reading(self) -> datetime:
        with self.database.read() as conn:
            oldest = conn.execute(select(func.min(wallets.c.observed_at))).scalar_one()
        return SystemClock().now() if oldest is None else oldest

    def _is_recorded(self) -> bool:
        opened = select(alerts).where(alerts.c.closed_at.is_(None))
        with self.database.read() as conn:
            standing = {
                row.wallet: (row.severity, row.calm_since is not None) for row in conn.execute(opened)
            }
        return standing == self.episodes.standing()

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
    """What processes say, brought into a file by somebody else: they may not be able to write any."""

    def __init__(self, path: Path) -> None:
        self.path = path
        reading, self.pipe = os.pipe()
        self._thread = threading.Thread(target=self._bring, args=(reading,), daemon=True)
        self._thread.start()

    def _bring(self, reading: int) -> None:
        with os.fdopen(reading, "rb", buffering=0) as said, self.path.open("ab", buffering=0) as kept:
            while some := said.read(65536):
                kept.write(some)

    def close(self) -> None:
        """Wait for the last word; the processes have ended."""
        os.close(self.pipe)
        self._thread.join()


def _thaw(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)


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

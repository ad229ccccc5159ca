"""Plays simulated senders through the real bot: history import, poll cycle, outbox, Slack; the benchmark sets the
clock.

Messages go over HTTP to the Slack stand-in of the tests and are printed as their readers see them.
"""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import numpy as np

from balancebot.answers import balances_answer
from balancebot.app import App, build_app
from balancebot.cli.advise import advice_text
from balancebot.config import Settings, load
from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import Absent, BalanceKey, Category, Readings, Snapshot, WalletName
from balancebot.domain.user import Role
from balancebot.estimates.context import ORDER_FOR
from balancebot.history.files import COLUMNS, ImportRefused, import_history
from balancebot.notify.preview import slack_preview
from balancebot.overview.advice import Advice, read_advice
from balancebot.overview.balances import overview
from balancebot.people.users import add_user
from balancebot.sheets import SheetRow
from balancebot.store.database import Database
from balancebot.web.app import create_pages
from balancebot.web.server import serve
from tests.standins.slack_api import SlackStandIn

STEP = timedelta(minutes=5)
DAY = 288
"""Steps per day."""
PASSWORD = "correct horse battery staple"
# fmt: off
CODES = np.array([
    .15, .08, .05, .04, .05, .12, .35, .8, 1.4, 1.8, 2.0, 1.8, 1.5, 1.5, 1.7, 1.7, 1.6, 1.5, 1.5, 1.6, 1.6, 1.4, .9, .4,
])
"""Log-in codes, by hour of the day."""
OFFICE = np.array([.01] * 8 + [1.5, 2.5, 2.8, 2.5, 1.2, 1.8, 2.6, 2.6, 2.4, 1.8, .6] + [.05] * 5)
# fmt: on


def sends(
    rng: np.random.Generator,
    days: int,
    per_day: float,
    *,
    shape: np.ndarray = CODES,
    weekend: float = 0.7,
    first_weekday: int = 0,
) -> np.ndarray:
    """Return messages per five minutes over `days`, from a local midnight on; `first_weekday` 0 is a Monday."""
    weekdays = (first_weekday + np.arange(days)) % 7
    level = np.exp(0.12 * rng.normal(size=days)) * np.where(weekdays >= 5, weekend, 1.0)
    rate = per_day / DAY * np.outer(level, np.repeat(shape / shape.mean(), 12)).ravel()
    return rng.poisson(rate * rng.gamma(2.0, 0.5, len(rate)))


@dataclass
class HandClock:
    """A clock that only moves when it is set."""

    at: datetime

    def now(self) -> datetime:
        """Return the instant to which it was set."""
        return self.at


@dataclass
class Stage:
    """The bot of one company. `left` is each wallet's balance per category; `passes` subtracts the usage."""

    app: App
    clock: HandClock
    slack: SlackStandIn
    say: Callable[[str], None]
    left: dict[BalanceKey, int] = field(default_factory=dict)
    usage: dict[BalanceKey, np.ndarray] = field(default_factory=dict)
    """Messages per five minutes from `begun` on."""
    begun: datetime | None = None
    shown: dict[BalanceKey, int] = field(default_factory=dict)
    """A wrong reading that replaces the balance once."""
    broken: set[WalletName] = field(default_factory=set)
    num_calls: int = 0

    # --- the environment

    def fetch(self, wallets: Sequence[WalletName], *, budget: timedelta) -> Iterator[Snapshot]:
        """Answer as JSMS would; `budget` isn't needed."""
        del budget
        for wallet in wallets:
            readings = Readings(*(Absent.UNALLOCATED,) * 4)
            for key, left in self.left.items():
                if key.wallet == wallet:
                    readings = readings._replace(**{key.category.value: self.shown.pop(key, left)})
            yield Snapshot(wallet=wallet, observed_at=self.clock.at, readings=readings)

    def close(self) -> None:
        """Close nothing: nothing is open."""

    def lives_through(self, days: float, *, every: timedelta = timedelta(minutes=15)) -> None:
        """Import a history of `days` that ends now: each balance falls by its usage to its present value."""
        assert self.begun is not None
        now = self._place
        step = every // STEP
        first = now - int(days * DAY)
        rows = []
        for key, left in self.left.items():
            used = np.cumsum(self.usage.get(key, np.zeros(now, int))[first:now][::-1])[::-1]
            levels = left + np.concatenate([used, [0]])
            rows += [(first + place, key, int(levels[place])) for place in range(0, len(levels), step)]
        rows.sort(key=lambda row: row[0])
        sheet = [SheetRow(1, list(COLUMNS))] + [
            SheetRow(
                number,
                [
                    (self.begun + place * STEP).isoformat(),
                    key.wallet,
                    key.category.value,
                    str(level),
                ],
            )
            for number, (place, key, level) in enumerate(rows, 2)
        ]
        taken = import_history(
            self.app.database,
            sheet,
            configured=self.app.settings.wallets,
            estimator=self.app.estimator,
            now=self.clock.at,
        )
        if isinstance(taken, ImportRefused):
            raise RuntimeError("; ".join(map(str, taken.faults[:3])))

    @property
    def _place(self) -> int:
        assert self.begun is not None
        return (self.clock.at - self.begun) // STEP

    def passes(self, *, until: datetime, every: timedelta = STEP) -> None:
        """Let time pass: at each `every`, read all wallets, tick the alerts, deliver, and print what was sent."""
        while self.clock.at < until:
            before = self._place
            self.clock.at = min(self.clock.at + every, until)
            for key, usage in self.usage.items():
                self.left[key] = max(0, self.left[key] - int(usage[before : self._place].sum()))
            self.reads()

    def reads(self) -> None:
        """Read every wallet now and deliver the messages."""
        self.app.poll_cycle.run_all([name for name in self.app.settings.wallets if name not in self.broken])
        self.app.operate_alerts.tick()
        self.delivers()

    def delivers(self) -> None:
        """Deliver what waits in the outbox, and print it."""
        self.app.worker_heartbeat("run").show()
        self.app.deliver_outbox.run()
        self._show_sent()

    def _show_sent(self) -> None:
        calls, self.num_calls = self.slack.calls[self.num_calls :], len(self.slack.calls)
        # channels are sent to at the same time
        for call in sorted(calls, key=lambda call: str(call.params.get("channel", ""))):
            at = self.clock.at.astimezone(self.app.settings.timezone)
            if call.method == "chat.postMessage":
                where = "in a thread" if "thread_ts" in call.params else call.params["channel"]
                also = ", and to the channel" if call.params.get("reply_broadcast") else ""
                self.say(f"{at:%a %d %b %H:%M}  Slack, {where}{also}\n{slack_preview(call.params)}")
            elif call.method == "chat.update":
                self.say(f"{at:%a %d %b %H:%M}  Slack, edited: {call.params['text']}")

    # --- what users see

    def advice(self) -> Advice:
        """Return the present advice of `advise`."""
        keys = [BalanceKey(name, category) for name in self.app.settings.wallets for category in Category]
        with self.app.database.read() as conn:
            return read_advice(
                conn,
                keys,
                figures=self.app.figures,
                until=self.clock.at + ORDER_FOR,
                confidence=0.9,
                now=self.clock.at,
            )

    def advised(self) -> str:
        """Return the output of `advise`."""
        return advice_text(self.advice(), self.app.settings.orders, self.app.words)

    def status(self, key: BalanceKey) -> dict[str, object]:
        """Return one balance of `status --json`."""
        app, now = self.app, self.clock.at
        with app.database.read() as conn:
            views = overview(
                conn,
                book=app.thresholds.book(conn),
                stale_after=app.settings.poll.stale_after,
                now=now,
                names=app.settings.wallets,
            )
            views = [view for view in views if view.key == key]
            (answer,) = balances_answer(conn, views, figures=app.figures, as_of=now).balances
        return dict(msgspec.to_builtins(answer))

    def page(self, wallet: str) -> str:
        """Return the text of a wallet's page, without its tables of readings."""
        app = self.app
        server = serve(create_pages(app, metrics=lambda: b""), host="127.0.0.1", port=0)
        try:
            with httpx.Client(
                base_url=f"http://127.0.0.1:{server.port}", trust_env=False, timeout=60
            ) as browser:
                browser.post("/login", data={"name": "finance", "password": PASSWORD})
                answer = browser.get(f"/wallets/{wallet}")
        finally:
            server.stop()
        main = answer.text.partition("<main")[2].partition("</main")[0]
        main = re.sub(r"(?s)<(svg|script|form|details)\b.*?</\1>", " ", main)
        text = re.sub(r"<[^>]+>", "\n", main.partition(">")[2])
        lines = [line.strip() for line in text.splitlines()]
        return "\n".join(line for line in lines if line)


_CONFIG = """\
timezone = "{zone}"
language = "{language}"
[poll]
every = "5m"
stale_after = "1h"
[slack]
bot_token = "{token}"
channel = "#ops-alerts"
api_url = "{api_url}"
[web]
listen = "127.0.0.1:8080"
[[accounts]]
name = "acme"
base_url = "https://127.0.0.1:1"
dev_key = "key"
dev_secret = "secret"
"""


@contextmanager
def stage(
    apps: Sequence[str],
    now: datetime,
    *,
    language: str = "en",
    say: Callable[[str], None] = print,
    zone: str = "Asia/Shanghai",
    more: str = "",
    migrated: Path | None = None,
) -> Iterator[Stage]:
    """Set a stage: an account `acme` with a shared pool and these apps, whose bot has read nothing yet.

    `more` are further sections of the configuration, `migrated` an empty database file with every table to copy.
    """
    with tempfile.TemporaryDirectory(prefix="balancebot-play-") as folder, SlackStandIn() as slack:
        slack.add_channel("ops-alerts")
        slack.add_channel("oncall")
        path = Path(folder) / "balancebot.toml"
        text = _CONFIG.format(zone=zone, language=language, token=slack.token, api_url=slack.api_url)
        for app in apps:
            text += f'[[accounts.apps]]\nname = "{app}"\napp_key = "{app}"\nmaster_secret = "secret"\n'
        path.write_text(text + more, encoding="utf-8")
        settings = load(path, environ={}, resolve_secrets=True)
        if not isinstance(settings, Settings):
            raise RuntimeError("; ".join(map(str, settings)))
        if migrated is not None:
            shutil.copyfile(migrated, Path(folder) / "balancebot.db")
        database = Database(f"sqlite:///{folder}/balancebot.db")
        database.upgrade()
        clock = HandClock(now)
        played = Stage.__new__(Stage)
        app = build_app(settings, database, clock=clock, source=played)
        played.__init__(app=app, clock=clock, slack=slack, say=say)
        by = Actor(name="root", via=Via.CLI)
        add_user(database, name="finance", role=Role.FINANCE, password=PASSWORD, by=by, now=now)
        app.sync_wallets()
        try:
            yield played
        finally:
            app.deliver_outbox.close(timedelta(seconds=5))
            app.close()

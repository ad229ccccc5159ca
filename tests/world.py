"""An app for tests, with a clock that the test sets, a source with scripted answers, and two channels."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import func, insert, select

from balancebot.app import App, build_app
from balancebot.config import AccountConfig, AppConfig, Secret
from balancebot.domain.balance import Absent, Category, Reading, Readings, Snapshot, WalletName
from balancebot.domain.message import AlertMessage
from balancebot.domain.routing import Destination
from balancebot.domain.sentence import verbatim
from balancebot.overview.latest import LatestOverview
from balancebot.poll.cycle import PollReport
from balancebot.ports import FetchResult, SourceError, SourceErrorKind
from balancebot.store import alerts, tables, wallets
from balancebot.store.database import Database
from tests.outbox_bench import NOON, SETTINGS, FakeChannel, HandClock, SentMessage
from tests.patience import PATIENCE

__all__ = [
    "FINANCE",
    "NOON",
    "OPS",
    "POOL",
    "SETTINGS",
    "SHOP",
    "WEB",
    "HandClock",
    "ScriptedSource",
    "World",
    "industry",
]

POOL, SHOP, WEB = WalletName("acme"), WalletName("acme/shop"), WalletName("acme/web")
OPS, FINANCE = Destination("slack", "#ops"), Destination("email", "finance@example.com")
_KEY, _SECRET = Secret("key"), Secret("secret")
_OWN_KEYS: dict[str, Any] = {"dev_key": _KEY, "dev_secret": _SECRET}


@dataclass
class ScriptedSource:
    """A `BalanceSource` that answers each wallet with the next line of its script and repeats the last line."""

    clock: HandClock
    script: dict[WalletName, list[Readings | SourceErrorKind]] = field(default_factory=dict)
    requests: list[WalletName] = field(default_factory=list)
    meanwhile: Callable[[], object] | None = None
    """Called once, after the request and before the answers."""

    def fetch(self, wallets: Sequence[WalletName], *, budget: timedelta) -> Iterator[FetchResult]:
        answers = list(self._answers(wallets))
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        yield from answers

    def _answers(self, wallets: Sequence[WalletName]) -> Iterator[FetchResult]:
        for wallet in wallets:
            self.requests.append(wallet)
            lines = self.script[wallet]
            line = lines.pop(0) if len(lines) > 1 else lines[0]
            if isinstance(line, SourceErrorKind):
                yield SourceError(
                    wallet=wallet, at=self.clock.now(), kind=line, message=verbatim(f"{wallet}: {line}")
                )
            else:
                yield Snapshot(wallet=wallet, observed_at=self.clock.now(), readings=line)

    def close(self) -> None:
        pass


class World:
    """An app whose clock, source and channels the test controls."""

    def __init__(self, database: Database, *, clock: HandClock | None = None, **changes: Any) -> None:
        """`changes` are the settings that differ from `SETTINGS`."""
        self.database = database
        self.clock = clock or HandClock()
        self.source = ScriptedSource(self.clock)
        self.slack = FakeChannel("slack", self.clock)
        self.mail = FakeChannel("email", self.clock, can_find=False)
        self._apps: list[App] = []
        self.app = self.another_app(**changes)

    def another_app(self, *, steady: HandClock | None = None, **changes: Any) -> App:
        """Return one more app in the same world, with `changes` of its settings."""
        app = build_app(
            replace(SETTINGS, accounts=self._accounts(), **changes),
            self.database,
            clock=self.clock,
            steady=steady,
            source=self.source,
            channels={"slack": self.slack, "email": self.mail},
            worker_id="worker",
        )
        # pages wait for a new overview, so that none shows the state before the test's last action
        app = replace(
            app,
            latest=LatestOverview(
                self.database,
                app.thresholds,
                stale_after=SETTINGS.poll.stale_after,
                wait_for_new=timedelta(seconds=PATIENCE),
            ),
        )
        self._apps.append(app)
        return app

    def _accounts(self) -> tuple[AccountConfig, ...]:
        """Return the accounts of the wallets that the source answers for."""
        apps: dict[str, list[AppConfig]] = {}
        for name in self.source.script:
            account, _, app = name.partition("/")
            found = apps.setdefault(account, [])
            if app:
                found.append(AppConfig(name=app, app_key=_KEY, master_secret=_SECRET))
        return tuple(
            AccountConfig(name=name, apps=tuple(found), **(_OWN_KEYS if name in self.source.script else {}))
            for name, found in apps.items()
        )

    def shows(self, *lines: Readings | SourceErrorKind, wallet: WalletName = SHOP) -> None:
        """Let the source answer `lines` for `wallet`, one after the other."""
        self.source.script[wallet] = list(lines)
        for app in self._apps:
            app.live.now = replace(app.live.now, accounts=self._accounts())

    def configure(self, *names: WalletName) -> None:
        with self.database.write() as conn:
            wallets.sync(conn, names, now=self.clock.now())

    def limit(self, wallet: str = "*", category: str = "*", **limits: float | str) -> None:
        with self.database.write() as conn:
            conn.execute(
                insert(tables.thresholds).values(
                    wallet=wallet, category=category, updated_at=self.clock.now(), updated_by="test", **limits
                )
            )

    def poll(self, *, alerts: bool = True) -> PollReport:
        """Read every wallet now."""
        return self.app.poll_cycle.run_all(list(self.source.script), alerts=alerts)

    def reads(self, *balances: int, then: timedelta = timedelta(minutes=30)) -> None:
        """Read these balances of the shop one after the other; after each, deliver everything and let time pass."""
        for balance in balances:
            self.shows(industry(balance))
            self.poll()
            self.app.operate_alerts.tick()
            self.deliver()
            self.clock.at += then

    def deliver(self) -> None:
        """Send all pending deliveries."""
        self.app.worker_heartbeat("run").show()
        self.app.deliver_outbox.run()

    def living(self) -> SentMessage:
        """Return the latest message in Slack that isn't an answer."""
        return [message for message in self.slack.messages if message.below is None][-1]

    def close(self) -> None:
        """Stop sending."""
        self.app.deliver_outbox.close(timedelta(seconds=5))

    def transitions(self) -> list[str]:
        """Return the notifications so far: `opened warning acme/shop:industry`, in order."""
        return [_line(message) for message in self.messages()]

    def messages(self) -> list[AlertMessage]:
        """Return the messages of the notifications so far, in order."""
        with self.database.read() as conn:
            return list(
                conn.scalars(
                    select(tables.notifications.c.message)
                    .where(tables.notifications.c.reason.is_not(None))
                    .order_by(tables.notifications.c.id)
                )
            )

    def alert_id(self) -> str:
        """Return the id of the only alert."""
        with self.database.read() as conn:
            (last,) = alerts.listed(conn)
        return last.alert_id

    def usage_rate(self) -> float:
        """Return the present usage rate of the only industry balance."""
        views = self.app.latest.read(now=self.clock.now()).views
        (view,) = (view for view in views if view.key.category is Category.INDUSTRY)
        assert view.estimate.burn_per_day is not None
        return view.estimate.burn_per_day

    def num_snapshots(self) -> int:
        """Return how many snapshots are stored, unpacked."""
        with self.database.read() as conn:
            return conn.scalar(select(func.count()).select_from(tables.snapshots)) or 0

    def deliveries(self) -> list[str]:
        """Return the deliveries in the outbox: `post #ops`, in order."""
        c = tables.deliveries.c
        with self.database.read() as conn:
            rows = conn.execute(
                select(c.action, c.destination).order_by(c.notification_id, c.channel.desc(), c.action)
            )
            return [f"{action} {destination}" for action, destination in rows]


def industry(reading: Reading, **others: Reading) -> Readings:
    """Return readings in which only `industry` (and `others`) is allocated."""
    return Readings(*(Absent.UNALLOCATED,) * 4)._replace(industry=reading, **others)


def _line(message: object) -> str:
    assert isinstance(message, AlertMessage)
    subject = message.alert.subject
    about = subject.wallet if subject.category is None else f"{subject.wallet}:{subject.category}"
    kind = "" if subject.category is not None else f" {subject.kind}"
    return f"{message.reason} {message.alert.severity.word} {about}{kind}"

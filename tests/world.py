"""A small world for use-case tests: a clock that is set by hand, a source that answers what it is told to."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from sqlalchemy import insert, select

from balancebot.alerts.acts import OperateAlerts
from balancebot.alerts.transitions import DecisionWriter
from balancebot.domain.balance import Absent, Reading, Readings, Snapshot, WalletName
from balancebot.domain.message import AlertFacts
from balancebot.domain.routing import Destination, RoutingTable
from balancebot.estimates.context import MessageContext
from balancebot.estimates.estimator import Estimator
from balancebot.poll.cycle import PollCycle, PollReport
from balancebot.poll.judge_spikes import JudgeSpikes
from balancebot.poll.record import PollIntervals, RecordReadings
from balancebot.ports import FetchResult, SourceError, SourceErrorKind
from balancebot.store import message_codec, tables, wallets
from balancebot.store.database import Database
from balancebot.store.thresholds import ThresholdCache

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
POOL, SHOP, WEB = WalletName("acme"), WalletName("acme/shop"), WalletName("acme/web")
OPS, FINANCE = Destination("slack", "#ops"), Destination("email", "finance@example.com")


@dataclass
class HandClock:
    """Moves only when it is moved."""

    at: datetime = NOON

    def now(self) -> datetime:
        return self.at

    def pass_by(self, **time: float) -> None:
        self.at += timedelta(**time)


@dataclass
class ScriptedSource:
    """Follows `BalanceSource`: answers each wallet with the next line of its script, the last one again and again."""

    clock: HandClock
    script: dict[WalletName, list[Readings | SourceErrorKind]] = field(default_factory=dict)
    asked: list[WalletName] = field(default_factory=list)
    meanwhile: Callable[[], object] | None = None
    """What happens, once, after it was asked and before the answers are heard."""

    def fetch(self, wallets: Sequence[WalletName], *, budget: timedelta) -> Iterator[FetchResult]:
        answers = list(self._answers(wallets))
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        yield from answers

    def _answers(self, wallets: Sequence[WalletName]) -> Iterator[FetchResult]:
        for wallet in wallets:
            self.asked.append(wallet)
            lines = self.script[wallet]
            line = lines.pop(0) if len(lines) > 1 else lines[0]
            if isinstance(line, SourceErrorKind):
                yield SourceError(wallet=wallet, at=self.clock.now(), kind=line, message=f"{wallet}: {line}")
            else:
                yield Snapshot(wallet=wallet, observed_at=self.clock.now(), readings=line)

    def close(self) -> None:
        pass


@dataclass
class World:
    """Everything that a poll cycle needs, with hands on it."""

    database: Database
    clock: HandClock = field(default_factory=HandClock)
    routing: RoutingTable = field(
        default_factory=lambda: RoutingTable(
            defaults=MappingProxyType({"slack": ("#ops",), "email": ("finance@example.com",)}),
            editable=frozenset({"slack"}),
        )
    )
    every: timedelta = timedelta(minutes=5)
    fastest: timedelta = timedelta(minutes=5)
    stale_after: timedelta = timedelta(minutes=30)
    remind_every: timedelta = timedelta(hours=24)

    def __post_init__(self) -> None:
        self.source = ScriptedSource(self.clock)
        estimator = Estimator(zone="UTC", confidence=0.75)
        self.thresholds = ThresholdCache()
        self.figures = MessageContext(estimator=estimator, thresholds=self.thresholds, package_sizes={})
        self.teller = DecisionWriter(routing=self.routing, figures=self.figures)
        self.operate = OperateAlerts(
            database=self.database, clock=self.clock, teller=self.teller, remind_every=self.remind_every
        )
        self.record = RecordReadings(
            database=self.database,
            clock=self.clock,
            estimator=estimator,
            teller=self.teller,
            thresholds=self.thresholds,
            pace=PollIntervals(every=self.every, fastest=self.fastest, stale_after=self.stale_after),
            margin=0.05,
        )
        self.cycle = PollCycle(
            database=self.database,
            source=self.source,
            clock=self.clock,
            worker_id="worker",
            record=self.record,
            judge_spikes=JudgeSpikes(zone=estimator.zone, teller=self.teller, thresholds=self.thresholds),
            zone=estimator.zone,
            budget=lambda: timedelta(seconds=30),
        )

    def shows(self, *lines: Readings | SourceErrorKind, wallet: WalletName = SHOP) -> None:
        """Let the source answer for `wallet` with `lines`, one after the other."""
        self.source.script[wallet] = list(lines)

    def configure(self, *names: WalletName) -> None:
        with self.database.write() as conn:
            wallets.sync(conn, names, now=self.clock.now())

    def limit(self, wallet: str = "*", category: str = "*", **limits: float) -> None:
        with self.database.write() as conn:
            conn.execute(
                insert(tables.thresholds).values(
                    wallet=wallet, category=category, updated_at=self.clock.now(), updated_by="test", **limits
                )
            )

    def poll(self, *, alerts: bool = True) -> PollReport:
        """Read every wallet now."""
        return self.cycle.run_all(list(self.source.script), alerts=alerts)

    def news(self) -> list[str]:
        """Return what was decided to be told so far: `opened warning acme/shop:industry`, in order."""
        with self.database.read() as conn:
            rows = conn.execute(
                select(tables.notifications.c.facts)
                .where(tables.notifications.c.reason.is_not(None))
                .order_by(tables.notifications.c.id)
            )
            return [_line(message_codec.decode_facts(text)) for (text,) in rows]

    def deliveries(self) -> list[str]:
        """Return what lies in the outbox: `post #ops`, in order."""
        c = tables.deliveries.c
        with self.database.read() as conn:
            rows = conn.execute(
                select(c.action, c.destination).order_by(c.notification_id, c.channel.desc(), c.action)
            )
            return [f"{action} {destination}" for action, destination in rows]


def industry(reading: Reading, **others: Reading) -> Readings:
    """Return readings in which only `industry` (and `others`) is allocated."""
    return Readings(*(Absent.UNALLOCATED,) * 4)._replace(industry=reading, **others)


def _line(facts: object) -> str:
    assert isinstance(facts, AlertFacts)
    about = facts.wallet if facts.category is None else f"{facts.wallet}:{facts.category}"
    kind = "" if facts.category is not None else f" {facts.kind}"
    return f"{facts.reason} {facts.severity.word} {about}{kind}"

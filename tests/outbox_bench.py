"""An outbox for tests: a database, a clock that tests move, and channels that record their messages."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Interval, insert, literal, select, update

from balancebot.app import build_app
from balancebot.config import (
    AlertsConfig,
    DatabaseConfig,
    EmailConfig,
    Secret,
    Settings,
    SlackConfig,
    WebConfig,
)
from balancebot.domain.alert import NO_LIMITS, Reason
from balancebot.domain.balance import WalletName
from balancebot.domain.message import (
    NO_CONTEXT,
    Action,
    AlertMessage,
    Measurement,
    Message,
    MessageRef,
    OutgoingMessage,
)
from balancebot.domain.routing import Destination
from balancebot.domain.sentence import verbatim
from balancebot.notify.queue import DeliverReport
from balancebot.notify.worker import DeliverOutbox
from balancebot.ports import Capabilities, ChannelError, ChannelErrorKind, Finding
from balancebot.store import outbox, tables, workers
from balancebot.store.database import Database
from balancebot.store.errors import DatabaseError, DatabaseErrorKind
from balancebot.store.tables import alerts, deliveries
from tests.messages import alert_message, changed

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
OPS = Destination("slack", "#ops")
MARKETING = Destination("slack", "#marketing")
MAIL = Destination("email", "finance@example.com")
SETTINGS = Settings(
    path=Path("balancebot.toml"),
    resolved=True,
    database=DatabaseConfig(url=Secret("")),
    accounts=(),
    channel_sections={
        "slack": SlackConfig(bot_token=Secret("xoxb-1"), channel="#ops"),
        "email": EmailConfig(host="localhost", sender="balances@example.com", to=("finance@example.com",)),
    },
    web=WebConfig(public_url="http://127.0.0.1", secret_key=Secret("key")),
)
"""The settings of a world; its accounts are added by the wallets of its source."""


class Killed(BaseException):
    """The process is killed in the middle of a step."""


@dataclass
class HandClock:
    """A clock that only moves when a test moves it."""

    at: datetime = NOON

    def now(self) -> datetime:
        return self.at

    def pass_by(self, **time: float) -> None:
        self.at += timedelta(**time)


@dataclass(kw_only=True)
class SentMessage:
    """A message at a destination."""

    ref: str
    at: datetime
    destination: str
    delivery_id: str
    alert_id: str
    message: Message
    below: str | None
    broadcast: bool
    edits: list[Message] = field(default_factory=list)
    """The contents after each edit."""


Outcome = Callable[["FakeChannel", OutgoingMessage], MessageRef | ChannelError]


class FakeChannel:
    """A channel that records its messages; `outcomes` determine the result of the next ones, by destination."""

    def __init__(self, name: str, clock: HandClock, *, can_find: bool = True) -> None:
        self._name = name
        self._clock = clock
        self._numbers = count(1)
        self._lock = threading.Lock()
        self.can_find = can_find
        self.messages: list[SentMessage] = []
        self.outcomes: dict[str, list[Outcome]] = {}
        self.refuse: dict[str, ChannelErrorKind] = {}
        """The alerts whose messages are always refused."""
        self.requests: list[tuple[datetime, str, str]] = []
        """The instant, destination and action of each request."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(can_edit=self.can_find, has_threads=True, can_find=self.can_find)

    @property
    def name(self) -> str:
        return self._name

    def send(
        self, outgoing: OutgoingMessage, *, holds_claim: Callable[[], bool]
    ) -> MessageRef | ChannelError:
        self.requests.append((self._clock.now(), outgoing.destination.address, outgoing.action.value))
        outcomes = self.outcomes.get(outgoing.destination.address, [])
        outcome = outcomes.pop(0) if outcomes else arrives
        if not holds_claim():
            return ChannelError(kind=ChannelErrorKind.LEASE_LOST, message=verbatim("taken over"))
        if outgoing.alert_id in self.refuse:
            outcome = fails(self.refuse[outgoing.alert_id])
        return outcome(self, outgoing)

    def put(self, outgoing: OutgoingMessage) -> MessageRef | ChannelError:
        """Record the message. A reply to a deleted message is accepted, as in Slack."""
        with self._lock:
            if outgoing.action is Action.EDIT:
                assert outgoing.thread is not None
                living = next(
                    (message for message in self.messages if message.ref == outgoing.thread.message_id), None
                )
                if living is None:
                    return ChannelError(
                        kind=ChannelErrorKind.MESSAGE_GONE, message=verbatim("message_not_found")
                    )
                living.edits.append(outgoing.message)
                return outgoing.thread
            message = SentMessage(
                ref=f"{next(self._numbers)}",
                at=self._clock.now(),
                destination=outgoing.destination.address,
                delivery_id=outgoing.delivery_id,
                alert_id=outgoing.alert_id,
                message=outgoing.message,
                below=None if outgoing.thread is None else outgoing.thread.message_id,
                broadcast=outgoing.broadcast,
            )
            self.messages.append(message)
            return MessageRef(channel_id=outgoing.destination.address, message_id=message.ref)

    def find(
        self, outgoing: OutgoingMessage, *, after: MessageRef | None
    ) -> Sequence[MessageRef] | ChannelError:
        self.requests.append((self._clock.now(), outgoing.destination.address, "find"))
        if not self.can_find:
            return ChannelError(
                kind=ChannelErrorKind.REJECTED, message=verbatim("nothing can be searched here")
            )
        return [
            MessageRef(channel_id=message.destination, message_id=message.ref)
            for message in self.messages
            if message.delivery_id == outgoing.delivery_id
            # references are increasing numbers, like the timestamps of a service
            and (after is None or int(message.ref) > int(after.message_id))
        ]

    def delete(self, ref: MessageRef) -> ChannelError | None:
        self.messages = [message for message in self.messages if message.ref != ref.message_id]
        return None

    def check(self, destinations: Sequence[str]) -> list[Finding]:
        return []

    def close(self) -> None:
        pass

    def received(self, destination: str = "#ops") -> list[str]:
        """Return the messages at a destination: `opened`, `> recovered` for a reply, the type for other messages."""
        return [self._summary(message) for message in self.messages if message.destination == destination]

    @staticmethod
    def _summary(message: SentMessage) -> str:
        match message.message:
            case AlertMessage(reason=Reason() as reason, opening_undelivered=undelivered):
                word = f"opened+{reason}" if undelivered else reason.value
            case other:
                word = type(other).__name__
        return f"> {word}" if message.below else word


def arrives(channel: FakeChannel, outgoing: OutgoingMessage) -> MessageRef | ChannelError:
    return channel.put(outgoing)


def fails(kind: ChannelErrorKind, retry_after: timedelta | None = None) -> Outcome:
    """Do nothing and answer with an error of `kind`."""
    return lambda channel, outgoing: ChannelError(
        kind=kind, message=verbatim(kind.value), retry_after=retry_after
    )


def loses_the_answer(channel: FakeChannel, outgoing: OutgoingMessage) -> MessageRef | ChannelError:
    channel.put(outgoing)
    return ChannelError(kind=ChannelErrorKind.IN_DOUBT, message=verbatim("no answer"))


def loses_the_request(channel: FakeChannel, outgoing: OutgoingMessage) -> MessageRef | ChannelError:
    return ChannelError(kind=ChannelErrorKind.IN_DOUBT, message=verbatim("no answer"))


def killed_before(channel: FakeChannel, outgoing: OutgoingMessage) -> MessageRef | ChannelError:
    raise Killed


def killed_after(channel: FakeChannel, outgoing: OutgoingMessage) -> MessageRef | ChannelError:
    channel.put(outgoing)
    raise Killed


class BrokenDatabase(Database):
    """A database with failures that tests switch on."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner
        self.is_broken = False

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._fail_or(self._inner.read()) as conn:
            yield conn

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with self._fail_or(self._inner.write()) as conn:
            yield conn

    def breaks(self, channel: FakeChannel, outgoing: OutgoingMessage) -> MessageRef | ChannelError:
        """Let the message arrive, and the database fail immediately after."""
        self.is_broken = True
        return channel.put(outgoing)

    def _fail_or(self, transaction: AbstractContextManager[Connection]) -> AbstractContextManager[Connection]:
        if self.is_broken:
            raise DatabaseError(DatabaseErrorKind.FULL, "the disk is full")
        return transaction


def let_heartbeats_age(conn: Connection, by: timedelta) -> None:
    """Make heartbeats older on PostgreSQL, which measures their age with its own clock; SQLite uses `now`."""
    if conn.dialect.name == "postgresql":
        conn.execute(
            update(tables.workers).values(seen_at=tables.workers.c.seen_at - literal(by, Interval()))
        )


class Bench:
    """An outbox, its channels, and any number of workers."""

    def __init__(
        self, database: Database, *, group_over: int = 5, channels: Sequence[str] = ("slack", "email")
    ) -> None:
        self.database = database
        self.clock = HandClock()
        self.slack = FakeChannel("slack", self.clock)
        self.mail = FakeChannel("email", self.clock, can_find=False)
        self._channels = {
            channel.name: channel for channel in (self.slack, self.mail) if channel.name in channels
        }
        self._settings = replace(SETTINGS, alerts=AlertsConfig(group_over=group_over))
        self._numbers = count(1)
        self._workers: list[str] = []
        self.deliver = self.worker()

    def worker(self, database: Database | None = None) -> DeliverOutbox:
        """Add a worker, which may have its own `Database`."""
        name = f"worker-{len(self._workers)}"
        self._workers.append(name)
        with self.database.write() as conn:
            workers.register(conn, name, kind="run", now=self.clock.now())
        return build_app(
            self._settings,
            database or self.database,
            clock=self.clock,
            channels=self._channels,
            worker_id=name,
        ).deliver_outbox

    def restart(self) -> None:
        """Replace the worker by another one, after its lease has expired."""
        self._workers[-1] = f"dead {self._workers[-1]}"
        self.pass_by(seconds=10)
        self.deliver = self.worker()

    def pass_by(self, **later: float) -> None:
        """Move the clock while no worker renews its heartbeat."""
        self.clock.pass_by(**later)
        with self.database.write() as conn:
            let_heartbeats_age(conn, timedelta(**later))

    def run(self, **later: float) -> DeliverReport:
        """Move the clock and deliver what is due."""
        self.clock.pass_by(**later)
        with self.database.write() as conn:
            for name in self._workers:
                workers.renew(conn, name, now=self.clock.now())
        return self.deliver.run()

    def alert(self) -> int:
        """Add an alert for which nothing was sent."""
        number = next(self._numbers)
        with self.database.write() as conn:
            conn.execute(
                insert(alerts).values(
                    id=number,
                    kind="low_balance",
                    wallet=f"acme/{number}",
                    category="industry",
                    severity="critical",
                    opened_at=self.clock.now(),
                    opened_by_days=False,
                    limits=NO_LIMITS,
                    measurement=Measurement(at=self.clock.now()),
                    context=NO_CONTEXT,
                    members=(),
                )
            )
        return number

    def message(self, alert_id: int, reason: Reason | None, **changes: Any) -> AlertMessage:
        """Return a message about an alert now."""
        now = self.clock.now()
        found = alert_message(NOON, id=alert_id, wallet=WalletName(f"acme/{alert_id}"), reason=reason, at=now)
        return changed(found, **changes)

    def enqueue(
        self,
        alert_id: int,
        reason: Reason,
        destinations: Sequence[Destination] = (OPS,),
        **changes: Any,
    ) -> AlertMessage:
        """Enqueue a notification of an alert."""
        message = self.message(alert_id, reason, **changes)
        entry = outbox.OutboxEntry(
            message=message,
            destinations=destinations,
            broadcast=reason is Reason.WORSENED,
        )
        self._enqueue(entry)
        return message

    def open(self, destinations: Sequence[Destination] = (OPS,)) -> int:
        """Add an alert and enqueue its opening."""
        alert_id = self.alert()
        self.enqueue(alert_id, Reason.OPENED, destinations)
        return alert_id

    def edit(self, alert_id: int, **changes: Any) -> AlertMessage:
        """Enqueue an edit of an alert's living messages."""
        message = self.message(alert_id, None, **changes)
        self._enqueue(outbox.OutboxEntry(message=message))
        return message

    def _enqueue(self, entry: outbox.OutboxEntry) -> None:
        with self.database.write() as conn:
            outbox.enqueue(conn, [entry], editable={"slack"}, now=self.clock.now())

    def states(self) -> list[str]:
        """Return the state of every delivery, in the order of the notifications."""
        with self.database.read() as conn:
            return list(
                conn.execute(
                    select(deliveries.c.state).order_by(deliveries.c.notification_id, deliveries.c.action)
                ).scalars()
            )

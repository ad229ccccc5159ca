"""What the use cases need from the outside world, and the errors that they expect from it.

Errors from outside are values, not exceptions: one bad wallet or one stuck channel never stops the others. Their
`message` names the wallet or destination and the status; it never contains a key, a token or an address's secret.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeAlias

from balancebot.domain.balance import Snapshot, WalletName
from balancebot.domain.message import MessageRef, OutgoingMessage
from balancebot.domain.sentence import Sentence, clean_text


class Clock(Protocol):
    """Returns the present instant."""

    def now(self) -> datetime:
        """Return an aware instant in UTC."""
        ...


class SourceErrorKind(StrEnum):
    """Why a wallet couldn't be read. The set is closed: it labels metrics and chooses alerts."""

    CREDENTIALS = "credentials"
    """401: a wrong or rotated key pair, or an app's key pair in place of the account's, or the reverse."""
    PERMISSION = "permission"
    """403 with a code that no retry fixes: service not opened, address not allowed, app on a blacklist."""
    CONFIGURATION = "configuration"
    """The request itself is wrong: missing credentials, a wrong base_url."""
    RATE_LIMITED = "rate_limited"
    SCHEMA = "schema"
    """The answer doesn't match the documentation; it is never used as a balance."""
    SERVER = "server"
    """5xx and gateways."""
    TIMEOUT = "timeout"
    NETWORK = "network"
    """No connection: refused, no such host, reset."""
    TLS = "tls"
    """The certificate isn't valid, or the other side supports no TLS version that is accepted here."""

    @property
    def permanent(self) -> bool:
        """Whether only a person can fix it, so that a retry within the cycle is useless."""
        return self in {
            SourceErrorKind.CREDENTIALS,
            SourceErrorKind.PERMISSION,
            SourceErrorKind.CONFIGURATION,
            SourceErrorKind.SCHEMA,
            SourceErrorKind.TLS,
        }

    @property
    def fault(self) -> str:
        """The fault as a person would name it: wallets of one account with the same fault share one alert."""
        if self in {SourceErrorKind.SERVER, SourceErrorKind.TIMEOUT, SourceErrorKind.NETWORK}:
            return "unreachable"
        return self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceError:
    """A wallet that couldn't be read, and why."""

    wallet: WalletName
    at: datetime
    kind: SourceErrorKind
    message: Sentence
    """For people: names the wallet, the status and code, and what to do; never a key."""
    retry_after: timedelta | None = None
    """How long the source asked not to be called, if it did."""

    @property
    def permanent(self) -> bool:
        """Whether only a person can fix it."""
        return self.kind.permanent


FetchResult: TypeAlias = Snapshot | SourceError


class BalanceSource(Protocol):
    """A system that can be asked for balances."""

    def fetch(self, wallets: Sequence[WalletName], *, budget: timedelta) -> Iterator[FetchResult]:
        """Read `wallets`, many at once, and yield each result as it comes, in any order.

        Every wallet yields exactly one result. A wallet without an answer within `budget` (of the whole call) yields a
        `SourceError` of kind TIMEOUT. Transient faults are retried inside, with jitter and within the budget. Closing
        the iterator early abandons the requests under way.
        """
        ...

    def close(self) -> None:
        """Close connections and threads. Idempotent."""
        ...


class ChannelErrorKind(StrEnum):
    """Why a delivery didn't arrive."""

    RATE_LIMITED = "rate_limited"
    UNREACHABLE = "unreachable"
    """Nothing reached the other side: it is safe to send again."""
    IN_DOUBT = "in_doubt"
    """The request was sent and no answer came: the message may have arrived or not."""
    AUTH = "auth"
    """Token revoked, log-in refused, certificate not trusted: the channel delivers nothing until a person has acted."""
    NO_SUCH_DESTINATION = "no_such_destination"
    """Channel archived or unknown, bot not in it, recipient refused."""
    MESSAGE_GONE = "message_gone"
    """The message to edit or reply to was deleted: post a new one."""
    NOT_EDITABLE = "not_editable"
    """The message to edit is too old for that: send a reply instead."""
    REJECTED = "rejected"
    """The other side refuses this particular message permanently."""
    SERVER = "server"
    """A temporary fault of the other side, which says that nothing was done."""
    LEASE_LOST = "lease_lost"
    """Another worker has claimed the delivery; nothing was sent."""

    @property
    def permanent(self) -> bool:
        """Whether sending the same again is useless until a person has acted."""
        return self in {
            ChannelErrorKind.AUTH,
            ChannelErrorKind.NO_SUCH_DESTINATION,
            ChannelErrorKind.REJECTED,
        }


MAX_RETRY_AFTER = timedelta(minutes=15)
"""The longest wait that a channel can ask for."""
MAX_FOREIGN = 200
"""The most characters of one text from outside in a message for people."""
UNCUT = 2_000
"""Secrets are removed from this many characters of a text before it is cut: half a secret isn't recognised."""
_MAX_ASKED = timedelta(days=365)


def parse_retry_after(text: str | None) -> timedelta:
    """Read a `Retry-After` in seconds; a missing or unreadable one is a second, a longer one is a year."""
    digits = (text or "").strip()
    if not (digits.isascii() and digits.isdecimal()):
        return timedelta(seconds=1)
    return timedelta(seconds=min(int(digits[:30]), int(_MAX_ASKED.total_seconds())))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelError:
    """A delivery that didn't arrive (or may not have), and why."""

    kind: ChannelErrorKind
    message: Sentence
    """For people. Text from outside is cleaned here for databases and terminals, and cut after secrets were removed."""
    retry_after: timedelta | None = None
    """How long the other side asks not to be called."""

    def __post_init__(self) -> None:
        """Clean the message: much of it comes from outside."""
        cleaned = self.message.mapped(lambda text: clean_text(text, at_most=UNCUT))
        object.__setattr__(self, "message", cleaned)

    @property
    def permanent(self) -> bool:
        """Whether sending the same again is useless until a person has acted."""
        return self.kind.permanent

    @property
    def wait(self) -> timedelta:
        """How long the other side isn't called: as it asks, but no longer than `MAX_RETRY_AFTER`."""
        return min(self.retry_after or timedelta(0), MAX_RETRY_AFTER)

    @property
    def needs_attention(self) -> bool:
        """Whether people are notified on another channel: only they can help, or the requested wait is too long."""
        return self.permanent or (self.retry_after or timedelta(0)) > MAX_RETRY_AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of a check: whether it passed (None: a remark, no failure), and a description."""

    ok: bool | None
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRate:
    """The most that a destination is sent: `burst` messages within a minute, then one per `gap`.

    This is well below what the service allows: it may count several destinations together. Messages that wait meanwhile
    become one message.
    """

    burst: int
    gap: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a channel can do in addition to posting; it is never asked to do what it can't."""

    can_edit: bool = False
    """A sent message can be changed: an alert has a living message there."""
    has_threads: bool = False
    """A message can get replies: later messages about an alert are replies to its first one."""
    can_find: bool = False
    """It can find its own messages: a delivery in doubt isn't sent twice, and duplicates are deleted."""
    can_check: bool = False
    """Its check shows whether a destination accepts messages, so an earlier refusal alone isn't a failure."""
    one_by_one: bool = False
    """Every alert is a separate event there: openings are never grouped into one message."""
    rate: SendRate | None = None
    """How often it is sent to; None: as fast as it answers."""


class Channel(Protocol):
    """A way to notify people: Slack, e-mail. One instance per configured channel; several threads may call it."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do in addition to posting."""
        ...

    @property
    def name(self) -> str:
        """Its configured name."""
        ...

    def send(
        self, outgoing: OutgoingMessage, *, holds_claim: Callable[[], bool]
    ) -> MessageRef | ChannelError:
        """Render and send one message. `holds_claim` is called right before the request; false gives LEASE_LOST.

        Never raises for faults of the outside. Never retries: the outbox does.
        """
        ...

    def find(
        self, outgoing: OutgoingMessage, *, after: MessageRef | None
    ) -> Sequence[MessageRef] | ChannelError:
        """Search the destination for the message of this delivery, oldest first; empty = it isn't there.

        `after` is a message of ours that was there before the first attempt; None = none is known.

        A channel that can't search (a webhook, e-mail, a missing scope) returns an error of kind REJECTED that says
        why.
        """
        ...

    def delete(self, ref: MessageRef) -> ChannelError | None:
        """Delete a duplicate message."""
        ...

    def check(self, destinations: Sequence[str]) -> list[Finding]:
        """Check what can be checked without sending anything: log-in, permissions, these addresses."""
        ...

    def close(self) -> None:
        """Close connections. Idempotent."""
        ...

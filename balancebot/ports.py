"""What the use-cases ask of the world outside, and the errors that are expected of it.

Errors from outside are values, not exceptions: one bad wallet, one stuck channel, never stops the others.
Their `message` names the wallet or destination and the status; it never holds a key, a token or an address's secret.
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
    """Tells the present instant."""

    def now(self) -> datetime:
        """Return an aware instant in UTC."""
        ...


class SourceErrorKind(StrEnum):
    """Why a wallet could not be read. The set is closed: it labels metrics and chooses alerts."""

    CREDENTIALS = "credentials"
    """401: wrong, rotated, or the two kinds of key pair swapped."""
    PERMISSION = "permission"
    """403 with a code that no retry mends: service not opened, address not allowed, app in a blacklist."""
    CONFIGURATION = "configuration"
    """The request itself is wrong: missing auth, a wrong base_url."""
    RATE_LIMITED = "rate_limited"
    SCHEMA = "schema"
    """An answer that isn't what the documentation says; never taken for a balance."""
    SERVER = "server"
    """5xx and gateways."""
    TIMEOUT = "timeout"
    NETWORK = "network"
    """No connection: refused, no such host, reset."""
    TLS = "tls"
    """The certificate doesn't hold, or the other side speaks no TLS that is accepted here."""

    @property
    def permanent(self) -> bool:
        """Whether only a person can mend it, so that a retry within the cycle is pointless."""
        return self in {
            SourceErrorKind.CREDENTIALS,
            SourceErrorKind.PERMISSION,
            SourceErrorKind.CONFIGURATION,
            SourceErrorKind.SCHEMA,
            SourceErrorKind.TLS,
        }

    @property
    def fault(self) -> str:
        """The fault as a person would name it: wallets of one account that share it share one alert."""
        if self in {SourceErrorKind.SERVER, SourceErrorKind.TIMEOUT, SourceErrorKind.NETWORK}:
            return "unreachable"
        return self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceError:
    """A wallet that could not be read, and why."""

    wallet: WalletName
    at: datetime
    kind: SourceErrorKind
    message: Sentence
    """For people: names the wallet, the status and code, and what to do; never a key."""
    retry_after: timedelta | None = None
    """How long the source asked us to stay away, if it did."""

    @property
    def permanent(self) -> bool:
        """Whether only a person can mend it."""
        return self.kind.permanent


FetchResult: TypeAlias = Snapshot | SourceError


class BalanceSource(Protocol):
    """A system that can be asked for balances."""

    def fetch(self, wallets: Sequence[WalletName], *, budget: timedelta) -> Iterator[FetchResult]:
        """Read `wallets`, many at once, and yield each result as it comes, in any order.

        Every wallet yields exactly one result. What isn't answered within `budget` (of the whole call) yields
        a `SourceError` of kind TIMEOUT. Transient faults are retried inside, with jitter and within the budget.
        Closing the iterator early abandons what is under way.
        """
        ...

    def close(self) -> None:
        """Give back connections and threads. Idempotent."""
        ...


class ChannelErrorKind(StrEnum):
    """Why a delivery did not arrive."""

    RATE_LIMITED = "rate_limited"
    UNREACHABLE = "unreachable"
    """Nothing reached the other side: safe to send again."""
    IN_DOUBT = "in_doubt"
    """The request went out and no answer came: it may or may not stand there."""
    AUTH = "auth"
    """Token revoked, log-in refused, certificate not trusted: nothing reaches this channel until a person has acted."""
    NO_SUCH_DESTINATION = "no_such_destination"
    """Channel archived or unknown, bot not in it, recipient refused."""
    MESSAGE_GONE = "message_gone"
    """The message to edit or to answer was deleted: post anew."""
    REJECTED = "rejected"
    """The other side refuses this very message for good."""
    SERVER = "server"
    """A passing fault of the other side; it says that nothing was done."""
    LEASE_LOST = "lease_lost"
    """Somebody else has taken the delivery over; nothing was sent."""

    @property
    def permanent(self) -> bool:
        """Whether sending the same again is pointless until a person has acted."""
        return self in {
            ChannelErrorKind.AUTH,
            ChannelErrorKind.NO_SUCH_DESTINATION,
            ChannelErrorKind.REJECTED,
        }


MAX_RETRY_AFTER = timedelta(minutes=15)
"""The longest wait that a channel may ask for and get."""
MAX_FOREIGN = 200
"""Characters of one foreign text in a message that people read."""
UNCUT = 2_000
"""Characters of one foreign text in which secrets are looked for before it is cut: half of one can't be recognised."""
_MAX_ASKED = timedelta(days=365)


def parse_retry_after(text: str | None) -> timedelta:
    """Read a `Retry-After` in seconds; a second where there is none or nonsense, a year where it is more."""
    digits = (text or "").strip()
    if not (digits.isascii() and digits.isdecimal()):
        return timedelta(seconds=1)
    return timedelta(seconds=min(int(digits[:30]), int(_MAX_ASKED.total_seconds())))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelError:
    """A delivery that did not arrive (or may not have), and why."""

    kind: ChannelErrorKind
    message: Sentence
    """For people; foreign words in it are cleaned here, so that every database and terminal takes it, and cut when they
    hold no secret any more."""
    retry_after: timedelta | None = None
    """How long the other side asks us to stay away."""

    def __post_init__(self) -> None:
        """Clean the message: much of it comes from outside."""
        cleaned = self.message.mapped(lambda text: clean_text(text, at_most=UNCUT))
        object.__setattr__(self, "message", cleaned)

    @property
    def permanent(self) -> bool:
        """Whether sending the same again is pointless until a person has acted."""
        return self.kind.permanent

    @property
    def wait(self) -> timedelta:
        """How long the other side is left alone: as it asks, but no longer than `MAX_RETRY_AFTER`."""
        return min(self.retry_after or timedelta(0), MAX_RETRY_AFTER)

    @property
    def needs_attention(self) -> bool:
        """Whether people are told through another channel: only they can help, or it asks for an unreasonable wait."""
        return self.permanent or (self.retry_after or timedelta(0)) > MAX_RETRY_AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of a check: whether it is well (None: a remark, nothing fails by it), and in words what is."""

    ok: bool | None
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRate:
    """How often a destination is sent to at most: `burst` messages within a minute, then one each `gap`.

    It stays well below what the service allows: several of these may be counted together there, and what waits
    meanwhile becomes one message.
    """

    burst: int
    gap: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a channel can do besides posting; what it can't, nobody asks of it."""

    can_edit: bool = False
    """A message that was sent can be changed: an alert has a living message there."""
    has_threads: bool = False
    """A message can be answered: later news of an alert is a reply to its first message."""
    can_find: bool = False
    """It can look for its own messages: what was in doubt is not sent twice, and duplicates are deleted."""
    can_check: bool = False
    """Its check tells whether a destination takes messages: what one refused before isn't a failure by itself."""
    one_by_one: bool = False
    """Every alert is an event of its own there: openings never become one message of a group."""
    rate: SendRate | None = None
    """How often it is sent to; None: as fast as it answers."""


class Channel(Protocol):
    """A way to tell people: Slack, e-mail. One instance per configured channel; safe to call from several threads."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do besides posting."""
        ...

    @property
    def name(self) -> str:
        """Its configured name."""
        ...

    def send(
        self, outgoing: OutgoingMessage, *, holds_claim: Callable[[], bool]
    ) -> MessageRef | ChannelError:
        """Render and send one outgoing; `holds_claim` is asked right before the write, and a no means LEASE_LOST.

        Never raises for what the outside does. Never retries by itself: the outbox does.
        """
        ...

    def find(
        self, outgoing: OutgoingMessage, *, after: MessageRef | None
    ) -> Sequence[MessageRef] | ChannelError:
        """Search the destination for this very delivery, oldest first; empty = it isn't there.

        `after` is a message of ours that stood there before this one was first tried; None = none is known.

        A channel that can't look (a webhook, e-mail, a missing scope) answers with kind REJECTED and says why.
        """
        ...

    def delete(self, ref: MessageRef) -> ChannelError | None:
        """Delete a message that stands twice."""
        ...

    def check(self, destinations: Sequence[str]) -> list[Finding]:
        """Try what can be tried without sending anything: log-in, permissions, these addresses."""
        ...

    def close(self) -> None:
        """Give back connections. Idempotent."""
        ...

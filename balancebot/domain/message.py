"""What is decided to be sent: frozen messages, how several are merged, and how they travel to one destination."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from balancebot.domain.alert import ENDINGS, Alert, ExpectedTopUp, Reason
from balancebot.domain.balance import Absent, Category, Reading, WalletName
from balancebot.domain.order import Order
from balancebot.domain.routing import Destination
from balancebot.domain.runway import OrderAdvice, PlannedUse, Runway
from balancebot.domain.sentence import NO_SENTENCE, Sentence
from balancebot.domain.statement import Statement
from balancebot.domain.threshold import LimitColumn
from balancebot.domain.verdict import Crossed, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class MutedCounts:
    """How many open alerts are muted by what; one may be counted under several."""

    silenced: int = 0
    acknowledged: int = 0
    """No reminders."""
    grouped: int = 0
    """Told in one message with others."""
    waiting: int = 0
    """Quiet hours hold back that they opened, or worsened."""
    flapping: int = 0
    """Coming and going without a word."""
    spared_by_grouping: int = 0
    """Pieces of news that took no message of their own."""
    spared_by_flapping: int = 0
    """Recoveries and openings that were told to nobody."""

    @property
    def any(self) -> bool:
        """Whether anything is."""
        return bool(self.silenced or self.acknowledged or self.waiting or self.grouped or self.flapping)


NOTHING_MUTED = MutedCounts()


_YEAR_SECONDS = 365 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpikeMeasurement:
    """Usage far above what is usual: `messages` between two readings that make `expected` likely."""

    messages: int
    expected: float
    since: datetime
    until: datetime

    def lasts(self, balance: int) -> timedelta | None:
        """Return for how long so many messages last at this pace; None without usage, or for more than a year."""
        if self.messages <= 0:
            return None
        length = balance / self.messages * (self.until - self.since).total_seconds()
        return timedelta(seconds=length) if length < _YEAR_SECONDS else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What was read and estimated when an alert was judged; of a wallet's alert only `observed_at` and `detail`."""

    at: datetime
    """When it was judged."""
    reading: Reading = Absent.UNREAD
    observed_at: datetime | None = None
    crossed: Crossed | None = None
    """The limit crossed; where none is any more, the last one that was."""
    short_of: tuple[tuple[LimitColumn, float], ...] = ()
    """Above its limits, but for the recovery margin: what it must still reach, in messages or days."""
    burn_per_day: float | None = None
    runway: Runway | None = None
    depletes_at: datetime | None = None
    not_counted: int = 0
    """Messages of the latest burst that the usage rate leaves out."""
    not_counted_at: datetime | None = None
    """When that burst began, to the hour."""
    spike: SpikeMeasurement | None = None
    detail: Sentence = NO_SENTENCE
    """Why a wallet can't be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageContext:
    """What a message shows beside the measurement. It is looked up only when something is sent."""

    recent: tuple[int | None, ...] = ()
    """The balance over the last days, oldest first, evenly spaced; for a sparkline. None = not read then."""
    advice: OrderAdvice | None = None
    planned: tuple[PlannedUse, ...] = ()
    """Planned sends, the next first."""
    note: str = ""
    """Who acts and what to do, from the threshold row."""
    silenced_until: datetime | None = None
    """Until when the alert is silenced."""


NO_CONTEXT = MessageContext()


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertMessage:
    """An alert as it was at one instant, with all that a message about it may say."""

    alert: Alert
    measurement: Measurement
    context: MessageContext = NO_CONTEXT
    reason: Reason | None = None
    """None: nothing is sent; a living message is edited."""
    at: datetime
    previous_peak: Severity | None = None
    """WORSENED: the worst severity sent before."""
    missed_top_up: ExpectedTopUp | None = None
    """REMINDER: the ordered top-up that should have come by now."""
    arrived: int = 0
    """TOPPED_UP: how many messages arrived."""
    opening_undelivered: bool = False
    """Its opening never reached this destination: the end of the alert tells both."""
    route_mentions: tuple[str, ...] = ()
    """Whom its route names for this severity, as the configuration writes them; `mentions` says whether it does."""

    @property
    def mentions(self) -> tuple[str, ...]:
        """Who is mentioned when it is told: nobody at its end, where it is better, in reminders of warnings and in edits."""
        if not self.is_open or self.reason in {None, Reason.TOPPED_UP}:
            return ()
        is_lesser_reminder = self.reason is Reason.REMINDER and self.alert.severity < Severity.CRITICAL
        return () if is_lesser_reminder else self.route_mentions

    @property
    def alert_id(self) -> str:
        """The alert's id as people and channels see it."""
        return str(self.alert.id)

    @property
    def is_open(self) -> bool:
        """Whether the alert was open."""
        return self.alert.closed_at is None

    @property
    def is_recovering(self) -> bool:
        """Whether no limit is crossed any more, and only the recovery margin keeps it open."""
        return self.is_open and bool(self.measurement.short_of)

    @property
    def has_reason(self) -> bool:
        """Whether it names why the alert is open: not once it is over."""
        measured = self.measurement
        return self.is_open and bool(measured.crossed or measured.spike or measured.detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMessage:
    """Many openings for one destination, sent as one message. `new`: the alert ids that a reply is about."""

    group_id: str
    at: datetime
    members: tuple[AlertMessage, ...]
    new: tuple[str, ...] = ()

    @property
    def mentions(self) -> tuple[str, ...]:
        """Who is mentioned when it is told: whoever its new members mention, or all of them in its first message."""
        told = [member for member in self.members if not self.new or member.alert_id in self.new]
        return tuple(dict.fromkeys(id_ for member in told for id_ in member.mentions))


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestLine:
    """One balance in a digest."""

    wallet: WalletName
    category: Category
    severity: Severity
    reading: Reading
    observed_at: datetime | None
    stale: bool
    burn_per_day: float | None
    burn_week: float | None
    """Use per day of the last seven days; None = nothing could be seen."""
    burn_week_before: float | None
    """Use per day of the seven days before these."""
    runway: Runway | None
    depletes_at: datetime | None
    limits_set: bool
    severity_before: Severity | None
    """At the last digest of this name; None where there was none."""
    stopped: bool = False
    """Whether its traffic stopped in hours that are never still."""
    topped_up: int = 0
    transferred: int = 0
    used: int = 0
    advice: OrderAdvice | None = None
    note: str = ""
    recent: tuple[int | None, ...] = ()
    """The balance over the last days, oldest first, evenly spaced. None = not read then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestMessage:
    """A scheduled summary of how things stand at `at`, worst first."""

    name: str
    slot: str
    """The local date and time it was due, `2026-11-23T09:00`."""
    at: datetime
    since: datetime | None
    """When the last one of this name was made."""
    late: bool
    language: str
    lines: tuple[DigestLine, ...]
    open_alerts: tuple[AlertMessage, ...] = ()
    recovered: tuple[AlertMessage, ...] = ()
    silences: tuple[tuple[str, datetime, str], ...] = ()
    """(pattern, until, reason) of those that end soon, or mute much."""
    planned: tuple[tuple[WalletName, Category, PlannedUse], ...] = ()
    """Sends that were announced for the coming days, the next first."""
    muted: MutedCounts = NOTHING_MUTED
    """What of the open alerts isn't told, or not by itself."""
    package_sizes: Mapping[Category, int] = field(default_factory=dict)
    """In which quota is bought."""
    orders: tuple[Order, ...] = ()
    """Of which more is to come, the one expected first first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestMessage:
    """A message that a person asked for, to see that the channel works."""

    __test__ = False
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFailureMessage:
    """A channel refuses for good: told through the other channel."""

    at: datetime
    channel: str
    destination: str
    message: Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceMessage:
    """A silence mutes much: everything, many wallets, or something critical."""

    at: datetime
    silence_id: int
    pattern: str
    until: datetime
    reason: str
    created_by: str
    num_wallets: int
    num_urgent: int
    """How many open critical and depleted alerts it mutes."""
    is_repeated: bool = False
    """It was announced before, and still holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeMessage:
    """What is said beside alerts: that an order is overdue, the statement of a month."""

    at: datetime
    title: Sentence
    lines: tuple[Sentence, ...] = ()
    path: str = ""
    """The page that shows more."""
    is_trouble: bool = False
    language: str = ""
    """'' = the configured one."""
    statement: Statement | None = None
    """Mails have its workbook attached."""


Message: TypeAlias = (
    AlertMessage
    | GroupMessage
    | DigestMessage
    | TestMessage
    | ChannelFailureMessage
    | SilenceMessage
    | NoticeMessage
)


class Action(StrEnum):
    """What a delivery does at its destination."""

    POST = "post"
    """A new message: the living one of its alert, group or digest."""
    REPLY = "reply"
    """News in the thread of a message that stands."""
    EDIT = "edit"
    """The living message is edited to show this message. Idempotent; Slack with a bot token only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRef:
    """Where a message stands: Slack's channel id and `ts`; for e-mail '' and the `Message-ID`."""

    channel_id: str
    message_id: str
    subject: str = ""
    """E-mail: the subject of the first of a thread, which its answers repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """One notification on its way to one destination."""

    delivery_id: str
    alert_id: str
    """The alert's (or the group's) id, for metadata; '' for digests and tests."""
    action: Action
    destination: Destination
    message: Message
    thread: MessageRef | None = None
    """The living message; None for POST."""
    broadcast: bool = False
    created_at: datetime
    attempt: int = 1
    may_stand_twice: bool = field(default=False)
    """An earlier attempt is in doubt and could not be looked for: the message carries the alert's id and the log says so."""

    @property
    def mentions(self) -> tuple[str, ...]:
        """Who is mentioned in it, as the configuration writes them; each channel names those that it knows.

        Slack's `U…`, `W…`, `S…`, `here` and `channel`, Feishu's `ou_…`, phone numbers, and ids behind a kind of channel
        (`wecom:zhangsan`). Nobody is in an edit.
        """
        if self.action is Action.EDIT or not isinstance(self.message, AlertMessage | GroupMessage):
            return ()
        return self.message.mentions


_BY_WEIGHT = (
    Reason.RECOVERED,
    Reason.CLOSED,
    Reason.OPENED,
    Reason.WORSENED,
    Reason.ESCALATED,
    Reason.REMINDER,
    Reason.TOPPED_UP,
)


def most_urgent(reasons: Sequence[Reason | None]) -> Reason | None:
    """Return the reason for which news that waited together is told: the end before the start before the rest."""
    return next((reason for reason in _BY_WEIGHT if reason in reasons), None)


def merged(messages: Sequence[AlertMessage], *, delivered: bool) -> AlertMessage:
    """Return the messages of one alert, oldest first, as one with the latest figures.

    An opening that worsened is an opening; what worsened twice did so from where it stood first; an end ends
    everything. `delivered` says whether this destination was told of the alert before: if not, the end tells of the
    opening too.
    """
    reason = most_urgent([message.reason for message in messages])
    of_that_reason = [message for message in messages if message.reason is reason]
    spoken = of_that_reason[-1 if reason in ENDINGS else 0]
    return replace(
        messages[-1],
        reason=reason,
        previous_peak=spoken.previous_peak,
        missed_top_up=spoken.missed_top_up,
        arrived=sum(message.arrived for message in of_that_reason),
        opening_undelivered=reason in ENDINGS and not delivered,
    )


def with_members(group: GroupMessage, messages: Sequence[AlertMessage], at: datetime) -> GroupMessage:
    """Return the group as it stands after `messages`, oldest first: each member as it was last, new ones at the end."""
    members = {member.alert_id: member for member in group.members}
    members |= {message.alert_id: message for message in messages}
    return replace(group, at=at, members=tuple(members.values()), new=())

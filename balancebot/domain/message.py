"""Messages: frozen values with all that is sent, how several are merged, and how one is addressed to a destination."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from balancebot.domain.alert import ENDINGS, Alert, ExpectedTopUp, Reason
from balancebot.domain.audit import slack_id_of
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
    """How many open alerts are muted for which cause; an alert may be counted under several."""

    silenced: int = 0
    acknowledged: int = 0
    """They get no reminders."""
    grouped: int = 0
    """They are part of a group's message."""
    waiting: int = 0
    """Quiet hours delay their opening or worsening."""
    flapping: int = 0
    """Their openings and recoveries aren't sent."""
    spared_by_grouping: int = 0
    """Openings that needed no message of their own."""
    spared_by_flapping: int = 0
    """Recoveries and openings that weren't sent."""

    @property
    def any(self) -> bool:
        """Whether any alert is muted."""
        return bool(self.silenced or self.acknowledged or self.waiting or self.grouped or self.flapping)


NOTHING_MUTED = MutedCounts()


_YEAR_SECONDS = 365 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpikeMeasurement:
    """Usage far above usual: `messages` were used between two readings, where `expected` were likely."""

    messages: int
    expected: float
    since: datetime
    until: datetime

    def lasts(self, balance: int) -> timedelta | None:
        """Return how long `balance` lasts at this rate; None without usage, or if it lasts for more than a year."""
        if self.messages <= 0:
            return None
        length = balance / self.messages * (self.until - self.since).total_seconds()
        return timedelta(seconds=length) if length < _YEAR_SECONDS else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What was read and estimated when an alert was judged. For a wallet's alert only `observed_at` and `detail` are set."""

    at: datetime
    """When it was judged."""
    reading: Reading = Absent.UNREAD
    observed_at: datetime | None = None
    crossed: Crossed | None = None
    """The limit crossed, or, if none is any longer, the last one that was."""
    short_of: tuple[tuple[LimitColumn, float], ...] = ()
    """Above its limits, but within the recovery margin: what it must still reach, in messages or days."""
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
    """What a message shows in addition to the measurement. It is looked up only if something is sent."""

    recent: tuple[int | None, ...] = ()
    """The balance over the last days, oldest first, evenly spaced; for a sparkline. None = not read then."""
    advice: OrderAdvice | None = None
    planned: tuple[PlannedUse, ...] = ()
    """Planned sends, the next first."""
    note: str = ""
    """Who acts and what to do, from the threshold row."""
    silenced_until: datetime | None = None
    """Until when the alert is silenced."""
    pool_is_empty: bool = False
    """Of an app: the account's shared pool was read and has nothing to give."""


NO_CONTEXT = MessageContext()


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertMessage:
    """An alert as it was at one instant, with all that a message about it may contain."""

    alert: Alert
    measurement: Measurement
    context: MessageContext = NO_CONTEXT
    reason: Reason | None = None
    """None: no message is sent; the living message is edited."""
    at: datetime
    previous_peak: Severity | None = None
    """WORSENED: the worst severity sent before."""
    missed_top_up: ExpectedTopUp | None = None
    """REMINDER: the ordered top-up that should have come by now."""
    arrived: int = 0
    """TOPPED_UP: how many messages arrived."""
    opening_undelivered: bool = False
    """Its opening never reached this destination, so the message about its end contains both."""
    route_mentions: tuple[str, ...] = ()
    """The people that its route lists for this severity, as in the configuration. See `mentions` for who is mentioned."""

    @property
    def mentions(self) -> tuple[str, ...]:
        """The people to mention: none at its end, after an improvement, in reminders of warnings and in edits.

        Whoever ordered a top-up that is overdue is mentioned in any case.
        """
        if not self.is_open or self.reason in {None, Reason.TOPPED_UP}:
            return ()
        ordered_by = () if self.missed_top_up is None else slack_id_of(self.missed_top_up.by)
        is_lesser_reminder = self.reason is Reason.REMINDER and self.alert.severity < Severity.CRITICAL
        return tuple(dict.fromkeys((*ordered_by, *(() if is_lesser_reminder else self.route_mentions))))

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
        """Whether no limit is crossed any longer, and only the recovery margin keeps it open."""
        return self.is_open and bool(self.measurement.short_of)

    @property
    def has_reason(self) -> bool:
        """Whether it says why the alert is open: not after it has ended."""
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
        """The people to mention: those of its new members, or in its first message those of all members."""
        members = [member for member in self.members if not self.new or member.alert_id in self.new]
        return tuple(dict.fromkeys(id_ for member in members for id_ in member.mentions))


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
    """Usage per day in the last seven days; None = there were no readings."""
    burn_week_before: float | None
    """Usage per day in the seven days before these."""
    runway: Runway | None
    depletes_at: datetime | None
    limits_set: bool
    severity_before: Severity | None
    """At the last digest of this name; None if there was none."""
    stopped: bool = False
    """Whether there was no usage in hours that always have some."""
    topped_up: int = 0
    transferred: int = 0
    used: int = 0
    advice: OrderAdvice | None = None
    note: str = ""
    recent: tuple[int | None, ...] = ()
    """The balance over the last days, oldest first, evenly spaced. None = not read then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestMessage:
    """A scheduled summary of the state at `at`, worst first."""

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
    """(pattern, until, reason) of those that end soon, or are broad."""
    planned: tuple[tuple[WalletName, Category, PlannedUse], ...] = ()
    """Planned sends of the coming days, the next first."""
    muted: MutedCounts = NOTHING_MUTED
    """How many of the open alerts are muted."""
    package_sizes: Mapping[Category, int] = field(default_factory=dict)
    """The package sizes in which quota is sold."""
    orders: tuple[Order, ...] = ()
    """The orders that haven't fully arrived, sorted by expected date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestMessage:
    """A message that a person sends to check that a channel works."""

    __test__ = False
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFailureMessage:
    """A channel fails permanently: sent through the other channels."""

    at: datetime
    channel: str
    destination: str
    message: Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceMessage:
    """A broad silence was made: it mutes everything, many wallets, or something critical."""

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
    """It was announced before, and is still active."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeMessage:
    """A message that isn't about an alert: an order is overdue, or a month's statement is ready."""

    at: datetime
    title: Sentence
    lines: tuple[Sentence, ...] = ()
    path: str = ""
    """The path of the page with more about it."""
    is_trouble: bool = False
    language: str = ""
    """'' = the configured one."""
    statement: Statement | None = None
    """Its workbook is attached to e-mails."""
    mentions: tuple[str, ...] = ()
    """The people to mention, as in the configuration."""


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
    """A message in the thread of an existing message."""
    EDIT = "edit"
    """The living message is edited to show this content. Idempotent; only Slack with a bot token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRef:
    """Where a sent message is: Slack's channel id and `ts`; for e-mail '' and the `Message-ID`."""

    channel_id: str
    message_id: str
    subject: str = ""
    """E-mail: the subject of the first message of a thread, which its replies repeat."""


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
    """An earlier attempt is in doubt and could not be searched for. The message names the alert, and it is logged."""

    @property
    def mentions(self) -> tuple[str, ...]:
        """The people to mention, as in the configuration; each channel uses the ids that it knows. None in an edit.

        Ids are Slack's `U…`, `W…`, `S…`, `here` and `channel`, Feishu's `ou_…`, phone numbers, and ids after the kind of
        a channel (`wecom:zhangsan`).
        """
        if self.action is Action.EDIT or not isinstance(
            self.message, AlertMessage | GroupMessage | NoticeMessage
        ):
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
    """Return the reason of one message that combines several: the end comes before the start, that before the rest."""
    return next((reason for reason in _BY_WEIGHT if reason in reasons), None)


def merged(messages: Sequence[AlertMessage], *, delivered: bool) -> AlertMessage:
    """Merge the messages of one alert, oldest first, into one with the latest figures.

    An opening and a worsening make an opening. Two worsenings make one, from the severity before the first. With an end,
    only the end counts. `delivered`: this destination got a message about the alert before; if not, the message about
    the end contains the opening too.
    """
    reason = most_urgent([message.reason for message in messages])
    of_that_reason = [message for message in messages if message.reason is reason]
    source = of_that_reason[-1 if reason in ENDINGS else 0]
    return replace(
        messages[-1],
        reason=reason,
        previous_peak=source.previous_peak,
        missed_top_up=source.missed_top_up,
        arrived=sum(message.arrived for message in of_that_reason),
        opening_undelivered=reason in ENDINGS and not delivered,
    )


def with_members(group: GroupMessage, messages: Sequence[AlertMessage], at: datetime) -> GroupMessage:
    """Return the group with `messages`, oldest first, applied: each member's latest message, new members at the end."""
    members = {member.alert_id: member for member in group.members}
    members |= {message.alert_id: message for message in messages}
    return replace(group, at=at, members=tuple(members.values()), new=())

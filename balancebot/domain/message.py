"""What is decided to be sent: frozen facts, how several are merged, and how they travel to one destination."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from balancebot.domain.alert import AlertKind, Cause, ExpectedTopUp, Reason
from balancebot.domain.balance import Absent, Category, Reading, WalletName
from balancebot.domain.routing import Destination
from balancebot.domain.runway import OrderAdvice, PlannedUse, Runway
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
    flapping: int = 0
    """Coming and going without a word."""
    spared_by_grouping: int = 0
    """Pieces of news that took no message of their own."""
    spared_by_flapping: int = 0
    """Recoveries and openings that were told to nobody."""

    @property
    def any(self) -> bool:
        """Whether anything is."""
        return bool(self.silenced or self.acknowledged or self.grouped or self.flapping)


NOTHING_MUTED = MutedCounts()


@dataclass(frozen=True, slots=True, kw_only=True)
class SpikeFacts:
    """Use far above what is usual: `messages` between two readings that make `expected` likely."""

    messages: int
    expected: float
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Flapping:
    """It opens or worsens again and again: it is told as recovered only once it has stayed well for a while."""

    times: int
    """How often it has opened, or worsened to one severity, within 24 hours, this time included."""
    hours: float
    """How long it has to stay well."""
    calm_since: datetime | None = None
    """Since when it has been past its limits; None = it isn't."""
    relapses: int = 0
    """How often it fell back since it opened, without a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFacts:
    """All that any message about one alert may say."""

    alert_id: str
    kind: AlertKind
    wallet: WalletName
    category: Category | None
    severity: Severity
    reason: Reason | None
    """None: nothing is told, a living message is only edited."""
    at: datetime
    opened_at: datetime
    reading: Reading = Absent.UNREAD
    observed_at: datetime | None = None
    crossed: Crossed | None = None
    short_of: tuple[tuple[LimitColumn, float], ...] = ()
    """It is above its limits again, all but the recovery margin: what has to be reached, in messages or days."""
    burn_per_day: float | None = None
    runway: Runway | None = None
    depletes_at: datetime | None = None
    recent: tuple[int | None, ...] = ()
    """The balance over the last days, oldest first, evenly spaced; for a sparkline. None = not read then."""
    note: str = ""
    """Who acts and what to do, from the threshold row."""
    advice: OrderAdvice | None = None
    planned: tuple[PlannedUse, ...] = ()
    """Sends to come that were announced, the next first."""
    detail: str = ""
    """The cause in words for the wallet kinds (an error's message); '' otherwise."""
    surge: SpikeFacts | None = None
    """BURN_SPIKE: what was seen."""
    members: tuple[str, ...] = ()
    """The wallets that share an account's alert; empty for an alert of one wallet."""
    previous: Severity | None = None
    """WORSENED, RECOVERED: the peak it had before."""
    closed_at: datetime | None = None
    cause: Cause | None = None
    acknowledged_by: str = ""
    acknowledged_note: str = ""
    expects_by: datetime | None = None
    """Acknowledged with "top-up ordered": when it is expected."""
    broken: ExpectedTopUp | None = None
    """REMINDER: the ordered top-up that should have come by now."""
    silenced_until: datetime | None = None
    flapping: Flapping | None = None
    opened_unheard: bool = False
    """RECOVERED whose opening never reached this destination: both are told in one message."""

    @property
    def is_held(self) -> bool:
        """Whether nothing is wrong any more, and only the recovery margin keeps it open; `crossed` is what was."""
        return self.closed_at is None and bool(self.short_of)

    @property
    def says_why(self) -> bool:
        """Whether it names why it is open: not once it is over."""
        return self.closed_at is None and bool(self.crossed or self.surge or self.detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFacts:
    """Many openings for one destination, told as one message. `new`: the alert ids a reply speaks of."""

    group_id: str
    at: datetime
    members: tuple[AlertFacts, ...]
    new: tuple[str, ...] = ()


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
class DigestFacts:
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
    open_alerts: tuple[AlertFacts, ...] = ()
    recovered: tuple[AlertFacts, ...] = ()
    silences: tuple[tuple[str, datetime, str], ...] = ()
    """(pattern, until, reason) of those that end soon."""
    planned: tuple[tuple[WalletName, Category, PlannedUse], ...] = ()
    """Sends that were announced for the coming days, the next first."""
    muted: MutedCounts = NOTHING_MUTED
    """What of the open alerts isn't told, or not by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestFacts:
    """A message that a person asked for, to see that the channel works."""

    __test__ = False
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFailureFacts:
    """A channel refuses for good: told through the other channel."""

    at: datetime
    channel: str
    destination: str
    message: str


Facts: TypeAlias = AlertFacts | GroupFacts | DigestFacts | TestFacts | ChannelFailureFacts


class Action(StrEnum):
    """What a delivery does at its destination."""

    POST = "post"
    """A new message: the living one of its alert, group or digest."""
    REPLY = "reply"
    """News in the thread of a message that stands."""
    EDIT = "edit"
    """The living message takes the look of these facts. Idempotent; Slack with a bot token only."""


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
    facts: Facts
    thread: MessageRef | None = None
    """The living message; None for POST."""
    broadcast: bool = False
    created_at: datetime
    attempt: int = 1
    may_stand_twice: bool = field(default=False)
    """An earlier attempt is in doubt and could not be looked for: the message carries the alert's id and the log says so."""


_BY_WEIGHT = (Reason.RECOVERED, Reason.OPENED, Reason.WORSENED, Reason.REMINDER)


def most_urgent(reasons: Sequence[Reason | None]) -> Reason | None:
    """Return the reason for which news that waited together is told: the end before the start before the rest."""
    return next((reason for reason in _BY_WEIGHT if reason in reasons), None)


def merged(facts: Sequence[AlertFacts], *, told: bool) -> AlertFacts:
    """Return the news of one alert, oldest first, as one message with the latest figures.

    An opening that worsened is an opening; what worsened twice did so from where it stood first; a recovery ends
    everything. `told` says whether this destination has heard of the alert: if not, a recovery tells of the opening too.
    """
    reason = most_urgent([each.reason for each in facts])
    of_that_reason = [each for each in facts if each.reason is reason]
    spoken = of_that_reason[-1 if reason is Reason.RECOVERED else 0]
    return replace(
        facts[-1],
        reason=reason,
        previous=spoken.previous,
        broken=spoken.broken,
        opened_unheard=reason is Reason.RECOVERED and not told,
    )


def with_members(group: GroupFacts, news: Sequence[AlertFacts], at: datetime) -> GroupFacts:
    """Return the group as it stands after `news`, oldest first: each member as it was last, new ones at the end."""
    members = {member.alert_id: member for member in group.members}
    members |= {facts.alert_id: facts for facts in news}
    return replace(group, at=at, members=tuple(members.values()), new=())

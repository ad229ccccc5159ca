"""The states and retries of a delivery, and the plan of what is sent next to a destination."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from balancebot.domain.alert import Reason
from balancebot.domain.message import Action, MessageRef

GIVE_UP_AFTER = timedelta(hours=24)
"""How long a delivery is tried, from its first attempt."""
GIVE_UP_ATTEMPTS = 50
"""The least number of attempts, so that a bot that was off for a day or a clock that jumped gives up nothing."""

_FIRST_DELAYS = (1, 2, 4, 8)
_DELAYS = (
    # (age of the first attempt, delay until the next); an attempt itself takes up to 10 s, and in the first minutes
    # attempts must not be more than 30 s apart
    (timedelta(minutes=10), timedelta(seconds=15)),
    (timedelta(hours=1), timedelta(minutes=1)),
)
_SLOWEST = timedelta(minutes=5)
_REPEATED_AFTER = (timedelta(seconds=25), timedelta(minutes=5), timedelta(minutes=15))
_REPEATED_SLOWEST = timedelta(hours=1)
MAX_QUICK_REPEATS = 2
"""How often a message that may have arrived, and can't be searched for, is repeated before this is reported."""

CLOCK_JUMP = timedelta(minutes=1)
"""A stored instant that is further in the future than this was written before the clock was set back."""

_VERIFICATIONS = (timedelta(minutes=1), timedelta(minutes=10))
"""How long after it settled a delivery that had been in doubt is searched for again, to delete duplicates."""


class DeliveryState(StrEnum):
    """The state of one delivery. The last three are settled."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    GAVE_UP = "gave_up"
    SUPERSEDED = "superseded"
    """Another delivery carries its content, or the content is no longer true."""


class Outcome(StrEnum):
    """The result of one attempt, if it wasn't a failure of the channel."""

    DELIVERED = "delivered"
    FOUND = "found"
    """It was in doubt, and the channel has the message."""
    NOT_FOUND = "not_found"
    """It was in doubt, and the channel doesn't have the message."""
    TAKEN_OVER = "taken_over"
    """The process that was sending it is dead or frozen: from now on it is in doubt."""


def retry_delay(attempts: int, age: timedelta) -> timedelta:
    """Return how long to wait after the `attempts`-th failure, `age` after the first attempt."""
    if attempts <= len(_FIRST_DELAYS):
        return timedelta(seconds=_FIRST_DELAYS[attempts - 1])
    return next((delay for limit, delay in _DELAYS if age < limit), _SLOWEST)


def repeat_delay(doubts: int) -> timedelta:
    """Return how long to wait before repeating a message that may have arrived at each of `doubts` (2 or more) attempts.

    The first repeat comes as after any failure. Later ones are rare, because each may be a duplicate for the readers.
    """
    number = doubts - MAX_QUICK_REPEATS
    return _REPEATED_AFTER[number] if number < len(_REPEATED_AFTER) else _REPEATED_SLOWEST


def is_hopeless(attempts: int, age: timedelta) -> bool:
    """Return whether a delivery that failed `attempts` times in `age` is given up."""
    return attempts >= GIVE_UP_ATTEMPTS and age >= GIVE_UP_AFTER


def is_due(next_attempt_at: datetime, last_touched_at: datetime, now: datetime) -> bool:
    """Return whether a delivery may be tried; it doesn't have to wait because the clock was set back."""
    return next_attempt_at <= now or last_touched_at > now + CLOCK_JUMP


def next_verification(settled_at: datetime, now: datetime) -> datetime | None:
    """Return when a delivery that had been in doubt is searched for next; None if that was done often enough."""
    return next((settled_at + after for after in _VERIFICATIONS if settled_at + after > now), None)


def duplicates(found: Sequence[MessageRef], kept_ref: str | None) -> Sequence[MessageRef]:
    """Return the duplicates among the messages `found` for one delivery, oldest first.

    `kept_ref` is the ref of the message to keep; if it isn't among `found`, the oldest is kept. None: another delivery
    carries the content, so none is kept.
    """
    if kept_ref is None or not found:
        return found
    refs = [ref.message_id for ref in found]
    kept = refs.index(kept_ref) if kept_ref in refs else 0
    return [ref for position, ref in enumerate(found) if position != kept]


GROUP_STAYS_OPEN = timedelta(minutes=1)
"""How long after a group was formed new openings still join it."""


_Message: TypeAlias = tuple[str | None, int | str | None]
"""A living message: of a group (its id, None), of an alert (None, its id), of a lone delivery (None, its id)."""


class DeliveryMethod(StrEnum):
    """The kinds of request that a destination limits separately."""

    SEND = "send"
    EDIT = "edit"
    FIND = "find"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedDelivery:
    """One unsettled delivery. It belongs to an alert, to a group, or to neither."""

    id: str
    order: int
    """The position in the order in which deliveries were decided."""
    action: Action
    alert_id: int | None = None
    group_id: str | None = None
    reason: Reason | None = None
    broadcast: bool = False
    together: bool = False
    """It is combined with the other deliveries that have this flag, even if there are only two."""
    in_doubt: bool = False
    rate_limited: bool = False
    next_attempt_at: datetime
    touched_at: datetime
    """When it was last tried, or, if it never was, decided."""

    @property
    def method(self) -> DeliveryMethod:
        """The request that is made for it next, if it isn't combined with others."""
        return DeliveryMethod.FIND if self.in_doubt else _method(self.action)

    def is_due(self, now: datetime) -> bool:
        """Return whether it may be tried."""
        return is_due(self.next_attempt_at, self.touched_at, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePlace:
    """What is known about the living message of one alert at this destination, or of one group."""

    exists: bool
    """Whether there is a message to edit and to reply to."""
    notified: bool
    """Whether the destination ever got a message about it."""
    group_id: str | None = None
    """The group whose message contains the alert."""


_WORSE = frozenset({Reason.OPENED, Reason.WORSENED})
_NOWHERE = MessagePlace(exists=False, notified=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedMessage:
    """One message to send: `carrier` is sent for all deliveries in `carries` (including itself), oldest first."""

    carrier: QueuedDelivery
    carries: tuple[QueuedDelivery, ...]
    action: Action
    group_id: str | None
    """The group whose living message it posts, replies to or edits."""
    notified: bool
    """Whether the destination got a message about the alert (or the group) before."""

    @property
    def method(self) -> DeliveryMethod:
        """The kind of request to make."""
        return _method(self.action)

    def is_due(self, now: datetime) -> bool:
        """Return whether any delivery that it carries may be tried: a new one doesn't wait for one that failed before."""
        return any(item.is_due(now) for item in self.carries)


Step: TypeAlias = PlannedMessage | QueuedDelivery
"""What is tried: sending a message, or searching for one that is in doubt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePlan:
    """What can be done for one destination; each field is in the order in which to try it."""

    searches: tuple[QueuedDelivery, ...]
    """Deliveries in doubt, to be searched for."""
    sends: tuple[PlannedMessage, ...]
    obsolete: tuple[QueuedDelivery, ...]
    """Edits of a message that doesn't exist and isn't about to be sent."""
    paused: frozenset[DeliveryMethod]
    """What the destination's rate limit forbids for now."""

    def ready(self, now: datetime) -> tuple[Step, ...]:
        """Return what may be tried now, in the order in which to try it."""
        steps: tuple[Step, ...] = (*self.searches, *self.sends)
        return tuple(step for step in steps if step.method not in self.paused and step.is_due(now))


def plan_queue(
    waiting: Sequence[QueuedDelivery],
    places: Mapping[int, MessagePlace],
    groups: Mapping[str, MessagePlace],
    *,
    now: datetime,
) -> QueuePlan:
    """Decide what to do with the deliveries in `waiting`, given the messages of each alert and each group."""
    ordered = sorted(waiting, key=lambda item: (item.order, item.action is Action.EDIT))
    living = {item.group_id for item in ordered if item.group_id and item.action is not Action.EDIT}
    living |= {group_id for group_id, place in groups.items() if place.exists}
    messages: dict[_Message, list[QueuedDelivery]] = {}
    for item in ordered:
        messages.setdefault(_message_of(item, places, living), []).append(item)

    searches: list[QueuedDelivery] = []
    sends: list[list[PlannedMessage]] = []
    obsolete: list[QueuedDelivery] = []
    for (group_id, alert), items in messages.items():
        place = groups[group_id] if group_id is not None else _place_of(alert, places)
        of_message: list[PlannedMessage] = []
        for part in _parts(items, group_id, place, places):
            in_doubt = next((item for item in part if item.in_doubt), None)
            new = [item for item in part if item.action is not Action.EDIT]
            if in_doubt is not None:
                searches.append(in_doubt)
            elif new:
                carrier = ([item for item in new if item.group_id == group_id] or new)[-1]
                action = Action.REPLY if place.exists else Action.POST
                of_message.append(_send(carrier, part, action, group_id, place))
            elif place.exists:
                of_message.append(_send(part[-1], part, Action.EDIT, group_id, place))
            else:
                obsolete += part
        if of_message:
            sends.append(sorted(of_message, key=_edits_first))
    return QueuePlan(
        searches=tuple(searches),
        sends=tuple(send for of_message in sorted(sends, key=_urgency) for send in of_message),
        obsolete=tuple(obsolete),
        paused=frozenset(item.method for item in ordered if item.rate_limited and not item.is_due(now)),
    )


def to_gather(
    sends: Sequence[PlannedMessage], *, open_group: str | None, group_over: int, has_threads: bool
) -> tuple[PlannedMessage, ...]:
    """Return the messages to combine into a group: all openings while a group is open, or if there are too many.

    In a channel without threads, later messages of alerts are separate messages like openings, and count as such.
    Openings that waited for the same end of quiet hours are combined if there are at least two.
    """
    alone = [
        send
        for send in sends
        if send.action is Action.POST and send.group_id is None and send.carrier.alert_id is not None
    ]
    firsts = tuple(send for send in alone if not send.notified)
    if not has_threads and len(alone) > group_over:
        return tuple(alone)
    if open_group is not None or len(firsts) > group_over:
        return firsts
    together = tuple(send for send in firsts if any(delivery.together for delivery in send.carries))
    return together if len(together) > 1 else ()


def _method(action: Action) -> DeliveryMethod:
    return DeliveryMethod.EDIT if action is Action.EDIT else DeliveryMethod.SEND


def _message_of(item: QueuedDelivery, places: Mapping[int, MessagePlace], living: set[str]) -> _Message:
    """Return the living message that a delivery posts or belongs to. An alert leaves a group whose message is gone."""
    if item.group_id is not None:
        return item.group_id, None
    if item.alert_id is None:
        return None, item.id
    group_id = places[item.alert_id].group_id
    return (group_id, None) if group_id is not None and group_id in living else (None, item.alert_id)


def _place_of(alert: int | str | None, places: Mapping[int, MessagePlace]) -> MessagePlace:
    """Return the place of an alert's own message; a delivery without an alert has none before it is sent."""
    return places[alert] if isinstance(alert, int) else _NOWHERE


def _send(
    carrier: QueuedDelivery,
    carries: Sequence[QueuedDelivery],
    action: Action,
    group_id: str | None,
    place: MessagePlace,
) -> PlannedMessage:
    return PlannedMessage(
        carrier=carrier, carries=tuple(carries), action=action, group_id=group_id, notified=place.notified
    )


def _parts(
    items: list[QueuedDelivery], group_id: str | None, place: MessagePlace, places: Mapping[int, MessagePlace]
) -> Iterator[list[QueuedDelivery]]:
    """Yield what is sent together: everything if the message doesn't exist yet; otherwise the replies per alert, and edits.

    Replies about a member that the destination doesn't know yet go with the group's own, which introduces it.
    """
    if not place.exists:
        yield items
        return
    introduces = group_id is not None and any(
        item.group_id == group_id and item.action is not Action.EDIT for item in items
    )
    replies: dict[int | None, list[QueuedDelivery]] = {}
    for item in items:
        if item.action is not Action.EDIT:
            is_introduced = introduces and item.alert_id is not None and not places[item.alert_id].notified
            replies.setdefault(None if is_introduced else item.alert_id, []).append(item)
    yield from replies.values()
    edits = [item for item in items if item.action is Action.EDIT]
    if edits:
        yield edits


def _edits_first(send: PlannedMessage) -> tuple[bool, datetime, int]:
    """Sort the edit of a message before the replies to it: the edit shows whether somebody has deleted the message."""
    return send.action is not Action.EDIT, *_age(send)


def _urgency(sends: Sequence[PlannedMessage]) -> tuple[int, datetime, int]:
    """Sort openings and worsenings first, then other messages, then edits; within each the oldest first."""
    sent = [send for send in sends if send.action is not Action.EDIT]
    reasons = {item.reason for send in sent for item in send.carries}
    rank = 0 if reasons & _WORSE else 1 if sent else 2
    return rank, *min(_age(send) for send in sent or sends)


def _age(send: PlannedMessage) -> tuple[datetime, int]:
    return min(item.next_attempt_at for item in send.carries), send.carries[0].order

"""How a delivery lives, and what a destination is sent next of all that waits for it."""

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
"""How often it is tried at the least: a bot that was off for a day, or a clock that jumped, gives up nothing."""

_FIRST_DELAYS = (1, 2, 4, 8)
_DELAYS = (
    # while the first attempt is younger than this, it is tried again after so long; an attempt itself lasts up
    # to 10 s, and two of them shall be no more than 30 s apart in the first minutes
    (timedelta(minutes=10), timedelta(seconds=15)),
    (timedelta(hours=1), timedelta(minutes=1)),
)
_SLOWEST = timedelta(minutes=5)

CLOCK_JUMP = timedelta(minutes=1)
"""An instant of our own that lies further ahead than this was written before the clock was set back."""

_VERIFICATIONS = (timedelta(minutes=1), timedelta(minutes=10))
"""How long after it settled a delivery that had been in doubt is looked for again, to delete what stands twice."""


class DeliveryState(StrEnum):
    """Where one delivery stands. The last three are settled."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    GAVE_UP = "gave_up"
    SUPERSEDED = "superseded"
    """Another delivery carries what this one would have told, or it isn't true any more."""


class Outcome(StrEnum):
    """What came of one attempt, where it wasn't a failure of the channel."""

    DELIVERED = "delivered"
    FOUND = "found"
    """It was in doubt, and it stands."""
    NOT_FOUND = "not_found"
    """It was in doubt, and it doesn't stand."""
    TAKEN_OVER = "taken_over"
    """The process that was sending it is dead or frozen: in doubt from here on."""


def retry_delay(attempts: int, age: timedelta) -> timedelta:
    """Return how long to wait after the `attempts`-th failure, `age` after the first attempt."""
    if attempts <= len(_FIRST_DELAYS):
        return timedelta(seconds=_FIRST_DELAYS[attempts - 1])
    return next((delay for limit, delay in _DELAYS if age < limit), _SLOWEST)


def is_hopeless(attempts: int, age: timedelta) -> bool:
    """Return whether a delivery that failed `attempts` times in `age` is given up."""
    return attempts >= GIVE_UP_ATTEMPTS and age >= GIVE_UP_AFTER


def is_due(next_attempt_at: datetime, last_touched_at: datetime, now: datetime) -> bool:
    """Return whether a delivery may be tried; a clock that was set back doesn't make it wait."""
    return next_attempt_at <= now or last_touched_at > now + CLOCK_JUMP


def next_verification(settled_at: datetime, now: datetime) -> datetime | None:
    """Return when a delivery that had been in doubt is looked for next; None when it was often enough."""
    return next((settled_at + after for after in _VERIFICATIONS if settled_at + after > now), None)


def duplicates(found: Sequence[MessageRef], stands_at: str | None) -> Sequence[MessageRef]:
    """Return what stands twice of the messages `found` for one delivery, oldest first.

    `stands_at` is the ref of the one that is kept; the oldest is where that one is gone. None: another delivery
    carries the news, so none is kept.
    """
    if stands_at is None or not found:
        return found
    refs = [ref.message_id for ref in found]
    kept = refs.index(stands_at) if stands_at in refs else 0
    return [ref for position, ref in enumerate(found) if position != kept]


GROUP_STAYS_OPEN = timedelta(minutes=1)
"""How long after a group was formed what opens joins it."""


_Message: TypeAlias = tuple[str | None, int | str | None]
"""A living message: of a group (its id, None), of an alert (None, its id), of a lone delivery (None, its id)."""


class DeliveryMethod(StrEnum):
    """What a destination can ask us to spare it for a while, one without the others."""

    NEWS = "news"
    EDIT = "edit"
    LOOK = "look"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedDelivery:
    """One unsettled delivery. It belongs to an alert, or is a group's own, or (neither) stands for itself."""

    id: str
    order: int
    """The order in which things were decided."""
    action: Action
    alert_id: int | None = None
    group_id: str | None = None
    reason: Reason | None = None
    broadcast: bool = False
    together: bool = False
    """It becomes one message with others of this kind, however few."""
    in_doubt: bool = False
    rate_limited: bool = False
    next_attempt_at: datetime
    touched_at: datetime
    """When it was last tried, or else decided."""

    @property
    def method(self) -> DeliveryMethod:
        """What is tried with it next, left to itself."""
        return DeliveryMethod.LOOK if self.in_doubt else _method(self.action)

    def is_due(self, now: datetime) -> bool:
        """Return whether it may be tried."""
        return is_due(self.next_attempt_at, self.touched_at, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePlace:
    """What is known of the living message of one alert at this destination, or of one group."""

    stands: bool
    """Whether there is a message to edit and to answer."""
    told: bool
    """Whether the destination has ever heard of it."""
    group_id: str | None = None
    """The group in whose message the alert is told."""


_WORSE = frozenset({Reason.OPENED, Reason.WORSENED})
_NOWHERE = MessagePlace(stands=False, told=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedMessage:
    """One message to send: `carrier` is sent for all that it `carries` (itself among them), oldest first."""

    carrier: QueuedDelivery
    carries: tuple[QueuedDelivery, ...]
    action: Action
    group_id: str | None
    """The group whose living message it makes, answers or edits."""
    told: bool
    """Whether the destination has heard of the alert (or the group) before."""

    @property
    def method(self) -> DeliveryMethod:
        """What the destination must not have asked us to spare."""
        return _method(self.action)

    def is_due(self, now: datetime) -> bool:
        """Return whether any of what it carries may be tried: news doesn't wait for what failed before it."""
        return any(item.is_due(now) for item in self.carries)


Step: TypeAlias = PlannedMessage | QueuedDelivery
"""What is tried: a message is sent, or one that is in doubt is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePlan:
    """What can be done for one destination, each in the order in which it is to be tried."""

    looks: tuple[QueuedDelivery, ...]
    """In doubt: to be looked for."""
    sends: tuple[PlannedMessage, ...]
    obsolete: tuple[QueuedDelivery, ...]
    """Edits of a message that doesn't stand and isn't on its way."""
    paused: frozenset[DeliveryMethod]
    """What the destination has asked us to spare it for now."""

    def ready(self, now: datetime) -> tuple[Step, ...]:
        """Return what may be tried now, in the order in which it is to be."""
        steps: tuple[Step, ...] = (*self.looks, *self.sends)
        return tuple(step for step in steps if step.method not in self.paused and step.is_due(now))


def plan_queue(
    waiting: Sequence[QueuedDelivery],
    places: Mapping[int, MessagePlace],
    groups: Mapping[str, MessagePlace],
    *,
    now: datetime,
) -> QueuePlan:
    """Decide what becomes of `waiting`, given where each alert's and each group's message stands."""
    ordered = sorted(waiting, key=lambda item: (item.order, item.action is Action.EDIT))
    living = {item.group_id for item in ordered if item.group_id and item.action is not Action.EDIT}
    living |= {group_id for group_id, place in groups.items() if place.stands}
    messages: dict[_Message, list[QueuedDelivery]] = {}
    for item in ordered:
        messages.setdefault(_message_of(item, places, living), []).append(item)

    looks: list[QueuedDelivery] = []
    sends: list[list[PlannedMessage]] = []
    obsolete: list[QueuedDelivery] = []
    for (group_id, alert), items in messages.items():
        place = groups[group_id] if group_id is not None else _place_of(alert, places)
        stands = place.stands
        of_message: list[PlannedMessage] = []
        for part in _parts(items, group_id, place, places):
            doubted = next((item for item in part if item.in_doubt), None)
            news = [item for item in part if item.action is not Action.EDIT]
            if doubted is not None:
                looks.append(doubted)
            elif news:
                carrier = ([item for item in news if item.group_id == group_id] or news)[-1]
                action = Action.REPLY if stands else Action.POST
                of_message.append(_send(carrier, part, action, group_id, place))
            elif stands:
                of_message.append(_send(part[-1], part, Action.EDIT, group_id, place))
            else:
                obsolete += part
        if of_message:
            sends.append(sorted(of_message, key=_turn))
    return QueuePlan(
        looks=tuple(looks),
        sends=tuple(send for of_message in sorted(sends, key=_urgency) for send in of_message),
        obsolete=tuple(obsolete),
        paused=frozenset(item.method for item in ordered if item.rate_limited and not item.is_due(now)),
    )


def to_gather(
    sends: Sequence[PlannedMessage], *, open_group: str | None, group_over: int, has_threads: bool
) -> tuple[PlannedMessage, ...]:
    """Return the messages that become one of a group: openings when a group is open, or what is too many.

    Where nothing can be answered, later messages of alerts stand alone like openings, and count like these. Openings
    that waited for the same end of quiet hours become one as soon as there are two.
    """
    alone = [
        send
        for send in sends
        if send.action is Action.POST and send.group_id is None and send.carrier.alert_id is not None
    ]
    firsts = tuple(send for send in alone if not send.told)
    if not has_threads and len(alone) > group_over:
        return tuple(alone)
    if open_group is not None or len(firsts) > group_over:
        return firsts
    together = tuple(send for send in firsts if any(delivery.together for delivery in send.carries))
    return together if len(together) > 1 else ()


def _method(action: Action) -> DeliveryMethod:
    return DeliveryMethod.EDIT if action is Action.EDIT else DeliveryMethod.NEWS


def _message_of(item: QueuedDelivery, places: Mapping[int, MessagePlace], living: set[str]) -> _Message:
    """Return which living message a delivery makes or belongs to; an alert leaves a group whose message is gone."""
    if item.group_id is not None:
        return item.group_id, None
    if item.alert_id is None:
        return None, item.id
    group_id = places[item.alert_id].group_id
    return (group_id, None) if group_id is not None and group_id in living else (None, item.alert_id)


def _place_of(alert: int | str | None, places: Mapping[int, MessagePlace]) -> MessagePlace:
    """Return where the message of an alert stands by itself; a lone delivery's never does before it is sent."""
    return places[alert] if isinstance(alert, int) else _NOWHERE


def _send(
    carrier: QueuedDelivery,
    carries: Sequence[QueuedDelivery],
    action: Action,
    group_id: str | None,
    place: MessagePlace,
) -> PlannedMessage:
    return PlannedMessage(
        carrier=carrier, carries=tuple(carries), action=action, group_id=group_id, told=place.told
    )


def _parts(
    items: list[QueuedDelivery], group_id: str | None, place: MessagePlace, places: Mapping[int, MessagePlace]
) -> Iterator[list[QueuedDelivery]]:
    """Yield what is sent together: all of it while the message doesn't stand; else the news of each alert, and the edits.

    News of a member that the group has yet to introduce goes with the group's own.
    """
    if not place.stands:
        yield items
        return
    introduces = group_id is not None and any(
        item.group_id == group_id and item.action is not Action.EDIT for item in items
    )
    news: dict[int | None, list[QueuedDelivery]] = {}
    for item in items:
        if item.action is not Action.EDIT:
            waits_for_group = introduces and item.alert_id is not None and not places[item.alert_id].told
            news.setdefault(None if waits_for_group else item.alert_id, []).append(item)
    yield from news.values()
    edits = [item for item in items if item.action is Action.EDIT]
    if edits:
        yield edits


def _turn(send: PlannedMessage) -> tuple[bool, datetime, int]:
    """The look of a message before the answers to it: it finds out whether somebody has deleted the message."""
    return send.action is not Action.EDIT, *_age(send)


def _urgency(sends: Sequence[PlannedMessage]) -> tuple[int, datetime, int]:
    """What is worse goes first: openings and worsenings, then whatever else is sent, then edits; the oldest of each."""
    sent = [send for send in sends if send.action is not Action.EDIT]
    reasons = {item.reason for send in sent for item in send.carries}
    rank = 0 if reasons & _WORSE else 1 if sent else 2
    return rank, *min(_age(send) for send in sent or sends)


def _age(send: PlannedMessage) -> tuple[datetime, int]:
    return min(item.next_attempt_at for item in send.carries), send.carries[0].order

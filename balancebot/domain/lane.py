"""What one destination is sent next: of all that waits for it, what is told together, looked for first, or moot.

A *lane* is everything on its way to one destination. Of one living message (an alert's, or a group's) the news keeps
its order; what is in doubt is looked for before anything else of that alert moves. A message that stands gets its new
look before it is answered: if somebody has deleted it, the look finds out, and the news becomes a message of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from balancebot.domain.alert import Reason
from balancebot.domain.delivery import is_due
from balancebot.domain.notification import Action, Channel

GROUP_STAYS_OPEN = timedelta(minutes=1)
"""How long after a group was formed what opens joins it."""


_Message: TypeAlias = tuple[str | None, int | str | None]
"""A living message: of a group (its id, None), of an alert (None, its id), of a lone delivery (None, its id)."""


class Lane(NamedTuple):
    """A destination of a channel, with all that is on its way there."""

    channel: Channel
    destination: str


class Method(StrEnum):
    """What a destination can ask us to spare it for a while, one without the others."""

    NEWS = "news"
    EDIT = "edit"
    LOOK = "look"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One unsettled delivery. It belongs to an alert, or is a group's own, or (neither) stands for itself."""

    id: str
    order: int
    """The order in which things were decided."""
    action: Action
    alert_id: int | None = None
    group_id: str | None = None
    reason: Reason | None = None
    broadcast: bool = False
    in_doubt: bool = False
    rate_limited: bool = False
    next_attempt_at: datetime
    touched_at: datetime
    """When it was last tried, or else decided."""

    @property
    def method(self) -> Method:
        """What is tried with it next, left to itself."""
        return Method.LOOK if self.in_doubt else _method(self.action)

    def is_due(self, now: datetime) -> bool:
        """Return whether it may be tried."""
        return is_due(self.next_attempt_at, self.touched_at, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What is known of the living message of one alert at this destination, or of one group."""

    stands: bool
    """Whether there is a message to edit and to answer."""
    told: bool
    """Whether the destination has ever heard of it."""
    group_id: str | None = None
    """The group in whose message the alert is told."""


_NOWHERE = Place(stands=False, told=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """One message to send: `carrier` is sent for all that it `carries` (itself among them), oldest first."""

    carrier: Waiting
    carries: tuple[Waiting, ...]
    action: Action
    group_id: str | None
    """The group whose living message it makes, answers or edits."""
    told: bool
    """Whether the destination has heard of the alert (or the group) before."""

    @property
    def method(self) -> Method:
        """What the destination must not have asked us to spare."""
        return _method(self.action)

    def is_due(self, now: datetime) -> bool:
        """Return whether any of what it carries may be tried: news doesn't wait for what failed before it."""
        return any(each.is_due(now) for each in self.carries)


Step: TypeAlias = Send | Waiting
"""What is tried: a message is sent, or one that is in doubt is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What can be done in a lane, each in the order in which it is to be tried."""

    looks: tuple[Waiting, ...]
    """In doubt: to be looked for."""
    sends: tuple[Send, ...]
    moot: tuple[Waiting, ...]
    """Edits of a message that doesn't stand and isn't on its way."""
    held: frozenset[Method]
    """What the destination has asked us to spare it for now."""

    def ready(self, now: datetime) -> tuple[Step, ...]:
        """Return what may be tried now, in the order in which it is to be."""
        steps: tuple[Step, ...] = (*self.looks, *self.sends)
        return tuple(step for step in steps if step.method not in self.held and step.is_due(now))


def plan(
    waiting: Sequence[Waiting], places: Mapping[int, Place], groups: Mapping[str, Place], *, now: datetime
) -> Plan:
    """Decide what becomes of `waiting`, given where each alert's and each group's message stands."""
    ordered = sorted(waiting, key=lambda each: (each.order, each.action is Action.EDIT))
    living = {each.group_id for each in ordered if each.group_id and each.action is not Action.EDIT}
    living |= {group_id for group_id, place in groups.items() if place.stands}
    messages: dict[_Message, list[Waiting]] = {}
    for each in ordered:
        messages.setdefault(_message_of(each, places, living), []).append(each)

    looks: list[Waiting] = []
    sends: list[list[Send]] = []
    moot: list[Waiting] = []
    for (group_id, alert), items in messages.items():
        place = groups[group_id] if group_id is not None else _place_of(alert, places)
        stands = place.stands
        of_message: list[Send] = []
        for part in _parts(items, group_id, place, places):
            doubted = next((each for each in part if each.in_doubt), None)
            news = [each for each in part if each.action is not Action.EDIT]
            if doubted is not None:
                looks.append(doubted)
            elif news:
                carrier = ([each for each in news if each.group_id == group_id] or news)[-1]
                action = Action.REPLY if stands else Action.POST
                of_message.append(_send(carrier, part, action, group_id, place))
            elif stands:
                of_message.append(_send(part[-1], part, Action.EDIT, group_id, place))
            else:
                moot += part
        if of_message:
            sends.append(sorted(of_message, key=_turn))
    return Plan(
        looks=tuple(looks),
        sends=tuple(send for of_message in sorted(sends, key=_urgency) for send in of_message),
        moot=tuple(moot),
        held=frozenset(each.method for each in ordered if each.rate_limited and not each.is_due(now)),
    )


def to_gather(sends: Sequence[Send], *, open_group: str | None, group_over: int) -> tuple[Send, ...]:
    """Return the first messages of alerts that become one: all when a group is open, or when they are too many."""
    firsts = tuple(
        send
        for send in sends
        if send.action is Action.POST
        and send.group_id is None
        and send.carrier.alert_id is not None
        and not send.told
    )
    return firsts if open_group is not None or len(firsts) > group_over else ()


def _method(action: Action) -> Method:
    return Method.EDIT if action is Action.EDIT else Method.NEWS


def _message_of(each: Waiting, places: Mapping[int, Place], living: set[str]) -> _Message:
    """Return which living message a delivery makes or belongs to; an alert leaves a group whose message is gone."""
    if each.group_id is not None:
        return each.group_id, None
    if each.alert_id is None:
        return None, each.id
    group_id = places[each.alert_id].group_id
    return (group_id, None) if group_id is not None and group_id in living else (None, each.alert_id)


def _place_of(alert: int | str | None, places: Mapping[int, Place]) -> Place:
    """Return where the message of an alert stands by itself; a lone delivery's never does before it is sent."""
    return places[alert] if isinstance(alert, int) else _NOWHERE


def _send(
    carrier: Waiting, carries: Sequence[Waiting], action: Action, group_id: str | None, place: Place
) -> Send:
    return Send(carrier=carrier, carries=tuple(carries), action=action, group_id=group_id, told=place.told)


def _parts(
    items: list[Waiting], group_id: str | None, place: Place, places: Mapping[int, Place]
) -> Iterator[list[Waiting]]:
    """Yield what is sent together: all of it while the message doesn't stand; else the news of each alert, and the edits.

    News of a member that the group has yet to introduce goes with the group's own.
    """
    if not place.stands:
        yield items
        return
    introduces = group_id is not None and any(
        each.group_id == group_id and each.action is not Action.EDIT for each in items
    )
    news: dict[int | None, list[Waiting]] = {}
    for each in items:
        if each.action is not Action.EDIT:
            waits_for_group = introduces and each.alert_id is not None and not places[each.alert_id].told
            news.setdefault(None if waits_for_group else each.alert_id, []).append(each)
    yield from news.values()
    edits = [each for each in items if each.action is Action.EDIT]
    if edits:
        yield edits


def _turn(send: Send) -> tuple[bool, datetime, int]:
    """The look of a message before the answers to it: it finds out whether somebody has deleted the message."""
    return send.action is not Action.EDIT, *_age(send)


def _urgency(sends: Sequence[Send]) -> tuple[bool, datetime, int]:
    """Messages of which there is news before those that only look otherwise; then what has waited longest."""
    news = [send for send in sends if send.action is not Action.EDIT]
    return not news, *min(_age(send) for send in news or sends)


def _age(send: Send) -> tuple[datetime, int]:
    return min(each.next_attempt_at for each in send.carries), send.carries[0].order

"""Groups: many first messages for one destination, told as one living message that later ones join."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

from sqlalchemy import Connection, insert, select, update

from balancebot.domain.delivery import (
    CLOCK_JUMP,
    GROUP_STAYS_OPEN,
    PlannedMessage,
    QueuedDelivery,
)
from balancebot.domain.message import Action, GroupMessage, with_members
from balancebot.domain.routing import Destination
from balancebot.store import deliveries, living_messages, outbox
from balancebot.store.tables import groups


def load(conn: Connection, group_id: str) -> GroupMessage:
    """Return the group as its living message shows it, or will when it is next edited."""
    group = find(conn, group_id)
    if group is None:
        raise LookupError(f"there is no group {group_id}")
    return group


def find(conn: Connection, group_id: str) -> GroupMessage | None:
    """Return what `load` does; None if there is no group of this id."""
    group = conn.scalars(select(groups.c.message).where(groups.c.id == group_id)).one_or_none()
    if group is not None and not isinstance(group, GroupMessage):
        raise TypeError(f"group {group_id} holds a message of type {type(group).__name__}")
    return group


def save(conn: Connection, group: GroupMessage) -> None:
    """Keep what the group's living message is to show."""
    conn.execute(update(groups).where(groups.c.id == group.group_id).values(message=group))


def young(conn: Connection, destination: Destination, now: datetime) -> str | None:
    """Return the group that was formed at the destination so lately that openings may join it."""
    found: str | None = conn.execute(
        select(groups.c.id)
        .where(
            groups.c.channel == destination.channel,
            groups.c.destination == destination.address,
            groups.c.opened_at.between(now - GROUP_STAYS_OPEN, now + CLOCK_JUMP),
        )
        .order_by(groups.c.opened_at.desc())
        .limit(1)
    ).scalar()
    return found


def form(
    conn: Connection, destination: Destination, firsts: Sequence[PlannedMessage], *, now: datetime
) -> None:
    """Let one new message tell what `firsts` would have told."""
    members = deliveries.latest_messages(conn, _carried(firsts), delivered=False)
    group = GroupMessage(group_id=uuid4().hex, at=now, members=tuple(members))
    conn.execute(
        insert(groups).values(
            id=group.group_id,
            channel=destination.channel,
            destination=destination.address,
            opened_at=now,
            message=group,
        )
    )
    living_messages.start(conn, [(living_messages.group_subject(group.group_id), destination)])
    post = outbox.enqueue_group(conn, group=group, destination=destination, actions=[Action.POST], now=now)
    _hand_over(conn, destination, firsts, group_id=group.group_id, by=post, now=now)


def join(
    conn: Connection,
    destination: Destination,
    firsts: Sequence[PlannedMessage],
    *,
    group_id: str,
    post: QueuedDelivery | None,
    can_edit: bool,
    now: datetime,
) -> None:
    """Let the group's message tell `firsts` too: `post` while it waits itself, else an answer below it and an edit."""
    members = deliveries.latest_messages(conn, _carried(firsts), delivered=False)
    group = with_members(load(conn, group_id), members, now)
    save(conn, group)
    if post is not None:
        by = post.id
    else:
        reply = replace(group, new=tuple(member.alert_id for member in members))
        actions = [Action.REPLY, Action.EDIT] if can_edit else [Action.REPLY]
        by = outbox.enqueue_group(conn, group=reply, destination=destination, actions=actions, now=now)
    _hand_over(conn, destination, firsts, group_id=group_id, by=by, now=now)


def _hand_over(
    conn: Connection,
    destination: Destination,
    firsts: Sequence[PlannedMessage],
    *,
    group_id: str,
    by: str,
    now: datetime,
) -> None:
    carried = _carried(firsts)
    living_messages.join(
        conn, {each.alert_id for each in carried if each.alert_id is not None}, group_id, destination
    )
    deliveries.supersede(conn, carried, by=by, now=now)


def _carried(firsts: Sequence[PlannedMessage]) -> list[QueuedDelivery]:
    return [each for send in firsts for each in send.carries]

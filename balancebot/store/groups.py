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
from balancebot.domain.message import Action, GroupFacts, with_members
from balancebot.domain.routing import Destination
from balancebot.store import deliveries, living_messages, message_codec, outbox
from balancebot.store.tables import groups


def load(conn: Connection, group_id: str) -> GroupFacts:
    """Return the group as its living message shows it, or will when it is next edited."""
    facts = find(conn, group_id)
    if facts is None:
        raise LookupError(f"there is no group {group_id}")
    return facts


def find(conn: Connection, group_id: str) -> GroupFacts | None:
    """Return what `load` does; None if there is no group of this id."""
    encoded = conn.execute(select(groups.c.facts).where(groups.c.id == group_id)).scalar_one_or_none()
    if encoded is None:
        return None
    facts = message_codec.decode_facts(encoded)
    if not isinstance(facts, GroupFacts):
        raise TypeError(f"group {group_id} holds {type(facts).__name__}")
    return facts


def save(conn: Connection, facts: GroupFacts) -> None:
    """Keep what the group's living message is to show."""
    encoded = message_codec.encode_facts(facts)
    conn.execute(update(groups).where(groups.c.id == facts.group_id).values(facts=encoded))


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
    members = deliveries.latest_news(conn, _carried(firsts), heard=False)
    facts = GroupFacts(group_id=uuid4().hex, at=now, members=tuple(members))
    conn.execute(
        insert(groups).values(
            id=facts.group_id,
            channel=destination.channel,
            destination=destination.address,
            opened_at=now,
            facts=message_codec.encode_facts(facts),
        )
    )
    living_messages.start(conn, [(living_messages.group_subject(facts.group_id), destination)])
    post = outbox.enqueue_group(conn, facts=facts, destination=destination, actions=[Action.POST], now=now)
    _hand_over(conn, destination, firsts, group_id=facts.group_id, by=post, now=now)


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
    members = deliveries.latest_news(conn, _carried(firsts), heard=False)
    facts = with_members(load(conn, group_id), members, now)
    save(conn, facts)
    if post is not None:
        by = post.id
    else:
        news = replace(facts, new=tuple(member.alert_id for member in members))
        actions = [Action.REPLY, Action.EDIT] if can_edit else [Action.REPLY]
        by = outbox.enqueue_group(conn, facts=news, destination=destination, actions=actions, now=now)
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

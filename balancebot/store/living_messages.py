"""Living messages: one row per alert (or group) and destination, made at the first notification there."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, insert, select, update

from balancebot.domain.delivery import MessagePlace
from balancebot.domain.message import MessageRef
from balancebot.domain.routing import Destination
from balancebot.store.tables import threads
from balancebot.store.types import chunked


@dataclass(frozen=True, slots=True, kw_only=True)
class LivingMessage:
    """The living message of one subject at one destination; its ref is None as long as there is no message."""

    ref: MessageRef | None
    told_at: datetime | None
    group_id: str | None

    @property
    def place(self) -> MessagePlace:
        """What the planning of the queue needs to know about it."""
        return MessagePlace(
            exists=self.ref is not None, notified=self.told_at is not None, group_id=self.group_id
        )


NOWHERE = LivingMessage(ref=None, told_at=None, group_id=None)
ALERT = "alert:"
"""The prefix of an alert's id in its subject."""
_MAX_IDS = 200


def alert_subject(alert_id: int) -> str:
    """Return the subject under which the living message of an alert is stored."""
    return f"{ALERT}{alert_id}"


def group_subject(group_id: str) -> str:
    """Return the subject under which the living message of a group is stored."""
    return f"group:{group_id}"


def start(conn: Connection, notified: Sequence[tuple[str, Destination]]) -> None:
    """Record that each destination will be notified of its subject for the first time."""
    rows = [
        {"subject": subject, "channel": destination.channel, "destination": destination.address}
        for subject, destination in notified
    ]
    if rows:
        conn.execute(insert(threads), rows)


def destinations(conn: Connection, subjects: Collection[str]) -> dict[str, tuple[Destination, ...]]:
    """Return the destinations that were or will be notified of each subject, in a stable order."""
    found: dict[str, tuple[Destination, ...]] = dict.fromkeys(subjects, ())
    for some in chunked(subjects):
        rows = conn.execute(
            select(threads.c.subject, threads.c.channel, threads.c.destination)
            .where(threads.c.subject.in_(some))
            .order_by(threads.c.channel, threads.c.destination)
        )
        for row in rows:
            found[row.subject] += (Destination(row.channel, row.destination),)
    return found


def read(conn: Connection, subjects: Collection[str], destination: Destination) -> dict[str, LivingMessage]:
    """Return the living message of each of `subjects` at one destination; `NOWHERE` if there is none."""
    found = dict.fromkeys(subjects, NOWHERE)
    for row in conn.execute(select(threads).where(_at(destination), threads.c.subject.in_(list(subjects)))):
        ref = (
            MessageRef(channel_id=row.channel_id, message_id=row.ref, subject=row.title) if row.ref else None
        )
        found[row.subject] = LivingMessage(ref=ref, told_at=row.told_at, group_id=row.group_id)
    return found


def age(conn: Connection, subject: str, destination: Destination, now: datetime) -> timedelta:
    """Return how long ago the living message was sent."""
    return now - (read(conn, [subject], destination)[subject].told_at or now)


def record_ref(
    conn: Connection, subject: str, destination: Destination, ref: MessageRef, now: datetime
) -> None:
    """Record the ref of the living message. An empty ref means that it was delivered, but can't be replied to."""
    conn.execute(
        update(threads)
        .where(_at(destination), threads.c.subject == subject)
        .values(
            channel_id=ref.channel_id,
            ref=ref.message_id,
            title=ref.subject,
            told_at=func.coalesce(threads.c.told_at, now),
            group_id=None,
        )
    )


def channel_ids(conn: Connection, channel: str) -> dict[str, str]:
    """Return the channel ids of the latest living messages of `channel`, by address."""
    rows = conn.execute(
        select(threads.c.destination, threads.c.channel_id)
        .where(threads.c.channel == channel, threads.c.channel_id != "")
        .order_by(threads.c.told_at.desc())
        .limit(_MAX_IDS)
    ).all()
    return {row.destination: row.channel_id for row in reversed(rows)}


def mark_deleted(conn: Connection, subject: str, destination: Destination) -> None:
    """Record that the living message was deleted: the next message is a new post."""
    conn.execute(
        update(threads).where(_at(destination), threads.c.subject == subject).values(channel_id="", ref="")
    )


def join(conn: Connection, alert_ids: Collection[int], group_id: str, destination: Destination) -> None:
    """Record that the alerts are contained in the message of a group."""
    subjects = [alert_subject(alert_id) for alert_id in alert_ids]
    conn.execute(
        update(threads).where(_at(destination), threads.c.subject.in_(subjects)).values(group_id=group_id)
    )


def mark_reachable(
    conn: Connection, alert_ids: Collection[int], destination: Destination, now: datetime
) -> None:
    """Record that the destination was notified of the alerts, in a message of their group."""
    subjects = [alert_subject(alert_id) for alert_id in alert_ids]
    conn.execute(
        update(threads)
        .where(_at(destination), threads.c.subject.in_(subjects), threads.c.told_at.is_(None))
        .values(told_at=now)
    )


def groups_with_members() -> Select[tuple[str]]:
    """Return the groups whose messages contain alerts, as a subquery."""
    return select(threads.c.group_id).where(threads.c.group_id.is_not(None))


def withdraw(conn: Connection, subject: str, destination: Destination) -> None:
    """Record that a destination won't be notified of a subject after all."""
    conn.execute(delete(threads).where(_at(destination), threads.c.subject == subject))


def forget(conn: Connection, subjects: Collection[str]) -> None:
    """Delete the living messages of subjects about which nothing will be sent any longer."""
    conn.execute(delete(threads).where(threads.c.subject.in_(list(subjects))))


def _at(destination: Destination) -> ColumnElement[bool]:
    return and_(threads.c.channel == destination.channel, threads.c.destination == destination.address)

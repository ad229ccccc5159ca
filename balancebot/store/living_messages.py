"""Where living messages stand: one row per alert (or group) and destination, made when it is first told there."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, insert, select, update

from balancebot.domain.delivery import MessagePlace
from balancebot.domain.message import MessageRef
from balancebot.domain.routing import Destination
from balancebot.store.tables import threads
from balancebot.store.types import chunked


@dataclass(frozen=True, slots=True, kw_only=True)
class LivingMessage:
    """The living message of one subject at one destination; its ref is None while none stands."""

    ref: MessageRef | None
    told_at: datetime | None
    group_id: str | None

    @property
    def place(self) -> MessagePlace:
        """What the planner needs to know of it."""
        return MessagePlace(
            exists=self.ref is not None, notified=self.told_at is not None, group_id=self.group_id
        )


NOWHERE = LivingMessage(ref=None, told_at=None, group_id=None)
ALERT = "alert:"
"""Before an alert's id: its subject."""
_MAX_IDS = 200


def alert_subject(alert_id: int) -> str:
    """Return the name under which the thread of an alert is kept."""
    return f"{ALERT}{alert_id}"


def group_subject(group_id: str) -> str:
    """Return the name under which the thread of a group is kept."""
    return f"group:{group_id}"


def start(conn: Connection, told: Sequence[tuple[str, Destination]]) -> None:
    """Note that each destination is about to be told of its subject for the first time."""
    rows = [
        {"subject": subject, "channel": destination.channel, "destination": destination.address}
        for subject, destination in told
    ]
    if rows:
        conn.execute(insert(threads), rows)


def destinations(conn: Connection, subjects: Collection[str]) -> dict[str, tuple[Destination, ...]]:
    """Return every destination that was told of each subject or is about to be, in a stable order."""
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
    """Return the thread of each of `subjects` at one destination; `NOWHERE` where there is none."""
    found = dict.fromkeys(subjects, NOWHERE)
    for row in conn.execute(select(threads).where(_at(destination), threads.c.subject.in_(list(subjects)))):
        ref = (
            MessageRef(channel_id=row.channel_id, message_id=row.ref, subject=row.title) if row.ref else None
        )
        found[row.subject] = LivingMessage(ref=ref, told_at=row.told_at, group_id=row.group_id)
    return found


def record_ref(
    conn: Connection, subject: str, destination: Destination, ref: MessageRef, now: datetime
) -> None:
    """Note where the living message stands; a ref without a ref has been heard but can't be answered."""
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
    """Return the id of each address of `channel` in which a message of late stands, by the name it goes by."""
    rows = conn.execute(
        select(threads.c.destination, threads.c.channel_id)
        .where(threads.c.channel == channel, threads.c.channel_id != "")
        .order_by(threads.c.told_at.desc())
        .limit(_MAX_IDS)
    ).all()
    return {row.destination: row.channel_id for row in reversed(rows)}


def mark_deleted(conn: Connection, subject: str, destination: Destination) -> None:
    """Note that the living message was deleted: the next news is posted anew."""
    conn.execute(
        update(threads).where(_at(destination), threads.c.subject == subject).values(channel_id="", ref="")
    )


def join(conn: Connection, alert_ids: Collection[int], group_id: str, destination: Destination) -> None:
    """Note that the alerts are told in the message of a group."""
    subjects = [alert_subject(alert_id) for alert_id in alert_ids]
    conn.execute(
        update(threads).where(_at(destination), threads.c.subject.in_(subjects)).values(group_id=group_id)
    )


def mark_reachable(
    conn: Connection, alert_ids: Collection[int], destination: Destination, now: datetime
) -> None:
    """Note that the destination has heard of the alerts, in a message of their group."""
    subjects = [alert_subject(alert_id) for alert_id in alert_ids]
    conn.execute(
        update(threads)
        .where(_at(destination), threads.c.subject.in_(subjects), threads.c.told_at.is_(None))
        .values(told_at=now)
    )


def groups_with_members() -> Select[tuple[str]]:
    """Return the groups in whose message some alert is told, as a subquery."""
    return select(threads.c.group_id).where(threads.c.group_id.is_not(None))


def withdraw(conn: Connection, subject: str, destination: Destination) -> None:
    """Note that a destination isn't told of a subject after all."""
    conn.execute(delete(threads).where(_at(destination), threads.c.subject == subject))


def forget(conn: Connection, subjects: Collection[str]) -> None:
    """Forget where messages of subjects stand that will never be answered again."""
    conn.execute(delete(threads).where(threads.c.subject.in_(list(subjects))))


def _at(destination: Destination) -> ColumnElement[bool]:
    return and_(threads.c.channel == destination.channel, threads.c.destination == destination.address)

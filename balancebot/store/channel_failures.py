"""Permanent failures of channels: reported once per episode, and shown on pages and in commands while they last.

A failure concerns a whole channel (a revoked token), a destination (an archived channel), or one subject (a message that
is refused). The next delivery of the same scope that succeeds clears it.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, or_, select

from balancebot.domain.message import ChannelFailureMessage
from balancebot.domain.routing import Destination
from balancebot.domain.sentence import Sentence
from balancebot.ports import ChannelErrorKind
from balancebot.store.tables import facts
from balancebot.store.types import insert_into

_PREFIX = "trouble:"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFailure:
    """A present failure of a channel or destination."""

    channel: str
    destination: str
    message: Sentence
    since: datetime
    only_edits: bool = False
    """Messages arrive, but older ones can't be edited."""


def record(
    conn: Connection,
    destination: Destination,
    *,
    kind: ChannelErrorKind,
    subject: str,
    message: Sentence,
    now: datetime,
) -> bool:
    """Record a failed delivery about `subject`; False if the same failure is already recorded."""
    of_channel, of_destination, of_subject = _keys(destination, subject)
    match kind:
        case ChannelErrorKind.AUTH:
            key = of_channel
        case ChannelErrorKind.REJECTED:
            key = of_subject
        case _:
            key = of_destination
    return _record_once(conn, key, _document(destination, message), now)


def clear(conn: Connection, destination: Destination, *, subject: str) -> None:
    """Delete every failure that a successful delivery about `subject` disproves."""
    conn.execute(delete(facts).where(facts.c.key.in_(_keys(destination, subject))))


def record_uneditable(
    conn: Connection, destination: Destination, *, age: timedelta, message: Sentence, now: datetime
) -> bool:
    """Record that a message of this age can't be edited any longer; False if that is already recorded."""
    document = {**_document(destination, message), "age": age.total_seconds()}
    return _record_once(conn, _key_of_edits(destination), document, now)


def clear_uneditable(conn: Connection, destination: Destination, *, age: timedelta) -> None:
    """Delete the record that messages can't be edited if a message of this age was edited, and the other was no older."""
    key = _key_of_edits(destination)
    value = conn.execute(select(facts.c.value).where(facts.c.key == key)).scalar()
    if value is not None and age.total_seconds() >= json.loads(value)["age"]:
        conn.execute(delete(facts).where(facts.c.key == key))


def is_current(conn: Connection, message: ChannelFailureMessage) -> bool:
    """Return whether the failure that a message reports still lasts."""
    of_channel, of_destination, of_subjects = _keys(Destination(message.channel, message.destination), "")
    same = select(facts.c.key).where(
        facts.c.at == message.at,
        or_(
            facts.c.key.in_((of_channel, of_destination)),
            facts.c.key.startswith(of_subjects, autoescape=True),
        ),
    )
    return conn.execute(same).first() is not None


def current(conn: Connection) -> tuple[ChannelFailure, ...]:
    """Return all present failures, the oldest first."""
    found = conn.execute(
        select(facts.c.value, facts.c.at)
        .where(facts.c.key.startswith(_PREFIX, autoescape=True))
        .order_by(facts.c.at, facts.c.key)
    )
    return tuple(_failure(row.value, row.at) for row in found)


def _keys(destination: Destination, subject: str) -> tuple[str, str, str]:
    of_channel = f"{_PREFIX}{destination.channel}"
    return of_channel, f"{of_channel}:{destination.address}", f"{of_channel}:{destination.address}:{subject}"


def _key_of_edits(destination: Destination) -> str:
    return _keys(destination, "edits")[-1]


def _record_once(conn: Connection, key: str, document: dict[str, object], now: datetime) -> bool:
    statement = (
        insert_into(conn, facts)
        .values(key=key, value=json.dumps(document), at=now)
        .on_conflict_do_nothing(index_elements=["key"])
        .returning(facts.c.key)
    )
    return conn.execute(statement).first() is not None


def _document(destination: Destination, message: Sentence) -> dict[str, object]:
    return {"channel": destination.channel, "destination": destination.address, "message": message.stored()}


def _failure(value: str, since: datetime) -> ChannelFailure:
    document = json.loads(value)
    return ChannelFailure(
        channel=document["channel"],
        destination=document["destination"],
        message=Sentence.restored(document["message"]),
        since=since,
        only_edits="age" in document,
    )

"""The audit log: entries are only added; they are read newest first."""

from collections.abc import Collection, Iterable
from dataclasses import fields
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import Connection, func, insert, or_, select

from balancebot.domain.audit import Act, Actor, AuditEntry, Picture, Via
from balancebot.store.tables import audit
from balancebot.store.types import columns_of

_COLUMNS = columns_of(audit, AuditEntry)


Change: TypeAlias = tuple[Act, str, Picture | None, Picture | None]
"""(act, subject, value before, value after); None = it didn't exist."""


def record_change(
    conn: Connection,
    actor: Actor,
    act: Act,
    subject: str,
    *,
    before: Picture | None = None,
    after: Picture | None = None,
    now: datetime,
) -> None:
    """Store who made a change, with the values before and after, in the transaction of the change."""
    record_changes(conn, actor, [(act, subject, before, after)], now=now)


def record_changes(conn: Connection, actor: Actor, changes: Iterable[Change], *, now: datetime) -> None:
    """Store changes that were made together; the first entry gets the id of the request."""
    entries = [
        AuditEntry(
            at=now,
            actor=actor.name,
            via=actor.via,
            act=act,
            subject=subject,
            before=before,
            after=after,
            request="" if index else actor.request,
        )
        for index, (act, subject, before, after) in enumerate(changes)
    ]
    if entries:
        conn.execute(insert(audit), [_values(entry) for entry in entries])


def find(conn: Connection, entry_id: str) -> AuditEntry | None:
    """Return one entry; None if there is none with this id."""
    row = conn.execute(select(*_COLUMNS).where(audit.c.id == entry_id)).one_or_none()
    return None if row is None else AuditEntry(**row._mapping)


_THRESHOLDS = (Act.SET_THRESHOLD, Act.REMOVE_THRESHOLD)


def together(conn: Connection, entry: AuditEntry) -> tuple[AuditEntry, ...]:
    """Return the changes of thresholds that were made together with that of `entry`, by one request.

    They have the same instant, actor and interface. For any other act the result is empty.
    """
    if entry.act not in _THRESHOLDS:
        return ()
    wanted = select(*_COLUMNS).where(
        audit.c.at == entry.at,
        audit.c.actor == entry.actor,
        audit.c.via == entry.via,
        audit.c.act.in_(_THRESHOLDS),
    )
    return tuple(AuditEntry(**row._mapping) for row in conn.execute(wanted.order_by(audit.c.id)))


def num_together(conn: Connection, entries: Collection[AuditEntry]) -> dict[tuple[datetime, str, Via], int]:
    """Return how many changes of thresholds were made together, by instant, actor and interface."""
    instants = {entry.at for entry in entries if entry.act in _THRESHOLDS}
    if not instants:
        return {}
    c = audit.c
    rows = conn.execute(
        select(c.at, c.actor, c.via, func.count())
        .where(c.at.in_(instants), c.act.in_(_THRESHOLDS))
        .group_by(c.at, c.actor, c.via)
    )
    return {(at, actor, via): int(number) for at, actor, via, number in rows}


def of_request(conn: Connection, request: str) -> AuditEntry | None:
    """Return the entry of a request; None if the request is new, and for ''."""
    if not request:
        return None
    row = conn.execute(select(*_COLUMNS).where(audit.c.request == request)).one_or_none()
    return None if row is None else AuditEntry(**row._mapping)


def newest(
    conn: Connection,
    *,
    limit: int,
    offset: int = 0,
    acts: tuple[Act, ...] = (),
    about: str = "",
    since: datetime | None = None,
) -> tuple[AuditEntry, ...]:
    """Return entries, the newest first: only of `acts` (empty = all), and only with `about` in actor or subject."""
    wanted = select(*_COLUMNS).order_by(audit.c.id.desc()).limit(limit).offset(offset)
    if acts:
        wanted = wanted.where(audit.c.act.in_(acts))
    if since is not None:
        wanted = wanted.where(audit.c.at >= since)
    if about:
        wanted = wanted.where(
            or_(
                audit.c.subject.icontains(about, autoescape=True),
                audit.c.actor.icontains(about, autoescape=True),
            )
        )
    return tuple(AuditEntry(**row._mapping) for row in conn.execute(wanted))


def _values(entry: AuditEntry) -> dict[str, object]:
    values = {field.name: getattr(entry, field.name) for field in fields(entry)}
    del values["id"]
    return values

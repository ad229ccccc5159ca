"""The audit log: only ever added to, read newest first."""

import json

from sqlalchemy import Connection, Row, insert, or_, select

from balancebot.domain.audit import Act, AuditEntry, Picture, Way
from balancebot.store.tables import audit


def record(conn: Connection, *entries: AuditEntry) -> None:
    """Keep entries, in the transaction of the change that they tell of."""
    if entries:
        conn.execute(
            insert(audit),
            [
                {
                    "at": entry.at,
                    "who": entry.who,
                    "way": entry.way.value,
                    "action": entry.act.value,
                    "subject": entry.subject,
                    "before": _encode(entry.before),
                    "after": _encode(entry.after),
                    "request": entry.request or None,
                }
                for entry in entries
            ],
        )


def find(conn: Connection, entry_id: str) -> AuditEntry | None:
    """Return one entry by its id; None for anything that names none."""
    if not entry_id.isdecimal() or len(entry_id) > 18:
        return None
    row = conn.execute(select(audit).where(audit.c.id == int(entry_id))).one_or_none()
    return None if row is None else _entry(row)


def of_request(conn: Connection, request: str) -> AuditEntry | None:
    """Return what was done for a request; None for one that wasn't seen yet, and for ''."""
    if not request:
        return None
    row = conn.execute(select(audit).where(audit.c.request == request)).one_or_none()
    return None if row is None else _entry(row)


def newest(
    conn: Connection,
    *,
    limit: int,
    offset: int = 0,
    acts: tuple[Act, ...] = (),
    about: str = "",
) -> tuple[AuditEntry, ...]:
    """Return entries, the newest first: of `acts` only (empty = all), and where `about` stands in who or subject."""
    wanted = select(audit).order_by(audit.c.id.desc()).limit(limit).offset(offset)
    if acts:
        wanted = wanted.where(audit.c.action.in_([act.value for act in acts]))
    if about:
        wanted = wanted.where(
            or_(
                audit.c.subject.icontains(about, autoescape=True),
                audit.c.who.icontains(about, autoescape=True),
            )
        )
    return tuple(_entry(row) for row in conn.execute(wanted))


def _encode(picture: Picture | None) -> str | None:
    return None if picture is None else json.dumps(dict(picture), ensure_ascii=False, sort_keys=False)


def _entry(row: Row[tuple[object, ...]]) -> AuditEntry:
    return AuditEntry(
        id=str(row.id),
        at=row.at,
        who=row.who,
        way=Way(row.way),
        act=Act(row.action),
        subject=row.subject,
        before=None if row.before is None else json.loads(row.before),
        after=None if row.after is None else json.loads(row.after),
        request=row.request or "",
    )

"""Alerts: one row an episode, at most one open per balance (or wallet) and kind."""

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    and_,
    bindparam,
    case,
    cast,
    func,
    insert,
    not_,
    select,
    update,
)

from balancebot.domain.alert import FLAPS, Alert, AlertKind, AlertSubject, Cause
from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.message import AlertFacts, MutedCounts
from balancebot.domain.threshold import Limits
from balancebot.domain.verdict import Severity
from balancebot.store import message_codec
from balancebot.store.living_messages import ALERT
from balancebot.store.tables import alerts, threads
from balancebot.store.types import chunked

_RANK = case({severity.word: int(severity) for severity in Severity}, value=alerts.c.severity)


def add(conn: Connection, new: Sequence[Alert]) -> list[int]:
    """Store new alerts, without their facts yet, and return their ids in the same order.

    Raises IntegrityError if one is open for the same subject: the caller holds the turn to write, so that is a bug.
    """
    if not new:
        return []
    rows = [{**_values(alert), "facts": ""} for alert in new]
    about = ("kind", "wallet", "category")
    statement = insert(alerts).returning(alerts.c.id, *(alerts.c[name] for name in about))
    # the rows come back in any order
    ids = {tuple(subject): alert_id for alert_id, *subject in conn.execute(statement, rows)}
    return [ids[tuple(row[name] for name in about)] for row in rows]


def save(conn: Connection, changed: Sequence[tuple[Alert, AlertFacts]]) -> frozenset[int]:
    """Write the new state of alerts and what any message would say of each now.

    Returns the ids of those it could be written over: the others were closed before.
    """
    found: set[int] = set()
    for ids in chunked([alert.id for alert, _ in changed]):
        still_open = select(alerts.c.id).where(alerts.c.id.in_(ids), alerts.c.closed_at.is_(None))
        found.update(conn.scalars(still_open.with_for_update()))
    rows = [
        {**_values(alert), "facts": message_codec.encode_facts(facts), "of_id": alert.id}
        for alert, facts in changed
        if alert.id in found
    ]
    if rows:
        conn.execute(update(alerts).where(alerts.c.id == bindparam("of_id")), rows)
    return frozenset(found)


def open_of(conn: Connection, wallets: Collection[WalletName]) -> tuple[Alert, ...]:
    """Return the open alerts of `wallets`, in the order in which they opened."""
    found: list[Alert] = []
    for chunk in chunked(wallets):
        rows = conn.execute(select(alerts).where(alerts.c.closed_at.is_(None), alerts.c.wallet.in_(chunk)))
        found += (_alert(row) for row in rows)
    return tuple(sorted(found, key=lambda alert: alert.id or 0))


def all_open(conn: Connection, *, kind: AlertKind | None = None) -> tuple[Alert, ...]:
    """Return every open alert (of one kind), in the order in which they opened."""
    query = select(alerts).where(alerts.c.closed_at.is_(None)).order_by(alerts.c.id)
    if kind is not None:
        query = query.where(alerts.c.kind == kind.value)
    return tuple(_alert(row) for row in conn.execute(query))


def listed(
    conn: Connection, *, closed: bool = False, wallet: str | None = None, limit: int = 1000
) -> tuple[tuple[Alert, AlertFacts], ...]:
    """Return alerts with their latest facts, newest first: the open ones, or with `closed` the past ones too."""
    query = select(alerts).order_by(alerts.c.opened_at.desc(), alerts.c.id.desc()).limit(limit)
    if not closed:
        query = query.where(alerts.c.closed_at.is_(None))
    if wallet is not None:
        query = query.where(alerts.c.wallet == wallet)
    return tuple((_alert(row), _facts(row)) for row in conn.execute(query))


def num_open_about(conn: Connection, about: str = "") -> int:
    """Count the open alerts of wallets whose name holds `about`."""
    query = select(func.count()).select_from(alerts).where(*_open_about(about))
    return conn.execute(query).scalar_one()


def worst_open(
    conn: Connection, *, limit: int, offset: int = 0, about: str = ""
) -> tuple[tuple[Alert, AlertFacts], ...]:
    """Return the open alerts of wallets whose name holds `about`, the worst and of these the oldest first."""
    query = (
        select(alerts)
        .where(*_open_about(about))
        .order_by(_RANK.desc(), alerts.c.opened_at, alerts.c.id)
        .limit(limit)
        .offset(offset)
    )
    return tuple((_alert(row), _facts(row)) for row in conn.execute(query))


def past(
    conn: Connection, *, limit: int, offset: int = 0, about: str = ""
) -> tuple[tuple[Alert, AlertFacts], ...]:
    """Return closed alerts with what was last said of them, newest first; of wallets whose name holds `about`."""
    query = (
        select(alerts)
        .where(alerts.c.closed_at.is_not(None), alerts.c.wallet.icontains(about, autoescape=True))
        .order_by(alerts.c.opened_at.desc(), alerts.c.id.desc())
        .limit(limit)
        .offset(offset)
    )
    return tuple((_alert(row), _facts(row)) for row in conn.execute(query))


def get(conn: Connection, alert_id: int) -> tuple[Alert, AlertFacts] | None:
    """Return one alert with its latest facts, or None if there is none of this id."""
    row = conn.execute(select(alerts).where(alerts.c.id == alert_id)).one_or_none()
    return None if row is None else (_alert(row), _facts(row))


def facts_of(conn: Connection, alert_ids: Collection[int]) -> dict[int, AlertFacts]:
    """Return the latest facts of alerts by id."""
    found: dict[int, AlertFacts] = {}
    for chunk in chunked(alert_ids):
        rows = conn.execute(select(alerts.c.id, alerts.c.facts).where(alerts.c.id.in_(chunk)))
        found |= {row.id: _facts(row) for row in rows}
    return found


def edition(conn: Connection) -> tuple[object, ...]:
    """Return what differs as soon as an alert opened or closed."""
    c = alerts.c
    return tuple(conn.execute(select(func.max(c.id), func.count(c.closed_at))).one())


def num_open(conn: Connection) -> Sequence[tuple[AlertKind, Severity, int]]:
    """Return how many alerts are open per kind and severity."""
    rows = conn.execute(
        select(alerts.c.kind, alerts.c.severity, func.count())
        .where(alerts.c.closed_at.is_(None))
        .group_by(alerts.c.kind, alerts.c.severity)
    )
    return [(AlertKind(kind), Severity[severity.upper()], int(number)) for kind, severity, number in rows]


def openings(conn: Connection, kind: AlertKind, *, since: datetime) -> dict[BalanceKey, list[datetime]]:
    """Return when alerts of a kind were opened of each balance since an instant."""
    rows = conn.execute(
        select(alerts.c.wallet, alerts.c.category, alerts.c.opened_at).where(
            alerts.c.kind == kind.value, alerts.c.opened_at >= since, alerts.c.category != ""
        )
    )
    opened: dict[BalanceKey, list[datetime]] = defaultdict(list)
    for wallet, category, at in rows:
        opened[BalanceKey(WalletName(wallet), Category(category))].append(at)
    return opened


def num_closed(conn: Connection, *, since: datetime) -> dict[AlertSubject, int]:
    """Return how many alerts of each subject were opened since an instant and are closed."""
    c = alerts.c
    rows = conn.execute(
        select(c.kind, c.wallet, c.category, func.count())
        .where(c.opened_at >= since, c.closed_at.is_not(None))
        .group_by(c.kind, c.wallet, c.category)
    )
    return {_subject(row): int(row[3]) for row in rows}


def causes_of_closing(
    conn: Connection, subject: AlertSubject, *, since: datetime
) -> tuple[Cause | None, ...]:
    """Return why each alert of `subject` closed that was opened since an instant."""
    c = alerts.c
    rows = conn.execute(
        select(c.id, c.facts).where(
            c.opened_at >= since,
            c.closed_at.is_not(None),
            c.kind == subject.kind.value,
            c.wallet == subject.wallet,
            c.category == ("" if subject.category is None else subject.category.value),
        )
    )
    return tuple(_facts(row).cause for row in rows)


def _values(alert: Alert) -> dict[str, Any]:
    return {
        "kind": alert.subject.kind.value,
        "wallet": alert.subject.wallet,
        "category": "" if alert.subject.category is None else alert.subject.category.value,
        "severity": alert.severity.word,
        "peak": None if alert.peak is None else alert.peak.word,
        "opened_at": alert.opened_at,
        "closed_at": alert.closed_at,
        "opened_by_days": alert.opened_by_days,
        "limits": json.dumps(asdict(alert.limits)),
        "told_at": alert.told_at,
        "acknowledged_at": alert.acknowledged_at,
        "acknowledged_by": alert.acknowledged_by,
        "acknowledged_note": alert.acknowledged_note,
        "flaps": alert.flaps,
        "calm_since": alert.calm_since,
        "eased_since": alert.eased_since,
        "relapses": alert.relapses,
        "expects_by": alert.expects_by,
        "muted_from": None if alert.muted_from is None else alert.muted_from.word,
        "mute_lifted": alert.mute_lifted,
        "fault": alert.fault,
        "members": json.dumps(alert.members, ensure_ascii=False),
    }


def _open_about(about: str) -> tuple[ColumnElement[bool], ...]:
    return alerts.c.closed_at.is_(None), alerts.c.wallet.icontains(about, autoescape=True)


def _alert(row: Any) -> Alert:
    return Alert(
        id=row.id,
        subject=_subject(row),
        severity=_severity(row.severity),
        peak=None if row.peak is None else _severity(row.peak),
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        opened_by_days=row.opened_by_days,
        limits=Limits(**json.loads(row.limits)),
        told_at=row.told_at,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by,
        acknowledged_note=row.acknowledged_note,
        flaps=row.flaps,
        calm_since=row.calm_since,
        eased_since=row.eased_since,
        relapses=row.relapses,
        expects_by=row.expects_by,
        muted_from=None if row.muted_from is None else _severity(row.muted_from),
        mute_lifted=row.mute_lifted,
        fault=row.fault,
        members=tuple(WalletName(name) for name in json.loads(row.members)),
    )


def _subject(row: Any) -> AlertSubject:
    return AlertSubject(
        kind=AlertKind(row.kind),
        wallet=WalletName(row.wallet),
        category=Category(row.category) if row.category else None,
    )


def _severity(word: str) -> Severity:
    return Severity[word.upper()]


def _facts(row: Any) -> AlertFacts:
    facts = message_codec.decode_facts(row.facts)
    if not isinstance(facts, AlertFacts):
        raise TypeError(f"alert {row.id} holds the facts of something else")
    return facts


def muted_counts(conn: Connection) -> MutedCounts:
    """Return how much is muted now, and by what."""
    c = alerts.c
    is_open = c.closed_at.is_(None)
    alone = conn.execute(
        select(
            func.count().filter(and_(c.muted_from.is_not(None), not_(c.mute_lifted))).label("silenced"),
            func.count(c.acknowledged_at).label("acknowledged"),
            func.count().filter(c.flaps >= FLAPS).label("flapping"),
            func.coalesce(func.sum(c.relapses), 0).label("relapses"),
        ).where(is_open)
    ).one()
    together = conn.execute(
        select(
            func.count(c.id.distinct()).label("alerts"),
            func.count().label("openings"),
            func.count(threads.c.group_id.distinct()).label("messages"),
        ).where(is_open, threads.c.subject == ALERT + cast(c.id, String), threads.c.group_id.is_not(None))
    ).one()
    return MutedCounts(
        silenced=alone.silenced,
        acknowledged=alone.acknowledged,
        flapping=alone.flapping,
        grouped=together.alerts,
        spared_by_grouping=together.openings - together.messages,
        # each time it fell back a recovery and an opening
        spared_by_flapping=2 * int(alone.relapses),
    )

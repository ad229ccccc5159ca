"""Alerts: one row per episode, at most one open per balance (or wallet) and kind."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
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
    or_,
    select,
    update,
)

from balancebot.domain.alert import FLAPS, Alert, AlertKind, AlertSubject, Cause
from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.message import AlertMessage, Measurement, MutedCounts
from balancebot.domain.verdict import Severity
from balancebot.store.living_messages import ALERT
from balancebot.store.set_aside import whole
from balancebot.store.tables import alerts, threads
from balancebot.store.types import chunked

_IS_OPEN = alerts.c.closed_at.is_(None)
_RANKS = {severity.word: int(severity) for severity in Severity}
_RANK = case(_RANKS, value=alerts.c.severity)
_PEAK_RANK = case(_RANKS, value=alerts.c.peak)


def save(conn: Connection, changed: Sequence[AlertMessage]) -> list[AlertMessage]:
    """Store alerts with their measurements and contexts; return them in the same order, new ones with their ids.

    The caller must have read the alerts under the lock `ALERTS` in this transaction. Raises IntegrityError if there is
    already an open alert for the subject of a new one.
    """
    new = [_values(message) for message in changed if message.alert.id is None]
    ids: dict[tuple[str, ...], int] = {}
    if new:
        statement = insert(alerts).returning(alerts.c.id, *(alerts.c[name] for name in _SUBJECT))
        # the rows are returned in any order
        ids = {tuple(subject): alert_id for alert_id, *subject in conn.execute(statement, new)}
    old = [
        {**_values(message), "of_id": message.alert.id} for message in changed if message.alert.id is not None
    ]
    if old:
        conn.execute(update(alerts).where(alerts.c.id == bindparam("of_id")), old)
    return [
        message
        if message.alert.id is not None
        else replace(message, alert=replace(message.alert, id=ids[_subject_values(message.alert.subject)]))
        for message in changed
    ]


def open_of(
    conn: Connection, wallets: Collection[WalletName], *, kind_of_all: AlertKind | None = None
) -> tuple[AlertMessage, ...]:
    """Return the open alerts of `wallets` (and all of `kind_of_all`), in the order in which they opened."""
    found: dict[int, AlertMessage] = {}
    for chunk in chunked(wallets):
        wanted: ColumnElement[bool] = alerts.c.wallet.in_(chunk)
        if kind_of_all is not None:
            wanted |= alerts.c.kind == kind_of_all.value
        query = select(alerts).where(_IS_OPEN, wanted, *whole(conn, alerts))
        found |= {row.id: _message(row) for row in conn.execute(query)}
    return tuple(found[alert_id] for alert_id in sorted(found))


def all_open(conn: Connection, *, kind: AlertKind | None = None) -> tuple[AlertMessage, ...]:
    """Return all open alerts (or those of one kind), in the order in which they opened."""
    query = select(alerts).where(_IS_OPEN, *whole(conn, alerts)).order_by(alerts.c.id)
    if kind is not None:
        query = query.where(alerts.c.kind == kind.value)
    return tuple(_message(row) for row in conn.execute(query))


def listed(
    conn: Connection,
    *,
    closed: bool = False,
    open_too: bool = True,
    wallet: str | None = None,
    before: tuple[datetime, int] | None = None,
    limit: int = 1000,
) -> tuple[AlertMessage, ...]:
    """Return alerts, newest first: the open ones; with `closed` the past ones too; without `open_too` only those.

    `before` is the opening time and the id of the last alert of the previous page.
    """
    c = alerts.c
    query = select(alerts).order_by(c.opened_at.desc(), c.id.desc()).limit(limit)
    if not closed:
        query = query.where(_IS_OPEN)
    elif not open_too:
        query = query.where(c.closed_at.is_not(None))
    if wallet is not None:
        query = query.where(c.wallet == wallet)
    if before is not None:
        opened_at, alert_id = before
        query = query.where(or_(c.opened_at < opened_at, and_(c.opened_at == opened_at, c.id < alert_id)))
    return tuple(_message(row) for row in conn.execute(query))


class OpenState(StrEnum):
    """A filter for open alerts, in addition to kind and severity."""

    UNSEEN = "unseen"
    """Neither acknowledged nor silenced."""
    ACKNOWLEDGED = "acknowledged"
    SILENCED = "silenced"
    FLAPPING = "flapping"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFilter:
    """A filter for alerts; None and '' = any."""

    about: str = ""
    """A part of a wallet's name."""
    severity: Severity | None = None
    """For a closed alert its worst severity."""
    kind: AlertKind | None = None
    state: OpenState | None = None
    """Only for open alerts."""


_ANY = AlertFilter()


def num_open_about(conn: Connection, wanted: AlertFilter = _ANY) -> int:
    """Count the open alerts that match the filter."""
    query = select(func.count()).select_from(alerts).where(*_open_about(wanted))
    return conn.execute(query).scalar_one()


def worst_open(
    conn: Connection, *, limit: int, offset: int = 0, wanted: AlertFilter = _ANY
) -> tuple[AlertMessage, ...]:
    """Return the open alerts that match the filter, the worst first, then the oldest."""
    query = (
        select(alerts)
        .where(*_open_about(wanted))
        .order_by(_RANK.desc(), alerts.c.opened_at, alerts.c.id)
        .limit(limit)
        .offset(offset)
    )
    return tuple(_message(row) for row in conn.execute(query))


def past(
    conn: Connection, *, limit: int, offset: int = 0, wanted: AlertFilter = _ANY
) -> tuple[AlertMessage, ...]:
    """Return the closed alerts that match the filter, newest first."""
    query = (
        select(alerts)
        .where(
            alerts.c.closed_at.is_not(None),
            *_about(wanted),
            *(() if wanted.severity is None else (alerts.c.peak == wanted.severity.word,)),
        )
        .order_by(alerts.c.opened_at.desc(), alerts.c.id.desc())
        .limit(limit)
        .offset(offset)
    )
    return tuple(_message(row) for row in conn.execute(query))


def get(conn: Connection, alert_id: int) -> AlertMessage | None:
    """Return one alert as a message would show it now, or None if there is none with this id."""
    row = conn.execute(select(alerts).where(alerts.c.id == alert_id)).one_or_none()
    return None if row is None else _message(row)


def answered(conn: Connection, ids: Collection[int]) -> frozenset[int]:
    """Return which of the alerts are acknowledged or silenced."""
    is_muted = and_(alerts.c.muted_from.is_not(None), not_(alerts.c.mute_lifted))
    wanted = select(alerts.c.id).where(
        alerts.c.id.in_(list(ids)), or_(alerts.c.acknowledged_at.is_not(None), is_muted)
    )
    return frozenset(conn.scalars(wanted))


def version(conn: Connection) -> tuple[object, ...]:
    """Return a value that changes when an alert opens, closes, is acknowledged or silenced."""
    c = alerts.c
    figures = select(
        func.max(c.id),
        func.count(c.closed_at),
        func.max(c.acknowledged_at),
        func.count(c.acknowledged_at),
        func.count(c.muted_from),
    )
    return tuple(conn.execute(figures).one())


def num_open(conn: Connection) -> Sequence[tuple[AlertKind, Severity, int]]:
    """Return how many alerts are open per kind and severity."""
    rows = conn.execute(
        select(alerts.c.kind, alerts.c.severity, func.count())
        .where(alerts.c.closed_at.is_(None))
        .group_by(alerts.c.kind, alerts.c.severity)
    )
    return [(AlertKind(kind), Severity[severity.upper()], int(number)) for kind, severity, number in rows]


def openings(
    conn: Connection, kind: AlertKind, *, since: datetime
) -> dict[BalanceKey, list[tuple[datetime, bool]]]:
    """Return when alerts of a kind opened since an instant, and whether they are still open, by balance."""
    rows = conn.execute(
        select(alerts.c.wallet, alerts.c.category, alerts.c.opened_at, _IS_OPEN).where(
            alerts.c.kind == kind.value, alerts.c.opened_at >= since, alerts.c.category != ""
        )
    )
    opened: dict[BalanceKey, list[tuple[datetime, bool]]] = defaultdict(list)
    for wallet, category, at, is_open in rows:
        opened[BalanceKey(WalletName(wallet), Category(category))].append((at, bool(is_open)))
    return opened


def num_closed(conn: Connection, *, since: datetime) -> dict[AlertSubject, int]:
    """Return how many alerts of each subject have opened since an instant and are closed."""
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
    """Return why the alerts of `subject` closed that have opened since an instant."""
    c = alerts.c
    rows = conn.execute(
        select(c.closed_because).where(
            c.opened_at >= since,
            c.closed_at.is_not(None),
            *(c[name] == value for name, value in zip(_SUBJECT, _subject_values(subject), strict=True)),
        )
    )
    return tuple(None if cause is None else Cause(cause) for (cause,) in rows)


def _values(message: AlertMessage) -> dict[str, Any]:
    """Return the values of a row; columns whose name or type differs from the field are listed explicitly."""
    alert = message.alert
    return {
        **dict(zip(_SUBJECT, _subject_values(alert.subject), strict=True)),
        **{name: getattr(alert, name) for name in _SAME_FIELDS},
        "severity": alert.severity.word,
        "peak": None if alert.peak is None else alert.peak.word,
        "muted_from": None if alert.muted_from is None else alert.muted_from.word,
        "closed_because": None if alert.closed_because is None else alert.closed_because.value,
        "measurement": message.measurement,
        "context": message.context,
    }


_SUBJECT = ("kind", "wallet", "category")
_SAME_FIELDS = tuple(
    field.name
    for field in fields(Alert)
    if field.name not in {"id", "subject", "severity", "peak", "muted_from", "closed_because"}
)
"""The fields of an alert that have a column of the same name and type."""


def _subject_values(subject: AlertSubject) -> tuple[str, ...]:
    return subject.kind.value, subject.wallet, "" if subject.category is None else subject.category.value


_IS_SILENCED = and_(alerts.c.muted_from.is_not(None), not_(alerts.c.mute_lifted))
_IN_STATE: dict[OpenState, ColumnElement[bool]] = {
    OpenState.UNSEEN: and_(alerts.c.acknowledged_at.is_(None), not_(_IS_SILENCED)),
    OpenState.ACKNOWLEDGED: alerts.c.acknowledged_at.is_not(None),
    OpenState.SILENCED: _IS_SILENCED,
    OpenState.FLAPPING: alerts.c.flaps >= FLAPS,
}


def _about(wanted: AlertFilter) -> tuple[ColumnElement[bool], ...]:
    named = alerts.c.wallet.icontains(wanted.about, autoescape=True)
    return (named,) if wanted.kind is None else (named, alerts.c.kind == wanted.kind.value)


def _open_about(wanted: AlertFilter) -> tuple[ColumnElement[bool], ...]:
    return (
        _IS_OPEN,
        *_about(wanted),
        *(() if wanted.severity is None else (alerts.c.severity == wanted.severity.word,)),
        *(() if wanted.state is None else (_IN_STATE[wanted.state],)),
    )


def _message(row: Any) -> AlertMessage:
    """Return an alert as a message would show it now."""
    alert = Alert(
        id=row.id,
        subject=_subject(row),
        severity=_severity(row.severity),
        peak=None if row.peak is None else _severity(row.peak),
        muted_from=None if row.muted_from is None else _severity(row.muted_from),
        closed_because=None if row.closed_because is None else Cause(row.closed_because),
        **{name: getattr(row, name) for name in _SAME_FIELDS},
    )
    measurement: Measurement = row.measurement
    return AlertMessage(alert=alert, measurement=measurement, context=row.context, at=measurement.at)


def _subject(row: Any) -> AlertSubject:
    return AlertSubject(
        kind=AlertKind(row.kind),
        wallet=WalletName(row.wallet),
        category=Category(row.category) if row.category else None,
    )


def _severity(word: str) -> Severity:
    return Severity[word.upper()]


def muted_counts(conn: Connection) -> MutedCounts:
    """Count the open alerts that are muted now, by cause."""
    c = alerts.c
    is_open = c.closed_at.is_(None)
    alone = conn.execute(
        select(
            func.count().filter(_IS_SILENCED).label("silenced"),
            func.count(c.acknowledged_at).label("acknowledged"),
            func.count()
            .filter(
                c.muted_from.is_(None), or_(c.peak.is_(None), _RANK > _PEAK_RANK), c.covered_until.is_(None)
            )
            .label("waiting"),
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
        waiting=alone.waiting,
        flapping=alone.flapping,
        grouped=together.alerts,
        spared_by_grouping=together.openings - together.messages,
        # each relapse saves a recovery and an opening
        spared_by_flapping=2 * int(alone.relapses),
    )

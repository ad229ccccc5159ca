"""A message contains the alert, the measurement and the context, where it had all their fields side by side.

What is stored is carried over, both ways: notifications, what was merged for one destination, groups, and the figures of
alerts. Two columns of text become JSON of other names; `dedup_key`, which never repeated, goes.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_STORED_MESSAGES = ("notifications", "groups", "deliveries")
_AT_ONCE = 500
_Document = dict[str, Any]


def upgrade() -> None:
    """Carry everything over."""
    for table in _STORED_MESSAGES:
        op.execute(f"ALTER TABLE {table} RENAME COLUMN facts TO message")
        _rewrite(table, "message", _new_message)
    op.execute("ALTER TABLE alerts RENAME COLUMN facts TO measurement")
    op.add_column("alerts", sa.Column("context", sa.Text, nullable=False, server_default="{}"))
    op.add_column("alerts", sa.Column("closed_because", sa.String(32)))
    _split_alerts()
    with op.batch_alter_table("notifications") as notifications:
        notifications.drop_column("dedup_key")


def downgrade() -> None:
    """Carry everything back."""
    op.add_column("notifications", sa.Column("dedup_key", sa.String(200)))
    op.execute("UPDATE notifications SET dedup_key = 'notification:' || CAST(id AS VARCHAR(20))")
    op.execute("UPDATE notifications SET reason = 'recovered' WHERE reason = 'closed'")
    with op.batch_alter_table("notifications") as notifications:
        notifications.alter_column("dedup_key", existing_type=sa.String(200), nullable=False)
        notifications.create_unique_constraint("uq_notifications_dedup_key", ["dedup_key"])
    _join_alerts()
    with op.batch_alter_table("alerts") as alerts:
        alerts.drop_column("closed_because")
        alerts.drop_column("context")
    op.execute("ALTER TABLE alerts RENAME COLUMN measurement TO facts")
    for table in _STORED_MESSAGES:
        _rewrite(table, "message", _old_message)
        op.execute(f"ALTER TABLE {table} RENAME COLUMN message TO facts")


# ---------------------------------------------------------------- rows


def _rewrite(name: str, column: str, change: Callable[[_Document], _Document]) -> None:
    table = sa.table(name, sa.column("id"), sa.column(column))
    for rows in _chunks(table):
        changed = [
            {"of_id": row.id, "text": _json(change(json.loads(row[1])))} for row in rows if row[1] is not None
        ]
        if changed:
            op.get_bind().execute(
                sa.update(table)
                .where(table.c.id == sa.bindparam("of_id"))
                .values({column: sa.bindparam("text")}),
                changed,
            )


def _chunks(table: sa.TableClause) -> Iterator[Sequence[sa.Row[Any]]]:
    """Yield the rows of a table by rising id."""
    query = sa.select(table).order_by(table.c.id).limit(_AT_ONCE)
    rows = op.get_bind().execute(query).all()
    while rows:
        yield rows
        rows = op.get_bind().execute(query.where(table.c.id > rows[-1].id)).all()


_alerts = sa.table(
    "alerts",
    sa.column("id", sa.Integer),
    sa.column("measurement"),
    sa.column("context"),
    sa.column("closed_because"),
    sa.column("opened_at", sa.DateTime(timezone=True)),
    *(sa.column(name) for name in ("kind", "wallet", "category", "severity", "peak", "members")),
    sa.column("closed_at", sa.DateTime(timezone=True)),
    sa.column("expects_by", sa.DateTime(timezone=True)),
    sa.column("calm_since", sa.DateTime(timezone=True)),
    *(sa.column(name) for name in ("acknowledged_by", "acknowledged_note", "flaps", "relapses")),
)


def _set_alerts(values: list[_Document]) -> None:
    named = {name: sa.bindparam(f"new_{name}") for name in values[0] if name != "of_id"}
    op.get_bind().execute(
        sa.update(_alerts).where(_alerts.c.id == sa.bindparam("of_id")).values(named),
        [
            {name if name == "of_id" else f"new_{name}": value for name, value in row.items()}
            for row in values
        ],
    )


def _split_alerts() -> None:
    for rows in _chunks(_alerts):
        changed = []
        for row in rows:
            facts = json.loads(row.measurement or "{}")
            facts.setdefault("at", _instant(row.opened_at))
            changed.append(
                {
                    "of_id": row.id,
                    "measurement": _json(_new_measurement(facts)),
                    "context": _json(_new_context(facts)),
                    "closed_because": facts.get("cause"),
                }
            )
        _set_alerts(changed)


def _join_alerts() -> None:
    for rows in _chunks(_alerts):
        changed = []
        for row in rows:
            measurement = json.loads(row.measurement)
            message = {
                "alert": {
                    **{
                        name: getattr(row, name)
                        for name in ("id", "acknowledged_by", "acknowledged_note", "flaps", "relapses")
                    },
                    **{
                        name: _instant(getattr(row, name))
                        for name in ("opened_at", "closed_at", "expects_by", "calm_since")
                    },
                    "subject": {"kind": row.kind, "wallet": row.wallet, "category": row.category or None},
                    "severity": _SEVERITIES[row.severity],
                    "peak": None if row.peak is None else _SEVERITIES[row.peak],
                    "closed_because": row.closed_because,
                    "members": json.loads(row.members),
                },
                "measurement": measurement,
                "context": json.loads(row.context),
                "at": measurement["at"],
            }
            changed.append({"of_id": row.id, "measurement": _json(_old_alert(message))})
        _set_alerts(changed)


def _json(document: _Document) -> str:
    return json.dumps(document, ensure_ascii=False)


def _instant(at: Any) -> str | None:
    return None if at is None else at.isoformat() if at.tzinfo else f"{at.isoformat()}+00:00"


# ---------------------------------------------------------------- the old shape made new

_SEVERITIES = {"unknown": -1, "ok": 0, "warning": 1, "critical": 2, "depleted": 3}
_WORDS = {number: word for word, number in _SEVERITIES.items()}
_RUNWAY = ("p10", "p50", "p90", "judged")
_MEASURED = ("at", "reading", "observed_at", "crossed", "short_of", "burn_per_day", "depletes_at", "detail")
_IN_CONTEXT = ("recent", "advice", "planned", "note", "silenced_until")
_IN_ALERT = ("opened_at", "closed_at", "members", "acknowledged_by", "acknowledged_note", "expects_by")


def _present(document: Mapping[str, Any], names: Sequence[str]) -> _Document:
    """Return what a document has of some fields: the others take their defaults when it is read."""
    return {name: document[name] for name in names if name in document}


def _new_message(old: _Document) -> _Document:
    match old.pop("type", None):
        case "AlertFacts":
            return {"type": "alert", "message": _new_alert(old)}
        case "GroupFacts":
            members = [_new_alert(member) for member in old["members"]]
            return {"type": "group", "message": {**old, "members": members}}
        case "DigestFacts":
            return {"type": "digest", "message": _new_digest(old)}
        case "TestFacts":
            return {"type": "test", "message": old}
        case "ChannelFailureFacts":
            return {"type": "channel_failure", "message": old}
        case other:
            raise ValueError(f"there is no message of type {other!r}")


def _new_alert(facts: _Document) -> _Document:
    flapping = facts.get("flapping") or {}
    previous = _number(facts.get("previous"))
    is_closed = facts.get("closed_at") is not None
    severity = _SEVERITIES[facts["severity"]]
    return {
        "alert": {
            **_present(facts, _IN_ALERT),
            "id": int(facts["alert_id"]) if facts["alert_id"].isdecimal() else None,
            "subject": _present(facts, ("kind", "wallet", "category")),
            "severity": severity,
            "peak": previous if is_closed else severity,
            "closed_because": facts.get("cause"),
            "acknowledged_at": facts["at"] if facts.get("acknowledged_by") else None,
            "flaps": flapping.get("times", 1),
            "calm_since": flapping.get("calm_since"),
            "relapses": flapping.get("relapses", 0),
            "muted_from": severity if facts.get("silenced_until") else None,
        },
        "measurement": _new_measurement(facts),
        "context": _new_context(facts),
        "reason": facts.get("reason"),
        "at": facts["at"],
        "previous_peak": None if is_closed else previous,
        "missed_top_up": facts.get("broken"),
        "opening_undelivered": facts.get("opened_unheard", False),
    }


def _new_measurement(facts: _Document) -> _Document:
    return {
        **_present(facts, _MEASURED),
        "runway": _new_runway(facts.get("runway")),
        "spike": facts.get("surge"),
    }


def _new_context(facts: _Document) -> _Document:
    return _present(facts, _IN_CONTEXT)


def _new_digest(facts: _Document) -> _Document:
    lines = [
        {
            **line,
            "severity": _SEVERITIES[line["severity"]],
            "severity_before": _number(line.get("severity_before")),
            "runway": _new_runway(line.get("runway")),
        }
        for line in facts["lines"]
    ]
    alerts = {
        part: [_new_alert(alert) for alert in facts.get(part, ())] for part in ("open_alerts", "recovered")
    }
    return {**facts, "lines": lines, **alerts}


def _new_runway(runway: _Document | None) -> _Document | None:
    """Infinity was "inf" and is null."""
    return runway and {name: None if runway[name] == "inf" else runway[name] for name in _RUNWAY}


def _number(severity: str | None) -> int | None:
    return None if severity is None else _SEVERITIES[severity]


# ---------------------------------------------------------------- the new shape made old

_TYPES = {
    "alert": "AlertFacts",
    "group": "GroupFacts",
    "digest": "DigestFacts",
    "test": "TestFacts",
    "channel_failure": "ChannelFailureFacts",
}
_CAUSES = (
    "rose",
    "limit_changed",
    "unallocated",
    "wallet_removed",
    "read_again",
    "credentials_instead",
    "use_normal",
)


def _old_message(new: _Document) -> _Document:
    message = new["message"]
    match new["type"]:
        case "alert":
            return _old_alert(message)
        case "group":
            message = {**message, "members": [_old_alert(member) for member in message["members"]]}
        case "digest":
            message = _old_digest(message)
        case _:
            pass
    return {"type": _TYPES[new["type"]], **message}


def _old_alert(message: _Document) -> _Document:
    alert, measured, context = message["alert"], message["measurement"], message["context"]
    is_closed = alert.get("closed_at") is not None
    cause = alert.get("closed_because")
    reason = message.get("reason")
    flaps = alert.get("flaps", 1)
    return {
        "type": "AlertFacts",
        "alert_id": str(alert["id"]),
        "kind": alert["subject"]["kind"],
        "wallet": alert["subject"]["wallet"],
        "category": alert["subject"].get("category"),
        "severity": _WORDS[alert["severity"]],
        "reason": "recovered" if reason == "closed" else reason,
        **_present(alert, _IN_ALERT),
        **_present(measured, _MEASURED),
        **_present(context, _IN_CONTEXT),
        "at": message["at"],
        "runway": _old_runway(measured.get("runway")),
        "surge": measured.get("spike"),
        "previous": _word(alert.get("peak") if is_closed else message.get("previous_peak")),
        "cause": cause if cause is None or cause in _CAUSES else "use_normal",
        "broken": message.get("missed_top_up"),
        "flapping": None
        if flaps < 3
        else {
            "times": flaps,
            "hours": float(flaps - 2),
            "calm_since": alert.get("calm_since"),
            "relapses": alert.get("relapses", 0),
        },
        "opened_unheard": message.get("opening_undelivered", False),
    }


def _old_digest(digest: _Document) -> _Document:
    lines = [
        {
            **line,
            "severity": _WORDS[line["severity"]],
            "severity_before": _word(line.get("severity_before")),
            "runway": _old_runway(line.get("runway")),
        }
        for line in digest["lines"]
    ]
    alerts = {
        part: [_old_alert(alert) for alert in digest.get(part, ())] for part in ("open_alerts", "recovered")
    }
    return {**digest, "lines": lines, **alerts}


def _old_runway(runway: _Document | None) -> _Document | None:
    return runway and {name: "inf" if runway[name] is None else runway[name] for name in _RUNWAY}


def _word(severity: int | None) -> str | None:
    return None if severity is None else _WORDS[severity]

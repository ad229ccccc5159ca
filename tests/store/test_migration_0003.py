"""Stored messages are converted to messages that contain their alert, and back."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, text

from balancebot.domain.alert import Cause, Reason
from balancebot.domain.message import AlertMessage, DigestMessage, GroupMessage
from balancebot.domain.runway import Runway
from balancebot.domain.verdict import Severity
from balancebot.i18n import Wording
from balancebot.notify.render import Renderer
from balancebot.store import alerts, outbox, tables
from balancebot.store.database import Database
from tests.databases import alembic

OLD: dict[str, dict[str, Any]] = {
    row["name"]: row["facts"]
    for row in map(json.loads, Path(__file__).with_name("messages_of_0002.jsonl").read_text().splitlines())
}
"""Facts as an older version stored them."""
ALERTS = [name for name, facts in OLD.items() if facts["type"] == "AlertFacts"]
_AT = "2026-11-24 09:12:00.000000"


def insert(conn: Connection, table: str, **values: object) -> None:
    names = ", ".join(values)
    conn.execute(text(f"INSERT INTO {table} ({names}) VALUES (:{', :'.join(values)})"), values)


def fill(conn: Connection) -> None:
    """Store a notification of each kind with its alert, a group, and a delivery with a different message."""
    for number, (name, facts) in enumerate(OLD.items(), 1):
        encoded = json.dumps(facts, ensure_ascii=False)
        if name in ALERTS:
            facts["alert_id"] = str(number)
            encoded = json.dumps(facts, ensure_ascii=False)
            insert(
                conn,
                "alerts",
                id=number,
                kind=facts["kind"],
                wallet=f"acme/{number}",
                category=facts["category"] or "",
                severity=facts["severity"],
                peak=facts["previous"] if facts["closed_at"] else facts["severity"],
                opened_at=facts["opened_at"].replace("T", " ").replace("+00:00", ".000000"),
                closed_at=_AT if facts["closed_at"] else None,
                opened_by_days=False,
                limits='{"warning_below": 5000, "critical_below": null, "warning_days": 7.0, "critical_days": null}',
                facts=encoded,
                members=json.dumps(facts["members"]),
            )
        insert(
            conn,
            "notifications",
            alert_id=number if name in ALERTS else None,
            reason=facts.get("reason"),
            dedup_key=name,
            created_at=_AT,
            facts=encoded,
        )
    insert(
        conn,
        "groups",
        id="g5",
        channel="slack",
        destination="#ops",
        opened_at=_AT,
        facts=json.dumps(OLD["group_joined"]),
    )
    insert(
        conn,
        "deliveries",
        id="d1",
        notification_id=1,
        alert_id=1,
        channel="slack",
        destination="#ops",
        action="post",
        broadcast=False,
        state="delivered",
        created_at=_AT,
        next_attempt_at=_AT,
        facts=json.dumps(OLD["unheard"]),
    )


@pytest.fixture
def old(blank_url: str) -> str:
    """The URL of a database of the older version."""
    alembic(blank_url, "upgrade", "0002")
    database = Database(blank_url)
    with database.write() as conn:
        fill(conn)
    database.dispose()
    return blank_url


def test_every_message_is_read_and_rendered(old: str) -> None:
    database = Database(old)
    database.upgrade()
    with database.read() as conn:
        found = conn.scalars(select(tables.notifications.c.message).order_by(tables.notifications.c.id)).all()
        group = outbox.find_group(conn, "g5")
        merged = conn.scalars(select(tables.deliveries.c.message)).one()
    database.dispose()
    messages = dict(zip(OLD, found, strict=True))

    critical, recovered = messages["critical"], messages["recovered"]
    assert isinstance(critical, AlertMessage)
    assert isinstance(recovered, AlertMessage)
    assert ("1", "acme/checkout", Severity.CRITICAL, Reason.OPENED, 312, 5000) == (
        critical.alert_id,
        critical.alert.subject.wallet,
        critical.alert.severity,
        critical.reason,
        critical.measurement.reading,
        critical.measurement.crossed and critical.measurement.crossed.limit,
    )
    assert OLD["critical"]["note"] == critical.context.note
    assert (Severity.CRITICAL, Cause.ROSE) == (recovered.alert.peak, recovered.alert.closed_because)
    endless = messages["no_end_in_sight"].measurement.runway
    assert isinstance(endless, Runway)
    assert float("inf") == endless.p10
    assert isinstance(group, GroupMessage)
    assert [member["alert_id"] for member in OLD["group_joined"]["members"]] == [
        member.alert_id for member in group.members
    ]
    assert merged.opening_undelivered
    renderer = Renderer(words=Wording())
    for message in (*messages.values(), group, merged):
        stem = {AlertMessage: "alert", GroupMessage: "group", DigestMessage: "digest"}.get(
            type(message), "notice"
        )
        assert renderer.render(f"email/{stem}.txt.j2", message)


def test_every_alert_keeps_its_measurement_and_cause(old: str) -> None:
    database = Database(old)
    database.upgrade()
    with database.read() as conn:
        found = {last.alert.id: last for last in alerts.listed(conn, closed=True)}
    database.dispose()

    assert {
        number: (OLD[name]["reading"], OLD[name]["note"], OLD[name]["cause"])
        for number, name in enumerate(OLD, 1)
        if name in ALERTS
    } == {
        number: (
            last.measurement.reading
            if isinstance(last.measurement.reading, int)
            else last.measurement.reading.value,
            last.context.note,
            last.alert.closed_because,
        )
        for number, last in found.items()
    }


def test_an_upgrade_and_a_downgrade_restore_every_row(old: str) -> None:
    query = {
        "notifications": "SELECT id, reason, facts FROM notifications ORDER BY id",
        "groups": "SELECT id, facts FROM groups",
        "deliveries": "SELECT id, facts FROM deliveries",
        "alerts": "SELECT id, limits, members, facts FROM alerts ORDER BY id",
    }

    def rows(database: Database) -> dict[str, list[list[Any]]]:
        with database.read() as conn:
            return {
                name: [[*row[:-1], _bare(json.loads(row[-1]), name)] for row in conn.execute(text(sql))]
                for name, sql in query.items()
            }

    database = Database(old)
    before = rows(database)
    database.upgrade()
    alembic(old, "downgrade", "0002")
    after = rows(database)
    database.dispose()
    assert before == after


def _bare(facts: dict[str, Any], table: str) -> dict[str, Any]:
    """Return the facts without those that the alert's row has now: its wallet, and whether nothing was sent."""
    if table == "alerts":
        for name in (
            "wallet",
            "reason",
            "previous",
            "broken",
            "opened_unheard",
            "flapping",
            "silenced_until",
        ):
            facts.pop(name)
        for name in ("acknowledged_by", "acknowledged_note", "expects_by", "closed_at", "opened_at"):
            facts.pop(name)
    for member in facts.get("members", ()):
        if isinstance(member, dict):
            member.pop("type", None)
    for part in ("open_alerts", "recovered"):
        for alert in facts.get(part, ()):
            alert.pop("type", None)
    return facts

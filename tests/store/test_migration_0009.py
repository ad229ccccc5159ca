"""Alerts, deliveries and silences are converted for escalations and quiet hours, both ways."""

from datetime import UTC, datetime

from sqlalchemy import Connection, select, text

from balancebot.domain.alert import Reason
from balancebot.store import silences
from balancebot.store.database import Database
from balancebot.store.tables import alerts
from tests.databases import alembic

BEFORE, AFTER = "0008", "0009"
AT = "2026-11-24 09:12:00.000000"
TOLD = datetime(2026, 11, 24, 9, 12, tzinfo=UTC)


def insert(conn: Connection, table: str, **values: object) -> None:
    conn.execute(
        text(f"INSERT INTO {table} ({', '.join(values)}) VALUES (:{', :'.join(values)})"),
        values,
    )


def fill(conn: Connection) -> None:
    for wallet, peak in (("acme", "critical"), ("acme/shop", None)):
        insert(
            conn,
            "alerts",
            kind="stale",
            wallet=wallet,
            category="",
            severity="critical",
            peak=peak,
            opened_at=AT,
            opened_by_days=False,
            limits="{}",
            measurement='{"at":"2026-11-24T09:12:00Z"}',
            told_at=AT if peak else None,
        )
    for until in ("2026-12-04", "2026-12-24", "2126-11-05"):
        insert(
            conn,
            "silences",
            pattern="acme",
            begins_at=AT,
            until=f"{until} 09:12:00.000000",
            reason="",
            created_by="ann",
        )


def test_open_alerts_count_as_raised_when_notified_and_silences_end_after_thirty_days(
    blank: Database, blank_url: str
) -> None:
    alembic(blank_url, "upgrade", BEFORE)
    with blank.write() as conn:
        fill(conn)
    alembic(blank_url, "upgrade", AFTER)
    with blank.read() as conn:
        raised_at = conn.scalars(select(alerts.c.raised_at).order_by(alerts.c.id)).all()
        assert [TOLD, None] == raised_at
        assert [10, 30, 30] == [(s.until - s.begins_at).days for s in reversed(silences.latest(conn))]
    with blank.write() as conn:
        for reason, message in (
            ("escalated", '{"type":"alert","message":{"reason":"escalated"}}'),
            (None, '{"type":"silence","message":{}}'),
        ):
            insert(conn, "notifications", reason=reason, created_at=AT, message=message)
    alembic(blank_url, "downgrade", BEFORE)
    with blank.read() as conn:
        left = conn.execute(text("SELECT reason, message FROM notifications")).all()
    assert [(Reason.REMINDER.value, '{"type":"alert","message":{"reason":"reminder"}}')] == [
        tuple(row) for row in left
    ]

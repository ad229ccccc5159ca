"""Deliveries and living messages keep their message refs when the columns change, both ways."""

from datetime import UTC, datetime

from sqlalchemy import Connection, text

from balancebot.domain.message import TestMessage
from balancebot.domain.routing import Destination
from balancebot.store import delivery_list, living_messages, outbox
from balancebot.store.database import Database
from tests.databases import alembic

NOW = datetime(2026, 11, 24, 9, 12, tzinfo=UTC)


def fill(conn: Connection) -> None:
    at = "2026-11-24 09:12:00.000000"
    conn.execute(text(f"INSERT INTO notifications (created_at, message) VALUES ('{at}', '{{}}')"))
    conn.execute(
        text(
            "INSERT INTO deliveries (id, notification_id, channel, destination, action, broadcast, state, created_at,"
            f" next_attempt_at, room, ref) VALUES ('d1', 1, 'slack', '#ops', 'post', false, 'delivered', '{at}',"
            f" '{at}', 'C0001', '1700000000.000100')"
        )
    )
    conn.execute(
        text(
            "INSERT INTO threads (subject, channel, destination, room, ref) VALUES"
            " ('alert:17', 'slack', '#ops', 'C0001', '1700000000.000100')"
        )
    )


def test_message_refs_are_converted_both_ways(blank: Database, blank_url: str) -> None:
    alembic(blank_url, "upgrade", "0005")
    with blank.write() as conn:
        fill(conn)
    alembic(blank_url, "upgrade", "0006")
    with blank.read() as conn:
        assert living_messages.channel_ids(conn, "slack") == {"#ops": "C0001"}
        assert "C0001" == conn.execute(text("SELECT channel_id FROM deliveries")).scalar_one()
    alembic(blank_url, "downgrade", "0005")
    with blank.read() as conn:
        assert [("slack", "C0001")] == [
            tuple(row) for row in conn.execute(text("SELECT channel, room FROM threads"))
        ]


def test_a_long_name_of_a_channel_can_be_stored(blank: Database) -> None:
    blank.upgrade()
    name = "x" * 64
    with blank.write() as conn:
        outbox.enqueue_plain(
            conn, message=TestMessage(at=NOW), destinations=[Destination(name, "feishu")], now=NOW
        )
    with blank.read() as conn:
        assert [name] == [delivery.channel for delivery in delivery_list.listed(conn, limit=5)]

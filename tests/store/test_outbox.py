"""The outbox: every destination gets one full message per alert, and later changes as replies to it."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, insert, select

from balancebot.domain.alert import NO_LIMITS, Reason
from balancebot.domain.message import Measurement, TestMessage
from balancebot.domain.routing import Destination
from balancebot.store import living_messages, outbox
from balancebot.store.database import Database
from balancebot.store.tables import alerts, deliveries, notifications
from tests.messages import alert_message

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
OPS = Destination("slack", "#ops")
MARKETING = Destination("slack", "#marketing")
MAIL = Destination("email", "finance@example.com")


@pytest.fixture
def conn(database: Database) -> Iterator[Connection]:
    with database.write() as connection:
        connection.execute(
            insert(alerts).values(
                id=17,
                kind="low_balance",
                wallet="acme",
                category="industry",
                severity="critical",
                opened_at=NOON,
                opened_by_days=False,
                limits=NO_LIMITS,
                measurement=Measurement(at=NOON),
                members=(),
            )
        )
        yield connection


def _enqueue(
    conn: Connection,
    reason: Reason | None,
    destinations: list[Destination] | None = None,
    *,
    broadcast: bool = False,
    channels: set[str] | None = None,
) -> int:
    entry = outbox.OutboxEntry(
        message=alert_message(NOON, reason=reason),
        destinations=destinations,
        broadcast=broadcast,
        channels=channels,
    )
    return outbox.enqueue(conn, [entry], editable={"slack"}, now=NOON)


def _waiting(conn: Connection, reason: Reason | None) -> list[tuple[str, str, bool]]:
    rows = conn.execute(
        select(deliveries.c.destination, deliveries.c.action, deliveries.c.broadcast)
        .join(notifications)
        .where(notifications.c.reason.is_(None) if reason is None else notifications.c.reason == reason)
    )
    return sorted((row.destination, row.action, row.broadcast) for row in rows)


def test_an_opening_is_one_new_message_for_every_destination(conn: Connection) -> None:
    assert 1 == _enqueue(conn, Reason.OPENED, [OPS, MAIL, OPS])

    assert [("#ops", "post", False), ("finance@example.com", "post", False)] == _waiting(conn, Reason.OPENED)
    assert {"alert:17": (MAIL, OPS)} == living_messages.destinations(conn, ["alert:17"])


def test_later_messages_reply_and_edit_the_living_message_in_slack(conn: Connection) -> None:
    _enqueue(conn, Reason.OPENED, [OPS, MAIL])

    _enqueue(conn, Reason.RECOVERED)

    assert [
        ("#ops", "edit", False),
        ("#ops", "reply", False),
        ("finance@example.com", "reply", False),
    ] == _waiting(conn, Reason.RECOVERED)


def test_a_new_destination_gets_a_full_message_and_the_others_an_edit(
    conn: Connection,
) -> None:
    _enqueue(conn, Reason.OPENED, [OPS])

    _enqueue(conn, Reason.WORSENED, [MARKETING], broadcast=True)

    assert [("#marketing", "post", False), ("#ops", "edit", False)] == _waiting(conn, Reason.WORSENED)


def test_a_message_for_some_channels_is_a_reply_only_there_and_edits_all(conn: Connection) -> None:
    _enqueue(conn, Reason.OPENED, [OPS, MAIL])

    _enqueue(conn, Reason.TOPPED_UP, channels={"email"})

    assert [("#ops", "edit", False), ("finance@example.com", "reply", False)] == _waiting(
        conn, Reason.TOPPED_UP
    )


def test_only_the_reply_is_broadcast(conn: Connection) -> None:
    _enqueue(conn, Reason.OPENED, [OPS])

    _enqueue(conn, Reason.WORSENED, [OPS], broadcast=True)

    assert [("#ops", "edit", False), ("#ops", "reply", True)] == _waiting(conn, Reason.WORSENED)


def test_an_edit_is_only_for_slack(conn: Connection) -> None:
    _enqueue(conn, Reason.OPENED, [OPS, MAIL])

    _enqueue(conn, None)

    assert [("#ops", "edit", False)] == _waiting(conn, None)


def test_a_message_without_an_alert_is_posted(conn: Connection) -> None:
    outbox.enqueue_plain(conn, message=TestMessage(at=NOON), destinations=[OPS, OPS], now=NOON)

    assert [("#ops", "post", False)] == _waiting(conn, None)

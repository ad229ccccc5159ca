"""A damaged page of the SQLite file is found before it is needed, and reported once."""

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from balancebot.domain.message import NoticeMessage
from balancebot.domain.routing import Destination
from balancebot.history.check_file import check_file
from balancebot.store import set_aside
from balancebot.store.database import Database
from balancebot.store.tables import notifications, users
from tests.world import NOON

PAGE = 4096
"""Bytes."""
OPS = Destination("slack", "#ops")


def overwrite(file: Path, page: int, data: bytes) -> bytes:
    """Overwrite a page, as a failing disk does, and return its old content."""
    with file.open("r+b") as opened:
        opened.seek((page - 1) * PAGE)
        before = opened.read(PAGE)
        opened.seek((page - 1) * PAGE)
        opened.write(data)
    return before


def notices(database: Database) -> list[str]:
    with database.read() as conn:
        messages = conn.scalars(select(notifications.c.message).order_by(notifications.c.id)).all()
    return [
        str(line) for message in messages if isinstance(message, NoticeMessage) for line in message.lines[:1]
    ]


def remarks(database: Database) -> list[str]:
    with database.read() as conn:
        return set_aside.remarks(conn)


def check(database: Database, **later: float) -> bool:
    return check_file(database, destinations=[OPS], now=NOON + timedelta(**later))


def test_a_sound_database_is_not_reported(database: Database) -> None:
    assert not check(database)
    assert ([], []) == (notices(database), remarks(database))


def test_a_zeroed_page_is_reported_once_and_stays_recorded_until_the_file_is_sound(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(sqlite_url)
    with database.read() as conn:  # SQLite has the page in its cache
        assert [] == conn.execute(select(users)).all()
    with sqlite3.connect(database.place) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'users'").fetchone()
    connection.close()
    lost = overwrite(Path(database.place), page, bytes(PAGE))

    assert [True, False] == [check(database), check(database, days=1)]
    (notice,) = notices(database)
    (remark,) = remarks(database)
    assert (True, True) == (database.place in notice, notice in remark)
    assert 2 == sum(record.message == "database.damaged" for record in caplog.records)

    overwrite(Path(database.place), page, lost)
    assert (False, []) == (check(database, days=2), remarks(database))

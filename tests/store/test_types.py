"""Instants and readings are read back unchanged from both systems."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select
from sqlalchemy.exc import StatementError

from balancebot.domain.balance import Absent
from balancebot.store.database import Database
from balancebot.store.types import ReadingColumn, UtcDateTime

things = Table(
    "things", MetaData(), Column("n", Integer), Column("at", UtcDateTime), Column("reading", ReadingColumn)
)

SHANGHAI = timezone(timedelta(hours=8))
NAIVE = datetime.min  # noqa: DTZ901 -- what must be refused


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 11, 24, 17, 30, tzinfo=SHANGHAI),
        datetime(2026, 11, 24, 9, 30, 0, 1, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        None,
    ],
)
def test_an_instant_is_read_back_in_utc(database: Database, at: datetime | None) -> None:
    with database.write() as conn:
        things.create(conn)
        conn.execute(insert(things), {"at": at})
        found = conn.scalar(select(things.c.at))
    assert at == found
    assert found is None or found.tzinfo is UTC


def test_an_instant_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="without a time zone"), database.write() as conn:
        things.create(conn)
        conn.execute(insert(things), {"at": NAIVE})


def test_instants_are_compared_as_instants_whatever_their_zone(database: Database) -> None:
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC)
    with database.write() as conn:
        things.create(conn)
        conn.execute(insert(things), [{"n": n, "at": noon + timedelta(milliseconds=n)} for n in (-1, 0, 1)])
        before = select(things.c.n).where(things.c.at < noon.astimezone(SHANGHAI))
        assert [-1] == list(conn.scalars(before))
        assert noon + timedelta(milliseconds=1) == conn.scalar(select(func.max(things.c.at)))


def test_numbers_unallocated_and_unread_are_distinguished(database: Database) -> None:
    readings = [0, 1, 2**63 - 1, Absent.UNALLOCATED, Absent.UNREAD]
    with database.write() as conn:
        things.create(conn)
        conn.execute(insert(things), [{"n": n, "reading": reading} for n, reading in enumerate(readings)])
        found = list(conn.scalars(select(things.c.reading).order_by(things.c.n)))
    assert readings == found

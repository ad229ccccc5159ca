"""What is away for a while (Slack, the disk, the database, the right time) costs no news, and is told in a line."""

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text, update

from balancebot.domain.balance import WalletName
from balancebot.store.tables import deliveries
from tests.crash.books import compare
from tests.crash.episodes import Level
from tests.crash.town import ROOM, Town
from tests.databases import PostgreSQL
from tests.patience import PATIENCE
from tests.standins.slack_api import Fault

pytestmark = pytest.mark.slow
ONE, TWO, THREE = (WalletName(f"acme/app-{number}") for number in (1, 2, 3))
LOCKED_FOR = 12.0
"""Seconds: longer than a lease, and than anybody waits for a lock."""
LATE_BY = 14.0
"""Seconds: longer than a request may take."""


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with Town(tmp_path, f"sqlite:///{tmp_path}/balancebot.db", seed=1) as town:
        town.start()
        town.move({ONE: Level.WARNING})
        assert town.until_quiet(PATIENCE)
        yield town
        assert [] == [line for line in town.log() if "trace" in line or "said" in line]


def _move(town: Town, wallet: WalletName, level: Level) -> None:
    town.move({wallet: level})
    assert town.until_recorded(PATIENCE)


def _well(town: Town) -> None:
    assert town.until_quiet(PATIENCE)
    books = compare(town)
    assert ((), ()) == (books.losses, books.repeats)


def _troubles(town: Town) -> list[str]:
    subjects = [str(mail.message["Subject"]) for mail in town.mail.mails]
    return [subject for subject in subjects if subject.startswith("[trouble]")]


def _told(town: Town, event: str) -> list[str]:
    return [str(line["error"]) for line in town.log() if line["event"] == event and "error" in line]


def test_when_slack_is_back_each_alert_is_told_as_it_is_now_and_once(town: Town) -> None:
    told = len(town.slack.messages(ROOM))
    town.slack.shut()
    _move(town, TWO, Level.WARNING)
    _move(town, THREE, Level.CRITICAL)
    _move(town, TWO, Level.DEPLETED)
    _move(town, THREE, Level.OK)
    town.slack.open_again()
    _well(town)
    new = [message["text"].partition(" — ")[0] for message in town.slack.messages(ROOM)[told:]]
    assert ["⛔ Depleted · acme/app-2 industry", "🟢 Recovered · acme/app-3 industry"] == sorted(new)
    assert [] == [message for message in town.slack.rooms["C00000000"].messages if "thread_ts" in message]
    assert 1 == len({error for error in _told(town, "delivery.failed") if "Slack" in error})


def test_slack_is_left_alone_for_as_long_as_it_asks(town: Town) -> None:
    began = time.monotonic()
    town.slack.fail_next("chat.postMessage", Fault(rate_limited=4))
    _move(town, TWO, Level.WARNING)
    _well(town)
    assert time.monotonic() - began > 4
    assert 3 == len(town.slack.calls_of("chat.postMessage"))


def test_a_revoked_token_is_told_by_mail_and_nothing_is_lost_until_there_is_a_new_one(town: Town) -> None:
    revoked, town.slack.token = town.slack.token, "xoxb-another"
    _move(town, TWO, Level.CRITICAL)
    end = time.monotonic() + PATIENCE
    while not _troubles(town) and time.monotonic() < end:
        time.sleep(0.1)
    town.slack.token = revoked
    _well(town)
    assert ["[trouble] Slack messages to #ops-alerts don't arrive"] == _troubles(town)


def test_a_disk_that_takes_no_more_loses_nothing(town: Town) -> None:
    town.limit_files(1)
    time.sleep(2)
    town.move({ONE: Level.OK, TWO: Level.DEPLETED})
    time.sleep(5)
    assert not town.until_recorded(0)
    town.limit_files(None)
    _well(town)
    assert [] != _told(town, "job.failed") + _told(town, "poll.not_kept")


def test_a_database_that_is_locked_loses_nothing(town: Town, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "balancebot.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    town.move({ONE: Level.OK, TWO: Level.CRITICAL})
    time.sleep(12)  # longer than a writer waits for its turn
    other.execute("ROLLBACK")
    other.close()
    _well(town)
    assert [] != [error for error in _told(town, "job.failed") if "another process is writing" in error]


def test_tables_that_somebody_locks_on_postgresql_lose_nothing(
    tmp_path: Path, postgresql: PostgreSQL
) -> None:
    url = postgresql.url(postgresql.create(template="template0"))
    other = create_engine(url)
    with Town(tmp_path, url, seed=1, num_replicas=2) as town:
        town.start()
        town.move({ONE: Level.WARNING})
        assert town.until_quiet(PATIENCE)
        with other.begin() as conn:
            conn.execute(text("LOCK TABLE wallets, alerts, deliveries, workers IN ACCESS EXCLUSIVE MODE"))
            town.move({ONE: Level.OK, TWO: Level.CRITICAL})
            time.sleep(LOCKED_FOR)
        _well(town)
        lines = _told(town, "job.failed")
        assert ["canceling statement due to lock timeout" in line for line in lines] == [True] * len(lines)
        # two replicas, at most each job in each
        assert 0 < len(lines) <= 2 * len({line["job"] for line in town.log() if "job" in line})
        assert [] == [line for line in town.log() if "trace" in line or "said" in line]
    other.dispose()


def test_a_postgresql_that_ends_every_session_again_and_again_loses_nothing(
    tmp_path: Path, postgresql: PostgreSQL
) -> None:
    url = postgresql.url(postgresql.create(template="template0"))
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
    others += "AND pid <> pg_backend_pid()"
    other = create_engine(url)
    with Town(tmp_path, url, seed=1, num_replicas=2) as town:
        town.start()
        town.move({ONE: Level.WARNING})
        assert town.until_quiet(PATIENCE)
        town.move({ONE: Level.CRITICAL, TWO: Level.WARNING})
        for _ in range(30):
            with other.connect() as conn:
                conn.execute(text(others))
            time.sleep(0.15)
        _well(town)
        assert [] == [line for line in town.log() if "trace" in line or "said" in line]
    other.dispose()


def test_a_post_that_takes_effect_long_after_its_time_does_not_stand_twice_in_the_end(town: Town) -> None:
    town.slack.fail_next("chat.postMessage", Fault(delay=LATE_BY, done=True))
    began = time.monotonic()
    _move(town, TWO, Level.CRITICAL)
    _well(town)
    time.sleep(max(0.0, began + LATE_BY + 2 - time.monotonic()))
    # it stands twice now, unless the bot was so slow that it found the late one before it sent again
    _look_again(town)
    end = time.monotonic() + PATIENCE
    while set(_standing(town).values()) != {1} and time.monotonic() < end:
        time.sleep(0.1)
    assert {1} == set(_standing(town).values())
    _move(town, TWO, Level.OK)
    _well(town)


def _standing(town: Town) -> Counter[str]:
    """How often each delivery stands on Slack."""
    return Counter(
        message["metadata"]["event_payload"]["delivery"] for message in town.slack.rooms["C00000000"].messages
    )


def _look_again(town: Town) -> None:
    """Let the minutes pass after which the bot looks for what occurs twice."""
    c = deliveries.c
    with town.database.write() as conn:
        conn.execute(update(deliveries).where(c.verify_at.is_not(None)).values(verify_at=c.created_at))


@pytest.mark.parametrize(
    "wrong", [timedelta(days=60), timedelta(days=-60), timedelta(days=-20_000)], ids=["ahead", "back", "1970"]
)
def test_a_clock_that_is_far_off_for_two_readings_tells_nothing_twice_and_reminds_of_nothing(
    tmp_path: Path, wrong: timedelta
) -> None:
    with Town(tmp_path, f"sqlite:///{tmp_path}/balancebot.db", seed=1, remind_every="24h") as town:
        town.start()
        _move(town, ONE, Level.WARNING)
        assert town.until_quiet(PATIENCE)
        town.set_clock(wrong)
        time.sleep(2.5)
        _move(town, TWO, Level.CRITICAL)
        town.set_clock(timedelta())
        time.sleep(2.5)
        _move(town, TWO, Level.OK)
        _well(town)
        assert 3 == len(town.mail.mails)


def test_replicas_whose_clocks_are_apart_tell_everything_once(tmp_path: Path, postgresql: PostgreSQL) -> None:
    url = postgresql.url(postgresql.create(template="template0"))
    with Town(tmp_path, url, seed=1, num_replicas=2) as town:
        town.set_clock(timedelta(seconds=-12), replica=1)
        town.start()
        town.slack.fail_next("chat.postMessage", *[Fault(delay=1.5, done=True)] * 3)
        for level in (Level.WARNING, Level.CRITICAL, Level.OK):
            for wallet in (ONE, TWO, THREE):
                _move(town, wallet, level)
        _well(town)
        deleted = [call for call in town.slack.calls if call.method == "chat.delete"]
        assert ([], len(town.mail.mails)) == (
            deleted,
            len({str(mail.message["Message-ID"]) for mail in town.mail.mails}),
        )


@pytest.mark.slow
@pytest.mark.timing
@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_jumps_an_hour_loses_nothing(town: Town, hours: int) -> None:
    _move(town, TWO, Level.CRITICAL)
    town.set_clock(timedelta(hours=hours))
    began = time.monotonic()
    _move(town, ONE, Level.DEPLETED)
    _move(town, TWO, Level.OK)
    _move(town, THREE, Level.WARNING)
    _well(town)
    assert time.monotonic() - began < 30

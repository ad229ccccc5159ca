"""An outage (of Slack, the disk, the database, the clock) loses no message, and the log says it in one line."""

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text, update

from balancebot.clock import SystemClock
from balancebot.domain.balance import WalletName
from balancebot.store.tables import deliveries
from tests.crash.deployment import ROOM, Deployment
from tests.crash.episodes import Level
from tests.crash.reconcile import reconcile
from tests.databases import PostgreSQL
from tests.patience import PATIENCE
from tests.standins.slack_api import Fault

pytestmark = pytest.mark.slow
ONE, TWO, THREE = (WalletName(f"acme/app-{number}") for number in (1, 2, 3))
LOCKED_FOR = 12.0
"""Seconds: longer than a lease, and than the wait for a lock."""
LATE_BY = 14.0
"""Seconds: longer than a request may take."""


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    with Deployment(tmp_path, f"sqlite:///{tmp_path}/balancebot.db", seed=1) as deployment:
        deployment.start()
        deployment.set_levels({ONE: Level.WARNING})
        assert deployment.wait_until_settled(PATIENCE)
        yield deployment
        assert [] == [line for line in deployment.log() if "trace" in line or "output" in line]


def _set_level(deployment: Deployment, wallet: WalletName, level: Level) -> None:
    deployment.set_levels({wallet: level})
    assert deployment.wait_until_recorded(PATIENCE)


def _reconciled(deployment: Deployment) -> None:
    assert deployment.wait_until_settled(PATIENCE)
    result = reconcile(deployment)
    assert ((), ()) == (result.losses, result.repeats)


def _channel_failures(deployment: Deployment) -> list[str]:
    subjects = [str(mail.message["Subject"]) for mail in deployment.mail.mails]
    return [subject for subject in subjects if subject.startswith("[trouble]")]


def _errors(deployment: Deployment, event: str) -> list[str]:
    return [str(line["error"]) for line in deployment.log() if line["event"] == event and "error" in line]


def test_when_slack_is_back_each_alert_is_sent_as_it_is_now_and_once(deployment: Deployment) -> None:
    num_before = len(deployment.slack.messages(ROOM))
    deployment.slack.stop_listening()
    _set_level(deployment, TWO, Level.WARNING)
    _set_level(deployment, THREE, Level.CRITICAL)
    _set_level(deployment, TWO, Level.DEPLETED)
    # a low balance in only one reading would count as a wrong reading
    assert deployment.wait_until_read_since(SystemClock().now(), PATIENCE)
    _set_level(deployment, THREE, Level.OK)
    deployment.slack.listen_again()
    _reconciled(deployment)
    new = [message["text"].partition(" — ")[0] for message in deployment.slack.messages(ROOM)[num_before:]]
    assert ["⛔ Depleted · acme/app-2 industry", "🟢 Recovered · acme/app-3 industry"] == sorted(new)
    assert [] == [
        message for message in deployment.slack.rooms["C00000000"].messages if "thread_ts" in message
    ]
    assert 1 == len({error for error in _errors(deployment, "delivery.failed") if "Slack" in error})


def test_slack_gets_no_request_during_its_retry_after(deployment: Deployment) -> None:
    began = time.monotonic()
    deployment.slack.fail_next("chat.postMessage", Fault(rate_limited=4))
    _set_level(deployment, TWO, Level.WARNING)
    _reconciled(deployment)
    assert time.monotonic() - began > 4
    assert 3 == len(deployment.slack.calls_of("chat.postMessage"))


def test_a_revoked_token_is_reported_by_mail_and_nothing_is_lost_until_there_is_a_new_one(
    deployment: Deployment,
) -> None:
    revoked, deployment.slack.token = deployment.slack.token, "xoxb-another"
    _set_level(deployment, TWO, Level.CRITICAL)
    end = time.monotonic() + PATIENCE
    while not _channel_failures(deployment) and time.monotonic() < end:
        time.sleep(0.1)
    deployment.slack.token = revoked
    _reconciled(deployment)
    assert ["[trouble] Slack messages to #ops-alerts don't arrive"] == _channel_failures(deployment)


def test_a_full_disk_loses_nothing(deployment: Deployment) -> None:
    deployment.limit_files(1)
    time.sleep(2)
    deployment.set_levels({ONE: Level.OK, TWO: Level.DEPLETED})
    time.sleep(5)
    assert not deployment.wait_until_recorded(0)
    deployment.limit_files(None)
    _reconciled(deployment)
    assert [] != _errors(deployment, "job.failed") + _errors(deployment, "poll.not_kept")


def test_a_database_that_is_locked_loses_nothing(deployment: Deployment, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "balancebot.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    deployment.set_levels({ONE: Level.OK, TWO: Level.CRITICAL})
    time.sleep(12)  # longer than a writer waits for the lock
    other.execute("ROLLBACK")
    other.close()
    _reconciled(deployment)
    assert [] != [
        error for error in _errors(deployment, "job.failed") if "another process is writing" in error
    ]


def test_locked_tables_on_postgresql_lose_nothing(tmp_path: Path, postgresql: PostgreSQL) -> None:
    url = postgresql.url(postgresql.create(template="template0"))
    other = create_engine(url)
    with Deployment(tmp_path, url, seed=1, num_replicas=2) as deployment:
        deployment.start()
        deployment.set_levels({ONE: Level.WARNING})
        assert deployment.wait_until_settled(PATIENCE)
        with other.begin() as conn:
            conn.execute(text("LOCK TABLE wallets, alerts, deliveries, workers IN ACCESS EXCLUSIVE MODE"))
            deployment.set_levels({ONE: Level.OK, TWO: Level.CRITICAL})
            time.sleep(LOCKED_FOR)
        _reconciled(deployment)
        lines = _errors(deployment, "job.failed")
        assert ["canceling statement due to lock timeout" in line for line in lines] == [True] * len(lines)
        # two replicas, at most each job in each
        assert 0 < len(lines) <= 2 * len({line["job"] for line in deployment.log() if "job" in line})
        assert [] == [line for line in deployment.log() if "trace" in line or "output" in line]
    other.dispose()


def test_a_postgresql_that_ends_every_session_again_and_again_loses_nothing(
    tmp_path: Path, postgresql: PostgreSQL
) -> None:
    url = postgresql.url(postgresql.create(template="template0"))
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
    others += "AND pid <> pg_backend_pid()"
    other = create_engine(url)
    with Deployment(tmp_path, url, seed=1, num_replicas=2) as deployment:
        deployment.start()
        deployment.set_levels({ONE: Level.WARNING})
        assert deployment.wait_until_settled(PATIENCE)
        deployment.set_levels({ONE: Level.CRITICAL, TWO: Level.WARNING})
        for _ in range(30):
            with other.connect() as conn:
                conn.execute(text(others))
            time.sleep(0.15)
        _reconciled(deployment)
        assert [] == [line for line in deployment.log() if "trace" in line or "output" in line]
    other.dispose()


def test_a_post_that_takes_effect_long_after_its_timeout_is_in_slack_once_in_the_end(
    deployment: Deployment,
) -> None:
    deployment.slack.fail_next("chat.postMessage", Fault(delay=LATE_BY, done=True))
    began = time.monotonic()
    _set_level(deployment, TWO, Level.CRITICAL)
    _reconciled(deployment)
    time.sleep(max(0.0, began + LATE_BY + 2 - time.monotonic()))
    # now it is in Slack twice, unless the bot found the late message before it sent again
    _make_verification_due(deployment)
    end = time.monotonic() + PATIENCE
    while set(_num_in_slack(deployment).values()) != {1} and time.monotonic() < end:
        time.sleep(0.1)
    assert {1} == set(_num_in_slack(deployment).values())
    _set_level(deployment, TWO, Level.OK)
    _reconciled(deployment)


def _num_in_slack(deployment: Deployment) -> Counter[str]:
    """Return how often each delivery is in Slack."""
    return Counter(
        message["metadata"]["event_payload"]["delivery"]
        for message in deployment.slack.rooms["C00000000"].messages
    )


def _make_verification_due(deployment: Deployment) -> None:
    """Let the minutes pass after which the bot looks for duplicates."""
    c = deliveries.c
    with deployment.database.write() as conn:
        conn.execute(update(deliveries).where(c.verify_at.is_not(None)).values(verify_at=c.created_at))


@pytest.mark.parametrize(
    "wrong", [timedelta(days=60), timedelta(days=-60), timedelta(days=-20_000)], ids=["ahead", "back", "1970"]
)
def test_a_clock_that_is_far_off_for_two_readings_sends_nothing_twice_and_no_reminder(
    tmp_path: Path, wrong: timedelta
) -> None:
    with Deployment(
        tmp_path, f"sqlite:///{tmp_path}/balancebot.db", seed=1, remind_every="24h"
    ) as deployment:
        deployment.start()
        _set_level(deployment, ONE, Level.WARNING)
        assert deployment.wait_until_settled(PATIENCE)
        deployment.set_clock(wrong)
        time.sleep(2.5)
        _set_level(deployment, TWO, Level.CRITICAL)
        deployment.set_clock(timedelta())
        time.sleep(2.5)
        _set_level(deployment, TWO, Level.OK)
        _reconciled(deployment)
        assert 3 == len(deployment.mail.mails)


def test_replicas_whose_clocks_differ_send_everything_once(tmp_path: Path, postgresql: PostgreSQL) -> None:
    url = postgresql.url(postgresql.create(template="template0"))
    with Deployment(tmp_path, url, seed=1, num_replicas=2) as deployment:
        deployment.set_clock(timedelta(seconds=-12), replica=1)
        deployment.start()
        deployment.slack.fail_next("chat.postMessage", *[Fault(delay=1.5, done=True)] * 3)
        for level in (Level.WARNING, Level.CRITICAL, Level.OK):
            for wallet in (ONE, TWO, THREE):
                _set_level(deployment, wallet, level)
        _reconciled(deployment)
        deleted = [call for call in deployment.slack.calls if call.method == "chat.delete"]
        assert ([], len(deployment.mail.mails)) == (
            deleted,
            len({str(mail.message["Message-ID"]) for mail in deployment.mail.mails}),
        )


@pytest.mark.slow
@pytest.mark.timing
@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_jumps_an_hour_loses_nothing(deployment: Deployment, hours: int) -> None:
    _set_level(deployment, TWO, Level.CRITICAL)
    deployment.set_clock(timedelta(hours=hours))
    began = time.monotonic()
    _set_level(deployment, ONE, Level.DEPLETED)
    _set_level(deployment, TWO, Level.OK)
    _set_level(deployment, THREE, Level.WARNING)
    _reconciled(deployment)
    assert time.monotonic() - began < 30

"""Old data is pruned, and data that is still needed stays."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, insert, select, update

from balancebot.config import RetentionConfig
from balancebot.domain.alert import Reason
from balancebot.domain.balance import BalanceKey, Category, Readings, WalletName
from balancebot.domain.message import TestMessage
from balancebot.domain.routing import Destination
from balancebot.domain.usage import Booked, Hour, Seen
from balancebot.domain.user import Role, User
from balancebot.history.prune import Pruned, prune, prune_steadily
from balancebot.store import digest_slots, outbox, readings, tables, usage, users, wallets
from balancebot.store.database import Database
from balancebot.store.digest_slots import MadeDigest
from balancebot.store.readings import SnapshotRow
from balancebot.store.tables import alerts, attempts, deliveries, groups, notifications, threads
from tests.outbox_bench import Bench

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")
RETENTION = RetentionConfig(raw=timedelta(days=35), hourly=timedelta(days=400))
POOL = WalletName("acme")
NOTHING = Pruned(num_snapshots=0, num_hours=0, num_notifications=0, num_alerts=0, num_sessions=0)


def hour_of(at: datetime) -> int:
    return int(at.timestamp()) // 3600


def test_pruning_an_empty_database_changes_nothing(database: Database) -> None:
    assert NOTHING == prune(database, RETENTION, zone=ZONE, now=NOW)


def test_snapshots_older_than_raw_are_deleted_and_their_hours_stay(database: Database) -> None:
    old, young = NOW - timedelta(days=36), NOW - timedelta(days=34)
    with database.write() as conn:
        wallets.sync(conn, [POOL], now=NOW)
        for at in (old, young):
            readings.append_snapshots(conn, [SnapshotRow(int(at.timestamp()), 1, Readings(market=5))])
            usage.add(conn, {POOL: 1}, {}, {POOL: Seen(at.timestamp(), Readings(market=5))})
    pruned = prune(database, RETENTION, zone=ZONE, now=NOW)
    assert Pruned(num_snapshots=1, num_hours=0, num_notifications=0, num_alerts=0, num_sessions=0) == pruned
    with database.read() as conn:
        remaining = list(readings.snapshots_between(conn, since=0, until=10**11))
        hours = list(usage.hours(conn, since=0, until=10**6))
    assert [SnapshotRow(int(young.timestamp()), 1, Readings(market=5))] == remaining
    assert [hour_of(old), hour_of(young)] == [row.at for row in hours]


def test_hours_older_than_hourly_become_days(database: Database) -> None:
    edge = hour_of(NOW - timedelta(days=400))
    with database.write() as conn:
        wallets.sync(conn, [POOL], now=NOW)
        for hour in (edge - 48, edge - 47, edge - 1, edge):
            usage.add(conn, {POOL: 1}, {Hour(hour, BalanceKey(POOL, Category.MARKET)): Booked(1, 60.0)}, {})
    pruned = prune(database, RETENTION, zone=ZONE, now=NOW)
    assert Pruned(num_snapshots=0, num_hours=2, num_notifications=0, num_alerts=0, num_sessions=0) == pruned
    with database.read() as conn:
        assert [edge - 1, edge] == [row.at for row in usage.hours(conn, since=0, until=10**6)]
        assert [2] == [row.of(Category.MARKET).use for row in usage.days_of(conn, 1, since=0, until=10**6)]


def test_old_messages_are_deleted_with_their_deliveries_once_these_have_ended(database: Database) -> None:
    old = NOW - timedelta(days=401)
    with database.write() as conn:
        for _ in ("settled", "waiting"):
            outbox.enqueue_plain(
                conn,
                message=TestMessage(at=old),
                destinations=[Destination("email", "finance@example.com")],
                now=old,
            )
        settled, waiting = conn.scalars(select(notifications.c.id).order_by(notifications.c.id))
        conn.execute(update(deliveries).where(deliveries.c.notification_id == settled).values(settled_at=old))
        for delivery_id in conn.scalars(select(deliveries.c.id)).all():
            row = {"delivery_id": delivery_id, "at": old, "outcome": "delivered", "message": ""}
            conn.execute(insert(attempts), row)
    pruned = prune(database, RETENTION, zone=ZONE, now=NOW)
    assert Pruned(num_snapshots=0, num_hours=0, num_notifications=1, num_alerts=0, num_sessions=0) == pruned
    with database.read() as conn:
        assert [waiting] == list(conn.scalars(select(notifications.c.id)))
        assert (1, 1) == (
            len(conn.execute(select(deliveries)).all()),
            len(conn.execute(select(attempts)).all()),
        )


def close(bench: Bench, *alert_ids: int) -> None:
    with bench.database.write() as conn:
        conn.execute(
            update(alerts)
            .where(alerts.c.id.in_(alert_ids))
            .values(closed_at=bench.clock.now(), severity="ok")
        )


def num_rows(database: Database) -> dict[str, int]:
    with database.read() as conn:
        return {
            table.name: conn.scalar(select(func.count()).select_from(table)) or 0
            for table in (alerts, groups, threads, notifications, deliveries, attempts)
        }


def test_a_group_stays_while_one_of_its_alerts_is_open_so_that_it_can_be_replied_to(bench: Bench) -> None:
    *closed, still_open = [bench.open() for _ in range(6)]
    bench.run()
    close(bench, *closed)
    bench.clock.pass_by(days=401)
    pruned = prune(bench.database, RETENTION, zone=ZONE, now=bench.clock.now())
    assert (6, 5) == (pruned.num_notifications, pruned.num_alerts)
    bench.enqueue(still_open, Reason.RECOVERED)
    bench.run()
    assert ["GroupMessage", "> recovered"] == bench.slack.received()


def test_old_closed_alerts_are_deleted_with_their_messages(bench: Bench) -> None:
    close(bench, *[bench.open() for _ in range(7)])
    bench.run()
    bench.clock.pass_by(days=401)
    assert 6 == prune(bench.database, RETENTION, zone=ZONE, now=bench.clock.now()).num_alerts
    rest = {"alerts": 1, "groups": 1, "threads": 2, "notifications": 0, "deliveries": 0, "attempts": 0}
    assert rest == num_rows(bench.database)
    newest = bench.open()
    assert 1 == prune(bench.database, RETENTION, zone=ZONE, now=bench.clock.now()).num_alerts
    assert (8, {**rest, "groups": 0, "threads": 1, "notifications": 1, "deliveries": 1}) == (
        newest,
        num_rows(bench.database),
    )


def test_the_latest_and_the_recent_slots_of_a_digest_stay(database: Database) -> None:
    def slot(name: str, days_ago: int) -> MadeDigest:
        at = NOW - timedelta(days=days_ago)
        return MadeDigest(name=name, slot=f"{at:%Y-%m-%dT%H:%M}", made_at=at, summary="{}")

    with database.write() as conn:
        for digest in (
            slot("daily", 36),
            slot("daily", 34),
            slot("daily", 1),
            slot("monthly", 70),
            slot("monthly", 40),
        ):
            digest_slots.claim(conn, digest)
    prune(database, RETENTION, zone=ZONE, now=NOW)
    with database.read() as conn:
        remaining = [
            (row.name, (NOW - row.made_at).days) for row in conn.execute(select(tables.digest_slots))
        ]
    assert [("daily", 1), ("daily", 34), ("monthly", 40)] == sorted(remaining)


def test_expired_log_ins_are_deleted(database: Database) -> None:
    with database.write() as conn:
        users.add(conn, User(name="ada", role=Role.VIEWER, created_at=NOW), "hash")
        begun = NOW - timedelta(days=1)
        for token, expires_at in (("ended", NOW), ("good", NOW + timedelta(seconds=1))):
            users.start_session(conn, token, "ada", now=begun, expires_at=expires_at)
        users.note_failure(conn, "ada", "::1", at=NOW - timedelta(days=2), forget=NOW - timedelta(days=9))
    assert Pruned(num_snapshots=0, num_hours=0, num_notifications=0, num_alerts=0, num_sessions=1) == prune(
        database, RETENTION, zone=ZONE, now=NOW
    )
    with database.read() as conn:
        assert ["good"] == [session.id for session in users.sessions_of(conn, "ada", now=NOW)]
        assert ([], [], []) == users.failures(conn, "ada", "::1", since=NOW - timedelta(days=99))


def test_nothing_is_pruned_within_a_day_after_a_clock_jump(bench: Bench) -> None:
    def pruned_after(**passed: float) -> bool:
        bench.clock.pass_by(**passed)
        done = prune_steadily(bench.database, RETENTION, zone=ZONE, now=bench.clock.now())
        return done is not None

    assert [False] * 24 + [True] == [pruned_after(hours=1) for _ in range(25)]
    assert not pruned_after(days=60)
    assert not pruned_after(hours=1)
    assert not pruned_after(days=-60)
    assert [False] * 23 + [True] == [pruned_after(hours=1) for _ in range(24)]

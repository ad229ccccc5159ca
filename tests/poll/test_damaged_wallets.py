"""Damaged rows of one wallet don't affect reading, judging and alerting of other wallets."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import bindparam, select, text

from balancebot.domain.balance import WalletName
from balancebot.domain.message import NoticeMessage
from balancebot.i18n import Wording
from balancebot.store import set_aside, tables
from balancebot.store.database import Database
from balancebot.store.errors import DatabaseError, DatabaseErrorKind
from tests.world import POOL, SHOP, WEB, World, industry

OTHER = WalletName("other/app")
GARBAGE = '{"x'


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    world = _watching(database_url)
    yield world
    world.database.dispose()


@pytest.fixture
def on_sqlite(sqlite_url: str) -> Iterator[World]:
    world = _watching(sqlite_url)
    yield world
    world.database.dispose()


def _watching(url: str) -> World:
    """Return a world with four wallets; the shop has an open alert, a usage model and its own limit."""
    world = World(Database(url, search_again=timedelta()))
    world.limit("*", critical_below=100)
    world.limit("acme/shop", critical_below=100)
    world.configure(POOL, SHOP, WEB, OTHER)
    for wallet in (POOL, WEB, OTHER):
        world.shows(industry(1000), wallet=wallet)
    world.reads(500, 400, 300, 50)
    return world


def _put(world: World, table: str, column: str, value: object, where: str) -> None:
    with world.database.write() as conn:
        changed = conn.execute(
            text(f'UPDATE "{table}" SET "{column}" = :value WHERE {where}'), {"value": value}
        )
        assert changed.rowcount > 0


def _fall(world: World) -> None:
    """Let the balances of all other wallets fall below their limits, poll and deliver."""
    world.shows(industry(30))
    for wallet, left in ((WEB, 20), (OTHER, 10), (POOL, 1000)):
        world.shows(industry(left), wallet=wallet)
    world.app.poll_cycle.run_due()
    world.app.operate_alerts.tick()
    world.deliver()


def _notices(world: World) -> list[NoticeMessage]:
    with world.database.read() as conn:
        messages = list(conn.scalars(select(tables.notifications.c.message)))
    return [message for message in messages if isinstance(message, NoticeMessage)]


NAMED, OF_WALLET = "wallet = 'acme/shop'", "wallet_id = (SELECT id FROM wallets WHERE name = 'acme/shop')"
TEXTS = [
    ("wallets", "next_read_reason", "name = 'acme/shop'"),
    ("wallets", "error_kind", "name = 'acme/shop'"),
    ("alerts", "context", NAMED),
    ("alerts", "severity", NAMED),
    ("alerts", "measurement", NAMED),
]
OTHERS = [
    ("wallets", "booked_at", "name = 'acme/shop'"),
    ("wallets", "next_read_at", "name = 'acme/shop'"),
    ("balances", "spike_points", OF_WALLET),
    ("burn_models", "hour", OF_WALLET),
    ("thresholds", "warning_below", NAMED),
    ("thresholds", "updated_at", NAMED),
]


@pytest.mark.parametrize(("table", "column", "where"), TEXTS)
def test_other_wallets_are_read_judged_and_alerted(world: World, table: str, column: str, where: str) -> None:
    _put(world, table, column, GARBAGE, where)
    _only_the_shop_is_excluded(world, table, column, where)


@pytest.mark.parametrize(("table", "column", "where"), OTHERS)
def test_on_sqlite_any_column_may_hold_text(on_sqlite: World, table: str, column: str, where: str) -> None:
    if table == "burn_models":
        on_sqlite.clock.at += timedelta(hours=1)
    _put(on_sqlite, table, column, GARBAGE, where)
    on_sqlite.app = on_sqlite.another_app()  # without a cache of the limits
    _only_the_shop_is_excluded(on_sqlite, table, column, where)


def _only_the_shop_is_excluded(world: World, table: str, column: str, where: str) -> None:
    _fall(world)
    assert ["opened critical acme/web:industry", "opened critical other/app:industry"] == [
        line for line in world.transitions() if "acme/shop" not in line
    ]
    with world.database.read() as conn:
        remarks = set_aside.remarks(conn)
        query = text(f'SELECT "{column}" FROM "{table}" WHERE {where}')
        stored = set(conn.scalars(query))
    assert {GARBAGE} == stored, "nothing is overwritten"
    (remark,) = remarks
    assert remark.startswith(f"acme/shop is neither read nor judged: table {table}, ")
    assert column in remark
    (notice,) = _notices(world)
    assert "acme/shop: not watched any more" in str(notice.title)
    assert GARBAGE not in "".join(map(str, notice.lines))
    world.clock.at += timedelta(minutes=10)
    _fall(world)
    assert 1 == len(_notices(world))


def test_a_damaged_estimate_is_made_again_by_the_next_reading(on_sqlite: World) -> None:
    _put(on_sqlite, "balances", "p50_at", GARBAGE, OF_WALLET)
    _fall(on_sqlite)
    assert 3 == len(on_sqlite.transitions())
    with on_sqlite.database.read() as conn:
        assert [] == set_aside.remarks(conn)
        assert GARBAGE not in conn.scalars(text(f"SELECT p50_at FROM balances WHERE {OF_WALLET}"))


def test_a_repaired_wallet_is_read_again_automatically(world: World) -> None:
    _put(world, "alerts", "context", GARBAGE, NAMED)
    _fall(world)
    _put(world, "alerts", "context", "{}", NAMED)
    world.clock.at += timedelta(minutes=10)
    _fall(world)
    with world.database.read() as conn:
        remarks = set_aside.remarks(conn)
        latest = conn.scalar(select(tables.wallets.c.industry).where(tables.wallets.c.name == SHOP))
    assert ([], 30) == (remarks, latest)


def test_another_process_does_not_send_the_notice_again(world: World) -> None:
    _put(world, "alerts", "context", GARBAGE, NAMED)
    _fall(world)
    world.database.dispose()
    world.database = Database(world.database.url.render_as_string(hide_password=False))
    world.app = world.another_app()
    world.clock.at += timedelta(minutes=10)
    _fall(world)
    assert 1 == len(_notices(world))
    assert [SHOP] == list(world.database.set_aside.wallets)


def test_a_damaged_limit_excludes_all_its_wallets(on_sqlite: World) -> None:
    on_sqlite.limit("acme/*", "voice", critical_below=5)
    _put(on_sqlite, "thresholds", "critical_below", GARBAGE, "wallet = 'acme/*'")
    on_sqlite.app = on_sqlite.another_app()
    _fall(on_sqlite)
    assert {SHOP, WEB} == set(on_sqlite.database.set_aside.wallets)
    assert "opened critical other/app:industry" in on_sqlite.transitions()


def test_a_damaged_silence_mutes_nothing_and_stops_nothing(world: World) -> None:
    with world.database.write() as conn:
        conn.execute(
            text(
                "INSERT INTO silences (pattern, begins_at, until, reason, created_by)"
                " VALUES ('a:b:c', :now, :until, 'r', 'me')"
            ).bindparams(
                bindparam("now", world.clock.at, tables.silences.c.begins_at.type),
                bindparam("until", world.clock.at + timedelta(days=1), tables.silences.c.until.type),
            )
        )
    _fall(world)
    assert "opened critical other/app:industry" in world.transitions()


def test_a_database_with_many_damaged_rows_is_an_error(on_sqlite: World) -> None:
    on_sqlite.configure(SHOP, WEB, OTHER, POOL, *(WalletName(f"acme/app{number}") for number in range(100)))
    _put(on_sqlite, "wallets", "next_read_at", GARBAGE, "true")
    with pytest.raises(DatabaseError) as raised:
        on_sqlite.poll()
    assert DatabaseErrorKind.CORRUPT is raised.value.kind
    assert {} == on_sqlite.database.set_aside.wallets


def test_an_error_that_is_still_referenced_keeps_no_old_transaction_open(database: Database) -> None:
    world = World(database)
    world.configure(POOL, SHOP, WEB)
    results: list[object] = []
    try:
        with database.read() as conn:
            rows = conn.execute(text("SELECT name FROM wallets"))
            rows.fetchone()
            results.append(rows)
            raise ValueError("a value can't be read")
    except ValueError as error:
        results.append(error)
    world.configure(POOL, SHOP, WEB, OTHER)
    with database.read() as conn:
        assert 4 == len(conn.execute(text("SELECT name FROM wallets")).all())


def test_the_notice_of_a_damaged_wallet_is_in_both_languages(world: World) -> None:
    _put(world, "alerts", "context", GARBAGE, NAMED)
    _fall(world)
    (notice,) = _notices(world)
    for language, title in (
        ("en", "acme/shop: not watched any more, because rows in the database are damaged"),
        ("zh-CN", "acme/shop：数据库中的记录已损坏，已停止监控"),
    ):
        words = Wording(language=language)
        assert title == words.translate(notice.title)
        assert all(map(words.translate, notice.lines))

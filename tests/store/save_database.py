"""Saves a database of this version for both systems: `python -m tests.store.save_database`, run at each release.

Every table has rows, written by the product itself. `test_saved_databases.py` upgrades every saved database.
"""

import gzip
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import func, make_url, select

from balancebot.config import DigestConfig, Secret
from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.user import Role
from balancebot.history.prune import pack, prune
from balancebot.people import tokens, users
from balancebot.people.log_in import LogIn
from balancebot.store import schema, tables
from balancebot.store.database import Database
from tests.databases import PostgreSQL, installed_programs
from tests.patterns import pattern_from
from tests.web import showcase
from tests.world import SETTINGS, SHOP, World, industry

SAVED = Path(__file__).parent / "saved"
LAST = WalletName("acme/many-last")
"""A wallet with an opened alert whose message is pending."""
BY = Actor(name="ada", via=Via.CLI)


def fill(database: Database) -> None:
    """Fill a database as six weeks of operation do."""
    database.upgrade()
    world = World(database)
    showcase.set_limits(world)
    showcase.fill(world, every=timedelta(hours=6))
    world.configure(*world.source.script, SHOP)
    world.limit(SHOP, "industry", warning_below=5_000, critical_below=1_000)
    world.reads(9_000, 4_000, 900)
    with database.read() as conn:
        (alert_id,) = conn.scalars(select(tables.alerts.c.id).where(tables.alerts.c.wallet == SHOP))
    app, now = world.app, world.clock.now()
    app.operate_alerts.acknowledge(str(alert_id), by=BY, note="ordered 充值")
    shop = BalanceKey(SHOP, Category.INDUSTRY)
    app.operate_orders.add(
        shop,
        quantity=20_000,
        expected_at=now + timedelta(days=1),
        price=Decimal("0.035"),
        reference="PO-7",
        by=BY,
    )
    world.reads(20_900, 20_800, 700, 21_000)
    app.operate_orders.add(shop, quantity=5_000, expected_at=now + timedelta(days=9), by=BY)
    pattern = pattern_from("acme/营销活动")
    app.operate_alerts.silence(pattern, until=now + timedelta(days=2), reason="sale", by=BY)
    starts_at = now + timedelta(days=1)
    app.planned_sends.announce(shop, messages=3_000, starts_at=starts_at, over=timedelta(hours=4), by=BY)
    users.add_user(database, name="ada", role=Role.ADMIN, password="correct horse", by=BY, now=now)
    tokens.add_token(database, name="grafana", role=Role.VIEWER, expires_at=None, by=BY, now=now)
    digest = DigestConfig(name="daily", cron="0 * * * *", destinations={"email": ("finance@example.com",)})
    digesting = world.another_app(digests=(digest,))
    for _ in range(2):
        digesting.send_digest.run_due()
        world.clock.pass_by(hours=1)
    world.limit("acme/many-*", "industry", critical_below=100)
    many = [WalletName(f"acme/many-{number}") for number in range(7)]
    world.configure(*world.source.script, *many, LAST)
    for wallet in many:
        world.shows(industry(10), wallet=wallet)
    world.poll()
    world.deliver()  # as one group
    retention = replace(SETTINGS.retention, hourly=timedelta(days=38))
    prune(database, retention, zone=ZoneInfo("Asia/Shanghai"), now=world.clock.now())
    for _ in pack(database, now=world.clock.now()):
        pass
    log_in = LogIn(database, Secret("k" * 32))
    log_in.log_in(name="ada", password="wrong", address="203.0.113.7", now=world.clock.now())
    log_in.start_session("ada", now=world.clock.now())
    world.shows(industry(60), wallet=LAST)
    world.poll()  # nothing is delivered, so that some deliveries are pending
    world.close()


def keep(database: Database) -> bytes:
    """Return the database as SQL."""
    url = make_url(database.url)
    if database.is_sqlite:
        database.dispose()
        with closing(sqlite3.connect(url.database or "")) as file:
            return "\n".join(file.iterdump()).encode()
    command = ["pg_dump", "--inserts", "--no-owner", "--no-privileges"]
    command += ["--host", str(url.query["host"]), "--username", url.username or "", url.database or ""]
    return subprocess.run(command, check=True, capture_output=True).stdout


def main() -> None:
    """Save a database of each system."""
    programs = installed_programs()
    assert programs is not None, "PostgreSQL is not installed"
    server = PostgreSQL(programs)
    server.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            for system, url in (
                ("sqlite", f"sqlite:///{folder}/balancebot.db"),
                ("postgresql", server.url(server.create(template="template0"))),
            ):
                database = Database(url)
                fill(database)
                with database.read() as conn:
                    empty = [
                        name
                        for name, table in tables.metadata.tables.items()
                        if not conn.scalar(select(func.count()).select_from(table))
                    ]
                assert not empty, f"no rows in {empty}"
                file = SAVED / f"{schema.HEAD}.{system}.sql.gz"
                file.write_bytes(gzip.compress(keep(database), mtime=0))
                database.dispose()
    finally:
        server.stop()


if __name__ == "__main__":
    main()

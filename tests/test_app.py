"""A running bot follows changes of its configuration."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from balancebot.app import build_app
from balancebot.clock import SystemClock
from balancebot.config import Settings, load
from balancebot.domain.balance import Snapshot, WalletName
from balancebot.jsms.simulator import Scenario, Simulator, simulated_wallet
from balancebot.store import installation, wallets
from balancebot.store.database import Database
from tests.world import HandClock

SHOP, BILLING = WalletName("acme/shop"), WalletName("acme/billing")


def _settings(config: Path) -> Settings:
    settings = load(config, environ={}, resolve_secrets=True)
    assert isinstance(settings, Settings), settings
    return settings


@pytest.fixture
def sim():
    scenario = Scenario(
        wallets=(
            simulated_wallet("acme", "shop", key="k1", secret="s1", industry=5),
            simulated_wallet("acme", "billing", key="k2", secret="s2", industry=7),
        )
    )
    with Simulator(scenario, clock=SystemClock()) as simulator:
        yield simulator


def test_wallets_are_added_and_removed_with_the_file_of_apps(sim, sqlite_url, tmp_path):
    apps = tmp_path / "apps.csv"
    apps.write_text("name,app_key,master_secret\nshop,k1,s1\n")
    config = tmp_path / "balancebot.toml"
    config.write_text(f'[[accounts]]\nname = "acme"\nbase_url = "{sim.url}"\napps_file = "apps.csv"\n')
    bot = build_app(_settings(config), Database(sqlite_url))
    try:
        bot.sync_wallets()
        apps.write_text("name,app_key,master_secret\nbilling,k2,s2\n")
        bot.reread_apps()
        bot.reread_apps()
        (found,) = bot.source.fetch([BILLING], budget=timedelta(seconds=5))
        with bot.database.read() as conn:
            read = [row.name for row in wallets.all_wallets(conn)]
        assert (Snapshot, [BILLING], (BILLING,)) == (type(found), read, bot.settings.wallets)
    finally:
        bot.close()


@pytest.mark.parametrize(("minutes", "ready"), [(4, True), (6, False)])
def test_a_rate_limited_cycle_may_take_longer_before_the_bot_counts_as_late(
    minutes: int, ready: bool, sqlite_url, tmp_path
) -> None:
    config = tmp_path / "balancebot.toml"
    apps = ", ".join(f'{{ name = "a{n}", app_key = "k", master_secret = "s" }}' for n in range(10))
    config.write_text(
        '[poll]\nevery = "2m"\nmax_rate = 0.1\n' + f'[[accounts]]\nname = "acme"\napps = [{apps}]\n'
    )
    clock = HandClock(datetime(2026, 11, 24, 9, tzinfo=UTC))
    bot = build_app(_settings(config), Database(sqlite_url), clock=clock)
    try:
        with bot.database.write() as conn:
            installation.note(conn, installation.LAST_CYCLE, "", now=clock.at)
        clock.at += timedelta(minutes=minutes)
        assert ready is (bot.unready() == "")
    finally:
        bot.close()

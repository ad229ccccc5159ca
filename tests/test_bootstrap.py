"""A bot follows its configuration while it runs."""

from datetime import timedelta

import pytest

from balancebot.bootstrap import Bot
from balancebot.clock import SystemClock
from balancebot.domain.balance import Snapshot, WalletName
from balancebot.settings import load
from balancebot.sources.simulator import Scenario, Simulator, simulated_wallet
from balancebot.storage import wallets
from balancebot.storage.database import Database

SHOP, BILLING = WalletName("acme/shop"), WalletName("acme/billing")


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


def test_wallets_come_and_go_with_a_file_of_apps(sim, sqlite_url, tmp_path):
    apps = tmp_path / "apps.csv"
    apps.write_text("name,app_key,master_secret\nshop,k1,s1\n")
    config = tmp_path / "balancebot.toml"
    config.write_text(f'[[accounts]]\nname = "acme"\nbase_url = "{sim.url}"\napps_file = "apps.csv"\n')
    bot = Bot(load(config, environ={}, resolve_secrets=True), Database(sqlite_url))
    try:
        bot.sync_wallets()
        apps.write_text("name,app_key,master_secret\nbilling,k2,s2\n")
        bot.reread_apps()
        bot.reread_apps()
        (found,) = bot.source.fetch([BILLING], budget=timedelta(seconds=5))
        with bot.database.read() as conn:
            read = [row.name for row in wallets.every(conn)]
        assert (Snapshot, [BILLING], (BILLING,)) == (type(found), read, bot.settings.wallets)
    finally:
        bot.close()

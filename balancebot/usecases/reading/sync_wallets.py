"""The configured wallets become known; what left the configuration rests, and its alerts close."""

from collections.abc import Collection
from datetime import datetime

from balancebot.domain.balance import WalletName, account_of
from balancebot.storage import wallets
from balancebot.storage.database import Database
from balancebot.usecases.alerting.open_alerts import OpenAlerts
from balancebot.usecases.alerting.telling import Teller
from balancebot.usecases.reading.judge_wallets import forget_wallets


def sync_wallets(
    database: Database, configured: Collection[WalletName], *, teller: Teller, now: datetime
) -> tuple[WalletName, ...]:
    """Make the configured wallets due where they are new, and return those that left the configuration."""
    with database.write() as conn:
        removed = wallets.sync(conn, configured, now=now)
        if removed:
            names = {*removed, *(WalletName(account_of(name)) for name in removed)}
            standing = OpenAlerts(conn, names, teller=teller, now=now)
            forget_wallets(standing, removed)
            standing.settle()
    return removed

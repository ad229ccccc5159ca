"""The settings of a process that runs: its accounts change when a file of apps does."""

import os
from dataclasses import replace

from balancebot.config.accounts import AppsWatch
from balancebot.config.settings import Settings


class LiveSettings:
    """The settings as they are now: the accounts change while the process runs, when a file of apps does."""

    def __init__(self, settings: Settings) -> None:
        self.now = settings
        self.wallets_unsynced = False
        """Whether the database doesn't know the accounts yet."""
        self._watch = AppsWatch(settings.accounts, environ=os.environ)

    def reread(self) -> bool:
        """Read files of apps that have changed; return whether the accounts are others now."""
        accounts = self._watch.look()
        if accounts is None:
            return False
        self.now = replace(self.now, accounts=accounts)
        self.wallets_unsynced = True
        return True

"""The settings of a running process: its accounts change when an apps file changes."""

import os
from dataclasses import replace

from balancebot.config.accounts import AppsWatch
from balancebot.config.settings import Settings


class LiveSettings:
    """The present settings. The accounts change when an apps file changes."""

    def __init__(self, settings: Settings) -> None:
        self.now = settings
        self.wallets_unsynced = False
        """Whether the accounts have changed and the database doesn't know it yet."""
        self._watch = AppsWatch(settings.accounts, environ=os.environ)

    def reread(self) -> bool:
        """Read the apps files that have changed; return whether the accounts have changed."""
        accounts = self._watch.check()
        if accounts is None:
            return False
        self.now = replace(self.now, accounts=accounts)
        self.wallets_unsynced = True
        return True

"""Files of apps are read anew when they change: the accounts as they now are, or the old ones and one word of why.

A version counts when two looks have found it: the first may have met a file that is still being written.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from balancebot.config import Account, reread_apps

log = logging.getLogger(__name__)

_Version: TypeAlias = tuple[int, int, int] | None
"""Time of change, size and inode; None = no such file."""


class AppsWatch:
    """Watches the `apps_file` of each account. Not safe for several threads."""

    def __init__(self, accounts: Sequence[Account], *, environ: Mapping[str, str]) -> None:
        """Take the accounts as they were read at the start; `environ` resolves the files' secrets."""
        self._accounts = {account.name: account for account in accounts}
        self._environ = environ
        self._taken: dict[str, _Version] = {}
        self._seen = {account.name: _version(account.apps_file) for account in accounts}

    def look(self) -> tuple[Account, ...] | None:
        """Return all accounts, if a file has changed and what they are with it; None when nothing is to be done.

        A version that can't be taken is logged once, every fault with its row and column, and changes nothing.
        """
        changed = [self._look_at(account) for account in tuple(self._accounts.values()) if account.apps_file]
        return tuple(self._accounts.values()) if any(changed) else None

    def _look_at(self, account: Account) -> bool:
        version = _version(account.apps_file)
        settled = version == self._seen[account.name]
        self._seen[account.name] = version
        if not settled or (account.name in self._taken and version == self._taken[account.name]):
            return False
        self._taken[account.name] = version
        found = reread_apps(account, environ=self._environ)
        if isinstance(found, tuple):
            log.warning(
                "apps_file.refused",
                extra={
                    "account": account.name,
                    "kept_apps": len(account.apps),
                    "faults": "; ".join(map(str, found)),
                },
            )
            return False
        if found == account:
            return False
        log.info("apps_file.taken", extra={"account": account.name, "apps": len(found.apps)})
        self._accounts[account.name] = found
        return True


def _version(path: Path | None) -> _Version:
    if path is None:
        return None
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino

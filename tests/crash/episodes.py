"""What ought to be told of balances that move between four levels: the contract's alert table, written once more.

Deliberately not the product's own code: it is what that is measured by.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from balancebot.domain.balance import WalletName


class Level(IntEnum):
    """Where a balance is, against limits of 1,000 (warning) and 100 (critical) messages."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    DEPLETED = 3

    @property
    def messages(self) -> int:
        """Return a balance of this level, far from every margin."""
        return (10_000, 500, 50, 0)[self]

    @property
    def word(self) -> str:
        """The severity's word."""
        return self.name.lower()


_MOST_EPISODES = 2
"""A balance that opens a third time in a day flaps, and doesn't close at once any more."""

News = tuple[str, str]
"""A reason to speak and the severity it tells."""


@dataclass(slots=True)
class _Balance:
    level: Level = Level.OK
    peak: Level = Level.OK
    episodes: list[list[News]] = field(default_factory=list)


class Episodes:
    """Every episode of every wallet, with its news in order."""

    def __init__(self, wallets: tuple[WalletName, ...]) -> None:
        self.wallets = wallets
        self._balances = {wallet: _Balance() for wallet in wallets}

    def level(self, wallet: WalletName) -> Level:
        """Return where the balance is."""
        return self._balances[wallet].level

    @property
    def movable(self) -> list[WalletName]:
        """The wallets whose balance may move without flapping."""
        return [
            wallet
            for wallet, balance in self._balances.items()
            if balance.level is not Level.OK or len(balance.episodes) < _MOST_EPISODES
        ]

    def move(self, wallet: WalletName, level: Level) -> None:
        """The balance is read at another level."""
        balance = self._balances[wallet]
        if level is balance.level:
            return
        if balance.level is Level.OK:
            balance.episodes.append([("opened", level.word)])
            balance.peak = level
        elif level is Level.OK:
            balance.episodes[-1].append(("recovered", "ok"))
        elif level > balance.peak:
            balance.episodes[-1].append(("worsened", level.word))
            balance.peak = level
        elif level is Level.WARNING:
            # past the critical limit by the margin: what is critical again is news again
            balance.peak = level
        balance.level = level

    def told(self) -> Mapping[str, list[list[News]]]:
        """Return what ought to have been decided by now, of each wallet that has anything."""
        return {
            str(wallet): balance.episodes for wallet, balance in self._balances.items() if balance.episodes
        }

    def standing(self) -> Mapping[str, str]:
        """Return the severity of each alert that ought to be open."""
        return {
            str(wallet): balance.level.word
            for wallet, balance in self._balances.items()
            if balance.level is not Level.OK
        }

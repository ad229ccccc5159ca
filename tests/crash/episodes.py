"""What ought to be told of balances that move between four levels: the contract's alert table, written once more.

Deliberately not the product's own code: it is what that is measured by.
"""

from collections import Counter
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


_STEADY = 2
"""So many times a day a balance may open, or worsen to one level, and be well at once; then it is held for hours."""

News = tuple[str, str]
"""A reason to speak and the severity it tells."""


@dataclass(slots=True)
class _Balance:
    level: Level = Level.OK
    peak: Level = Level.OK
    shown: Level = Level.OK
    """The severity of its open alert; OK = none is open."""
    episodes: list[list[News]] = field(default_factory=list)
    hours_well: int = 0
    hours_eased: int = 0
    """How long it has been better than its peak."""

    @property
    def patience(self) -> int:
        """For how many hours it has to be well before that counts."""
        again = Counter(news for episode in self.episodes[-1:] for news in episode if news[0] == "worsened")
        return max(0, len(self.episodes) - _STEADY, *(times - _STEADY for times in again.values()))

    def judge(self) -> None:
        """Tell what there is to tell of the level at which it is."""
        if self.level is Level.OK:
            if self.shown is not Level.OK and self.hours_well >= self.patience:
                self.episodes[-1].append(("recovered", "ok"))
                self.shown = Level.OK
            elif (
                self.shown is not Level.OK and self.peak > Level.WARNING and self.hours_eased >= self.patience
            ):
                self.peak = self.shown = Level.WARNING
            return
        if self.shown is Level.OK:
            self.episodes.append([("opened", self.level.word)])
            self.peak = self.level
        elif self.level > self.peak:
            self.episodes[-1].append(("worsened", self.level.word))
            self.peak = self.level
        elif self.level is Level.WARNING and self.hours_eased >= self.patience:
            # past the critical limit by the margin: what is critical again is news again
            self.peak = self.level
        self.shown = self.level
        self.hours_well = 0
        if self.level is not Level.WARNING or self.peak is Level.WARNING:
            self.hours_eased = 0


class Episodes:
    """Every episode of every wallet, with its news in order."""

    def __init__(self, wallets: tuple[WalletName, ...]) -> None:
        self.wallets = wallets
        self._balances = {wallet: _Balance() for wallet in wallets}

    def level(self, wallet: WalletName) -> Level:
        """Return where the balance is."""
        return self._balances[wallet].level

    @property
    def steady(self) -> list[WalletName]:
        """The wallets whose balance doesn't flap: opening and closing it is news for certain."""
        return [wallet for wallet, balance in self._balances.items() if balance.patience == 0]

    @property
    def num_flapping(self) -> int:
        """How many episodes there were of balances that flapped."""
        return sum(balance.patience for balance in self._balances.values())

    @property
    def num_held(self) -> int:
        """How many balances are well and wait to be told so."""
        return sum(calm for _, calm in self.standing().values())

    def move(self, wallet: WalletName, level: Level) -> None:
        """The balance is read at another level."""
        balance = self._balances[wallet]
        if level is not balance.level:
            balance.level = level
            balance.judge()

    def an_hour_passes(self) -> None:
        """Every balance is read again, an hour later."""
        for balance in self._balances.values():
            balance.hours_well += 1
            balance.hours_eased += 1
            balance.judge()

    def told(self) -> Mapping[str, list[list[News]]]:
        """Return what ought to have been decided by now, of each wallet that has anything."""
        return {
            str(wallet): balance.episodes for wallet, balance in self._balances.items() if balance.episodes
        }

    def standing(self) -> Mapping[str, tuple[str, bool]]:
        """Return of each alert that ought to be open its severity, and whether it is well and waits."""
        return {
            str(wallet): (balance.shown.word, balance.level is Level.OK)
            for wallet, balance in self._balances.items()
            if balance.shown is not Level.OK
        }

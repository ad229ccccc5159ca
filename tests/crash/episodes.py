"""The expected transitions of alerts while balances change between four levels: the contract's alert table.

Deliberately not the product's own code, which is compared with it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from balancebot.domain.balance import WalletName


class Level(IntEnum):
    """The severity of a balance, with limits of 1,000 (warning) and 100 (critical) messages."""

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
"""How often a day an alert may open, or worsen to one severity, before it recovers only after hours."""

Transition = tuple[str, str]
"""A reason and the new severity."""


@dataclass(slots=True)
class _Balance:
    level: Level = Level.OK
    peak: Level = Level.OK
    shown: Level = Level.OK
    """The severity of its open alert; OK = none is open."""
    episodes: list[list[Transition]] = field(default_factory=list)
    hours_ok: int = 0
    hours_eased: int = 0
    """How long it has been better than its peak."""

    @property
    def patience(self) -> int:
        """For how many hours it must be OK before the alert recovers."""
        again = Counter(
            transition
            for episode in self.episodes[-1:]
            for transition in episode
            if transition[0] == "worsened"
        )
        return max(0, len(self.episodes) - _STEADY, *(times - _STEADY for times in again.values()))

    def judge(self) -> None:
        """Add the transitions that follow from the level."""
        if self.level is Level.OK:
            if self.shown is not Level.OK and self.hours_ok >= self.patience:
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
            # past the critical limit by the margin: the next time that it is critical is a transition again
            self.peak = self.level
        self.shown = self.level
        self.hours_ok = 0
        if self.level is not Level.WARNING or self.peak is Level.WARNING:
            self.hours_eased = 0


class Episodes:
    """Every alert of every wallet, with its transitions in order."""

    def __init__(self, wallets: tuple[WalletName, ...]) -> None:
        self.wallets = wallets
        self._balances = {wallet: _Balance() for wallet in wallets}

    def level(self, wallet: WalletName) -> Level:
        """Return the level of the balance."""
        return self._balances[wallet].level

    @property
    def steady(self) -> list[WalletName]:
        """The wallets whose balance doesn't flap: each change between OK and not OK is a transition at once."""
        return [wallet for wallet, balance in self._balances.items() if balance.patience == 0]

    @property
    def num_flapping(self) -> int:
        """How many episodes there were of balances that flapped."""
        return sum(balance.patience for balance in self._balances.values())

    @property
    def num_recovering(self) -> int:
        """How many balances are OK while their alert is still recovering."""
        return sum(calm for _, calm in self.open_alerts().values())

    def set_level(self, wallet: WalletName, level: Level) -> None:
        """Read the balance at another level."""
        balance = self._balances[wallet]
        if level is not balance.level:
            balance.level = level
            balance.judge()

    def age_by_an_hour(self) -> None:
        """Read every balance again, an hour later."""
        for balance in self._balances.values():
            balance.hours_ok += 1
            balance.hours_eased += 1
            balance.judge()

    def expected(self) -> Mapping[str, list[list[Transition]]]:
        """Return the expected transitions so far, by wallet and alert."""
        return {
            str(wallet): balance.episodes for wallet, balance in self._balances.items() if balance.episodes
        }

    def open_alerts(self) -> Mapping[str, tuple[str, bool]]:
        """Return the severity of each alert that must be open, and whether it is recovering."""
        return {
            str(wallet): (balance.shown.word, balance.level is Level.OK)
            for wallet, balance in self._balances.items()
            if balance.shown is not Level.OK
        }

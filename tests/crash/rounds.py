"""One round: balances move, processes die or freeze, lines break, answers lie, clocks jump; then the books are compared."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from balancebot.clock import SystemClock
from balancebot.domain.balance import WalletName
from tests.crash.books import Balance, compare
from tests.crash.episodes import Level
from tests.crash.town import Town
from tests.crash.traps import Blow, Fate
from tests.crash.troubles import trouble

_PATIENCE = 600.0
"""Seconds until a town must have come to rest, on a machine that others keep busy; what is well takes none of it."""
_AMBUSH = 6.0
"""Seconds for which a boundary is waited for."""
_HOUR_PASSES = 0.25
"""How often, before a round, what flaps has been as it is for an hour longer."""
_TROUBLE = 0.5
"""How often something else goes wrong before a process is struck."""
_NUM_RESTLESS = 6
"""So many balances move, and flap before long; the others stay as they are."""
_QUIET_BOUNDARIES = (
    "presence",
    "operate_alerts",
    "send_digest",
    "housekeeping",
    "refit",
    "sync_wallets",
)
"""Where the bot is all the time, or hardly ever: seldom chosen, since little hangs on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """How a round went."""

    number: int
    blows: tuple[str, ...]
    rested: bool
    seconds: float
    seconds_to_rest: float
    """From the last blow until all was told; a process that was killed has to start again in it."""
    balance: Balance

    @property
    def good(self) -> bool:
        """Whether nothing was lost and nothing told twice."""
        return self.rested and not self.balance.losses and not self.balance.repeats


def play(town: Town, number: int, seed: int, *blows: Blow) -> Round:
    """Play one round in a town that runs and is quiet: these blows, one at a time, or else what chance will have."""
    chance = random.Random(f"{seed}/{number}")
    began = time.monotonic()
    happened = [_endure(town, blow, chance) for blow in blows] or _play(town, chance)
    rested = town.until_quiet(_PATIENCE)
    rested_at = time.monotonic()
    balance = compare(town)
    while balance.repeats and time.monotonic() < rested_at + _PATIENCE:
        time.sleep(0.5)  # what was in doubt is looked for again after a minute, and taken back
        balance = compare(town)
    return Round(
        number=number,
        blows=tuple(happened),
        rested=rested,
        seconds=rested_at - began,
        seconds_to_rest=rested_at - town.struck_at,
        balance=balance,
    )


def _endure(town: Town, blow: Blow, chance: random.Random) -> str:
    town.traps.arm(blow)
    town.move(_certain_news(town, chance))
    came = town.traps.wait(_PATIENCE)
    town.start()
    town.until_recorded(_PATIENCE)
    return f"{blow.fate} at {blow.boundary}{'' if came else ', which did not come'}"


def _play(town: Town, chance: random.Random) -> list[str]:
    blows: list[str] = []
    if chance.random() < _HOUR_PASSES:
        town.let_an_hour_pass()
        town.until_read_since(SystemClock().now(), _PATIENCE)
        town.until_recorded(_PATIENCE)
    for _ in range(chance.choice((1, 1, 2))):
        town.move(_moves(town, chance))
        for _ in range(chance.choice((1, 1, 2))):
            if chance.random() < _TROUBLE:
                blows.append(trouble(town, chance))
            blows.append(_strike(town, chance))
            town.start(watched=chance.random() < 0.8)
        if not town.until_recorded(_PATIENCE):
            # what was never read can't be told: so the books below may be short of it
            blows.append(f"not read within {_PATIENCE:.0f} s: is the machine too busy?")
    return blows


def _moves(town: Town, chance: random.Random) -> dict[WalletName, Level]:
    found: dict[WalletName, Level] = {}
    for wallet in chance.sample(town.episodes.wallets[:_NUM_RESTLESS], chance.randint(2, 4)):
        others = [level for level in Level if level is not town.episodes.level(wallet)]
        # well every other time, so that balances open again and again
        found[wallet] = Level.OK if Level.OK in others and chance.random() < 0.5 else chance.choice(others)
    return found


def _certain_news(town: Town, chance: random.Random) -> dict[WalletName, Level]:
    return {
        wallet: Level.CRITICAL if town.episodes.level(wallet) is Level.OK else Level.OK
        for wallet in chance.sample(town.episodes.steady, 2)
    }


def _strike(town: Town, chance: random.Random) -> str:
    """Let one thing happen and return what it was."""
    if chance.random() < 0.25 or not town.traps.seen:
        time.sleep(chance.uniform(0.0, 2.5))
        return _at_once(town, chance)
    boundary = chance.choice(_boundaries(town, chance))
    blow = Blow(boundary=boundary, nth=chance.choice((1, 1, 1, 2, 3)), fate=_fate(town, boundary, chance))
    town.traps.arm(blow)
    if town.traps.wait(_AMBUSH):
        return f"{blow.fate} at {boundary} ({blow.nth})"
    return _at_once(town, chance) + f", for {boundary} did not come"


def _boundaries(town: Town, chance: random.Random) -> Sequence[str]:
    seen = sorted(town.traps.seen)
    if chance.random() < 0.1:
        return seen
    return [boundary for boundary in seen if not boundary.startswith(_QUIET_BOUNDARIES)] or seen


def _fate(town: Town, boundary: str, chance: random.Random) -> Fate:
    fates = [Fate.KILL, Fate.KILL]
    if boundary.startswith(("slack", "mail", "jsms")):
        fates.append(Fate.LOSE)
    if town.num_replicas > 1:
        fates.append(Fate.FREEZE)
    return chance.choice(fates)


def _at_once(town: Town, chance: random.Random) -> str:
    if town.num_replicas > 1 and chance.random() < 0.3:
        town.freeze_one()
        return "freeze at a random moment"
    town.kill_one()
    return "kill at a random moment"

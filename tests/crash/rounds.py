"""One round: balances change, faults happen, processes are killed, frozen or disconnected; then all is reconciled."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from balancebot.clock import SystemClock
from balancebot.domain.balance import WalletName
from tests.crash.deployment import Deployment
from tests.crash.episodes import Level
from tests.crash.faults import inject_fault
from tests.crash.interruptions import Interruption, InterruptionKind
from tests.crash.reconcile import Reconciliation, reconcile

_PATIENCE = 600.0
"""Seconds until a deployment must have settled, also on a busy machine."""
_BOUNDARY_TIMEOUT = 6.0
"""Seconds."""
_HOUR_PASSES = 0.25
"""The share of rounds before which all alerts become an hour older."""
_FAULT_SHARE = 0.5
"""The share of interruptions before which another fault is injected."""
_NUM_CHANGING = 6
"""The number of balances that change, and soon flap; the others stay."""
_MINOR_BOUNDARIES = (
    "workers",
    "cycle.make_due_if_clock_went_back",
    "judge.sync_wallets",
    "app.sync_wallets",
    "daemon",
    "prune",
    "refit",
)
"""The beginnings of boundaries that are rarely chosen, since little depends on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """The result of a round."""

    number: int
    interruptions: tuple[str, ...]
    settled: bool
    seconds: float
    seconds_to_settle: float
    """From the last interruption until all was sent, including the restart of a process that was killed."""
    reconciliation: Reconciliation

    @property
    def passed(self) -> bool:
        """Whether no message was lost or sent twice."""
        return self.settled and not self.reconciliation.losses and not self.reconciliation.repeats


def run_round(deployment: Deployment, number: int, seed: int, *interruptions: Interruption) -> Round:
    """Run one round in a settled deployment: these interruptions one after the other, or random ones if there are none."""
    rng = random.Random(f"{seed}/{number}")
    started = time.monotonic()
    happened = [
        _interrupt_at(deployment, interruption, rng) for interruption in interruptions
    ] or _interrupt_at_random(deployment, rng)
    settled = deployment.wait_until_settled(_PATIENCE)
    settled_at = time.monotonic()
    found = reconcile(deployment)
    while found.repeats and time.monotonic() < settled_at + _PATIENCE:
        time.sleep(0.5)  # deliveries in doubt are searched for again after a minute, and duplicates deleted
        found = reconcile(deployment)
    return Round(
        number=number,
        interruptions=tuple(happened),
        settled=settled,
        seconds=settled_at - started,
        seconds_to_settle=settled_at - deployment.interrupted_at,
        reconciliation=found,
    )


def _interrupt_at(deployment: Deployment, interruption: Interruption, rng: random.Random) -> str:
    deployment.interrupter.arm(interruption)
    deployment.set_levels(_certain_transitions(deployment, rng))
    came = deployment.interrupter.wait(_PATIENCE)
    deployment.start()
    deployment.wait_until_recorded(_PATIENCE)
    return f"{interruption.kind} at {interruption.boundary}{'' if came else ', which was not reached'}"


def _interrupt_at_random(deployment: Deployment, rng: random.Random) -> list[str]:
    interruptions: list[str] = []
    if rng.random() < _HOUR_PASSES:
        deployment.age_by_an_hour()
        deployment.wait_until_read_since(SystemClock().now(), _PATIENCE)
        deployment.wait_until_recorded(_PATIENCE)
    for _ in range(rng.choice((1, 1, 2))):
        deployment.set_levels(_levels(deployment, rng))
        for _ in range(rng.choice((1, 1, 2))):
            if rng.random() < _FAULT_SHARE:
                interruptions.append(inject_fault(deployment, rng))
            interruptions.append(_interrupt(deployment, rng))
            deployment.start(watched=rng.random() < 0.8)
        if not deployment.wait_until_recorded(_PATIENCE):
            # a balance that was never read can't be reported: its messages may be missing
            interruptions.append(f"not read within {_PATIENCE:.0f} s: is the machine too busy?")
    return interruptions


def _levels(deployment: Deployment, rng: random.Random) -> dict[WalletName, Level]:
    found: dict[WalletName, Level] = {}
    for wallet in rng.sample(deployment.episodes.wallets[:_NUM_CHANGING], rng.randint(2, 4)):
        others = [level for level in Level if level is not deployment.episodes.level(wallet)]
        # OK every other time, so that alerts open again and again
        found[wallet] = Level.OK if Level.OK in others and rng.random() < 0.5 else rng.choice(others)
    return found


def _certain_transitions(deployment: Deployment, rng: random.Random) -> dict[WalletName, Level]:
    return {
        wallet: Level.CRITICAL if deployment.episodes.level(wallet) is Level.OK else Level.OK
        for wallet in rng.sample(deployment.episodes.steady, 2)
    }


def _interrupt(deployment: Deployment, rng: random.Random) -> str:
    """Interrupt a process, at a boundary or at a random moment; return how."""
    if rng.random() < 0.25 or not deployment.interrupter.reached:
        time.sleep(rng.uniform(0.0, 2.5))
        return _at_once(deployment, rng)
    boundary = rng.choice(_boundaries(deployment, rng))
    interruption = Interruption(
        boundary=boundary, nth=rng.choice((1, 1, 1, 2, 3)), kind=_kind(deployment, boundary, rng)
    )
    deployment.interrupter.arm(interruption)
    if deployment.interrupter.wait(_BOUNDARY_TIMEOUT):
        return f"{interruption.kind} at {boundary} ({interruption.nth})"
    return _at_once(deployment, rng) + f", for {boundary} was not reached"


def _boundaries(deployment: Deployment, rng: random.Random) -> Sequence[str]:
    seen = sorted(deployment.interrupter.reached)
    if rng.random() < 0.1:
        return seen
    return [boundary for boundary in seen if not boundary.startswith(_MINOR_BOUNDARIES)] or seen


def _kind(deployment: Deployment, boundary: str, rng: random.Random) -> InterruptionKind:
    kinds = [InterruptionKind.KILL, InterruptionKind.KILL]
    if boundary.startswith(("slack", "mail", "jsms")):
        kinds.append(InterruptionKind.DISCONNECT)
    if deployment.num_replicas > 1:
        kinds.append(InterruptionKind.FREEZE)
    return rng.choice(kinds)


def _at_once(deployment: Deployment, rng: random.Random) -> str:
    if deployment.num_replicas > 1 and rng.random() < 0.3:
        deployment.freeze_one()
        return "freeze at a random moment"
    deployment.kill_one()
    return "kill at a random moment"

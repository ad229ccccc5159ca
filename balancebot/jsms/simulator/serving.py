"""The simulator on its own: served until told to stop, and announced by what a user must write down to read it."""

import threading
from collections.abc import Callable

from balancebot.domain.balance import account_of, app_of
from balancebot.jsms.simulator.scenario import Scenario
from balancebot.jsms.simulator.server import Simulator
from balancebot.ports import Clock


def run_simulator(
    scenario: Scenario, *, clock: Clock, port: int, announce: Callable[[str], None], until: threading.Event
) -> None:
    """Serve `scenario` on loopback until `until` is set; once it serves, announce a configuration that reads it.

    Raises OSError for a port that is taken.
    """
    with Simulator(scenario, clock=clock, port=port) as simulator:
        announce(configuration(simulator))
        until.wait()


def configuration(simulator: Simulator) -> str:
    """Return the `[[accounts]]` of a configuration file that reads every wallet of `simulator`."""
    lines: list[str] = []
    wallets = sorted(simulator.scenario.wallets, key=lambda wallet: account_of(wallet.name))
    for wallet in wallets:
        app = app_of(wallet.name)
        if app is None:
            lines += [
                "[[accounts]]",
                f'name = "{wallet.name}"',
                f'base_url = "{simulator.url}"',
                f'dev_key = "{wallet.key}"',
                f'dev_secret = "{wallet.secret}"',
            ]
        else:
            lines += [
                "",
                "  [[accounts.apps]]",
                f'  name = "{app}"',
                f'  app_key = "{wallet.key}"',
                f'  master_secret = "{wallet.secret}"',
            ]
    return "\n".join(lines) + "\n"

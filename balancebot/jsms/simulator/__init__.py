"""A simulated JSMS over real HTTP, for the demo, the tests and the benchmarks. Open `server.py` first."""

from balancebot.jsms.simulator.scenario import (
    Event,
    EventKind,
    FaultKind,
    Quota,
    Scenario,
    SimulatedFault,
    SimulatedWallet,
    crowd,
    simulated_wallet,
)
from balancebot.jsms.simulator.scenario_file import default_scenario, read_scenario
from balancebot.jsms.simulator.server import Request, Simulator, configuration

__all__ = [
    "Event",
    "EventKind",
    "FaultKind",
    "Quota",
    "Request",
    "Scenario",
    "SimulatedFault",
    "SimulatedWallet",
    "Simulator",
    "configuration",
    "crowd",
    "default_scenario",
    "read_scenario",
    "simulated_wallet",
]

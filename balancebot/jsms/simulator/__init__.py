"""A JSMS of our own, over real HTTP: what the demo shows, the tests ask and the benchmarks measure against."""

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
from balancebot.jsms.simulator.server import Request, Simulator
from balancebot.jsms.simulator.serving import configuration, run_simulator

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
    "run_simulator",
    "simulated_wallet",
]

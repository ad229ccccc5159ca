"""A JSMS of our own, over real HTTP: what the demo shows, the tests ask and the benchmarks measure against."""

from balancebot.sources.simulator.scenario import (
    Event,
    EventKind,
    Fault,
    FaultKind,
    Quota,
    Scenario,
    SimulatedWallet,
    crowd,
    simulated_wallet,
)
from balancebot.sources.simulator.scenario_file import default_scenario, read_scenario
from balancebot.sources.simulator.server import Request, Simulator
from balancebot.sources.simulator.serving import configuration, run_simulator

__all__ = [
    "Event",
    "EventKind",
    "Fault",
    "FaultKind",
    "Quota",
    "Request",
    "Scenario",
    "SimulatedWallet",
    "Simulator",
    "configuration",
    "crowd",
    "default_scenario",
    "read_scenario",
    "run_simulator",
    "simulated_wallet",
]

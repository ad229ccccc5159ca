"""`simulate`: the JSMS simulator alone, to try a configuration against."""

import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from balancebot.cli.context import CommandError, RefusedError, command_group
from balancebot.clock import SystemClock
from balancebot.jsms.simulator import default_scenario, read_scenario, run_simulator

commands = command_group()


@commands.command(no_args_is_help=False)
def simulate(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 = any that is free")] = 0,
    scenario: Annotated[
        Path | None,
        typer.Option("--scenario", metavar="FILE", exists=True, dir_okay=False, help="default: a firm's day"),
    ] = None,
) -> None:
    """Run the JSMS simulator alone until stopped."""

    played = default_scenario() if scenario is None else read_scenario(scenario)
    if isinstance(played, tuple):
        raise RefusedError(*map(str, played))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def announce(configuration: str) -> None:
        print(configuration, flush=True)
        print("serving until stopped (Ctrl-C)", file=sys.stderr)

    try:
        run_simulator(played, clock=SystemClock(), port=port, announce=announce, until=stop)
    except OSError as error:
        raise CommandError(f"port {port} can't be served: {error.strerror}") from None

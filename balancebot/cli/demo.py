"""`demo`: the whole bot against the simulator, over HTTP, with nothing to configure; messages are shown, not sent."""

import os
import secrets
import signal
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from balancebot.cli.context import CommandError, application
from balancebot.cli.output import bold, faint

if TYPE_CHECKING:
    from balancebot.config import Settings
    from balancebot.store.database import Database

app = application()

_HOST = "127.0.0.1"
_PORT = 8080
_USER = "demo"
_NEXT = """\
  balancebot init              writes a commented configuration for your own account
  balancebot check             tries every credential, Slack and the mail server
  balancebot thresholds set    limits by count or by days of runway, for one wallet or a pattern
  balancebot run               reads, judges and tells from then on"""


@app.command(no_args_is_help=False)
def demo(
    once: Annotated[bool, typer.Option("--once", help="end after the story, without the pages")] = False,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", min=0, max=65535, help=f"of the pages; default {_PORT}, or any that is free; 0 = any"
        ),
    ] = None,
) -> None:
    """The whole bot against a simulator: nothing to configure."""
    from balancebot.cli.demo_story import configuration, scenario, tell
    from balancebot.clock import SystemClock
    from balancebot.config import load
    from balancebot.jsms.simulator import Simulator
    from balancebot.store.database import Database

    turn = threading.Lock()

    def say(text: str) -> None:
        with turn:
            print(f"\n{text}", flush=True)

    with (
        tempfile.TemporaryDirectory(prefix="balancebot-demo-") as folder,
        Simulator(scenario(), clock=SystemClock()) as jsms,
    ):
        path = Path(folder) / "balancebot.toml"
        path.write_text(configuration(jsms, port=_PORT if once else _free(port)), encoding="utf-8")
        settings = load(path, environ={}, resolve_secrets=True)
        if isinstance(settings, tuple):
            raise RuntimeError("; ".join(map(str, settings)))
        database = Database(settings.database.url.reveal())
        database.upgrade()
        tell(jsms, settings, database, say)
        say(f"{bold('What to do next')}\n{_NEXT}")
        if once:
            database.dispose()
        else:
            _go_on(settings, database, say)


def _go_on(settings: "Settings", database: "Database", say: Callable[[str], None]) -> None:
    """Keep the bot running with its pages until it is stopped."""
    from balancebot.app import preview_channels
    from balancebot.cli.daemon import Daemon
    from balancebot.clock import SystemClock
    from balancebot.domain.audit import Actor, Way
    from balancebot.domain.user import Role
    from balancebot.people.users import add_user

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    password = secrets.token_urlsafe(9)
    by = Actor(who=_USER, way=Way.CLI)
    now = SystemClock().now()
    add_user(database, name=_USER, role=Role.ADMIN, password=password, by=by, now=now)
    daemon = Daemon(settings, database, channels=preview_channels(settings, say))
    try:
        daemon.start()
    except OSError as error:
        raise _not_served(error) from None
    say(
        f"{bold(daemon.address or '')}  log in as {_USER} with {password}\n{faint('running until stopped (Ctrl-C)')}"
    )
    stop.wait()
    daemon.stop()


def _free(port: int | None) -> int:
    """Return a port for the pages: `port` itself, 0 for any; None for the usual one unless somebody has it."""
    wanted = _PORT if port is None else port
    try:
        with socket.create_server((_HOST, wanted)) as found:
            number: int = found.getsockname()[1]
            return number
    except OSError as error:
        if port is None:
            return _free(0)
        raise _not_served(error) from None


def _not_served(error: OSError) -> CommandError:
    why = os.strerror(error.errno) if error.errno else error
    return CommandError(f"the pages can't be served there: {why}; try --port 0")

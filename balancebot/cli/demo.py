"""`demo`: the whole bot against the simulator, over HTTP, without configuration; messages are printed, not sent.

First it plays a story: a company with a month of history, and an hour in which everything happens that the bot must
report. Then the bot continues to run, with its pages, until it is stopped.
"""

import csv
import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from balancebot.app import App, preview_channels
from balancebot.cli.context import CommandError, RefusedError, command_group
from balancebot.cli.output import bold, faint, share
from balancebot.cli.poll import running
from balancebot.cli.status import for_people, read_balances
from balancebot.clock import SystemClock
from balancebot.config import Settings, load
from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import Absent, BalanceKey, Category, WalletName
from balancebot.domain.threshold import Scope
from balancebot.domain.user import Role
from balancebot.history.files import COLUMNS, ImportRefused, import_history
from balancebot.jsms.simulator import (
    Event,
    EventKind,
    FaultKind,
    Quota,
    Scenario,
    SimulatedFault,
    Simulator,
    default_scenario,
    read_scenario,
    simulated_wallet,
)
from balancebot.jsms.simulator import configuration as accounts
from balancebot.logs import Reporter
from balancebot.people.users import add_user
from balancebot.sheets import SheetRow
from balancebot.store.database import Database

Show = Callable[[str], None]

commands = command_group()
simulate_commands = command_group()

_HOST = "127.0.0.1"
_PORT = 8080
_USER = "demo"
_PAGES = """\
  /                            every balance, the worst first, with its runway and how sure it is
  /wallets/acme/campaigns      one wallet: its past, its limits, and the range of its forecast
  /thresholds                  limits, edited with a preview of their effects, now and in the past
  /alerts                      open alerts, their messages and destinations, and who acted"""
_SEE_THEM = "\n  See them: `balancebot demo` continues from here and serves them until it is stopped."
_NEXT = """\
  balancebot init              writes a commented configuration for your own account
  balancebot check             tries every credential, Slack and the mail server
  balancebot thresholds set    limits by count or by days of runway, for one wallet or a pattern
  balancebot run               polls, judges and notifies from then on"""


@commands.command(no_args_is_help=False)
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

    turn = threading.Lock()

    def show(text: str) -> None:
        with turn:
            print(f"\n{text}", flush=True)

    with (
        tempfile.TemporaryDirectory(prefix="balancebot-demo-") as folder,
        Simulator(scenario(), clock=SystemClock()) as jsms,
    ):
        path = Path(folder) / "balancebot.toml"
        path.write_text(configuration(jsms, port=_PORT if once else _free_port(port)), encoding="utf-8")
        settings = load(path, environ={}, resolve_secrets=True)
        if isinstance(settings, tuple):
            raise RuntimeError("; ".join(map(str, settings)))
        database = Database(settings.database.url.reveal())
        database.upgrade()
        play_story(jsms, settings, database, show)
        show(f"{bold('What the pages show')}\n{_PAGES}{_SEE_THEM if once else ''}")
        show(f"{bold('What to do next')}\n{_NEXT}")
        if once:
            database.dispose()
        else:
            _run_on(settings, database, show)


def _run_on(settings: Settings, database: Database, show: Show) -> None:
    """Run the bot with its pages until it is stopped."""
    from balancebot.cli.daemon import Daemon  # lazy: with --once no pages are served

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    password = secrets.token_urlsafe(9)
    by = Actor(name=_USER, via=Via.CLI)
    now = SystemClock().now()
    add_user(database, name=_USER, role=Role.ADMIN, password=password, by=by, now=now)
    daemon = Daemon(settings, database, channels=preview_channels(settings, show))
    try:
        daemon.start()
    except OSError as error:
        raise _not_served(error) from None
    show(
        f"{bold(daemon.address or '')}  log in as {_USER} with {password}\n{faint('running until stopped (Ctrl-C)')}"
    )
    stop.wait()
    daemon.stop()


def _free_port(port: int | None) -> int:
    """Return a port for the pages: `port`, which may be 0; if it is None, the usual one or, if that is taken, 0."""
    wanted = _PORT if port is None else port
    try:
        with socket.create_server((_HOST, wanted)) as found:
            number: int = found.getsockname()[1]
            return number
    except OSError as error:
        if port is None:
            return _free_port(0)
        raise _not_served(error) from None


def _not_served(error: OSError) -> CommandError:
    why = os.strerror(error.errno) if error.errno else error
    return CommandError(f"the pages can't be served there: {why}; try --port 0")


# ---------------------------------------------------------------- the story

_DAYS = 30
_HISTORY_EVERY = timedelta(minutes=15)
_CODES = WalletName("acme/login-codes")
_CAMPAIGNS = WalletName("acme/campaigns")
_PARCELS = WalletName("acme/parcels")
_HOTLINE = WalletName("acme/hotline")
_LEGACY = WalletName("acme/legacy")


def scenario() -> Scenario:
    """Return the company: a shared pool and six apps, each with the balances that a month of usage leaves."""

    def used(per_day: float, left: int) -> Quota:
        return Quota(start=round(per_day * _DAYS) + left, per_day=per_day)

    return Scenario(
        wallets=(
            simulated_wallet("acme", universal=30_000, voice=5_000, industry=150_000),
            simulated_wallet("acme", "checkout", industry=used(3_900, 64_000)),
            simulated_wallet("acme", "login-codes", industry=used(6_200, 95_000)),
            simulated_wallet("acme", "campaigns", market=used(900, 31_000)),
            simulated_wallet("acme", "parcels", industry=used(1_600, 9_000)),
            simulated_wallet("acme", "hotline", voice=used(40, 900)),
            simulated_wallet("acme", "legacy", industry=used(20, 2_000)),
        ),
        history=timedelta(days=_DAYS),
    )


def configuration(jsms: Simulator, *, port: int) -> str:
    """Return the configuration file of the company's bot."""
    return f"""\
timezone = "Asia/Shanghai"
[poll]
every = "5s"
fastest = "5s"
stale_after = "1m"
[slack]
bot_token = "shown, not sent"
channel = "#ops-alerts"
[email]
host = "localhost"
security = "none"
from = "SMS balances <balances@example.com>"
to = ["finance@example.com"]
[web]
listen = "127.0.0.1:{port}"
[log]
level = "error"
{accounts(jsms)}
"""


def play_story(jsms: Simulator, settings: Settings, database: Database, show: Show) -> None:
    """Play the story: show the events, each message about them, and every balance at the end."""
    messages: list[str] = []
    with running(settings, database, show=messages.append) as (app, reporter):
        app.sync_wallets()
        show(bold("A month of history is imported, and limits are set"))
        _import_history(jsms, app)
        _set_limits(app)
        app.poll_cycle.run_all(settings.wallets, alerts=False)
        show(_table(app))
        known: set[str] = set()
        for title, events in _events(jsms):
            show(bold(title))
            events()
            known |= _cycle(app, reporter, show, known)
            for message in sorted(messages, key=lambda shown: not shown.startswith("Slack")):
                show(message)
            messages.clear()
        show(bold("The balances now"))
        show(_table(app))


def _import_history(jsms: Simulator, app: App) -> None:
    with share("a month of history") as progress:
        taken = import_history(
            app.database,
            _history(jsms),
            configured=app.settings.wallets,
            estimator=app.estimator,
            now=app.clock.now(),
            progress=progress,
        )
    if isinstance(taken, ImportRefused):
        raise RuntimeError("; ".join(map(str, taken.faults)))


def _history(jsms: Simulator) -> Iterator[SheetRow]:
    yield SheetRow(1, COLUMNS)
    for snapshot in jsms.history(every=_HISTORY_EVERY):
        at = snapshot.observed_at.isoformat()
        for category, reading in snapshot.readings.items():
            if reading is not Absent.UNREAD:
                value = str(reading) if isinstance(reading, int) else ""
                yield SheetRow(0, (at, snapshot.wallet, category.value, value))


def _set_limits(app: App) -> None:
    by = Actor(name="finance", via=Via.CLI)
    for wallet, category, cells in (
        ("acme/*", Category.INDUSTRY, {"note": "Buy industry quota in the console, then tell #finance."}),
        (_CAMPAIGNS, Category.MARKET, {"warning_below": "20000", "critical_below": "5000"}),
        (
            _CODES,
            Category.INDUSTRY,
            {"critical_below": "10000", "note": "Users can't log in without: call on-call."},
        ),
    ):
        app.edit_thresholds.set(Scope(wallet, category), cells, by=by)


def _events(jsms: Simulator) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the events between two readings: a description, and a function that causes them in the simulator."""

    def happen(kind: EventKind, wallet: WalletName, category: Category, amount: int) -> None:
        jsms.happen(Event(kind=kind, balance=BalanceKey(wallet, category), at=timedelta(), amount=amount))

    def left(wallet: WalletName, category: Category) -> int:
        reading = jsms.readings(wallet).of(category)
        return reading if isinstance(reading, int) else 0

    def campaign() -> None:
        happen(EventKind.USE, _CAMPAIGNS, Category.MARKET, left(_CAMPAIGNS, Category.MARKET) - 4_300)
        happen(EventKind.ALLOCATE, _HOTLINE, Category.VOICE, 2_000)
        jsms.fail(_LEGACY, SimulatedFault(kind=FaultKind.REJECTED))

    def pumping() -> None:
        happen(EventKind.USE, _CODES, Category.INDUSTRY, left(_CODES, Category.INDUSTRY))

    def purchase() -> None:
        happen(EventKind.TOP_UP, _PARCELS, Category.INDUSTRY, 60_000)

    yield "The first poll: parcels will soon run out", lambda: None
    yield (
        "A campaign goes out. Quota moves from the shared pool to the hotline: no alert. Legacy's keys are rotated",
        campaign,
    )
    yield "A robot makes the log-in page send codes until none is left. Legacy is rejected once more", pumping
    yield "Somebody buys industry messages for parcels", purchase


def _cycle(app: App, reporter: Reporter, show: Show, known: Collection[str]) -> set[str]:
    """Poll and deliver once, as `run` does; show the failures that aren't in `known`, and return all."""
    report = app.poll_cycle.run_all(app.settings.wallets)
    reporter.polled(report)
    num_read = len(report.results) - len(report.errors)
    show(faint(f"read {num_read} of {len(report.results)} wallets over HTTP in {report.seconds:.1f} s"))
    failed = {f"{error.wallet} can't be read: {error.kind}" for error in report.errors}
    for message in failed.difference(known):
        show(message)
    reporter.delivered(app.deliver_outbox.run())
    return failed


def _table(app: App) -> str:
    now = app.clock.now()
    views, _ = read_balances(app.database, app.settings, now)
    allocated = [view for view in views if view.reading is not Absent.UNALLOCATED]
    return for_people(allocated, [], app.words, now)


@simulate_commands.command(no_args_is_help=False)
def simulate(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 = any that is free")] = 0,
    scenario: Annotated[
        Path | None,
        typer.Option("--scenario", metavar="FILE", exists=True, dir_okay=False, help="default: a firm's day"),
    ] = None,
    past: Annotated[
        Path | None,
        typer.Option("--past", metavar="FILE", help="write its balances of the last month, to be imported"),
    ] = None,
) -> None:
    """Run the JSMS simulator alone until stopped."""

    played = default_scenario() if scenario is None else read_scenario(scenario)
    if isinstance(played, tuple):
        raise RefusedError(*map(str, played))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    simulator = Simulator(played, clock=SystemClock(), port=port)
    if past is not None:
        _write_past(simulator, past)
    try:
        with simulator:
            print(accounts(simulator), flush=True)
            print("serving until stopped (Ctrl-C)", file=sys.stderr)
            stop.wait()
    except OSError as error:
        raise CommandError(f"port {port} can't be served: {error.strerror}") from None


def _write_past(simulator: Simulator, file: Path) -> None:
    """Write a file for `history import`; never overwrite one."""
    try:
        with file.open("x", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows(row.cells for row in _history(simulator))
    except FileExistsError:
        raise CommandError(f"{file}: is there already, and was left as it is") from None
    except OSError as error:
        raise CommandError(f"{file}: can't be written: {error.strerror}") from None
    print(f"wrote {file}; import it with: balancebot history import {file}", file=sys.stderr)

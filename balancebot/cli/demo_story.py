"""The demo's story: a firm with a month behind it, and the hour in which everything happens that a bot must tell.

Everything is real but the outside: JSMS is the simulator, over HTTP, and each message is shown as it would be sent.
"""

from collections.abc import Callable, Collection, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from balancebot.cli.output import bold, faint, share
from balancebot.cli.running import running
from balancebot.cli.status import for_people, look
from balancebot.config import Settings
from balancebot.domain.audit import Actor, Way
from balancebot.domain.balance import Absent, BalanceKey, Category, WalletName
from balancebot.domain.threshold import Scope
from balancebot.history.files import COLUMNS, ImportRefused, import_history
from balancebot.jsms.simulator import (
    Event,
    EventKind,
    FaultKind,
    Quota,
    Scenario,
    SimulatedFault,
    Simulator,
    simulated_wallet,
)
from balancebot.jsms.simulator import configuration as accounts
from balancebot.sheets import SheetRow
from balancebot.store.database import Database

if TYPE_CHECKING:
    from balancebot.app import App
    from balancebot.logs import Reporter

Say = Callable[[str], None]

_DAYS = 30
_HISTORY_EVERY = timedelta(minutes=15)
_CODES = WalletName("acme/login-codes")
_CAMPAIGNS = WalletName("acme/campaigns")
_PARCELS = WalletName("acme/messages")
_HOTLINE = WalletName("acme/hotline")
_LEGACY = WalletName("acme/legacy")


def scenario() -> Scenario:
    """Return the firm: a shared pool and six apps, each with what a month of use leaves."""

    def used(per_day: float, left: int) -> Quota:
        return Quota(start=round(per_day * _DAYS) + left, per_day=per_day)

    return Scenario(
        wallets=(
            simulated_wallet("acme", universal=30_000, voice=5_000, industry=150_000),
            simulated_wallet("acme", "checkout", industry=used(3_900, 64_000)),
            simulated_wallet("acme", "login-codes", industry=used(6_200, 95_000)),
            simulated_wallet("acme", "campaigns", market=used(900, 31_000)),
            simulated_wallet("acme", "messages", industry=used(1_600, 9_000)),
            simulated_wallet("acme", "hotline", voice=used(40, 900)),
            simulated_wallet("acme", "legacy", industry=used(20, 2_000)),
        ),
        history=timedelta(days=_DAYS),
    )


def configuration(jsms: Simulator, *, port: int) -> str:
    """Return the configuration file of the firm's bot."""
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


def tell(jsms: Simulator, settings: Settings, database: Database, say: Say) -> None:
    """Live through the story, and say what happens, what is told of it, and how things stand in the end."""
    with running(settings, database, say=say) as (bot, reporter):
        bot.sync_wallets()
        say(bold("A month of history is taken in, and limits are set"))
        _remember(jsms, bot)
        _set_limits(bot)
        bot.poll_cycle.run_all(settings.wallets, alerts=False)
        say(_table(bot))
        known: set[str] = set()
        for title, events in _chapters(jsms):
            say(bold(title))
            events()
            known |= _cycle(bot, reporter, say, known)
        say(bold("How things stand now"))
        say(_table(bot))


def _remember(jsms: Simulator, bot: "App") -> None:
    with share("a month of history") as progress:
        taken = import_history(
            bot.database,
            _history(jsms),
            configured=bot.settings.wallets,
            estimator=bot.estimator,
            now=bot.clock.now(),
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


def _set_limits(bot: "App") -> None:
    by = Actor(who="finance", way=Way.CLI)
    for wallet, category, cells in (
        ("acme/*", Category.INDUSTRY, {"note": "Buy industry quota in the console, then tell #finance."}),
        (_CAMPAIGNS, Category.MARKET, {"warning_below": "20000", "critical_below": "5000"}),
        (
            _CODES,
            Category.INDUSTRY,
            {"critical_below": "10000", "note": "Users can't log in without: call on-call."},
        ),
    ):
        bot.edit_thresholds.set(Scope(wallet, category), cells, by=by)


def _chapters(jsms: Simulator) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield what happens between one reading and the next, and how it is brought about."""

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

    yield "The first look: messages will not last", lambda: None
    yield (
        "A campaign goes out. Quota moves from the shared pool to the hotline: no news. Legacy's keys are rotated",
        campaign,
    )
    yield "A robot makes the log-in page send codes until none is left. Legacy is rejected once more", pumping
    yield "Somebody buys industry messages for messages", purchase


def _cycle(bot: "App", reporter: "Reporter", say: Say, known: Collection[str]) -> set[str]:
    """Read, judge and tell, as `run` does; what failed is said once and returned."""
    report = bot.poll_cycle.run_all(bot.settings.wallets)
    reporter.polled(report)
    seconds = (report.ended_at - report.started_at).total_seconds()
    num_read = len(report.results) - len(report.errors)
    say(faint(f"read {num_read} of {len(report.results)} wallets over HTTP in {seconds:.1f} s"))
    failed = {error.message for error in report.errors}
    for message in failed.difference(known):
        say(message)
    reporter.delivered(bot.deliver_outbox.run())
    return failed


def _table(bot: "App") -> str:
    now = bot.clock.now()
    views, _ = look(bot.database, bot.settings, now)
    allocated = [view for view in views if view.reading is not Absent.UNALLOCATED]
    return for_people(allocated, [], bot.words, now)

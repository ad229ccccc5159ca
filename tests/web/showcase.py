"""Six weeks of an account with all kinds of events: the data for looking at pages and for browser tests."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import chain

from balancebot.domain.balance import Absent, BalanceKey, Category, Reading, WalletName
from balancebot.estimates.estimator import Estimator
from balancebot.history.files import ImportReport, import_history
from balancebot.jsms.simulator.ledger import Ledger
from balancebot.jsms.simulator.scenario import (
    Event,
    EventKind,
    Quota,
    Scenario,
    SimulatedWallet,
    simulated_wallet,
)
from tests.history.lines import sheet_of
from tests.world import World

CHECKOUT, LOGIN, CAMPAIGN = WalletName("acme/checkout"), WalletName("acme/login"), WalletName("acme/营销活动")
POOL = WalletName("acme")
_DAY = timedelta(days=1)


def _wallets() -> tuple[SimulatedWallet, ...]:
    return (
        simulated_wallet("acme", universal=Quota(start=900_000, per_day=400), voice=Quota(start=60_000)),
        simulated_wallet(
            "acme",
            "checkout",
            industry=Quota(start=285_000, per_day=9_500),
            voice=Quota(start=5_800, per_day=120),
        ),
        simulated_wallet("acme", "login", industry=Quota(start=460_000, per_day=4_200)),
        simulated_wallet(
            "acme", "营销活动", market=Quota(start=480_000, per_day=12_000, weekly=0.8, noise=1.5)
        ),
        simulated_wallet("acme", "retired", industry=0, market=12_000),
    )


def _events() -> tuple[Event, ...]:
    def event(kind: EventKind, wallet: WalletName, category: Category, days: float, amount: int) -> Event:
        return Event(kind=kind, balance=BalanceKey(wallet, category), at=-_DAY * days, amount=amount)

    return (
        event(EventKind.TOP_UP, CHECKOUT, Category.INDUSTRY, 18.4, 150_000),
        event(EventKind.TOP_UP, CAMPAIGN, Category.MARKET, 9.3, 150_000),
        event(EventKind.TOP_UP, POOL, Category.UNIVERSAL, 12.5, 200_000),
        event(EventKind.ALLOCATE, CHECKOUT, Category.UNIVERSAL, 6.2, 25_000),
    )


SCENARIO = Scenario(wallets=_wallets(), events=_events(), seed=7, history=timedelta(days=45))


def set_limits(world: World) -> None:
    """Set a few limits, as finance does."""
    world.limit("acme/*", "*", warning_days=10, critical_days=4, note="Finance orders; tell #ops")
    world.limit(CHECKOUT, "industry", warning_below=60_000, critical_below=20_000)
    world.limit(CAMPAIGN, "market", warning_below=100_000, lead_time_days=5)


def fill(world: World, *, every: timedelta = timedelta(hours=1), scenario: Scenario = SCENARIO) -> Ledger:
    """Fill the world with six weeks of the account, read it once more now, and return the ledger."""
    now = world.clock.now()
    ledger = Ledger(scenario, started_at=now)
    names = [wallet.name for wallet in scenario.wallets]
    world.configure(*names)
    taken = import_history(
        world.database,
        sheet_of(_lines(ledger, names, every, world)),
        configured=names,
        estimator=Estimator(zone="Asia/Shanghai", confidence=0.75),
        now=now,
    )
    assert isinstance(taken, ImportReport), taken
    for name in names:
        world.shows(ledger.readings(name, now), wallet=name)
    world.poll()
    world.clock.pass_by(minutes=5)
    for name in names:
        world.shows(ledger.readings(name, world.clock.now()), wallet=name)
    world.poll()
    world.clock.pass_by(minutes=2)
    return ledger


def _lines(ledger: Ledger, names: list[WalletName], every: timedelta, world: World) -> Iterator[str]:
    past = ledger.history(iter(names), every=every, until=world.clock.now() - timedelta(minutes=1))
    return chain(
        ["observed_at,wallet,category,balance\n"],
        (
            f"{snapshot.observed_at:%Y-%m-%dT%H:%M:%SZ},{snapshot.wallet},{category},{_cell(reading)}\n"
            for snapshot in past
            for category, reading in snapshot.readings.items()
            if reading is not Absent.UNREAD
        ),
    )


def _cell(reading: Reading) -> str:
    return str(reading) if isinstance(reading, int) else ""

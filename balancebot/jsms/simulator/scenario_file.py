"""Scenarios as TOML files, parsed as strictly as the configuration; all faults are reported at once.

docs/simulator.md describes the format.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from balancebot.config import ConfigFault, UnfitError, values
from balancebot.config.toml_table import TomlFile, TomlTable, described, parse_toml
from balancebot.domain.balance import MAX_BALANCE, BalanceKey, Category, WalletName
from balancebot.domain.pattern import WalletPattern
from balancebot.domain.sentence import Sentence, did_you_mean
from balancebot.jsms.simulator.scenario import (
    Event,
    EventKind,
    FaultKind,
    Quota,
    Scenario,
    SimulatedFault,
    SimulatedWallet,
    simulated_wallet,
)

_ANY_COUNT = values.whole(at_least=0, at_most=MAX_BALANCE)
_ANY_RATE = values.number(at_least=0, at_most=1e9)
_SHARE = values.number(at_least=0, at_most=1)
_MINUTE = timedelta(minutes=1)
_EVERYWHERE = WalletPattern(text="*")
_NOWHERE = BalanceKey(WalletName(""), Category.UNIVERSAL)


def read_scenario(path: Path) -> Scenario | tuple[ConfigFault, ...]:
    """Read a scenario file, or return all its faults."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return (ConfigFault(file=str(path), key="", message=f"can't be read: {error.strerror}"),)
    return parse_scenario(data, file=str(path))


def default_scenario() -> Scenario:
    """Return the default scenario: the account `acme` and six apps."""
    data = Path(__file__).with_name("acme.toml").read_bytes()
    scenario = parse_scenario(data, file="acme.toml")
    if isinstance(scenario, tuple):
        raise AssertionError("\n".join(map(str, scenario)))
    return scenario


def parse_scenario(data: bytes, *, file: str) -> Scenario | tuple[ConfigFault, ...]:
    """Read a scenario from TOML, or return all its faults; `file` is the name in the faults."""
    reading = TomlFile(file=file)
    try:
        root = reading.root(parse_toml(data))
    except UnfitError as unfit:
        return (ConfigFault(file=file, key="", message=str(unfit)),)
    seed = root.take("seed", values.whole(at_least=0, at_most=2**32 - 1), 1)
    wallets = tuple(_wallets(root, seed))
    names = {wallet.name for wallet in wallets}
    scenario = Scenario(
        wallets=wallets,
        events=tuple(_event(table, names) for table in root.tables("events")),
        faults=tuple(_fault(table, names) for table in root.tables("faults")),
        seed=seed,
        history=root.take("history", values.duration(), timedelta(days=30)),
        step=root.take("step", _step, _MINUTE),
        timezone=root.take("timezone", values.timezone, ZoneInfo("Asia/Shanghai")),
        latency=_milliseconds(root, "latency_ms", timedelta()),
    )
    reading.note_unknown_keys()
    return tuple(reading.faults) or scenario


def _wallets(root: TomlTable, seed: int) -> Iterator[SimulatedWallet]:
    accounts = root.tables("accounts")
    if not accounts:
        root.fault("accounts", "must name at least one account, [[accounts]]")
    account_names: dict[str, str] = {}
    for account in accounts:
        name = account.need_unique("name", values.name, "", taken=account_names)
        yield _wallet(account, name, None, seed=seed)
        app_names: dict[str, str] = {}
        for app in account.tables("apps"):
            app_name = app.need_unique("name", values.name, "", taken=app_names)
            copies = app.take("copies", values.whole(at_least=1, at_most=100_000), 1)
            wallet = _wallet(app, name, app_name, seed=seed)
            if copies == 1:
                yield wallet
                continue
            universal, voice, industry, market = wallet.quotas
            for number in range(1, copies + 1):
                yield simulated_wallet(
                    name,
                    f"{app_name}-{number:05}",
                    seed=seed,
                    universal=universal,
                    voice=voice,
                    industry=industry,
                    market=market,
                )


def _wallet(table: TomlTable, account: str, app: str | None, *, seed: int) -> SimulatedWallet:
    return simulated_wallet(
        account,
        app,
        seed=seed,
        key=table.take("dev_key" if app is None else "app_key", values.text, None),
        secret=table.take("dev_secret" if app is None else "master_secret", values.text, None),
        universal=_quota(table, Category.UNIVERSAL),
        voice=_quota(table, Category.VOICE),
        industry=_quota(table, Category.INDUSTRY),
        market=_quota(table, Category.MARKET),
    )


def _quota(wallet: TomlTable, category: Category) -> Quota:
    """Read `industry = 5000`, or a table with start and usage; a missing one is unallocated."""
    if not wallet.holds_table(category):
        return Quota(start=wallet.take(category, _count_or_table, None))
    table = wallet.section(category)
    return Quota(
        start=table.need("start", _ANY_COUNT, 0),
        per_day=table.take("per_day", _ANY_RATE, 0.0),
        daily=table.take("daily", _SHARE, 0.6),
        weekly=table.take("weekly", _SHARE, 0.3),
        noise=table.take("noise", values.number(at_least=0, at_most=2), 0.15),
    )


def _count_or_table(value: object) -> int:
    try:
        return _ANY_COUNT(value)
    except UnfitError:
        raise UnfitError(
            f"must be a whole number ≥ 0 or a table such as {{ start = 5000, per_day = 300 }}, not {described(value)}"
        ) from None


def _event(table: TomlTable, names: set[WalletName]) -> Event:
    kind = table.need("kind", values.one_of(EventKind), EventKind.TOP_UP)
    event = Event(
        kind=kind,
        balance=table.need("balance", lambda value: _balance(value, names), _NOWHERE),
        at=_when(table),
        every=table.take("every", values.duration(at_least=_MINUTE), None),
        amount=table.take("amount", _ANY_COUNT, 0),
        factor=table.take("factor", _ANY_RATE, 1.0),
        per_hour=table.take("per_hour", _ANY_RATE, 0.0),
        lasts=table.take("lasts", values.duration(), timedelta()),
    )
    for key in _wanted(kind):
        if not table.has(key):
            table.fault(key, f"is missing: {kind} needs it")
    if (
        kind in {EventKind.ALLOCATE, EventKind.RETURN}
        and "/" not in event.balance.wallet
        and event.balance.wallet
    ):
        table.fault("balance", f"must be an app's: {kind} moves quota between it and the shared pool")
    return event


def _wanted(kind: EventKind) -> tuple[str, ...]:
    match kind:
        case EventKind.BURST:
            return ("factor", "lasts")
        case EventKind.PUMPING:
            return ("per_hour", "lasts")
        case EventKind.UNALLOCATE:
            return ()
        case _:
            return ("amount",)


def _fault(table: TomlTable, names: set[WalletName]) -> SimulatedFault:
    return SimulatedFault(
        kind=table.need("kind", values.one_of(FaultKind), FaultKind.OUTAGE),
        match=table.take("match", lambda value: _match(value, names), _EVERYWHERE),
        at=_when(table),
        lasts=table.take("lasts", values.duration(), None),
        share=table.take("share", _SHARE, 1.0),
        retry_after=table.take("retry_after", values.duration(), None),
        delay=_milliseconds(table, "delay_ms", timedelta(seconds=1)),
        times=table.take("times", values.whole(at_least=1, at_most=10**9), None),
    )


def _when(table: TomlTable) -> timedelta:
    """Read `at`, the time after the start, or `before`, the time before it."""
    if table.has("at") and table.has("before"):
        table.fault("before", "stands beside at: only one of the two can be")
    return table.take("at", values.duration(), timedelta()) - table.take(
        "before", values.duration(), timedelta()
    )


def _balance(value: object, names: set[WalletName]) -> BalanceKey:
    written = values.text(value)
    wallet, _, category = written.rpartition(":")
    if category not in list(Category):
        raise UnfitError(
            f"must be a wallet and a category such as acme/checkout:industry, not {written!r}"
            f"{did_you_mean(category, Category)}"
        )
    if wallet not in names:
        raise UnfitError(f"names no wallet of this file with {wallet!r}{did_you_mean(wallet, names)}")
    return BalanceKey(WalletName(wallet), Category(category))


def _match(value: object, names: set[WalletName]) -> WalletPattern:
    written = values.text(value)
    pattern = WalletPattern.parse(written)
    if isinstance(pattern, Sentence):
        raise UnfitError(str(pattern))
    if not any(pattern.matches(name) for name in names):
        raise UnfitError(f"names no wallet of this file with {written!r}{did_you_mean(written, names)}")
    return pattern


def _step(value: object) -> timedelta:
    step = values.duration(at_least=timedelta(seconds=1))(value)
    if timedelta(days=1) % step:
        raise UnfitError("must go into a day a whole number of times")
    return step


def _milliseconds(table: TomlTable, key: str, default: timedelta) -> timedelta:
    found = table.take(key, values.number(at_least=0, at_most=600_000), None)
    return default if found is None else timedelta(milliseconds=found)

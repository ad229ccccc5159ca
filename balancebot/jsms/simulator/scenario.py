"""Scenarios: the wallets of a simulated JSMS and what happens to them, as plain values.

The same file and seed always give the same scenario. Times are offsets from the start of the simulator; negative ones
are in its history.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from zoneinfo import ZoneInfo

from balancebot.domain.balance import BalanceKey, WalletName, wallet_name
from balancebot.domain.pattern import WalletPattern
from balancebot.jsms.answer import EndpointKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """One balance and how it is used."""

    start: int | None
    """The balance at the beginning of the history; None = unallocated."""
    per_day: float = 0.0
    """The mean usage per day over a week, in messages."""
    daily: float = 0.6
    """How much usage depends on the hour of the day: 0 = not at all, 1 = none at night and double at the peak (14:00)."""
    weekly: float = 0.3
    """How much lower usage is on Saturday and Sunday: 0 = equal, 1 = none."""
    noise: float = 0.15
    """The relative spread of an hour's usage around its expected value; 0 = only the spread of a Poisson process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedWallet:
    """A shared pool or an app, with its key pair."""

    name: WalletName
    kind: EndpointKind
    key: str
    secret: str
    quotas: tuple[Quota, Quota, Quota, Quota]
    """In the order of `Category`."""


class EventKind(StrEnum):
    """What can happen to a balance."""

    TOP_UP = "top_up"
    """Quota was bought: the balance rises by `amount`."""
    REFUND = "refund"
    """Quota of failed messages is given back: a small rise."""
    ALLOCATE = "allocate"
    """`amount` moves from the shared pool to the app, at most what the pool has."""
    RETURN = "return"
    """`amount` moves from the app to the shared pool, at most what the app has."""
    USE = "use"
    """`amount` is sent at once."""
    SET = "set"
    """The balance becomes `amount`."""
    UNALLOCATE = "unallocate"
    """The balance becomes unallocated; its quota is lost."""
    BURST = "burst"
    """For a while the usage is `factor` times the normal one."""
    PUMPING = "pumping"
    """For a while `per_hour` messages are sent in addition, day and night (SMS pumping)."""

    @property
    def lasts(self) -> bool:
        """Whether it changes the usage for a while, not the balance at an instant."""
        return self in {EventKind.BURST, EventKind.PUMPING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happens to one balance at `at`, and is repeated after each `every` if that is set."""

    kind: EventKind
    balance: BalanceKey
    at: timedelta
    every: timedelta | None = None
    amount: int = 0
    factor: float = 1.0
    per_hour: float = 0.0
    lasts: timedelta = timedelta()


class FaultKind(StrEnum):
    """The kinds of faulty answers."""

    REJECTED = "rejected"
    """401, 50002."""
    NOT_OPENED = "not_opened"
    """403, 50008."""
    OUT_OF_FREQ = "out_of_freq"
    """403, 50009."""
    NOT_ASSIGNED = "not_assigned"
    """403, 50033."""
    ILLEGAL_IP = "illegal_ip"
    """403, 50035."""
    BLACKLISTED = "blacklisted"
    """403, 50036."""
    SERVER_ERROR = "server_error"
    """500, 50019."""
    RATE_LIMITED = "rate_limited"
    """429 of a gateway, with an HTML body."""
    OUTAGE = "outage"
    """503 of a gateway, with an HTML body."""
    REFUSED = "refused"
    """The connection is closed without an answer."""
    SILENCE = "silence"
    """The request is accepted and never answered."""
    SLOW = "slow"
    """A good answer, `delay` late."""
    TRICKLE = "trickle"
    """A good answer at one byte in `delay`."""
    TRUNCATED = "truncated"
    """A good answer that is cut off in the middle."""
    HTML = "html"
    """200 with an HTML page."""
    EMPTY = "empty"
    """200 with nothing."""
    HUGE = "huge"
    """200 with a megabyte."""
    MISSING_FIELD = "missing_field"
    """200 without the market field."""
    UNKNOWN_FIELD = "unknown_field"
    """A good answer with a field that isn't documented."""
    ALL_NULL = "all_null"
    """200 with four nulls."""
    REDIRECT = "redirect"
    """302 to another address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedFault:
    """From `at` on, requests of the wallets that match get faulty answers."""

    kind: FaultKind
    match: WalletPattern = field(default_factory=lambda: WalletPattern(text="*"))
    at: timedelta = timedelta()
    lasts: timedelta | None = None
    """None: until it is ended by hand."""
    share: float = 1.0
    """The part of the requests that is affected."""
    retry_after: timedelta | None = None
    delay: timedelta = timedelta(seconds=1)
    times: int | None = None
    """It ends after this many answers; None: no such limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A whole simulated JSMS."""

    wallets: tuple[SimulatedWallet, ...]
    events: tuple[Event, ...] = ()
    faults: tuple[SimulatedFault, ...] = ()
    seed: int = 1
    history: timedelta = timedelta(days=30)
    """How long before the start of the simulator usage begins."""
    step: timedelta = timedelta(minutes=1)
    """How often balances change; a day must be a multiple of it."""
    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Shanghai"))
    """The zone of the daily rhythm; its offset at the start of the simulator is used throughout."""
    latency: timedelta = timedelta()
    """The delay of every answer."""


def simulated_wallet(
    account: str,
    app: str | None = None,
    *,
    seed: int = 1,
    key: str | None = None,
    secret: str | None = None,
    universal: Quota | int | None = None,
    voice: Quota | int | None = None,
    industry: Quota | int | None = None,
    market: Quota | int | None = None,
) -> SimulatedWallet:
    """Return a wallet. A category that isn't given is unallocated; a number is a balance without usage.

    If the key pair isn't given, it is made from seed and name.
    """
    name = wallet_name(account, app)
    return SimulatedWallet(
        name=name,
        kind=EndpointKind.ACCOUNT if app is None else EndpointKind.APP,
        key=made_up(seed, name, "key") if key is None else key,
        secret=made_up(seed, name, "secret") if secret is None else secret,
        quotas=(_quota(universal), _quota(voice), _quota(industry), _quota(market)),
    )


def made_up(seed: int, name: str, purpose: str) -> str:
    """Return a key of 24 hexadecimal digits, in JSMS's format, that is valid only in a simulator."""
    return sha256(f"{seed}/{name}/{purpose}".encode()).hexdigest()[:24]


def crowd(num_apps: int, *, account: str = "acme", seed: int = 1) -> Scenario:
    """Return an account with `num_apps` apps that have two balances each, without usage: for tests of many wallets."""
    pool = simulated_wallet(account, seed=seed, universal=10_000)
    apps = (
        simulated_wallet(account, f"app-{number:05}", seed=seed, industry=10_000 + number, market=500)
        for number in range(1, num_apps + 1)
    )
    return Scenario(wallets=(pool, *apps), seed=seed)


def _quota(given: Quota | int | None) -> Quota:
    return given if isinstance(given, Quota) else Quota(start=given)

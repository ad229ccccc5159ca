"""What a simulated JSMS holds and what happens to it: plain values, checked once, the same for the same file and seed.

Times are offsets from the instant the simulator starts; negative ones lie in its history.
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
    """At the beginning of the history; None = unallocated."""
    per_day: float = 0.0
    """Mean use of a day over a week, in messages."""
    daily: float = 0.6
    """How far the hour of the day moves the use: 0 = not at all, 1 = nothing at night, double at the peak (14:00)."""
    weekly: float = 0.3
    """How much less is used on Saturday and Sunday: 0 = nothing less, 1 = nothing used."""
    noise: float = 0.15
    """The spread of an hour's use about what the rhythm expects, relative; 0 = that of chance alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedWallet:
    """A shared pool or an app, with the key pair that it is read with."""

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
    """Failed messages are given back: a small rise."""
    ALLOCATE = "allocate"
    """`amount` moves from the shared pool to the app; no more than the pool has."""
    RETURN = "return"
    """`amount` moves from the app to the shared pool; no more than the app has."""
    USE = "use"
    """`amount` is sent at once."""
    SET = "set"
    """The balance becomes `amount`."""
    UNALLOCATE = "unallocate"
    """The balance becomes unallocated; what it held is gone."""
    BURST = "burst"
    """For a while the use is `factor` times what it would be."""
    PUMPING = "pumping"
    """For a while `per_hour` messages are sent on top, by day and by night."""

    @property
    def lasts(self) -> bool:
        """Whether it changes the use for a while, rather than the balance at an instant."""
        return self in {EventKind.BURST, EventKind.PUMPING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happens to one balance at `at`, and again `every` so often where that is set."""

    kind: EventKind
    balance: BalanceKey
    at: timedelta
    every: timedelta | None = None
    amount: int = 0
    factor: float = 1.0
    per_hour: float = 0.0
    lasts: timedelta = timedelta()


class FaultKind(StrEnum):
    """The ways in which an answer goes wrong."""

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
    """The request is taken and never answered."""
    SLOW = "slow"
    """A good answer, `delay` late."""
    TRICKLE = "trickle"
    """A good answer at one byte in `delay`."""
    TRUNCATED = "truncated"
    """A good answer that breaks off in its middle."""
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
    """Answers of the wallets that `match` go wrong from `at` on."""

    kind: FaultKind
    match: WalletPattern = field(default_factory=lambda: WalletPattern(text="*"))
    at: timedelta = timedelta()
    lasts: timedelta | None = None
    """None: until somebody mends it."""
    share: float = 1.0
    """Which part of the requests."""
    retry_after: timedelta | None = None
    delay: timedelta = timedelta(seconds=1)
    times: int | None = None
    """After so many answers it is over; None: no such end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A whole simulated JSMS."""

    wallets: tuple[SimulatedWallet, ...]
    events: tuple[Event, ...] = ()
    faults: tuple[SimulatedFault, ...] = ()
    seed: int = 1
    history: timedelta = timedelta(days=30)
    """How long before its start the balances began to be used."""
    step: timedelta = timedelta(minutes=1)
    """How often balances move; divides a day."""
    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Shanghai"))
    """The clock that the rhythm of a day follows, with the offset it has when the simulator starts."""
    latency: timedelta = timedelta()
    """What every answer takes."""


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
    """Return a wallet; a category that isn't named is unallocated, a number is one that nobody uses.

    A key pair that isn't given is made up from seed and name.
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
    """Return 24 hexadecimal digits, as keys have them, that open nothing but a simulator."""
    return sha256(f"{seed}/{name}/{purpose}".encode()).hexdigest()[:24]


def crowd(num_apps: int, *, account: str = "acme", seed: int = 1) -> Scenario:
    """Return an account with `num_apps` apps that each hold two balances nobody uses: for tests of many wallets."""
    pool = simulated_wallet(account, seed=seed, universal=10_000)
    apps = (
        simulated_wallet(account, f"app-{number:05}", seed=seed, industry=10_000 + number, market=500)
        for number in range(1, num_apps + 1)
    )
    return Scenario(wallets=(pool, *apps), seed=seed)


def _quota(given: Quota | int | None) -> Quota:
    return given if isinstance(given, Quota) else Quota(start=given)

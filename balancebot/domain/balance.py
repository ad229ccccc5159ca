"""What is measured: wallets, categories, readings and snapshots.

A reading is a whole number of messages, or one of two kinds of absence: *unallocated* (no quota is assigned here) and
*unread* (not requested, or no answer). Neither is zero, and the two are never confused.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from typing import NamedTuple, NewType, TypeAlias

WalletName = NewType("WalletName", str)
"""`acme` for an account's shared pool, `acme/checkout` for one app's allocation."""

MAX_BALANCE = 2**63 - 1
"""The largest balance that the database can store; a larger one is a schema fault."""


class Category(StrEnum):
    """The four kinds of quota, in the order in which they are shown."""

    UNIVERSAL = "universal"
    VOICE = "voice"
    INDUSTRY = "industry"
    MARKET = "market"


CATEGORIES = tuple(Category)
"""For loops over many wallets: iterating over the enumeration itself takes five times as long."""


class Absent(Enum):
    """Why there is no number."""

    UNALLOCATED = "unallocated"
    UNREAD = "unread"


Reading: TypeAlias = int | Absent


class Readings(NamedTuple):
    """One reading per category, of one wallet at one instant."""

    universal: Reading = Absent.UNREAD
    voice: Reading = Absent.UNREAD
    industry: Reading = Absent.UNREAD
    market: Reading = Absent.UNREAD

    def of(self, category: Category) -> Reading:
        """Return the reading of `category`."""
        reading: Reading = getattr(self, category)
        return reading

    def items(self) -> Iterator[tuple[Category, Reading]]:
        """Yield `(category, reading)` in the order of `Category`."""
        return zip(CATEGORIES, self, strict=True)


UNALLOCATED_EVERYWHERE = Readings(*(Absent.UNALLOCATED,) * 4)
NEVER_READ = Readings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All readings of one wallet from one request."""

    wallet: WalletName
    observed_at: datetime
    readings: Readings
    unknown_fields: Mapping[str, object] = field(default_factory=dict)
    """Fields of the answer that the API's documentation doesn't describe; for the log only."""


class BalanceKey(NamedTuple):
    """One balance: a category of a wallet. Printed `acme/checkout:industry`."""

    wallet: WalletName
    category: Category

    def __str__(self) -> str:
        return f"{self.wallet}:{self.category.value}"


def wallet_name(account: str, app: str | None = None) -> WalletName:
    """Return the wallet's name: the shared pool of `account`, or the allocation of one of its apps."""
    return WalletName(account if app is None else f"{account}/{app}")


def account_of(wallet: WalletName) -> str:
    """Return the account that `wallet` belongs to; for a shared pool that is its own name."""
    return wallet.partition("/")[0]


def app_of(wallet: WalletName) -> str | None:
    """Return the app's name, or None for a shared pool."""
    return wallet.partition("/")[2] or None


OUT_OF_PROPORTION = 8
"""A balance that changes by this factor is read again at once ..."""
FEW_MESSAGES = 1_000
"""... if the change is larger than this many messages."""


def is_suspect(before: Readings, now: Readings) -> bool:
    """Return whether a reading must be confirmed by a second one at once.

    That is so if a balance fell to 0, if it changed by `OUT_OF_PROPORTION` or more, or if all categories became
    unallocated.
    """
    for was, reading in zip(before, now, strict=True):
        if isinstance(was, int) and isinstance(reading, int) and was > 0:
            if reading == 0:
                return True
            low, high = sorted((was, reading))
            if high >= low * OUT_OF_PROPORTION and high - low > FEW_MESSAGES:
                return True
    return now == UNALLOCATED_EVERYWHERE and any(isinstance(was, int) for was in before)

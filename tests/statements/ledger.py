"""A simulated company with a known ledger: regular readings, and what really happened to each balance."""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from balancebot.domain.balance import Absent, Readings, WalletName
from balancebot.domain.statement import Flows

EVERY = 900
"""Seconds between two readings of an account."""


@dataclass
class Truth:
    """What really happened to one balance in one month."""

    bought: int = 0
    moved_in: int = 0
    moved_out: int = 0
    refunded: int = 0
    used: int = 0
    opening: int | None = None
    closing: int = 0

    @property
    def flows(self) -> Flows:
        return Flows(self.bought, self.moved_in, self.moved_out, self.refunded, self.used)


@dataclass
class Purchase:
    """A purchase: when, how much, and for which wallet."""

    at: int
    wallet: WalletName
    messages: int
    hidden: int
    """Usage between the two readings around the purchase: the top-up looks smaller by this."""


@dataclass
class Company:
    """Accounts with a shared pool and apps; each balance is of the category `industry`."""

    seed: int
    start: datetime
    days: int
    zone: ZoneInfo
    accounts: int = 4
    apps: int = 9
    truth: dict[tuple[str, WalletName], Truth] = field(default_factory=lambda: defaultdict(Truth))
    purchases: list[Purchase] = field(default_factory=list)
    unread_ends: set[tuple[str, str]] = field(default_factory=set)
    """Months and accounts with an end within a gap: usage before and after it can't be separated."""

    def rounds(self) -> Iterator[tuple[int, Mapping[WalletName, Readings]]]:
        """Yield the readings of each instant; a wallet in a gap is left out."""
        chance = random.Random(self.seed)
        wallets = [
            (f"firm{number}", WalletName(f"firm{number}" + (f"/app{app}" if app else "")))
            for number in range(self.accounts)
            for app in range(self.apps + 1)
        ]
        left = {wallet: 400_000 if "/" not in wallet else 40_000 for _, wallet in wallets}
        rate = {
            wallet: 0 if "/" not in wallet else chance.choice((400, 2_000, 9_000)) for _, wallet in wallets
        }
        comes = {wallet: 0 for _, wallet in wallets}
        goes = {wallet: self.days * 86_400 for _, wallet in wallets}
        comes[WalletName("firm0/app1")] = 40 * 86_400 + 4_000
        goes[WalletName("firm1/app1")] = 50 * 86_400 + 4_000
        gaps: dict[str, int] = {}
        start = int(self.start.timestamp())
        for elapsed in range(0, self.days * 86_400, EVERY):
            at = start + elapsed
            local = datetime.fromtimestamp(at, self.zone)
            month = f"{local:%Y-%m}"
            # what happened since the last reading counts there
            before = f"{datetime.fromtimestamp(at - 1, self.zone):%Y-%m}"
            busy = set(gaps)  # changes within a gap can't be distinguished
            for account, _ in wallets:
                if account not in gaps and chance.random() < 0.0004:
                    gaps[account] = at + chance.randrange(3_600, 30 * 3_600)
                elif gaps.get(account, at) < at:
                    del gaps[account]
            busy |= set(gaps)
            if before != month:
                self.unread_ends |= {(name, account) for name in (before, month) for account in gaps}
            for account, wallet in wallets:
                if not comes[wallet] <= elapsed < goes[wallet]:
                    continue
                truth = self.truth[before, wallet]
                usual = rate[wallet] * EVERY / 86_400 * (0.3 + 1.4 * (8 <= local.hour < 20))
                used = min(left[wallet], int(chance.expovariate(1 / usual))) if usual and elapsed else 0
                if used > 20 and account not in busy and chance.random() < 0.01:
                    # refunds come while there is no usage, which would hide them
                    used, refund = 0, min(20, left[wallet] // 200)
                    left[wallet] += refund
                    truth.refunded += refund
                left[wallet] -= used
                truth.used += used
                pool = WalletName(account)
                may_act = account not in busy and elapsed > 0
                if "/" in wallet and may_act and left[wallet] < rate[wallet] * 2 and chance.random() < 0.05:
                    busy.add(account)
                    moved = -(-max(rate[wallet] * 12, 5_000) // 5_000) * 5_000
                    if left[pool] >= moved and chance.random() < 0.8:
                        left[pool] -= moved
                        left[wallet] += moved
                        self.truth[before, pool].moved_out += moved
                        truth.moved_in += moved
                    else:
                        self._buy(at, before, wallet, moved, used, left)
                elif wallet == pool and may_act and left[pool] < 200_000 and chance.random() < 0.01:
                    busy.add(account)
                    self._buy(at, before, pool, chance.choice((200_000, 300_000, 500_000)), used, left)
            yield (
                at,
                {
                    wallet: Readings(Absent.UNALLOCATED, Absent.UNALLOCATED, left[wallet], Absent.UNALLOCATED)
                    for account, wallet in wallets
                    if account not in gaps and comes[wallet] <= elapsed < goes[wallet]
                },
            )
            for _, wallet in wallets:
                if comes[wallet] <= elapsed < goes[wallet]:
                    truth = self.truth[month, wallet]
                    truth.closing = left[wallet]
                    if truth.opening is None:
                        truth.opening = left[wallet]

    def _buy(
        self, at: int, month: str, wallet: WalletName, messages: int, used: int, left: dict[WalletName, int]
    ) -> None:
        left[wallet] += messages
        self.truth[month, wallet].bought += messages
        self.purchases.append(Purchase(at, wallet, messages, used))

"""Whether a wallet can be read: the verdicts of the wallet kinds `stale` and `credentials_rejected`.

A key pair counts as rejected after two refusals in a row. A wallet is stale after a time without a good reading *and*
a failed latest attempt, so that a restart after a pause opens no alert.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from balancebot.domain.alert import Alert
from balancebot.domain.balance import WalletName
from balancebot.domain.verdict import FINE, NO_DATA, Severity, Verdict

_REJECTED_AFTER = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What is known of a wallet's reading after its latest attempt."""

    wallet: WalletName
    last_good_at: datetime | None
    first_attempt_at: datetime
    failed: bool
    """Whether the latest attempt failed."""
    rejections: int
    """How many attempts in a row were refused as unauthorised (401)."""
    fault: str = ""
    """A key for the failure, equal for wallets that fail for the same cause; '' after a good reading."""


def judge_credentials(reach: Reach) -> Verdict:
    """Critical after two refusals in a row, fine after a good reading; any other failure gives no new information."""
    if not reach.failed:
        return FINE
    return Verdict(severity=Severity.CRITICAL) if reach.rejections >= _REJECTED_AFTER else NO_DATA


def judge_staleness(reach: Reach, *, now: datetime, stale_after: timedelta, rejected: bool) -> Verdict:
    """Warning if there was no good reading for `stale_after` and the latest attempt failed.

    For a wallet that was never read, the time counts from the first attempt. `rejected`: its credentials are known to be
    refused, and that alert says enough; a stale alert is closed then. A first refusal opens nothing: the next attempt
    shows whether the credentials are the cause.
    """
    if not reach.failed or rejected:
        return FINE
    if reach.rejections:
        return NO_DATA
    since = reach.last_good_at or reach.first_attempt_at
    return Verdict(severity=Severity.WARNING) if now - since >= stale_after else NO_DATA


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """One alert for all `members`, stored under `wallet`. If only one wallet has this fault, `members` is empty."""

    existing: Alert | None
    """The open alert that is extended; None: a new one opens."""
    wallet: WalletName
    fault: str
    members: tuple[WalletName, ...] = ()


def share(account: str, stale: Mapping[WalletName, str], existing: Iterable[Alert]) -> tuple[Shared, ...]:
    """Decide which alert covers each newly stale wallet of one account, so that one outage is one alert.

    `stale` holds the fault of each wallet that none of `existing` (the account's open `stale` alerts) covers yet.
    Two or more wallets with the same fault share an alert that is stored under the account. If the first of them
    already has its own alert, that one is extended and keeps its id. Only one shared alert can be open per account:
    wallets with another fault get an alert each.
    """
    pool = WalletName(account)
    by_wallet = {alert.subject.wallet: alert for alert in existing}
    holder = by_wallet.get(pool)
    wallets_by_fault: dict[str, list[WalletName]] = {}
    for wallet, fault in stale.items():
        joins = holder is not None and (wallet == pool or fault == holder.fault)
        wallets_by_fault.setdefault(holder.fault if joins and holder else fault, []).append(wallet)
    decided: list[Shared] = []
    for fault, wallets in wallets_by_fault.items():
        if holder is not None and holder.fault == fault:
            members = (*(holder.members or (pool,)), *wallets)
            decided.append(Shared(existing=holder, wallet=pool, fault=fault, members=members))
            continue
        first = next((alert for alert in by_wallet.values() if alert.fault == fault), None)
        together = (*(() if first is None else (first.subject.wallet,)), *wallets)
        if len(together) > 1 and holder is None and not any(shared.members for shared in decided):
            decided.append(Shared(existing=first, wallet=pool, fault=fault, members=together))
        else:
            decided += (Shared(existing=None, wallet=wallet, fault=fault) for wallet in wallets)
    return tuple(decided)

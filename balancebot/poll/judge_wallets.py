"""The alert kinds of a wallet: rejected credentials and wallets that can't be read; wallets that come and go."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from balancebot.alerts.transitions import DecisionWriter, OpenAlerts
from balancebot.domain.alert import Alert, AlertKind, AlertSubject, Cause
from balancebot.domain.balance import WalletName, account_of
from balancebot.domain.message import Measurement
from balancebot.domain.reachability import Reach, Shared, judge_credentials, judge_staleness, share
from balancebot.domain.verdict import Severity, Verdict
from balancebot.store import wallets
from balancebot.store.database import Database

_STALE = Verdict(severity=Severity.WARNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAttempt:
    """How the latest attempt to read a wallet ended, with what is known of it since before."""

    reach: Reach
    detail: str = ""
    """The error in words; '' after a good reading."""


def judge_wallets(
    attempts: Sequence[ReadAttempt],
    alerts: OpenAlerts,
    *,
    now: datetime,
    stale_after: timedelta,
) -> None:
    """Advance `credentials_rejected` and `stale` by the latest attempts."""
    covering = _covering(alerts, {account_of(attempt.reach.wallet) for attempt in attempts})
    newly_stale: dict[str, dict[WalletName, str]] = defaultdict(dict)
    over: dict[AlertSubject, list[tuple[WalletName, Cause]]] = defaultdict(list)
    details: dict[WalletName, ReadAttempt] = {}
    for attempt in attempts:
        reach = attempt.reach
        subject = AlertSubject(kind=AlertKind.CREDENTIALS_REJECTED, wallet=reach.wallet)
        alerts.advance(
            subject,
            judge_credentials(reach),
            lambda attempt=attempt: _measurement(attempt, now),  # type: ignore[misc]
            cause=Cause.READ_AGAIN,
        )
        rejected = alerts.is_open(subject)
        staleness = judge_staleness(reach, now=now, stale_after=stale_after, rejected=rejected)
        covered_by = covering.get(reach.wallet)
        if staleness.severity is Severity.WARNING and covered_by is None:
            newly_stale[account_of(reach.wallet)][reach.wallet] = reach.fault
            details[reach.wallet] = attempt
        elif staleness.severity is Severity.OK and covered_by is not None:
            cause = Cause.CREDENTIALS_INSTEAD if rejected else Cause.READ_AGAIN
            over[covered_by.subject].append((reach.wallet, cause))
    for subject, gone in over.items():
        _uncover(alerts, subject, gone)
    for account, stale in newly_stale.items():
        for shared in share(account, stale, alerts.stale_of(account)):
            first = next((member for member in (shared.members or (shared.wallet,)) if member in stale), None)
            if first is not None:
                _cover(alerts, shared, details[first], now)


def forget_wallets(alerts: OpenAlerts, removed: Collection[WalletName]) -> None:
    """Close what is open of wallets that left the configuration."""
    for alert in {id(alert): alert for wallet in removed for alert in alerts.of_wallet(wallet)}.values():
        if not alert.members:
            alerts.close(alert, Cause.WALLET_REMOVED)
    for account in {account_of(wallet) for wallet in removed}:
        for alert in alerts.stale_of(account):
            gone = [(wallet, Cause.WALLET_REMOVED) for wallet in removed if wallet in alert.members]
            if gone:
                _uncover(alerts, alert.subject, gone)


def _covering(alerts: OpenAlerts, accounts: Collection[str]) -> Mapping[WalletName, Alert]:
    """Return which open `stale` alert speaks for each wallet."""
    return {
        wallet: alert
        for account in accounts
        for alert in alerts.stale_of(account)
        for wallet in (alert.members or (alert.subject.wallet,))
    }


def _uncover(alerts: OpenAlerts, subject: AlertSubject, gone: Sequence[tuple[WalletName, Cause]]) -> None:
    alert = alerts.of(subject)
    if alert is None:
        return
    names = {wallet for wallet, _ in gone}
    left = tuple(wallet for wallet in alert.members if wallet not in names)
    if left:
        alerts.narrow(alert, left)
    else:
        alerts.close(alert, gone[-1][1])


def _cover(alerts: OpenAlerts, shared: Shared, attempt: ReadAttempt, now: datetime) -> None:
    subject = AlertSubject(kind=AlertKind.STALE, wallet=shared.wallet)
    if shared.standing is not None:
        wider = replace(shared.standing, subject=subject, fault=shared.fault, members=shared.members)
        alerts.widen(shared.standing, wider, attempt.detail)
    else:
        alerts.advance(
            subject,
            _STALE,
            lambda: _measurement(attempt, now),
            fault=shared.fault,
            members=shared.members,
        )


def _measurement(attempt: ReadAttempt, now: datetime) -> Measurement:
    return Measurement(at=now, observed_at=attempt.reach.last_good_at, detail=attempt.detail)


def sync_wallets(
    database: Database, configured: Collection[WalletName], *, writer: DecisionWriter, now: datetime
) -> tuple[WalletName, ...]:
    """Make the configured wallets due where they are new, and return those that left the configuration."""
    with database.write() as conn:
        removed = wallets.sync(conn, configured, now=now)
        if removed:
            names = {*removed, *(WalletName(account_of(name)) for name in removed)}
            standing = OpenAlerts(conn, names, writer=writer, now=now)
            forget_wallets(standing, removed)
            standing.save()
    return removed

"""The present state of every balance, for `status`, the pages and the metrics. It only reads the database.

The time since a reading is subtracted from its runway, so that the runway changes without a new reading.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from balancebot.domain.alert import Alert, AlertKind
from balancebot.domain.balance import Absent, BalanceKey, Category, Reading, WalletName
from balancebot.domain.message import MutedCounts
from balancebot.domain.next_reading import NextReading
from balancebot.domain.runway import UNKNOWN, Estimate, Runway
from balancebot.domain.sentence import NO_SENTENCE, Sentence
from balancebot.domain.threshold import Effective, ThresholdBook
from balancebot.domain.verdict import Severity, judge
from balancebot.estimates.stored import estimate_at
from balancebot.store import (
    alerts,
    channel_failures,
    estimates,
    installation,
    outbox,
    schema,
    set_aside,
    wallets,
)
from balancebot.store.channel_failures import ChannelFailure
from balancebot.store.database import Database
from balancebot.store.estimates import EstimateRow
from balancebot.store.wallets import WalletRow

_YOUNG = timedelta(hours=2)
_NONE_LEFT = Runway(p10=0.0, p50=0.0, p90=0.0, judged=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceView:
    """One balance as it is now."""

    key: BalanceKey
    reading: Reading
    """The last good reading."""
    observed_at: datetime | None
    """When it was read; None = never."""
    is_stale: bool
    """Whether it is older than `stale_after`."""
    next_reading: NextReading | None
    """None: the wallet isn't in the database yet."""
    estimate: Estimate
    depletes_at: datetime | None
    """When it will be 0 according to the P50; None = unknown, or no end in sight."""
    severity: Severity
    ever_positive: bool
    """Whether it was ever above 0."""
    effective: Effective
    alert_id: str | None
    """The id of its open `low_balance` alert."""
    spike_id: str | None
    """The id of its open `burn_spike` alert."""
    is_spiking: bool
    """Whether there is a usage spike now, with or without its own alert."""
    wallet_alert_id: str | None
    """The id of the open alert of its wallet, which may be shared by wallets of the account."""
    stopped: bool
    """Whether there was no usage in hours that always have some."""
    error: Sentence
    """Why the latest attempt to read its wallet failed; empty if it didn't."""
    wallet_alert_kind: AlertKind | None = None
    """The kind of the alert `wallet_alert_id`."""
    is_acknowledged: bool = False
    """Whether all its open alerts are acknowledged."""
    is_silenced: bool = False
    """Whether all its open alerts are silenced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _OpenAlertsOf:
    """The open alerts, by what they are about."""

    of_balance: Mapping[tuple[AlertKind, BalanceKey], Alert]
    of_wallet: Mapping[WalletName, Alert]

    @classmethod
    def read(cls, conn: Connection) -> "_OpenAlertsOf":
        of_balance: dict[tuple[AlertKind, BalanceKey], Alert] = {}
        of_wallet: dict[WalletName, Alert] = {}
        for message in alerts.all_open(conn):
            alert = message.alert
            if alert.subject.balance is not None:
                of_balance[alert.subject.kind, alert.subject.balance] = alert
            else:
                of_wallet.update(dict.fromkeys(alert.members or (alert.subject.wallet,), alert))
        return cls(of_balance=of_balance, of_wallet=of_wallet)


def overview(
    conn: Connection,
    *,
    book: ThresholdBook,
    stale_after: timedelta,
    now: datetime,
    names: Sequence[WalletName] | None = None,
) -> list[BalanceView]:
    """Return the four balances of each wallet of `names`, in that order; by default of all configured wallets."""
    if names is None:
        known = {row.name: row for row in wallets.all_wallets(conn)}
        names, kept = list(known), estimates.all_estimates(conn)
    else:
        known = wallets.named(conn, names, configured_only=False)
        kept = estimates.of_wallets(conn, [row.id for row in known.values()])
    estimated = {(row.wallet_id, row.category): row for row in kept}
    open_alerts = _OpenAlertsOf.read(conn)
    views = []
    for name in names:
        wallet = known.get(name)
        for category in Category:
            key = BalanceKey(name, category)
            views.append(
                _view(
                    key,
                    wallet,
                    estimated.get((wallet.id, category)) if wallet else None,
                    effective=book.effective(*key),
                    open_alerts=open_alerts,
                    stale_after=stale_after,
                    now=now,
                )
            )
    return views


def is_too_young(database: Database, views: Sequence[BalanceView], *, now: datetime) -> bool:
    """Return whether the installation is too new for any runway to be known, so that "ok" isn't certain yet."""
    if not any(view.reading and isinstance(view.reading, int) for view in views):
        return False
    if any(view.reading and view.estimate.runway is not None for view in views):
        return False
    with database.read() as conn:
        made = installation.find(conn, schema.DATABASE_ID)
    return made is not None and timedelta() <= now - made.at < _YOUNG


def _view(
    key: BalanceKey,
    wallet: WalletRow | None,
    kept: EstimateRow | None,
    *,
    effective: Effective,
    open_alerts: _OpenAlertsOf,
    stale_after: timedelta,
    now: datetime,
) -> BalanceView:
    reading: Reading = Absent.UNREAD if wallet is None else wallet.readings.of(key.category)
    observed_at = None if wallet is None or reading is Absent.UNREAD else wallet.observed_at
    is_stale = observed_at is not None and now - observed_at > stale_after
    estimate = estimate_at(kept, reading, now)
    if reading == 0:
        estimate = replace(estimate, burn_per_day=kept.burn_per_day if kept else None, runway=_NONE_LEFT)
    elif estimate is UNKNOWN and kept is not None and isinstance(reading, int):
        estimate = Estimate(burn_per_day=kept.burn_per_day)
    verdict = judge(
        reading,
        estimate,
        effective.limits,
        ever_positive=kept is not None and kept.ever_positive,
        margin=0.0,
    )
    low = open_alerts.of_balance.get((AlertKind.LOW_BALANCE, key))
    spike = open_alerts.of_balance.get((AlertKind.BURN_SPIKE, key))
    of_wallet = open_alerts.of_wallet.get(key.wallet)
    own_alerts = [alert for alert in (low, spike, of_wallet) if alert is not None]
    return BalanceView(
        key=key,
        reading=reading,
        observed_at=observed_at,
        is_stale=is_stale,
        next_reading=None if wallet is None else wallet.next_reading,
        estimate=estimate,
        depletes_at=observed_at if reading == 0 else kept.p50_at if kept and estimate.runway else None,
        severity=Severity.UNKNOWN if is_stale and isinstance(reading, int) else verdict.severity,
        ever_positive=kept is not None and kept.ever_positive,
        effective=effective,
        alert_id=None if low is None else str(low.id),
        spike_id=None if spike is None else str(spike.id),
        is_spiking=spike is not None or (kept is not None and kept.is_spiking),
        wallet_alert_id=None if of_wallet is None else str(of_wallet.id),
        wallet_alert_kind=None if of_wallet is None else of_wallet.subject.kind,
        is_acknowledged=bool(own_alerts) and all(alert.acknowledged_at is not None for alert in own_alerts),
        is_silenced=bool(own_alerts) and all(alert.muted for alert in own_alerts),
        stopped=kept is not None and kept.stopped,
        error=wallet.error_message if wallet is not None and wallet.error_kind is not None else NO_SENTENCE,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemStatus:
    """Balances, alerts, outbox and the last cycle: what the metrics show."""

    balances: tuple[BalanceView, ...]
    num_open: Mapping[tuple[AlertKind, Severity], int]
    muted: MutedCounts
    """How many of the open alerts get no messages, or none of their own."""
    num_pending: int
    """How many deliveries wait or are being sent."""
    refusals: tuple[ChannelFailure, ...]
    """The failures of channels that need a person to act."""
    last_cycle_at: datetime | None
    """When the last complete poll cycle ended; None = there was none."""
    num_set_aside: int = 0
    """How many wallets are neither read nor judged because rows of theirs are damaged."""
    file_is_damaged: bool = False
    """Whether the last check has found the file of a SQLite database damaged."""


def system_status(
    conn: Connection, *, book: ThresholdBook, stale_after: timedelta, now: datetime
) -> SystemStatus:
    """Return the present state of the system, with all configured wallets."""
    last_cycle = installation.find(conn, installation.LAST_CYCLE)
    return SystemStatus(
        balances=tuple(overview(conn, book=book, stale_after=stale_after, now=now)),
        num_open={(kind, severity): num for kind, severity, num in alerts.num_open(conn)},
        muted=alerts.muted_counts(conn),
        num_pending=outbox.num_pending(conn),
        refusals=tuple(failure for failure in channel_failures.current(conn) if not failure.only_edits),
        last_cycle_at=None if last_cycle is None else last_cycle.at,
        num_set_aside=len(set_aside.known(conn)),
        file_is_damaged=installation.find(conn, installation.FILE_DAMAGE) is not None,
    )

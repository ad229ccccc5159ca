"""An alert: one episode of a balance or a wallet, and what one step does to it. How it lives stands in `alert_life`.

At most one is open per balance (or wallet) and kind. Its *peak* is the worst severity told.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from balancebot.domain.balance import Category, WalletName
from balancebot.domain.threshold import Limits
from balancebot.domain.verdict import Severity


class AlertKind(StrEnum):
    """What an alert is about. LOW_BALANCE and BURN_SPIKE concern a balance, the others a wallet."""

    LOW_BALANCE = "low_balance"
    BURN_SPIKE = "burn_spike"
    CREDENTIALS_REJECTED = "credentials_rejected"
    STALE = "stale"


class Reason(StrEnum):
    """Why we speak."""

    OPENED = "opened"
    WORSENED = "worsened"
    REMINDER = "reminder"
    RECOVERED = "recovered"


class Cause(StrEnum):
    """Why an alert closed."""

    ROSE = "rose"
    """The balance (or its runway) passed every limit by the margin."""
    LIMIT_CHANGED = "limit_changed"
    UNALLOCATED = "unallocated"
    WALLET_REMOVED = "wallet_removed"
    READ_AGAIN = "read_again"
    """A wallet kind: it could be read."""
    CREDENTIALS_INSTEAD = "credentials_instead"
    """`stale` gave way: the wallet answers again, and rejects the credentials."""
    USE_NORMAL = "use_normal"
    """A burn spike is over."""


NO_LIMITS = Limits()
FLAPS = 3
"""What opens, or worsens to the same severity, so often within `FLAPPING_WITHIN` flaps: twice may be two purchases."""
FLAPPING_WITHIN = timedelta(hours=24)
CALM_FOR = timedelta(hours=1)
"""How long what flaps has to stay well; for each further opening so much longer, that it falls silent at any pace."""
FOR_GOOD = frozenset({Cause.LIMIT_CHANGED, Cause.UNALLOCATED, Cause.WALLET_REMOVED})
"""Causes that can't come and go: what a person did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What an alert is about: at most one is open of each."""

    kind: AlertKind
    wallet: WalletName
    category: Category | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One episode, from the first bad verdict to recovery."""

    id: int | None = None
    """None until it is stored."""
    subject: Subject
    severity: Severity
    peak: Severity | None
    """The worst severity told; None while nothing has been told of it."""
    opened_at: datetime
    closed_at: datetime | None = None
    opened_by_days: bool = False
    """Whether a runway limit was ever among those crossed: then an unknown runway doesn't recover it."""
    limits: Limits = NO_LIMITS
    """By which it was judged last."""
    told_at: datetime | None = None
    """The last OPENED, WORSENED or REMINDER."""
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    acknowledged_note: str = ""
    flaps: int = 1
    """How often it has opened, or worsened to one severity, within `FLAPPING_WITHIN`, this time included."""
    calm_since: datetime | None = None
    """Flapping: since when it has been past all its limits without a break."""
    eased_since: datetime | None = None
    """Flapping: since when it has been past the limits of its peak without a break."""
    relapses: int = 0
    """Flapping: how often it fell back after it had been past its limits. Nobody was told of these."""
    expects_by: datetime | None = None
    """Acknowledged with "top-up ordered": it speaks again if it is still open then."""
    muted_from: Severity | None = None
    """The severity it had when its silence began, or at which it opened inside it; None = not muted."""
    mute_lifted: bool = False
    """It rose above `muted_from`: the silence no longer holds for it."""
    fault: str = ""
    """STALE: what its wallets share."""
    members: tuple[WalletName, ...] = ()
    """STALE of an account: the wallets that can't be read."""

    @property
    def muted(self) -> bool:
        """Whether a silence holds for it."""
        return self.muted_from is not None and not self.mute_lifted

    @property
    def is_flapping(self) -> bool:
        """Whether it counts as better only once it has stayed so for `calm_for`."""
        return self.flaps >= FLAPS

    @property
    def calm_for(self) -> timedelta:
        """How long it has to stay well before it is told as recovered; nothing unless it flaps."""
        return CALM_FOR * max(0, self.flaps - FLAPS + 1)

    @property
    def well_at(self) -> datetime | None:
        """When it is told as recovered if it stays well; None = it isn't well now."""
        return None if self.calm_since is None else self.calm_since + self.calm_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A top-up that somebody had ordered, and that didn't come by the time they said."""

    by: str
    expected_by: datetime
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one verdict, or the passing of time, did to an alert.

    `alert` is the state after it (with `closed_at` set if it closed), None where there is none. `reason` None:
    nothing is told; `edit` says that messages which stand must change their look.
    """

    alert: Alert | None
    reason: Reason | None = None
    edit: bool = False
    cause: Cause | None = None
    previous: Severity | None = None
    """The peak before, for WORSENED and RECOVERED."""
    broken: Promise | None = None
    """REMINDER: because of this."""

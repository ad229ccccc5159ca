"""The life of an alert: verdict in, change and reason out."""

from enum import IntEnum, StrEnum


class Severity(IntEnum):
    """How bad one balance is. UNKNOWN is off the scale: no data is neither good nor bad news."""

    UNKNOWN = -1
    OK = 0
    WARNING = 1
    CRITICAL = 2
    DEPLETED = 3

    @property
    def word(self) -> str:
        """The severity as files, pages and messages show it."""
        return self.name.lower()


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

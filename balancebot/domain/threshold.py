"""The limits of a balance, and which of them a value crosses."""

from dataclasses import dataclass
from enum import StrEnum


class LimitColumn(StrEnum):
    """The four limits, as they are named in files, tables and pages."""

    WARNING_BELOW = "warning_below"
    CRITICAL_BELOW = "critical_below"
    WARNING_DAYS = "warning_days"
    CRITICAL_DAYS = "critical_days"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The effective limits of one balance; None = off or not set. Counts in messages, runways in days."""

    warning_below: int | None = None
    critical_below: int | None = None
    warning_days: float | None = None
    critical_days: float | None = None

    @property
    def any(self) -> bool:
        """Whether at least one limit applies."""
        return any(
            limit is not None
            for limit in (self.warning_below, self.critical_below, self.warning_days, self.critical_days)
        )

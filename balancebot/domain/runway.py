"""How long a balance lasts and what to do about it: the results of the estimate, which all other packages read."""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from balancebot.domain.balance import Category, Reading

if TYPE_CHECKING:
    Hours: TypeAlias = float
else:
    # JSON has no infinity: it is written as null, and `Runway` turns null into infinity
    Hours = float | None

NO_END_DAYS: Final = 365
"""The forecast's horizon in days: a balance that lasts longer has no end in sight."""
NO_END_HOURS: Final = NO_END_DAYS * 24.0

HISTORY_HOURS: Final = 7 * 24.0
"""Before a week has been seen, an estimate says how much history it stands on."""
_NEARLY_LINEAR_HOURS = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Runway:
    """Hours from the instant of the estimate until the balance is 0, as percentiles of one distribution.

    `p10 <= judged, p50 <= p90`. `math.inf` means no end in sight within 365 days; 0.0 is a balance of 0.
    `judged` is the percentile that limits are compared with: the balance lasts at least that long with the probability
    `runway_confidence` (0.75 gives P25).
    """

    p10: Hours
    p50: Hours
    p90: Hours
    judged: Hours
    history_hours: float | None = None
    """How many hours of readings it is estimated from, if these are less than a week."""
    sends: int = 0
    """Messages of the announced and expected sends within the P50, which it includes."""

    def __post_init__(self) -> None:
        """Replace None, which stands for infinity in JSON, by infinity."""
        if None in (self.p10, self.p50, self.p90, self.judged):
            for name in ("p10", "p50", "p90", "judged"):
                if getattr(self, name) is None:
                    object.__setattr__(self, name, math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The estimate of one balance at one instant. None is *unknown*: there are too few data."""

    burn_per_day: float | None = None
    """Expected usage of the next 24 hours, in messages."""
    runway: Runway | None = None
    usual_burn_per_day: float | None = None
    """Expected usage per day without bursts and planned sends, in messages: the mean of the next week."""
    not_counted: int = 0
    """Messages of the latest burst that the usual usage leaves out; 0 = none in the last week."""
    not_counted_at: datetime | None = None
    """The hour in which that burst began."""
    bursts_per_day: float = 0.0
    burst: float = 0.0
    """The P90 of a burst's size, in messages. This and `bursts_per_day` are not stored with the estimate."""

    def usual_days(self, reading: Reading) -> float | None:
        """Return how many days a reading lasts at the usual usage; None if that is unknown or 0."""
        return (
            reading / self.usual_burn_per_day
            if isinstance(reading, int) and self.usual_burn_per_day
            else None
        )


UNKNOWN = Estimate()


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAdvice:
    """Move `move` and buy `messages` by `order_by`: the balance then lasts until `until` with probability `confidence`."""

    messages: int
    """How much must be bought, in whole packages; 0 = the balance and what can be moved are enough."""
    order_by: datetime | None
    """The latest time to act: the lead time before the balance might be used up, not before now. None with 0."""
    until: datetime
    confidence: float
    lacking: int = 0
    """The shortfall, not rounded to packages."""
    move: int = 0
    """The part of the shortfall that the account's shared pool can give."""
    ordered: int = 0
    """What is on order and should arrive by `until`; not included in `messages`."""
    reserve: int = 0
    """Universal messages that can be used after the balance is empty; they count like messages left."""
    reserve_seen_at: datetime | None = None
    """When universal messages were last used like this; None with a reserve: they are in use now."""
    instead_of: tuple[Category, ...] = ()
    """Of universal quota: the empty categories for which it is used. Their advice contains the shortfall."""
    stop_first: bool = False
    """Usage is far above usual: the sending must be stopped first, and no purchase is advised until then."""

    @property
    def to_buy(self) -> int:
        """How much must be bought, not rounded to packages."""
        if not self.messages or not self.lacking:
            return self.messages
        return max(0, self.lacking - self.move - self.ordered)

    @property
    def reserve_in_use(self) -> bool:
        """Whether universal quota is used now because this balance is empty."""
        return self.reserve > 0 and self.reserve_seen_at is None

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to do."""
        return self.messages > 0 or self.move > 0 or self.stop_first


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedUse:
    """Usage that a person has announced, within `[starts_at, ends_at)`: no balance shows it yet."""

    messages: int
    starts_at: datetime
    ends_at: datetime
    note: str = ""
    is_expected: bool = False
    """Nobody announced it: it is expected because of the balance's past."""


def position_on_bar(hours: float) -> float:
    """Return where a runway ends on a bar from 0 (now) to 1 (a year or more). The scale is log(1 + hours / 6)."""
    most = math.log1p(NO_END_HOURS / _NEARLY_LINEAR_HOURS)
    return math.log1p(min(max(hours, 0.0), NO_END_HOURS) / _NEARLY_LINEAR_HOURS) / most

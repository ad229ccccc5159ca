"""How long a balance lasts and what to do about it: the values that the estimate fills and everybody else reads."""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    Hours: TypeAlias = float
else:
    # JSON has no infinity: it is written as null, and `Runway` turns null into infinity
    Hours = float | None

NO_END_DAYS: Final = 365
"""How far ahead the end of a balance is looked for; what lasts longer has no end in sight."""
NO_END_HOURS: Final = NO_END_DAYS * 24.0

_NEARLY_LINEAR_HOURS = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Runway:
    """Hours from the instant of the estimate until the balance is 0, as percentiles of one distribution.

    `p10 <= judged, p50 <= p90`. `math.inf` means no end in sight within 365 days; 0.0 is a balance of 0.
    `judged` is the runway that holds with the probability `runway_confidence` (0.75 gives P25).
    """

    p10: Hours
    p50: Hours
    p90: Hours
    judged: Hours

    def __post_init__(self) -> None:
        """Take None, as it comes from JSON, for infinity."""
        if None in (self.p10, self.p50, self.p90, self.judged):
            for name in ("p10", "p50", "p90", "judged"):
                if getattr(self, name) is None:
                    object.__setattr__(self, name, math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What is believed of one balance at one instant. None is *unknown*: too little to go on."""

    burn_per_day: float | None = None
    """Expected use of the next 24 hours, in messages."""
    runway: Runway | None = None
    usual_burn_per_day: float | None = None
    """The same without bursts and dated sends, as a mean of the next week."""
    not_counted: int = 0
    """Messages of the latest burst that the usual usage leaves out; 0 = none in the last week."""
    not_counted_at: datetime | None = None
    """The hour in which that burst began."""
    bursts_per_day: float = 0.0
    burst: float = 0.0
    """How large a burst may well be, in messages: nine of ten are smaller. Neither is stored with the estimate."""


UNKNOWN = Estimate()


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAdvice:
    """Move `move` and buy `messages` by `order_by`: the balance lasts until `until` with the probability `confidence`."""

    messages: int
    """What must be bought, in whole packages; 0 = what is there, or can be moved here, will do."""
    order_by: datetime | None
    """The latest instant that leaves the lead time before the balance might be used up; not before now. None with 0."""
    until: datetime
    confidence: float
    lacking: int = 0
    """What is lacking, not rounded to packages."""
    move: int = 0
    """What the account's shared pool can spare for it, of what is lacking."""
    ordered: int = 0
    """What is on order and should arrive by `until`: it is not in `messages`."""
    stop_first: bool = False
    """While usage is far above what is usual nothing is advised: the sending must be stopped first."""

    @property
    def to_buy(self) -> int:
        """What must be bought, not rounded to packages."""
        if not self.messages or not self.lacking:
            return self.messages
        return max(0, self.lacking - self.move - self.ordered)

    @property
    def is_needed(self) -> bool:
        """Whether anything is to be done."""
        return self.messages > 0 or self.move > 0 or self.stop_first


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedUse:
    """Use that a person has announced, within `[starts_at, ends_at)`: no balance shows it yet."""

    messages: int
    starts_at: datetime
    ends_at: datetime
    note: str = ""
    is_expected: bool = False
    """Nobody announced it: the balance's past lets expect it on that day."""


def position_on_bar(hours: float) -> float:
    """Return where a runway ends on a bar from 0 (now) to 1 (a year or more): nearly linear at first, then by powers."""
    most = math.log1p(NO_END_HOURS / _NEARLY_LINEAR_HOURS)
    return math.log1p(min(max(hours, 0.0), NO_END_HOURS) / _NEARLY_LINEAR_HOURS) / most

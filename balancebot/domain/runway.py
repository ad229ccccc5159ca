"""How long a balance lasts: the value that the estimate fills and everybody else reads."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Runway:
    """Hours from the instant of the estimate until the balance is 0, as percentiles of one distribution.

    `p10 <= judged, p50 <= p90`. `math.inf` means no end in sight within 365 days; 0.0 is a balance of 0.
    `judged` is the runway that holds with the probability `runway_confidence` (0.75 gives P25).
    """

    p10: float
    p50: float
    p90: float
    judged: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What is believed of one balance at one instant. None is *unknown*: too little to go on."""

    burn_per_day: float | None = None
    """Expected use of the next 24 hours, in messages."""
    runway: Runway | None = None


UNKNOWN = Estimate()

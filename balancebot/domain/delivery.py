"""How one delivery lives: its states, when it is tried again, what of the waiting is told as one message.

Everything here is a decision on values; `now` is given. What these decisions promise stands in docs/delivery.md.
"""

from enum import StrEnum


class DeliveryState(StrEnum):
    """Where one delivery stands. The last three are settled."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    GAVE_UP = "gave_up"
    SUPERSEDED = "superseded"
    """Another delivery carries what this one would have told, or it isn't true any more."""

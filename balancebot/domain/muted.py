"""What of the open alerts people aren't told, or not by itself: counted, so that quiet isn't taken for calm."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Muted:
    """How many open alerts are muted by what; one may be counted under several."""

    silenced: int = 0
    acknowledged: int = 0
    """No reminders."""
    grouped: int = 0
    """Told in one message with others."""
    flapping: int = 0
    """Coming and going without a word."""
    spared_by_grouping: int = 0
    """Pieces of news that took no message of their own."""
    spared_by_flapping: int = 0
    """Recoveries and openings that were told to nobody."""

    @property
    def any(self) -> bool:
        """Whether anything is."""
        return bool(self.silenced or self.acknowledged or self.grouped or self.flapping)


NOTHING_MUTED = Muted()

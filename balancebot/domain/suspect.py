"""A first reading that is too bad to be believed at once: it must be confirmed before anybody is told."""

from balancebot.domain.balance import UNALLOCATED_EVERYWHERE, Readings


def is_suspect(before: Readings, now: Readings) -> bool:
    """Tell whether a balance fell to 0, or the wallet turned wholly unallocated, since the reading before."""
    if any(
        isinstance(was, int) and was > 0 and reading == 0 for was, reading in zip(before, now, strict=True)
    ):
        return True
    return now == UNALLOCATED_EVERYWHERE and any(isinstance(was, int) for was in before)

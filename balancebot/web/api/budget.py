"""The limit on the requests of one token, or of one address that sends wrong tokens."""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

_MAX_REMEMBERED = 10_000


class RequestBudget:
    """Lets each key spend `per_minute` units, which are refilled evenly. Safe to share between threads."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """How much each key has spent, and at which second; the key that was seen longest ago comes first."""

    def wait_for(self, key: str, cost: int = 1) -> int:
        """Spend `cost` and return 0. If that is too much, spend nothing and return the seconds until it isn't."""
        with self._lock:
            now = self._clock()
            spent = self._spent_by(key, now) + cost
            if spent > self._per_minute:
                return math.ceil((spent - self._per_minute) * 60 / self._per_minute)
            self._spent[key] = (spent, now)
            self._spent.move_to_end(key)
            if len(self._spent) > _MAX_REMEMBERED:
                self._spent.popitem(last=False)
            return 0

    def _spent_by(self, key: str, now: float) -> float:
        """Return how much of earlier spending still counts."""
        spent, at = self._spent.get(key, (0.0, now))
        return max(0.0, spent - (now - at) * self._per_minute / 60)

"""The only place that reads the clock. All other code gets `now` as an argument: aware, UTC."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

JUMP = timedelta(minutes=1)
"""If the wall clock moves this much more than time has passed, it was set."""


class SystemClock:
    """The machine's clock, behind the protocol `Clock`."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        return datetime.now(UTC)  # noqa: TID251 -- the one place


def _seconds_since_boot() -> float:
    """Return the seconds since the machine was started, including the time that it was suspended."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class SteadyClock:
    """A clock that ignores a jump of the wall clock until the jump has lasted.

    Alerts, reminders, silences, quiet hours and digests use it: a clock that is wrong for a moment must neither send
    nor unmute anything. Readings carry the time of the wall clock meanwhile, because it may be right.
    """

    def __init__(
        self,
        wall: Callable[[], datetime],
        *,
        believes_after: timedelta,
        elapsed: Callable[[], float] = _seconds_since_boot,
    ) -> None:
        """Follow `wall`. A jump is accepted after `believes_after`, measured by `elapsed`, which nobody can set."""
        self._wall = wall
        self._believes_after = believes_after.total_seconds()
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._origin: datetime | None = None
        """What the accepted clock showed when `elapsed` was 0."""
        self._doubted_since: float | None = None

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        with self._lock:
            now, elapsed = self._wall(), self._elapsed()
            origin = now - timedelta(seconds=elapsed)
            if self._origin is None or abs(origin - self._origin) <= JUMP:
                self._origin, self._doubted_since = origin, None
                return now
            if self._doubted_since is None:
                self._doubted_since = elapsed
            if elapsed - self._doubted_since >= self._believes_after:
                self._origin, self._doubted_since = origin, None
            return self._origin + timedelta(seconds=elapsed)

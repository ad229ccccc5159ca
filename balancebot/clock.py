"""The only place that reads the clock. Everybody else is given `now`: aware, UTC."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

JUMP = timedelta(minutes=1)
"""A wall clock that moves so much further than time has passed was set."""


class SystemClock:
    """The machine's clock, behind the protocol `Clock`."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        return datetime.now(UTC)  # noqa: TID251 -- the one place


def _seconds_since_boot() -> float:
    """Return the seconds since the machine was started, those in which it slept included."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class SteadyClock:
    """A clock that goes on as before when another one jumps, until that jump has lasted.

    Alerts, reminders, silences, quiet hours and digests live by it: a clock that was wrong for a moment must neither
    send nor unmute anything. What is read carries the time of the other clock meanwhile, since it may be the right one.
    """

    def __init__(
        self,
        wall: Callable[[], datetime],
        *,
        believes_after: timedelta,
        elapsed: Callable[[], float] = _seconds_since_boot,
    ) -> None:
        """Follow `wall`; a jump is believed once `believes_after` has passed by `elapsed`, which nobody sets."""
        self._wall = wall
        self._believes_after = believes_after.total_seconds()
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._origin: datetime | None = None
        """What the believed clock showed when `elapsed` was 0."""
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

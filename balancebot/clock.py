"""The only place that reads the clock. Everybody else is given `now`: aware, UTC."""

from datetime import UTC, datetime


class SystemClock:
    """The machine's clock, behind the protocol `Clock`."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        return datetime.now(UTC)  # noqa: TID251 -- the one place

"""Column types that keep the domain's promises in the database: instants keep their zone, readings their absences."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect
from sqlalchemy.types import TypeDecorator

from balancebot.domain.balance import Absent, Reading

_UNALLOCATED = -1


class UtcDateTime(TypeDecorator[datetime]):
    """An instant. Refuses naive values, stores UTC, returns aware values.

    SQLite drops an offset without converting, which would move the instant by hours; so it never sees one.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC; SQLite gets it without an offset."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant without a time zone cannot be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return an aware instant in UTC."""
        if value is None:
            return None
        aware: datetime = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return aware


class ReadingColumn(TypeDecorator[Reading]):
    """A reading in one integer: the balance, -1 for unallocated, NULL for unread."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Reading | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Encode; None is taken as unread."""
        if value is None or value is Absent.UNREAD:
            return None
        return _UNALLOCATED if isinstance(value, Absent) else value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Reading:  # noqa: ARG002
        """Decode."""
        if value is None:
            return Absent.UNREAD
        return Absent.UNALLOCATED if value == _UNALLOCATED else int(value)

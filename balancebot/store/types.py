"""Column types and small SQL helpers: instants, readings, values as JSON, chunks of long lists, upserts, locks.

msgspec derives the JSON of messages (each with the tag of its type) and of parts of alerts from the dataclasses. JSON of
an older version can still be read: a new field gets its default, and a removed one is ignored. Any other change of these
dataclasses needs a migration.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from itertools import islice
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    Float,
    Integer,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeDecorator

from balancebot.domain.balance import Absent, Reading
from balancebot.domain.message import (
    AlertMessage,
    ChannelFailureMessage,
    DigestMessage,
    GroupMessage,
    Message,
    NoticeMessage,
    SilenceMessage,
    TestMessage,
)
from balancebot.domain.pattern import Pattern, Patterns
from balancebot.domain.sentence import NO_SENTENCE, Sentence
from balancebot.domain.threshold import OFF, Off

_UNALLOCATED = -1
_OFF = -1
_BETWEEN_PATTERNS = ", "


class UtcDateTime(TypeDecorator[datetime]):
    """An instant. Refuses naive values, stores UTC, returns aware values.

    SQLite would drop an offset without converting, which would move the instant by hours, so it is never passed one.
    There an instant is stored as `2026-11-24 09:00:00.000000`, which sorts correctly.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], object]:
        """Return the function that converts an instant to a column's value."""
        return _to_text if dialect.name == "sqlite" else _to_utc

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:  # noqa: ARG002
        """Return the function that converts a column's value to an instant."""
        return _from_text if dialect.name == "sqlite" else _to_utc


class ReadingColumn(TypeDecorator[Reading]):
    """A reading in one integer: the balance, -1 for unallocated, NULL for unread."""

    impl = BigInteger
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Reading | None], int | None]:  # noqa: ARG002
        """Return the function that converts a reading to a column's value; None counts as unread."""
        return _to_integer

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[int | None], Reading]:  # noqa: ARG002
        """Return the function that converts a column's value to a reading."""
        return to_reading


class EnumColumn(TypeDecorator[Any]):
    """A member of a `StrEnum`, by its value; `nothing` is stored for None if the column can't be NULL."""

    impl = String
    cache_ok = True

    def __init__(self, kind: type[StrEnum], length: int = 16, *, nothing: str | None = None) -> None:
        super().__init__(length)
        self.kind = kind
        self.nothing = nothing

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the value of a member."""
        return self.nothing if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> StrEnum | None:  # noqa: ARG002
        """Return the member with this value."""
        return None if value is None or value == self.nothing else self.kind(value)


class _LimitColumn(TypeDecorator[Any]):
    """A limit of a threshold: a number, -1 for off, NULL to inherit."""

    def process_bind_param(self, value: float | Off | None, dialect: Dialect) -> float | None:  # noqa: ARG002
        """Return the number that represents a limit."""
        return _OFF if isinstance(value, Off) else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """Return the limit that a number represents; TypeError for anything else, which SQLite may hold."""
        if value is not None and not isinstance(value, int | float):
            raise TypeError("a limit is a number")
        return OFF if value == _OFF else value


class CountLimit(_LimitColumn):
    """A limit in messages."""

    impl = BigInteger
    cache_ok = True


class DaysLimit(_LimitColumn):
    """A limit in days of runway."""

    impl = Float
    cache_ok = True


class PatternColumn(TypeDecorator[Any]):
    """One pattern, or several separated by commas, which names can't contain."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Pattern | Patterns | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return a pattern as text."""
        if value is None:
            return None
        parts = value.parts if isinstance(value, Patterns) else (value,)
        return _BETWEEN_PATTERNS.join(part.text for part in parts)

    def process_result_value(self, value: Any, dialect: Dialect) -> Pattern | Patterns:  # noqa: ARG002
        """Return the pattern of a text; TypeError if it is invalid."""
        parts = tuple(map(_parsed, value.split(_BETWEEN_PATTERNS)))
        return parts[0] if len(parts) == 1 else Patterns(parts=parts)


class PictureColumn(TypeDecorator[Any]):
    """A value before or after a change, as JSON; NULL if it didn't exist."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the value as JSON, with its keys in their order."""
        return None if value is None else json.dumps(dict(value), ensure_ascii=False)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """Return the value of the JSON."""
        return None if value is None else json.loads(value)


class DecimalText(TypeDecorator[Decimal]):
    """A sum of money, exact, as text."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return all digits."""
        return None if value is None else f"{value:f}"

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        """Return the number."""
        return None if value is None else Decimal(value)


class TextOrNull(TypeDecorator[str]):
    """A text that is stored as NULL if it is empty."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return NULL for ''."""
        return value or None

    def process_result_value(self, value: Any, dialect: Dialect) -> str:  # noqa: ARG002
        """Return '' for NULL."""
        return value or ""


class SentenceColumn(TypeDecorator[Sentence]):
    """A sentence, which is translated where it is shown; `empty` is stored for the empty one."""

    impl = Text
    cache_ok = True

    def __init__(self, *, empty: str | None = None) -> None:
        super().__init__()
        self.empty = empty

    def process_bind_param(self, value: Sentence | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the sentence as one text."""
        return value.stored() if value else self.empty

    def process_result_value(self, value: Any, dialect: Dialect) -> Sentence:  # noqa: ARG002
        """Return the sentence of a text; NULL is the empty one."""
        return Sentence.restored(value) if value else NO_SENTENCE


class TextId(TypeDecorator[str]):
    """The number of a row, which the program handles as text."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Return the number; None for a text that isn't a valid id."""
        return parse_id(value) if isinstance(value, str) else value

    def process_result_value(self, value: Any, dialect: Dialect) -> str:  # noqa: ARG002
        """Return the number as text."""
        return str(value)


def _parsed(text: str) -> Pattern:
    pattern = Pattern.parse(text)
    if isinstance(pattern, Sentence):  # can't happen: it was validated before it was stored
        raise TypeError(f"{text}: the pattern {pattern}")
    return pattern


def columns_of(table: Table, kind: type) -> list[ColumnElement[Any]]:
    """Return the columns for the fields of the dataclass `kind`, as in `kind(**row._mapping)`."""
    return [table.c[field.name].label(field.name) for field in fields(kind)]


def _to_utc(value: datetime | None) -> datetime | None:
    if value is None or value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        raise ValueError("an instant without a time zone cannot be stored")
    return value.astimezone(UTC)


def _to_text(value: datetime | None) -> str | None:
    value = _to_utc(value)
    return None if value is None else value.isoformat(" ", "microseconds")[:26]


def _from_text(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value + "+00:00")


def _to_integer(value: Reading | None) -> int | None:
    if isinstance(value, int):
        return value
    return _UNALLOCATED if value is Absent.UNALLOCATED else None


def to_reading(value: int | None) -> Reading:
    """Return the reading that a column holds."""
    if value is None:
        return Absent.UNREAD
    return Absent.UNALLOCATED if value == _UNALLOCATED else value


T = TypeVar("T")

MOST_IN_ONE = 5_000
"""So many values one `IN (…)` takes."""


def chunked(values: Collection[T], size: int = MOST_IN_ONE) -> Iterator[Sequence[T]]:
    """Yield `values` in chunks that fit into one `IN (…)`; nothing if there are none."""
    iterator = iter(values)
    while chunk := list(islice(iterator, size)):
        yield chunk


def insert_into(conn: Connection, table: Table) -> sqlite.Insert:
    """Return an insert that has `on_conflict_do_update` and `on_conflict_do_nothing`.

    The type is SQLite's; PostgreSQL's has the same methods.
    """
    return insert_in(conn.dialect.name, table)


def insert_in(dialect: str, table: Table) -> sqlite.Insert:
    """Return the same as `insert_into`, for a statement that is cached per dialect."""
    if dialect == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # lazy: half of all installations have SQLite alone

    return postgresql.insert(table)  # type: ignore[return-value]


def upsert(conn: Connection, table: Table, *columns: str) -> sqlite.Insert:
    """Return an insert that replaces `columns` if the primary key already exists."""
    return _upsert(conn.dialect.name, table, columns)


@cache
def _upsert(dialect: str, table: Table, columns: tuple[str, ...]) -> sqlite.Insert:
    # cached, because building it takes as long as running it
    statement = insert_in(dialect, table)
    return statement.on_conflict_do_update(
        index_elements=[column.name for column in table.primary_key],
        set_={name: statement.excluded[name] for name in columns},
    )


MAX_ID = 2**31 - 1
ID = rf"[0-9]{{1,{len(str(MAX_ID))}}}"
"""A regular expression of the number of a row as text."""


def parse_id(text: str) -> int | None:
    """Parse the number of a row; None for a text that isn't a valid one."""
    if not re.fullmatch(ID, text):
        return None
    number = int(text)
    return number if number <= MAX_ID else None


ALERTS = 1
"""The lock for everything that changes alerts."""
BOOKING = 2
"""The lock for booking usage into the roll-up."""
THRESHOLDS = 3
"""The lock for changing thresholds, so that they don't change between the check and the write."""
_SPACE = 0x62616C  # separates our advisory locks from those of other programs in the same database


def take_lock(conn: Connection, lock: int) -> None:
    """Take a lock until the end of the transaction; DatabaseError LOCKED if that takes too long."""
    if conn.dialect.name == "postgresql":
        conn.execute(text("SELECT pg_advisory_xact_lock(:space, :lock)"), {"space": _SPACE, "lock": lock})


_TAGS: Final[dict[type[Message], str]] = {
    AlertMessage: "alert",
    GroupMessage: "group",
    DigestMessage: "digest",
    TestMessage: "test",
    ChannelFailureMessage: "channel_failure",
    SilenceMessage: "silence",
    NoticeMessage: "notice",
}
_TYPES: Final[dict[str, Any]] = {tag: kind for kind, tag in _TAGS.items()}


class _Tagged(msgspec.Struct, frozen=True):
    """The stored form of a message."""

    type: str
    message: msgspec.Raw


def encode_message(message: Message) -> str:
    """Return one line of JSON: `{"type": "alert", "message": {…}}`."""
    tagged = _Tagged(_TAGS[type(message)], msgspec.Raw(msgspec.json.encode(message, enc_hook=_encoded)))
    return msgspec.json.encode(tagged).decode()


def decode_message(text: str) -> Message:
    """Return the message that `encode_message` of this or an older version wrote. Raises ValueError."""
    tagged = msgspec.json.decode(text, type=_Tagged)
    if tagged.type not in _TYPES:
        raise ValueError(f"there is no message of type {tagged.type!r}")
    message: Message = _decoder(_TYPES[tagged.type]).decode(tagged.message)
    return message


class MessageColumn(TypeDecorator[Message]):
    """A message of any type."""

    impl = Text
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Message | None], str | None]:  # noqa: ARG002
        """Return the function that converts a message to a column's value."""
        return lambda message: None if message is None else encode_message(message)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Message | None]:  # noqa: ARG002
        """Return the function that converts a column's value to a message."""
        return lambda text: None if text is None else decode_message(text)


class JsonColumn(TypeDecorator[Any]):
    """A value of one type that msgspec supports."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: Any) -> None:
        """`kind` is a dataclass, or an annotation such as `tuple[str, ...]`."""
        super().__init__()
        self.kind = kind

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], str]:  # noqa: ARG002
        """Return the function that encodes a value."""
        return lambda value: msgspec.json.encode(value, enc_hook=_encoded).decode()

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str], Any]:  # noqa: ARG002
        """Return the function that decodes a value."""
        return _decoder(self.kind).decode


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder[Any](kind, dec_hook=_decoded)


def _encoded(value: object) -> str:
    if isinstance(value, Sentence):
        return value.stored()
    raise TypeError(f"{type(value).__name__} can't be stored in JSON")


def _decoded(kind: type, value: object) -> Sentence:
    if kind is Sentence and isinstance(value, str):
        return Sentence.restored(value)
    raise TypeError(f"no {kind.__name__} can be read from JSON")

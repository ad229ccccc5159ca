"""Rows that hold what nobody wrote there: text in a column of numbers, an instant or a JSON text that can't be read.

SQLite takes any value into any column, so that a slip of another program, or of a disk, makes rows on which the program
fails far from the database. Whoever meets an error that nobody foresaw asks here whether a row is behind it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Final

import msgspec
from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Float,
    Integer,
    LargeBinary,
    Select,
    Table,
    and_,
    func,
    not_,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.types import NullType, TypeDecorator, TypeEngine

from balancebot.domain.alert import AlertKind, Cause, Reason
from balancebot.domain.balance import Category
from balancebot.domain.delivery import DeliveryState, Outcome
from balancebot.domain.message import Action
from balancebot.domain.next_reading import ReadReason
from balancebot.domain.sentence import clean_text
from balancebot.domain.verdict import Severity
from balancebot.ports import ChannelErrorKind, SourceErrorKind
from balancebot.store import packing, readings, tables, usage
from balancebot.store.types import CountLimit, ReadingColumn, UtcDateTime

ODD_ERRORS: Final = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    msgspec.MsgspecError,
)
"""What is raised where a value isn't what was written: a row may be behind it."""

_CATEGORIES: Final = frozenset(Category)
_SEVERITIES: Final = frozenset(severity.word for severity in Severity)
_WORDS: Final[Mapping[Column[Any], frozenset[str]]] = {
    tables.alerts.c.kind: frozenset(AlertKind),
    tables.alerts.c.category: _CATEGORIES | {""},
    tables.alerts.c.severity: _SEVERITIES,
    tables.alerts.c.peak: _SEVERITIES,
    tables.alerts.c.muted_from: _SEVERITIES,
    tables.alerts.c.closed_because: frozenset(Cause),
    tables.alerts.c.fault: frozenset(SourceErrorKind) | {""},
    tables.wallets.c.error_kind: frozenset(SourceErrorKind),
    tables.wallets.c.next_read_reason: frozenset(ReadReason),
    tables.wallets.c.next_read_category: _CATEGORIES,
    tables.balances.c.category: _CATEGORIES,
    tables.burn_models.c.category: _CATEGORIES,
    tables.notifications.c.reason: frozenset(Reason),
    tables.deliveries.c.action: frozenset(Action),
    tables.deliveries.c.state: frozenset(DeliveryState),
    tables.deliveries.c.error_kind: frozenset(ChannelErrorKind),
    tables.attempts.c.outcome: frozenset(Outcome) | frozenset(ChannelErrorKind),
}
"""Columns that hold one of a few words as plain text."""
_MOST: Final = 20
"""Rows of one table that are named at most."""
_LEAST: Final[Mapping[type[TypeEngine[Any]], int]] = {ReadingColumn: -1, CountLimit: -1}


def find_damage(conn: Connection, *, at_most: int = 1) -> tuple[str, ...]:
    """Return the first rows that can't be what was written, each by its table, key and column; values aren't shown."""
    found = (line for table in tables.metadata.sorted_tables for line in _damage_of(conn, table))
    return tuple(islice(chain(found, _damage_of_packed_days(conn)), at_most))


def _damage_of_packed_days(conn: Connection) -> Iterator[str]:
    for packed in (readings.PACKED, usage.PACKED):
        for key in packing.damaged(conn, packed):
            yield f"table {packed.days.name}, {_named(packed.days, key)}: what data holds can't be unpacked"


def _damage_of(conn: Connection, table: Table) -> Iterator[str]:
    if conn.dialect.name == "sqlite":
        yield from _of_another_kind(conn, table)
    for column in table.columns:
        read = _reader_of(conn, column)
        if read is None:
            continue
        for *key, value in conn.execute(_as_they_stand(table, column).where(column.is_not(None))):
            if not _can_be_read(read, value):
                yield f"table {table.name}, {_named(table, key)}: what {column.name} holds can't be read"
                break


def _of_another_kind(conn: Connection, table: Table) -> Iterator[str]:
    wrong = [and_(column.is_not(None), not_(_is_of_kind(column))) for column in table.columns]
    for row in conn.execute(_as_they_stand(table, *wrong).where(or_(*wrong)).limit(_MOST)):
        key, are_wrong = row[: -len(wrong)], row[-len(wrong) :]
        for column, is_wrong in zip(table.columns, are_wrong, strict=True):
            if is_wrong:
                yield f"table {table.name}, {_named(table, key)}: {column.name} holds something else than {_kind(column)}"


def _as_they_stand(table: Table, *values: ColumnElement[Any]) -> Select[Any]:
    """Select the key of each row and some values, without what our types make of them."""
    columns: Any = (type_coerce(value, NullType) for value in (*table.primary_key, *values))
    return select(*columns)


def _is_of_kind(column: Column[Any]) -> ColumnElement[bool]:
    """Return the condition that SQLite stores a value as what the column is for."""
    stored_as = func.typeof(column)
    number = type_coerce(column, Integer)
    match _stored(column):
        case Boolean():
            return number.in_((0, 1))
        case Integer():
            least = _LEAST.get(type(column.type))
            return stored_as == "integer" if least is None else and_(stored_as == "integer", number >= least)
        case Float():
            return stored_as.in_(("integer", "real"))
        case LargeBinary():
            return stored_as == "blob"
        case _:
            return stored_as == "text"


def _kind(column: Column[Any]) -> str:
    match column.type, _stored(column):
        case (UtcDateTime(), _):
            return "an instant"
        case (_, Boolean()):
            return "0 or 1"
        case (_, Integer()):
            return "a whole number"
        case (_, Float()):
            return "a number"
        case (_, LargeBinary()):
            return "bytes"
        case _:
            return "text"


def _stored(column: Column[Any]) -> TypeEngine[Any]:
    return column.type.impl_instance if isinstance(column.type, TypeDecorator) else column.type


def _reader_of(conn: Connection, column: Column[Any]) -> Callable[[Any], object] | None:
    """Return what makes a value of what is stored, where that can fail."""
    words = _WORDS.get(column)
    if words is not None:
        return lambda value: value in words
    if not isinstance(column.type, TypeDecorator) or isinstance(_stored(column), Integer | Float):
        return None
    read = column.type.result_processor(conn.dialect, None)
    return None if read is None else lambda value: (read(value), True)[1]


def _can_be_read(read: Callable[[Any], object], value: object) -> bool:
    try:
        return bool(read(value))
    except ODD_ERRORS:
        return False


def _named(table: Table, key: Sequence[object]) -> str:
    names = [column.name for column in table.primary_key]
    return clean_text(
        ", ".join(f"{name} {value}" for name, value in zip(names, key, strict=True)), at_most=100
    )

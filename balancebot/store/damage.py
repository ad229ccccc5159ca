"""Search for damaged values: text in a column of numbers, times or JSON that can't be parsed.

SQLite accepts any value in any column. If another program or a faulty disk writes a wrong one, this program fails in
code far from the database, so after an unexpected error this search tells whether a row is the cause.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

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
from balancebot.domain.balance import Category, WalletName, account_of
from balancebot.domain.delivery import DeliveryState, Outcome
from balancebot.domain.message import Action
from balancebot.domain.next_reading import ReadReason
from balancebot.domain.pattern import Pattern
from balancebot.domain.sentence import clean_text
from balancebot.domain.verdict import Severity
from balancebot.ports import ChannelErrorKind, SourceErrorKind
from balancebot.store import packing, readings, tables, usage
from balancebot.store.errors import ODD_ERRORS
from balancebot.store.set_aside import SetAside
from balancebot.store.types import CountLimit, ReadingColumn, UtcDateTime

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
"""The words allowed in columns of plain text."""
_MAX_ROWS: Final = 200
"""Of one table."""
_MINIMUMS: Final[Mapping[type[TypeEngine[Any]], int]] = {ReadingColumn: -1, CountLimit: -1}


@dataclass(frozen=True, slots=True)
class DamagedValue:
    """One value that can't be read, without the value."""

    table: Table
    key: Sequence[Any]
    fault: str

    def __str__(self) -> str:
        return f"table {self.table.name}, {_key_text(self.table, self.key)}: {self.fault}"


def find_damage(conn: Connection, *, at_most: int = 1) -> tuple[DamagedValue, ...]:
    """Return the first damaged values."""
    found = (value for table in tables.metadata.sorted_tables for value in _find_in(conn, table))
    return tuple(islice(chain(found, _find_in_packed_days(conn)), at_most))


def to_set_aside(conn: Connection, damaged: Collection[DamagedValue]) -> SetAside:
    """Return the wallets that damaged values belong to. A threshold belongs to all wallets that its pattern matches."""
    named = select(tables.wallets.c.id, _raw(tables.wallets.c.name)).where(tables.wallets.c.configured)
    ids = {WalletName(name): wallet_id for wallet_id, name in conn.execute(named) if isinstance(name, str)}
    found: dict[WalletName, str] = {}
    rows: dict[str, set[int]] = defaultdict(set)
    for value in damaged:
        if [column.name for column in value.table.primary_key] == ["id"] and isinstance(value.key[0], int):
            rows[value.table.name].add(value.key[0])
        found.update((wallet, str(value)) for wallet in _wallets_of(conn, value, ids) if wallet not in found)
    return SetAside(
        wallets=found,
        ids=frozenset(ids[wallet] for wallet in found) | rows[tables.wallets.name],
        rows={table: frozenset(of_table) for table, of_table in rows.items()},
    )


def _wallets_of(
    conn: Connection, value: DamagedValue, ids: Mapping[WalletName, int]
) -> Collection[WalletName]:
    columns = value.table.c
    keys = zip(value.table.primary_key, value.key, strict=True)
    this_row = and_(*(_raw(column) == key for column, key in keys))
    if value.table is tables.wallets or "wallet_id" in columns:
        of_row = columns.id if value.table is tables.wallets else columns.wallet_id
        wallet_id = conn.execute(select(_raw(of_row)).where(this_row)).scalar()
        return [wallet for wallet, known in ids.items() if known == wallet_id]
    if "wallet" not in columns:
        return ()
    text = conn.execute(select(_raw(columns.wallet)).where(this_row)).scalar()
    pattern = Pattern.parse(text) if isinstance(text, str) else None
    if not isinstance(pattern, Pattern):
        return ()
    shares = value.table is tables.alerts and pattern.text == account_of(WalletName(pattern.text))
    return [
        wallet
        for wallet in ids
        # an alert of the account may be shared by all its wallets
        if pattern.matches(wallet, None) or (shares and account_of(wallet) == pattern.text)
    ]


def _raw(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a value as it is stored, not converted by our column types."""
    return type_coerce(value, NullType)


def _find_in_packed_days(conn: Connection) -> Iterator[DamagedValue]:
    for packed in (readings.PACKED, usage.PACKED):
        for key in packing.damaged(conn, packed):
            yield DamagedValue(packed.days, key, "what data holds can't be unpacked")


def _find_in(conn: Connection, table: Table) -> Iterator[DamagedValue]:
    if conn.dialect.name == "sqlite":
        yield from _find_wrong_types(conn, table)
    for column in table.columns:
        read = _reader(conn, column)
        if read is None:
            continue
        filled = _select_raw(table, column).where(column.is_not(None))
        if conn.dialect.name == "sqlite":
            filled = filled.where(_has_right_type(column))  # others were found before
        for *key, value in conn.execute(filled):
            if not _can_be_read(read, value):
                yield DamagedValue(table, key, f"what {column.name} holds can't be read")


def _find_wrong_types(conn: Connection, table: Table) -> Iterator[DamagedValue]:
    wrong = [and_(column.is_not(None), not_(_has_right_type(column))) for column in table.columns]
    for row in conn.execute(_select_raw(table, *wrong).where(or_(*wrong)).limit(_MAX_ROWS)):
        key, are_wrong = row[: -len(wrong)], row[-len(wrong) :]
        for column, is_wrong in zip(table.columns, are_wrong, strict=True):
            if is_wrong:
                yield DamagedValue(table, key, f"{column.name} holds something else than {_kind(column)}")


def _select_raw(table: Table, *values: ColumnElement[Any]) -> Select[Any]:
    """Select the key of each row and `values`."""
    return select(*(_raw(value) for value in (*table.primary_key, *values)))


def _has_right_type(column: Column[Any]) -> ColumnElement[bool]:
    """Return the condition that SQLite has stored the value in the type of the column."""
    stored_as = func.typeof(column)
    number = type_coerce(column, Integer)
    match _stored(column):
        case Boolean():
            return number.in_((0, 1))
        case Integer():
            minimum = _MINIMUMS.get(type(column.type))
            is_whole = stored_as == "integer"
            return is_whole if minimum is None else and_(is_whole, number >= minimum)
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


def _reader(conn: Connection, column: Column[Any]) -> Callable[[Any], object] | None:
    """Return the function that converts a stored value; None if the conversion can't fail."""
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


def _key_text(table: Table, key: Sequence[object]) -> str:
    names = [column.name for column in table.primary_key]
    return clean_text(
        ", ".join(f"{name} {value}" for name, value in zip(names, key, strict=True)), at_most=100
    )

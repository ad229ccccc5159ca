"""What the table of thresholds shows: each cell's own value, or the one it inherits and where from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.pattern import WalletPattern
from balancebot.domain.threshold import OFF, Effective, Scope, ThresholdBook, ThresholdRow
from balancebot.domain.threshold_cell import written
from balancebot.domain.threshold_edit import COLUMNS
from balancebot.wording import number

_LOOKED_AT = 60
"""So many balances of a pattern are looked at to say what it inherits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inherited:
    """What holds in a column where a row says nothing. `text` '' = nothing is set; `varies`: not the same for all."""

    text: str = ""
    origin: Scope | None = None
    """None = built in, where `text` is set."""
    varies: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table: a scope, with what it sets and what it inherits."""

    scope: Scope
    row: ThresholdRow | None
    """None: the scope has no row of its own."""
    own: Mapping[str, str]
    """Column -> what the row sets, as people write it; '' = inherits."""
    inherited: Mapping[str, Inherited]


def line(scope: Scope, row: ThresholdRow | None, book: ThresholdBook, known: Sequence[WalletName]) -> Line:
    """Return the line of a scope; `book` says what it inherits."""
    own = {column: "" if row is None else shown(getattr(row, column)) for column in COLUMNS}
    effective = [book.effective(*balance) for balance in islice(balances_of(scope, known), _LOOKED_AT)]
    return Line(
        scope=scope,
        row=row,
        own=own,
        inherited={column: _inherited(column, effective) for column in COLUMNS if not own[column]},
    )


def balances_of(scope: Scope, known: Sequence[WalletName]) -> Iterator[BalanceKey]:
    """Yield the known balances that a scope speaks for."""
    pattern = WalletPattern(text=scope.wallet)
    names = (
        (WalletName(scope.wallet),) if pattern.is_exact else (name for name in known if pattern.matches(name))
    )
    for name in names:
        for category in Category if scope.category is None else (scope.category,):
            yield BalanceKey(name, category)


def shown(value: object) -> str:
    """Write a value as the table shows it: with thousands separators, which every way of editing understands."""
    if value is OFF or value is None or isinstance(value, str):
        return written(value)
    assert isinstance(value, int | float)  # noqa: S101 -- all that is left
    return number(value) if isinstance(value, int) else written(value)


def _inherited(column: str, effective: Sequence[Effective]) -> Inherited:
    found = {(_value(one, column), _origin(one, column)) for one in effective}
    if len(found) > 1:
        return Inherited(varies=True)
    for text, origin in found:
        return Inherited(text=text, origin=origin)
    return Inherited()


def _value(effective: Effective, column: str) -> str:
    if column == "note":
        return effective.note
    value = effective.lead_time_days if column == "lead_time_days" else getattr(effective.limits, column)
    if value is None:
        return "off" if _origin(effective, column) is not None else ""
    return shown(value)


def _origin(effective: Effective, column: str) -> Scope | None:
    scope: Scope | None = getattr(effective.origins, column)
    return scope

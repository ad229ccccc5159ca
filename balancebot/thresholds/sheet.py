"""Thresholds as a sheet: one row a scope. A sheet is taken whole or refused whole, with every fault in its place.

Lines count from the header, which is line 1, and a row of several lines is where it begins. Text that a spreadsheet
would run is written behind an apostrophe, which is taken off again: what goes out comes back as it was.
"""

import csv
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from types import MappingProxyType
from typing import Final, TypeAlias

from balancebot.domain.balance import Category, WalletName
from balancebot.domain.spelling import did_you_mean
from balancebot.domain.threshold import Effective, Scope, ThresholdBook, ThresholdRow
from balancebot.domain.threshold_cell import CellFault, read_category, read_wallet, written
from balancebot.thresholds.edit import COLUMNS, Edited, EditFault, RowEdit, apply_edits, patch_row

HEADER: Final = ("wallet", "category", *COLUMNS)
EFFECTIVE_PREFIX: Final = "effective_"
"""Columns that only show what holds; import ignores them."""

_CHINESE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "钱包": "wallet",
        "类型": "category",
        "预警余量": "warning_below",
        "严重余量": "critical_below",
        "预警天数": "warning_days",
        "严重天数": "critical_days",
        "采购天数": "lead_time_days",
        "备注": "note",
    }
)
_RUNS_IN_A_SPREADSHEET = re.compile(r"'*[=+\-@＝＋－＠\t\r]")

Cell: TypeAlias = str | int | float
"""One cell to be written; '' is an empty one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetRow:
    """One row as it was read, with the line it begins at."""

    line: int
    cells: tuple[str, ...]


def import_sheet(
    sheet: Sequence[SheetRow], rows: Iterable[ThresholdRow], known: Sequence[WalletName]
) -> Edited:
    """Put every row of `sheet`, its header first, into `rows`; with faults nothing of it may be stored.

    A column that the sheet doesn't have inherits, as if it were empty; where that loses a value it is warned of.
    """
    edits, faults, columns = _read(sheet, frozenset(known))
    edited = apply_edits(rows, edits, known)
    lines = {edit.scope: edit.line for edit in edits}
    lost = [
        EditFault(
            message=f"the sheet has no such column: what {change.scope} had in it is given up",
            line=lines[change.scope],
            column=column,
            scope=change.scope,
        )
        for change in edited.changes
        for column in change.columns
        if column not in columns
    ]
    return Edited(
        rows=edited.rows,
        changes=edited.changes,
        faults=tuple(sorted((*faults, *edited.faults), key=lambda fault: fault.line or 0)),
        warnings=(*edited.warnings, *lost),
    )


def read_csv(data: bytes) -> tuple[tuple[SheetRow, ...], tuple[EditFault, ...]]:
    """Read the rows of a CSV file: UTF-8, UTF-16 or GBK, between commas, semicolons or tabs; blank rows are let pass."""
    text = _decoded(data)
    if text is None or "\0" in text:
        return (), (EditFault(message="the file is no text in UTF-8 or GBK"),)
    first_line = text.partition("\n")[0]
    separator = max(",;\t", key=first_line.count)
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[SheetRow] = []
    begins = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append(SheetRow(line=begins, cells=tuple(cells)))
            begins = reader.line_num + 1
    except csv.Error as error:
        return (), (EditFault(message=f"the row that begins here can't be read: {error}", line=begins),)
    return tuple(rows), ()


def read_header(header: SheetRow) -> tuple[dict[int, str], list[EditFault]]:
    """Return which column stands where, those that import ignores included, and what is wrong with them."""
    columns: dict[int, str] = {}
    faults: list[EditFault] = []
    for position, cell in enumerate(header.cells):
        name = "_".join(unicodedata.normalize("NFKC", cell).casefold().split())
        if not name:
            continue
        column = _CHINESE.get(name, name)
        if column in columns.values():
            faults.append(
                EditFault(message=f"the column {column} stands twice", line=header.line, column=column)
            )
        elif column not in HEADER and not column.startswith(EFFECTIVE_PREFIX):
            hint = did_you_mean(column, (*HEADER, *_CHINESE))
            faults.append(
                EditFault(message=f"the column {cell.strip()!r} is unknown{hint}", line=header.line)
            )
        columns[position] = column
    faults += [
        EditFault(message=f"the column {column} is missing", line=header.line, column=column)
        for column in ("wallet", "category")
        if column not in columns.values()
    ]
    return columns, faults


def cells_of(rows: Iterable[ThresholdRow]) -> Iterator[tuple[Cell, ...]]:
    """Yield the header and a row of cells for each threshold row, in the order of scopes."""
    yield HEADER
    for row in sorted(rows, key=lambda row: (row.wallet, row.category or "")):
        yield _cells(row)


def cells_of_all(book: ThresholdBook, known: Sequence[WalletName]) -> Iterator[tuple[Cell, ...]]:
    """Yield the header, every row that is no known balance's own, then every known balance with what holds for it."""
    yield (*HEADER, *(EFFECTIVE_PREFIX + column for column in COLUMNS))
    by_scope = {row.scope: row for row in book.rows}
    balances = [(wallet, category) for wallet in known for category in Category]
    own = {Scope(*balance) for balance in balances}
    for row in sorted(book.rows, key=lambda row: (row.wallet, row.category or "")):
        if row.scope not in own:
            yield (*_cells(row), *("" for _ in COLUMNS))
    for wallet, category in balances:
        own_row = by_scope.get(Scope(wallet, category), ThresholdRow(wallet=wallet, category=category))
        yield (*_cells(own_row), *_effective_cells(book.effective(wallet, category)))


def write_csv(table: Iterable[Sequence[Cell]]) -> str:
    """Write cells as CSV that no spreadsheet runs."""
    out = StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows(
        [guarded(cell) if isinstance(cell, str) else written(cell) for cell in row] for row in table
    )
    return out.getvalue()


def guarded(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would take for a formula."""
    return f"'{text}" if _RUNS_IN_A_SPREADSHEET.match(text) else text


def unguarded(text: str) -> str:
    """Take the apostrophe of `guarded` off again."""
    return text[1:] if text.startswith("'") and _RUNS_IN_A_SPREADSHEET.match(text) else text


def _cells(row: ThresholdRow) -> tuple[Cell, ...]:
    return (row.wallet, row.category or "*", *(_cell(getattr(row, column)) for column in COLUMNS))


def _effective_cells(effective: Effective) -> tuple[Cell, ...]:
    limits = effective.limits
    values = (limits.warning_below, limits.critical_below, limits.warning_days, limits.critical_days)
    return (*(_cell(value) for value in values), _cell(effective.lead_time_days), effective.note)


def _cell(value: object) -> Cell:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int | float) else written(value)  # type: ignore[arg-type] # off, a note or None


def _read(
    sheet: Sequence[SheetRow], known: Collection[str]
) -> tuple[list[RowEdit], list[EditFault], Collection[str]]:
    """Return the edits that can be read, all that is wrong with the others, and the columns there are."""
    if not sheet:
        return (
            [],
            [EditFault(message=f"the sheet is empty: its header is {','.join(HEADER)}", line=1)],
            HEADER,
        )
    header, *body = sheet
    columns, faults = read_header(header)
    if faults:
        return [], faults, HEADER
    edits: list[RowEdit] = []
    seen: dict[Scope, int] = {}
    for row in body:
        if any(cell.strip() for position, cell in enumerate(row.cells) if position not in columns):
            faults.append(EditFault(message="has a cell that stands under no column", line=row.line))
        edit, row_faults = _edit(row, columns, known)
        faults += row_faults
        if edit is None:
            continue
        earlier = seen.setdefault(edit.scope, row.line)
        if earlier == row.line:
            edits.append(edit)
        else:
            message = f"{edit.scope} stands in line {earlier} already"
            faults.append(EditFault(message=message, line=row.line, column="wallet", scope=edit.scope))
    return edits, faults, columns.values()


def _edit(
    row: SheetRow, columns: Mapping[int, str], known: Collection[str]
) -> tuple[RowEdit | None, list[EditFault]]:
    cells = {
        column: unguarded(row.cells[position].strip()) if position < len(row.cells) else ""
        for position, column in columns.items()
        if not column.startswith(EFFECTIVE_PREFIX)
    }
    wallet_at = next(position for position, column in columns.items() if column == "wallet")
    if wallet_at < len(row.cells) and row.cells[wallet_at] in known:
        cells["wallet"] = row.cells[wallet_at]  # a name may begin or end with a space
    wallet, category = read_wallet(cells.pop("wallet")), read_category(cells.pop("category"))
    faults = [
        EditFault(message=value.message, line=row.line, column=column)
        for column, value in (("wallet", wallet), ("category", category))
        if isinstance(value, CellFault)
    ]
    blank = ThresholdRow(wallet=wallet if isinstance(wallet, str) else "", category=_or_none(category))
    patched = patch_row(blank, cells)
    if isinstance(patched, tuple):
        faults += [replace(fault, line=row.line) for fault in patched]
    elif not faults:
        return RowEdit.put(patched, line=row.line), []
    return None, faults


def _or_none(category: Category | CellFault | None) -> Category | None:
    return None if isinstance(category, CellFault) else category


def _decoded(data: bytes) -> str | None:
    encodings: tuple[str, ...] = ("utf-8", "gb18030")
    if data.startswith(b"\xef\xbb\xbf"):
        encodings = ("utf-8-sig",)
    elif data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ("utf-16",)
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None

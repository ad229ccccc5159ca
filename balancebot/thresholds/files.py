"""Threshold sheets as files: CSV or XLSX in, XLSX out. What the cells mean is `domain.threshold_sheet`'s business.

A file is judged by what it holds, not by its name. Every cell becomes the text that a person sees in it; a formula
counts as its last value. What a person sees and no cell holds is refused by its row: a formula without a value,
merged cells.
"""

import re
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any, Final
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile, ZipFile

from balancebot.domain.threshold_cell import written
from balancebot.thresholds.edit import EditFault
from balancebot.thresholds.sheet import Cell, SheetRow, guarded, read_csv, read_header

MAX_ROWS: Final = 100_000
MAX_COLUMNS: Final = 26
"""From A to Z; what stands further right isn't looked at."""
MAX_UNPACKED: Final = 64 * 2**20
"""Bytes: a small file that unpacks to more is no sheet but an attack."""

_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_EXACT_IN_A_SPREADSHEET = 10**15
"""Spreadsheets keep 15 digits: larger numbers travel as text."""
_CALCULATE = "save the file in a spreadsheet first, or write the number itself"
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\s[^>]*?\bref="([A-Z]+)(\d+):([A-Z]+\d+)"')
_MAX_MERGED = 50
_MAX_ABOVE_HEADER = 20
"""Among so many rows the header is looked for, to tell one sheet from another."""
_BROKEN = (
    BadZipFile,
    ParseError,
    zlib.error,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    EOFError,
)
"""What a damaged workbook makes its reader raise."""


def read_sheet_file(data: bytes) -> tuple[tuple[SheetRow, ...], tuple[EditFault, ...]]:
    """Read the rows of a CSV file or of a workbook's sheet with limits, or say why that can't be done."""
    if data.startswith(_OLE):
        return (), (EditFault(message="the file is an old .xls or has a password: save it as .xlsx or CSV"),)
    if not data.startswith(_ZIP):
        return read_csv(data)
    try:
        with ZipFile(BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_UNPACKED:
                return (), (EditFault(message=f"the file unpacks to more than {MAX_UNPACKED // 2**20} MB"),)
        with warnings.catch_warnings():  # about charts, validations and styles that don't concern us
            warnings.simplefilter("ignore")
            return _read_workbook(data)
    except _BROKEN:
        return (), (EditFault(message="the file is damaged, or no workbook"),)


def write_xlsx(table: Iterable[Sequence[Cell]]) -> bytes:
    """Write cells, the header first, as a workbook: numbers as numbers, text as text that never becomes a formula."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Alignment, Font

    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet("thresholds")
    sheet.freeze_panes = "C2"
    for letter, width in (("A", 32), ("B", 12), *((letter, 15) for letter in "CDEFG"), ("H", 60)):
        sheet.column_dimensions[letter].width = width
    bold, wrapped = Font(bold=True), Alignment(wrap_text=True, vertical="top")
    for line, row in enumerate(table, start=1):
        cells = []
        for value in row:
            exact = (
                value if isinstance(value, str) or abs(value) < _EXACT_IN_A_SPREADSHEET else written(value)
            )
            cell = WriteOnlyCell(sheet, value=None if exact == "" else exact)
            if isinstance(exact, str) and exact:
                cell.data_type = "s"
                cell.quotePrefix = guarded(exact) != exact  # stays text when somebody edits it, too
                cell.alignment = wrapped
            elif isinstance(exact, int):
                cell.number_format = "#,##0"
            if line == 1:
                cell.font = bold
            cells.append(cell)
        sheet.append(cells)
    out = BytesIO()
    workbook.save(out)
    return out.getvalue()


def _read_workbook(data: bytes) -> tuple[tuple[SheetRow, ...], tuple[EditFault, ...]]:
    from openpyxl.utils import get_column_letter

    chosen = _chosen_sheet(data)
    if isinstance(chosen, EditFault):
        return (), (chosen,)
    rows: list[SheetRow] = []
    formulas: set[tuple[int, int]] = set()
    for line, cells in _worksheet_rows(data, chosen, last_values=False):
        if line > MAX_ROWS:
            return (), (EditFault(message=f"the sheet has more than {MAX_ROWS:,} rows", line=line),)
        formulas.update((line, position) for position, cell in enumerate(cells) if cell.data_type == "f")
        rows.append(_sheet_row(line, cells))
    faults = _merged_cells(data, chosen)
    if formulas:
        rows = []
        for line, cells in _worksheet_rows(data, chosen, last_values=True):
            for position, cell in enumerate(cells):
                if cell.value is None and (line, position) in formulas:
                    place = f"{get_column_letter(position + 1)}{line}"
                    faults.append(
                        EditFault(message=f"the formula in {place} has no value: {_CALCULATE}", line=line)
                    )
            rows.append(_sheet_row(line, cells))
    return tuple(row for row in rows if any(cell.strip() for cell in row.cells)), tuple(faults)


def _chosen_sheet(data: bytes) -> int | EditFault:
    """Return which sheet of a workbook has the header of limits; the first where none has, so that this is told."""
    with _opened(data, last_values=True) as workbook:
        sheets = workbook.worksheets
        if len(sheets) == 1:
            return 0
        found = [number for number, sheet in enumerate(sheets) if _has_header(sheet)]
        if len(found) > 1:
            names = ", ".join(sheets[number].title for number in found)
            return EditFault(message=f"more than one sheet holds limits ({names}): leave one of them")
        return found[0] if found else 0


def _has_header(sheet: Any) -> bool:
    rows = (_sheet_row(line, cells) for line, cells in _rows_of(sheet, _MAX_ABOVE_HEADER))
    header = next((row for row in rows if any(cell.strip() for cell in row.cells)), None)
    return header is not None and {"wallet", "category"} <= set(read_header(header)[0].values())


def _merged_cells(data: bytes, number: int) -> list[EditFault]:
    """Refuse cells that look filled and hold nothing: only the first of those that are merged has their value."""
    with _opened(data, last_values=True) as workbook, ZipFile(BytesIO(data)) as archive:
        # openpyxl knows merged cells only of a sheet that it has loaded whole
        found = _MERGED.findall(archive.read(workbook.worksheets[number]._worksheet_path))
    return [
        EditFault(
            message=f"the cells {first.decode()}{line.decode()}:{last.decode()} are merged: split them, and fill in each",
            line=int(line),
        )
        for first, line, last in found[:_MAX_MERGED]
    ]


def _worksheet_rows(data: bytes, number: int, *, last_values: bool) -> Iterator[tuple[int, Sequence[Any]]]:
    """Yield the rows of a sheet, by formula or by what the formulas last came to; one more than is allowed."""
    with _opened(data, last_values=last_values) as workbook:
        yield from _rows_of(workbook.worksheets[number], MAX_ROWS + 1)


def _rows_of(sheet: Any, at_most: int) -> Iterator[tuple[int, Sequence[Any]]]:
    sheet.reset_dimensions()  # what a file says of its own size can't be trusted
    yield from enumerate(sheet.iter_rows(max_row=at_most, max_col=MAX_COLUMNS), start=1)


@contextmanager
def _opened(data: bytes, *, last_values: bool) -> Iterator[Any]:
    from openpyxl import load_workbook

    workbook = load_workbook(BytesIO(data), read_only=True, data_only=last_values)
    try:
        yield workbook
    finally:
        workbook.close()


def _sheet_row(line: int, cells: Sequence[Any]) -> SheetRow:
    filled = max(
        (position for position, cell in enumerate(cells, start=1) if cell.value is not None), default=0
    )
    return SheetRow(line=line, cells=tuple(_text(cell) for cell in cells[:filled]))


def _text(cell: Any) -> str:
    """Return what a person sees in a cell, guarded as in a CSV file, so that both are read alike."""
    value = cell.value
    match value:
        case None:
            return ""
        case str():
            return guarded(value)
        case bool():
            return str(value)
        case int() | float():
            if "%" in (cell.number_format or ""):
                return f"{written(value * 100.0)}%"
            return written(float(value)) if isinstance(value, float) else str(value)
        case _:
            return str(value)

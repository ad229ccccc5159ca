"""Writes tables for download: CSV and workbooks, in which no text ever runs as a formula."""

import csv
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, TypeAlias

from balancebot.domain.sentence import visible
from balancebot.domain.threshold_cell import written

if TYPE_CHECKING:
    from openpyxl import Workbook


_RUNS_IN_A_SPREADSHEET = re.compile(r"'*[=+\-@＝＋－＠\t\r]")
_EXACT_IN_A_SPREADSHEET = 10**15
"""Spreadsheets keep 15 digits: larger numbers are written as text."""


Cell: TypeAlias = str | int | float
"""One cell to write; '' is an empty cell."""


def write_csv(table: Iterable[Sequence[Cell]]) -> str:
    """Return cells as CSV in which no spreadsheet runs a formula."""
    out = StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows(
        [guarded(cell) if isinstance(cell, str) else written(cell) for cell in row] for row in table
    )
    return out.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetTable:
    """One sheet of a workbook: its header, and rows with the same number of cells."""

    title: str
    rows: Sequence[Sequence[Cell]]
    widths: Sequence[int]
    frozen_columns: int = 0
    """How many columns stay visible, with the header."""
    sums: Sequence[int] = ()
    """Columns, counted from 0, that get a sum in a last row, as a formula."""
    sum_label: str = ""
    money: Sequence[int] = ()
    """Columns, counted from 0, whose numbers have two decimals."""


def write_xlsx(table: Iterable[Sequence[Cell]], *, title: str, widths: Sequence[int]) -> bytes:
    """Return cells, the header first, as a workbook of one sheet; its first two columns stay visible."""
    return write_workbook([SheetTable(title=title, rows=list(table), widths=widths, frozen_columns=2)])


def write_workbook(tables: Sequence[SheetTable]) -> bytes:
    """Return a workbook: numbers as numbers, text that never becomes a formula; the only formulas are our sums."""
    from openpyxl import Workbook  # lazy: only writing a workbook needs it

    workbook = Workbook(write_only=True)
    cached = [_write_sheet(workbook, table) for table in tables]
    out = BytesIO()
    workbook.save(out)
    return _with_values(out.getvalue(), cached)


def _write_sheet(workbook: "Workbook", table: SheetTable) -> dict[str, float]:
    """Write one sheet; return the values of its formulas, by their text."""
    from openpyxl.cell import WriteOnlyCell  # lazy: only writing a workbook needs it
    from openpyxl.styles import Alignment, Font  # lazy: only writing a workbook needs it
    from openpyxl.utils import get_column_letter  # lazy: only writing a workbook needs it

    sheet = workbook.create_sheet(table.title)
    sheet.freeze_panes = f"{get_column_letter(table.frozen_columns + 1)}2"
    for number, width in enumerate(table.widths, start=1):
        sheet.column_dimensions[get_column_letter(number)].width = width
    bold, wrapped = Font(bold=True), Alignment(wrap_text=True, vertical="top")
    for line, row in enumerate(table.rows, start=1):
        cells = []
        for column, value in enumerate(row):
            if isinstance(value, str):
                exact: Cell = visible(value)
            else:
                exact = value if abs(value) < _EXACT_IN_A_SPREADSHEET else written(value)
            cell = WriteOnlyCell(sheet, value=None if exact == "" else exact)
            if isinstance(exact, str) and exact:
                cell.data_type = "s"
                cell.quotePrefix = guarded(exact) != exact  # so that it stays text when somebody edits it
                cell.alignment = wrapped
            elif column in table.money:
                cell.number_format = "#,##0.00"
            elif isinstance(exact, int):
                cell.number_format = "#,##0"
            if line == 1:
                cell.font = bold
            cells.append(cell)
        sheet.append(cells)
    values: dict[str, float] = {}
    if table.sums and len(table.rows) > 1:
        totals = [WriteOnlyCell(sheet, value=table.sum_label)]
        for column in range(1, len(table.rows[0])):
            cell = WriteOnlyCell(sheet, value=None)
            if column in table.sums:
                letter = get_column_letter(column + 1)
                formula = f"SUM({letter}2:{letter}{len(table.rows)})"
                cell.value = f"={formula}"
                cell.number_format = "#,##0.00" if column in table.money else "#,##0"
                values[formula] = sum(
                    (amount for row in table.rows[1:] if not isinstance(amount := row[column], str)),
                    start=0.0,
                )
            totals.append(cell)
        for cell in totals:
            cell.font = bold
        sheet.append(totals)
    return values


def _with_values(workbook: bytes, cached: Sequence[dict[str, float]]) -> bytes:
    """Add the values of formulas: a program that shows a workbook without calculating would show nothing."""
    out = BytesIO()
    with (
        zipfile.ZipFile(BytesIO(workbook)) as before,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as after,
    ):
        for item in before.infolist():
            data = before.read(item)
            if found := re.fullmatch(r"xl/worksheets/sheet(\d+)\.xml", item.filename):
                for formula, value in cached[int(found[1]) - 1].items():
                    mark = f"<f>{formula}</f><v"
                    text = data.decode()
                    start = text.find(mark)
                    if start >= 0:
                        end = text.index("</c>", start)
                        text = f"{text[:start]}<f>{formula}</f><v>{written(value)}</v>{text[end:]}"
                        data = text.encode()
            after.writestr(item, data)
    return out.getvalue()


def guarded(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would run as a formula."""
    return f"'{text}" if _RUNS_IN_A_SPREADSHEET.match(text) else text


def unguarded(text: str) -> str:
    """Remove the apostrophe of `guarded`."""
    return text[1:] if text.startswith("'") and _RUNS_IN_A_SPREADSHEET.match(text) else text

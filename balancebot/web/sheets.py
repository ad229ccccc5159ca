"""Thresholds as spreadsheets: download as CSV or XLSX, upload with a preview of every change, all or nothing.

Between preview and click the changes are in the page itself, as a sheet that contains only the changed rows: the server
stores nothing, and what is applied is checked like any other sheet.
"""

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from balancebot.domain.audit import Via
from balancebot.domain.sentence import sentence
from balancebot.domain.threshold import ThresholdBook, ThresholdRow
from balancebot.i18n import Wording
from balancebot.sheet_writer import Cell, write_csv
from balancebot.sheets import InputFault, SheetRow
from balancebot.thresholds.changes import Outdated, changes_token
from balancebot.thresholds.edit import COLUMNS, Edited
from balancebot.thresholds.sheet import (
    HEADER,
    cells_of,
    cells_of_all,
    in_language,
    read_header,
    read_limits,
    write_limits,
)
from balancebot.web.downloads import XLSX, csv_file, file_response
from balancebot.web.rendering import show
from balancebot.web.request import Done, PageRequest, done
from balancebot.web.thresholds import shown

MAX_LISTED = 100
"""How many changes and faults are listed; the rest is counted, because nobody reads thousands."""
_MAX_PACKED = 8 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultyRow:
    """One row of a sheet, and its faults."""

    line: int
    cells: tuple[tuple[str, tuple[str, ...]], ...]
    """Each cell, in the order of the sheet, with its faults."""
    other_faults: tuple[str, ...]
    """The faults of no particular cell."""


def form(request: PageRequest) -> Response:
    """Show what can be downloaded, and the form to upload."""
    return show(request, "sheet.html.j2", faults=(), faulty=(), header=())


def download_csv(request: PageRequest) -> Response:
    """Send the rows, or with `all` every balance, as CSV that Excel and WPS open correctly."""
    return csv_file(_cells(request), "thresholds.csv")


def download_xlsx(request: PageRequest) -> Response:
    """Send the same as a workbook."""
    table = in_language(_cells(request, with_figures=True), request.words.language)
    return file_response(write_limits(table), "thresholds.xlsx", XLSX)


def upload(request: PageRequest) -> Response:
    """Show every change that a sheet would make, or all its faults."""
    uploaded = request.uploaded("sheet")
    if uploaded is None:
        fault = InputFault(message=sentence("Choose a file first."))
        return _refused(request, (), (fault,))
    name, data = uploaded
    rows, faults = read_limits(data)
    if faults:
        return _refused(request, rows, faults, name=name)
    edited = request.app.edit_thresholds.preview_sheet(rows)
    if edited.faults:
        return _refused(request, rows, edited.faults, name=name)
    return show_changes(request, edited, num_rows=max(0, len(rows) - 1), name=name)


def apply(request: PageRequest) -> Response:
    """Make the changes that were previewed. If the rows have changed since, show the new changes instead."""
    rows = _unpack_changes(request.sent("changes"))
    is_sheet = request.sent("via") != Via.PAGE
    by = request.sheet_actor if is_sheet else request.actor
    outcome = request.app.edit_thresholds.import_seen(rows, seen=request.sent("seen"), by=by)
    if isinstance(outcome, Outdated):
        if outcome.edited.faults:
            return _refused(request, rows, outcome.edited.faults, name=request.sent("name"))
        return show_changes(
            request,
            outcome.edited,
            num_rows=max(0, len(rows) - 1),
            name=request.sent("name"),
            is_sheet=is_sheet,
            outdated=True,
        )
    if outcome.faults:
        return _refused(request, rows, outcome.faults, name=request.sent("name"))
    return done("/thresholds", Done.IMPORTED if is_sheet else Done.SAVED, outcome.notified)


def _cells(request: PageRequest, *, with_figures: bool = False) -> list[tuple[Cell, ...]]:
    with request.app.database.read() as conn:
        book = request.app.thresholds.book(conn)
    if not request.query("all"):
        return list(cells_of(book.rows))
    views = request.app.latest.read(now=request.now).views if with_figures else None
    return list(cells_of_all(book, request.app.edit_thresholds.known(), views))


def show_changes(
    request: PageRequest,
    edited: Edited,
    *,
    num_rows: int,
    name: str = "",
    is_sheet: bool = True,
    outdated: bool = False,
) -> Response:
    """Show changes of many rows, their effects, and the button that makes them."""
    with request.app.database.read() as conn:
        before = request.app.thresholds.book(conn)
    scopes = [change.scope for change in edited.changes]
    present = request.app.preview_limits.ahead(before, ThresholdBook(edited.rows), scopes, now=request.now)
    return show(
        request,
        "sheet_preview.html.j2",
        status=409 if outdated else 200,
        name=name,
        outdated=outdated,
        num_rows=num_rows,
        via=Via.SHEET if is_sheet else Via.PAGE,
        changes=[
            (
                change,
                [
                    (column, _shown(change.before, column), _shown(change.after, column))
                    for column in change.columns
                ],
            )
            for change in edited.changes[:MAX_LISTED]
        ],
        num_changes=len(edited.changes),
        warnings=[request.words.translate(warning.placed) for warning in edited.warnings[:MAX_LISTED]],
        present=present,
        carried=_pack_changes(edited),
        seen=changes_token(edited),
    )


def _shown(row: ThresholdRow | None, column: str) -> str:
    return "" if row is None else shown(getattr(row, column))


def _refused(
    request: PageRequest, rows: Sequence[SheetRow], faults: Sequence[InputFault], *, name: str = ""
) -> Response:
    header = rows[0].cells if rows else ()
    lines = dict.fromkeys(fault.line for fault in faults if fault.line is not None)
    by_line = {row.line: row for row in rows}
    listed = [line for line in lines if line in by_line][:MAX_LISTED]
    return show(
        request,
        "sheet.html.j2",
        status=422,
        name=name,
        header=header[: len(HEADER) + len(COLUMNS)],
        faults=[request.words.translate(fault.placed) for fault in faults if fault.line not in by_line],
        faulty=[_faulty(by_line[line], rows[0], faults, request.words) for line in listed],
        num_left_out=len([line for line in lines if line in by_line]) - len(listed),
    )


def _faulty(row: SheetRow, header: SheetRow, faults: Sequence[InputFault], words: Wording) -> FaultyRow:
    columns, _ = read_header(header)
    row_faults = [fault for fault in faults if fault.line == row.line]
    placed = set(columns.values()) if len(row.cells) >= len(header.cells) else set()
    width = len(HEADER) + len(COLUMNS)
    return FaultyRow(
        line=row.line,
        cells=tuple(
            (
                cell,
                tuple(
                    words.translate(fault.message)
                    for fault in row_faults
                    if fault.column in placed and fault.column == columns.get(position)
                ),
            )
            for position, cell in enumerate(row.cells[:width])
        ),
        other_faults=tuple(
            words.translate(fault.message) for fault in row_faults if fault.column not in placed
        ),
    )


def _pack_changes(edited: Edited) -> str:
    """Pack the changed rows with their new cells; a row without cells removes its scope's row."""
    rows = [
        change.after or ThresholdRow(wallet=change.scope.wallet, category=change.scope.category)
        for change in edited.changes
    ]
    return base64.b64encode(zlib.compress(write_csv(cells_of(rows)).encode(), 9)).decode()


def _unpack_changes(text: str) -> tuple[SheetRow, ...]:
    """Unpack the changed rows; text that isn't from us gives an empty sheet, which is refused like any other."""
    try:
        unpacked = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), _MAX_PACKED)
    except (ValueError, zlib.error):
        return ()
    rows, faults = read_limits(unpacked)
    return () if faults else rows

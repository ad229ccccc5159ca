"""Reads tables from users: CSV files and workbooks, each row with its line. `sheet_writer.py` writes them.

`read_sheet` reads all sheets: limits, orders and past readings, with a header. The content of a file decides its
format, not its name. Text that could be read in two ways is refused, and the fault shows both.

`workbook_reader.py` reads a workbook in a process of its own, with limits of time and memory, because nobody knows all
that a hostile file can do to a parser. Every cell becomes the text that a person sees in it.
"""

import codecs
import csv
import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from balancebot.domain.sentence import Sentence, sentence
from balancebot.domain.threshold import COLUMN_NAMES
from balancebot.domain.threshold_cell import written
from balancebot.sheet_writer import guarded

MAX_ROWS: Final = 100_000
"""The most rows of a sheet that is kept in memory as a whole."""
MAX_CELLS: Final = 200
"""The most cells of one row."""
MAX_CELL: Final = 32_767
"""The most characters of one cell, as in a spreadsheet."""
MAX_FAULTS: Final = 1_000
"""Reading stops after this many faults."""

_MAX_LINE = 2**20
_WALL_SECONDS = 30
_AT_ONCE = threading.BoundedSemaphore(2)
"""How many workbooks are read at once: each may take half a GB and a processor."""
_READER = Path(__file__).with_name("workbook_reader.py")
_CHUNK = 2**20

_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_SEPARATOR_LINE = re.compile(r'"?sep=([,;\t|])"?[,;\t]*', re.IGNORECASE)
_ESCAPED_RETURN = re.compile(r"_x000[dD]_\n?")
"""How Excel files write the first half of a line break, which some programs copy as it is."""


class SheetRow(NamedTuple):
    """One row, with the line on which it begins: the first line of the file is 1."""

    line: int
    cells: tuple[str, ...]
    comma_is_decimal: bool = False
    """Whether semicolons separate the sheet's cells, as in countries with a decimal comma."""

    @property
    def is_blank(self) -> bool:
        """Whether all cells are empty."""
        return not any(map(str.strip, self.cells))


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFault:
    """Why a user's input is refused, or a warning about it: one line of text."""

    message: Sentence
    line: int | None = None
    """The line of the sheet; the first line of the file is 1."""
    column: str = ""

    @property
    def placed(self) -> Sentence:
        """The message with its line and column."""
        column = COLUMN_NAMES.get(self.column, Sentence(self.column))
        if self.line is not None and self.column:
            return sentence(
                "line %(line)s, %(column)s: %(fault)s", line=self.line, column=column, fault=self.message
            )
        if self.line is not None:
            return sentence("line %(line)s: %(fault)s", line=self.line, fault=self.message)
        if self.column:
            return sentence("%(column)s: %(fault)s", column=column, fault=self.message)
        return self.message

    def __str__(self) -> str:
        return str(self.placed)


def read_sheet(
    file: BinaryIO, columns: Iterable[Collection[str]], *, max_rows: int | None = MAX_ROWS
) -> Iterator[SheetRow | InputFault]:
    """Yield the rows of a CSV file or workbook, its header first, without blank rows.

    `columns` are the possible names of each column, by which the right sheet of a workbook is found. A fault is the
    last result, except that a workbook may have several faults; then it has no rows. `file` must be seekable. A CSV
    file is read in chunks, and with `max_rows` None it may have any length.
    """
    start = file.read(4)
    file.seek(0)
    if start == _OLE:
        yield InputFault(
            message=sentence("the file is an old .xls or has a password: save it as .xlsx or CSV")
        )
    elif start == _ZIP:
        yield from _read_workbook(file.read(), columns)
    else:
        yield from _read_csv(file, max_rows)


def read_whole_sheet(
    data: bytes, columns: Iterable[Collection[str]]
) -> tuple[tuple[SheetRow, ...], tuple[InputFault, ...]]:
    """Return the rows of `read_sheet`; or no rows, and why the file can't be read."""
    rows: list[SheetRow] = []
    faults: list[InputFault] = []
    for found in read_sheet(BytesIO(data), columns):
        if isinstance(found, SheetRow):
            rows.append(found)
        else:
            faults.append(found)
    return ((), tuple(faults)) if faults else (tuple(rows), ())


# CSV

_NO_TEXT = InputFault(message=sentence("the file is not text in UTF-8, UTF-16 or GBK"))


class _BadLineError(Exception):
    def __init__(self, reason: Sentence) -> None:
        super().__init__(reason)
        self.reason = reason


def _read_csv(file: BinaryIO, max_rows: int | None) -> Iterator[SheetRow | InputFault]:
    encoding = _encoding(file)
    if isinstance(encoding, InputFault):
        yield encoding
        return
    file.seek(0)
    text = TextIOWrapper(file, encoding=encoding, newline="")
    try:
        yield from _csv_rows(text, max_rows)
    except UnicodeError:  # half a character in UTF-16
        yield _NO_TEXT
    finally:
        text.detach()  # the caller's file stays open


def _csv_rows(text: TextIOWrapper, max_rows: int | None) -> Iterator[SheetRow | InputFault]:
    """Yield the rows, after skipping blank lines and the line `sep=;` that may precede the header."""
    lines = _Lines(text)
    begins, num_rows = 1, 0
    try:
        separator = lines.find_header()
        comma_is_decimal = separator == ";"
        reader = csv.reader(lines, delimiter=separator, strict=True)
        begins = lines.number + 1
        for cells in reader:
            if len(cells) > MAX_CELLS or max(map(len, cells), default=0) > MAX_CELL:
                message = sentence(
                    "has more than %(count)s cells, or more than %(most)s characters in one",
                    count=MAX_CELLS,
                    most=f"{MAX_CELL:,}",
                )
                yield InputFault(message=message, line=begins)
                return
            if any(map(str.strip, cells)):
                if lines.may_have_escapes:
                    cells = [_ESCAPED_RETURN.sub("\n", cell) for cell in cells]  # noqa: PLW2901
                    lines.may_have_escapes = False
                num_rows += 1
                if max_rows is not None and num_rows > max_rows:
                    yield InputFault(
                        message=sentence("the sheet has more than %(count)s rows", count=f"{max_rows:,}"),
                        line=begins,
                    )
                    return
                yield SheetRow(begins, tuple(cells), comma_is_decimal)
            begins = lines.number + 1
    except (csv.Error, _BadLineError) as error:
        reason = error.reason if isinstance(error, _BadLineError) else str(error)
        yield InputFault(
            message=sentence("the row that begins here can't be read: %(reason)s", reason=reason), line=begins
        )


class _Lines:
    """The lines of a text, each of a bounded length."""

    def __init__(self, text: TextIOWrapper) -> None:
        self._text = text
        self._next = ""
        self.number = 0
        """The number of the last line."""
        self.may_have_escapes = False
        """Whether a line has contained `_x000D_` since this was last reset."""

    def find_header(self) -> str:
        """Skip what may precede the header; return the separator of cells."""
        separator = ""
        for line in self:
            found = _SEPARATOR_LINE.fullmatch(line.strip(" \r\n"))
            if found:
                separator = found[1]
            elif line.lstrip().startswith("<"):
                raise _BadLineError(sentence("it is HTML or XML; save the file as .xlsx or CSV"))
            elif line.strip(",;\t \r\n"):
                self._next = line
                self.number -= 1
                return separator or max(",;\t", key=line.count)
        return ","

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line, self._next = self._next or self._text.readline(_MAX_LINE), ""
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == _MAX_LINE:
            raise _BadLineError(sentence("the line is too long"))
        if "_x000" in line:
            self.may_have_escapes = True
        if "\0" in line:
            raise _BadLineError(sentence("it holds a NUL character, which no text has"))
        return line


def _encoding(file: BinaryIO) -> str | InputFault:
    """Return the encoding of a text, or a fault if it is uncertain."""
    start = file.read(4)
    file.seek(0)
    if start[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
        return "utf-16"
    if len(start) == 4 and start[1::2] == b"\0\0":
        return "utf-16-le"
    if len(start) == 4 and start[::2] == b"\0\0":
        return "utf-16-be"
    encoding = "utf-8-sig" if start.startswith(codecs.BOM_UTF8) else "utf-8"
    line = _fault_of(file, encoding)
    if line is None:
        return encoding
    file.seek(0)
    if encoding != "utf-8":
        return _NO_TEXT
    if _reads_as_chinese(file):
        return "gb18030"
    return _unknown_encoding(file, line)


def _fault_of(file: BinaryIO, encoding: str) -> int | None:
    """Return the first line that isn't valid in an encoding; None if all lines are valid."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    while True:
        chunk = file.read(_CHUNK)
        try:
            decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            return line + error.object[: error.start].count(b"\n")
        if not chunk:
            return None
        line += chunk.count(b"\n")


def _reads_as_chinese(file: BinaryIO) -> bool:
    """Return whether a text makes sense in GB 18030: most characters outside ASCII are common ones or punctuation.

    In this encoding nearly every pair of bytes is some character: `Müller` in Windows-1252 would become `M黮ler`.
    """
    decoder = codecs.getincrementaldecoder("gb18030")()
    found: Counter[str] = Counter()
    while True:
        chunk = file.read(_CHUNK)
        try:
            found.update(decoder.decode(chunk, final=not chunk))
        except UnicodeDecodeError:
            return False
        if not chunk:
            break
    common = rare = 0
    for character, times in found.items():
        if not character.isascii():
            if _is_common(character):
                common += times
            else:
                rare += times
    return common >= 2 * rare


def _is_common(character: str) -> bool:
    """Return whether a character is of the first level of GB 2312, or punctuation of it."""
    encoded = character.encode("gb2312", "replace")
    return len(encoded) == 2 and (0xB0 <= encoded[0] <= 0xD7 or 0xA1 <= encoded[0] <= 0xA3)


def _unknown_encoding(file: BinaryIO, number: int) -> InputFault:
    """Return a fault that shows the first line that differs between the encodings, in both."""
    file.seek(0)
    raw = b""
    for _ in range(number):
        raw = file.readline(_MAX_LINE)
    if b"\0" not in raw:
        at = next((place for place, byte in enumerate(raw) if byte >= 0x80), 0)
        start = max(raw.rfind(mark, 0, at) for mark in (b",", b";", b"\t", b'"', b" ")) + 1
        word = re.split(rb'[,;\t" \r\n]', raw[start : start + 40])[0]
        readings = [
            reading
            for encoding in ("cp1252", "gb18030")
            if (reading := word.decode(encoding, "replace")).isprintable() and "\ufffd" not in reading
        ]
        if readings:
            shown = " or ".join(repr(reading) for reading in readings)
            return InputFault(
                message=sentence(
                    "the file isn't UTF-8, and this line can be read as %(text)s: save it as UTF-8"
                    " (in Excel: CSV UTF-8)",
                    text=shown,
                ),
                line=number,
            )
    return _NO_TEXT


# Workbooks


_DAMAGED = InputFault(message=sentence("the file is damaged, or not a workbook"))
_TOO_LARGE = InputFault(
    message=sentence(
        "the workbook takes too much time or memory to read: save only the sheet you need, or save it as CSV"
    )
)


def _read_workbook(data: bytes, columns: Iterable[Collection[str]]) -> Iterator[SheetRow | InputFault]:
    answer = _ask_reader(data, [sorted(names) for names in columns])
    if isinstance(answer, InputFault):
        yield answer
        return
    problems = answer["problems"]
    if problems:
        yield from (_problem(*problem) for problem in problems)
        return
    for line, cells in enumerate(answer["rows"], start=1):
        while cells and cells[-1] == "":
            cells.pop()
        row = SheetRow(line, tuple(map(_seen, cells)))
        if row.is_blank:
            continue
        if max(map(len, row.cells)) > MAX_CELL:
            yield InputFault(
                message=sentence("has more than %(most)s characters in one cell", most=f"{MAX_CELL:,}"),
                line=line,
            )
            return
        yield row


def _ask_reader(data: bytes, columns: list[list[str]]) -> dict | InputFault:  # type: ignore[type-arg]
    """Let the reader's process read a workbook."""
    if not _AT_ONCE.acquire(timeout=_WALL_SECONDS):
        return InputFault(message=sentence("other workbooks are being read: try again in a moment"))
    try:
        answer = subprocess.run(  # noqa: S603 -- no shell, and only our own arguments
            [sys.executable, "-I", str(_READER), json.dumps(columns)],
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_WALL_SECONDS,
            check=False,
            # without the secrets that this process's environment may contain
            env={name: os.environ[name] for name in ("LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ},
        )
    except subprocess.TimeoutExpired:
        return _TOO_LARGE
    finally:
        _AT_ONCE.release()
    if answer.returncode != 0:  # killed by one of its limits
        return _TOO_LARGE
    found: dict[str, list[list[object]]] = json.loads(answer.stdout)
    return found


def _problem(kind: str, *about: object) -> InputFault:
    match kind, about:
        case "too large", _:
            return _TOO_LARGE
        case "other format", _:
            return InputFault(message=sentence("the file is an .ods or .xlsb: save it as .xlsx or CSV"))
        case "unpacks", (most,):
            return InputFault(message=sentence("the file unpacks to more than %(size)s MB", size=str(most)))
        case "too many rows", (int(most),):
            return InputFault(message=sentence("the sheet has more than %(count)s rows", count=f"{most:,}"))
        case "too many sheets", (most,):
            return InputFault(
                message=sentence("the workbook has more than %(count)s sheets", count=str(most))
            )
        case "several sheets", (names,):
            return InputFault(
                message=sentence(
                    "more than one sheet has these columns (%(names)s): keep only one", names=str(names)
                )
            )
        case "row order", (int(line),):
            return InputFault(
                message=sentence("the rows of the file are out of order: save it again in a spreadsheet"),
                line=line,
            )
        case "merged", (int(line), cells):
            return InputFault(
                message=sentence(
                    "the cells %(range)s are merged: split them and fill in each", range=str(cells)
                ),
                line=line,
            )
        case "formula", (int(line), place):
            return InputFault(
                message=sentence(
                    "the formula in %(cell)s has no value: save the file in a spreadsheet first,"
                    " or write the number",
                    cell=str(place),
                ),
                line=line,
            )
        case "error", (int(line), place):
            return InputFault(
                message=sentence("the cell %(cell)s contains an error such as #N/A", cell=str(place)),
                line=line,
            )
    return _DAMAGED


def _seen(cell: object) -> str:
    """Return the text that a person sees in a cell, guarded as in a CSV file, so that both are read the same way."""
    if isinstance(cell, str):
        return guarded(cell.replace("\r\n", "\n") if "\r" in cell else cell)
    match cell:
        case {"percent": float(share)}:
            return f"{written(share * 100)}%"
        case int() | float():
            return written(float(cell))
    return str(cell)

"""Reads one workbook in a process with limited time and memory; `sheets.py` starts it as a script.

Takes the workbook on stdin and writes JSON to stdout: `{"sheet", "rows", "problems"}`. It imports nothing of the
package, so a hostile file never comes near a secret, and any damage to the parser ends with this process.
"""

import json
import re
import sys
import unicodedata
from contextlib import suppress
from io import BytesIO
from posixpath import join, normpath
from typing import Any
from xml.etree.ElementTree import fromstring
from xml.parsers import expat
from zipfile import ZipFile

MAX_ROWS = 100_000
MAX_COLUMNS = 26
"""A to Z; columns further to the right are ignored."""
MAX_UNPACKED = 64 * 2**20
"""Bytes: a small file that unpacks to more than this is an attack."""
MAX_CHARACTERS = 16 * 2**20
"""Of all cells together: many cells may share one long text."""
MAX_SHEETS = 50
MAX_PROBLEMS = 50
MEMORY = 512 * 2**20
CPU_SECONDS = 10

_ABOVE_HEADER = 20
"""The header is searched for in this many rows, to find the right sheet."""
_SMALL_PART = 2**20
"""Bytes of the parts that list the other parts."""
_ROW = re.compile(rb'<(?:\w+:)?row\s[^<>]*?\br="(\d{1,9})"')
_NEEDS_CLOSER_LOOK = re.compile(rb'<(?:\w+:)?f[\s/>]|\bt="e"')
_PERCENT = re.compile(rb'%|numFmtId="(?:9|10)"')
_CELL = re.compile(r"([A-Z])(\d{1,7})")
"""The name of a cell within `MAX_COLUMNS`."""
_PERCENT_BUILT_IN = frozenset({"9", "10"})
_OTHER_FORMATS = frozenset({"mimetype", "xl/workbook.bin"})
"""Parts of .ods and .xlsb files: calamine reads an error in them as an empty cell, and true as 1, which nobody would see."""


class Refused(Exception):  # noqa: N818 -- not an error of the program
    """The workbook is refused; the arguments are the kind of problem and its details."""


def main() -> None:
    """Read the workbook on stdin; the first argument is JSON: the possible names of each required column."""
    _limit()
    wanted = [frozenset(names) for names in json.loads(sys.argv[1])]
    try:
        answer = read(sys.stdin.buffer.read(), wanted)
    except Refused as refused:
        answer = {"sheet": "", "rows": [], "problems": [refused.args]}
    except MemoryError:
        answer = {"sheet": "", "rows": [], "problems": [("too large",)]}
    except BaseException:  # noqa: BLE001 -- the parser may raise anything, including its own panics
        answer = {"sheet": "", "rows": [], "problems": [("damaged",)]}
    sys.stdout.write(json.dumps(answer))


def _limit() -> None:
    with suppress(ImportError):
        import resource  # not on Windows, where only the time is limited  # lazy: only in the process that reads a workbook

        for what, most in (
            (resource.RLIMIT_CPU, CPU_SECONDS),
            (resource.RLIMIT_AS, MEMORY),
            (resource.RLIMIT_NOFILE, 16),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
        ):
            hard = resource.getrlimit(what)[1]
            limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(what, (limit, limit))


def read(data: bytes, wanted: list[frozenset[str]]) -> dict[str, Any]:
    """Return the rows of the sheet with the wanted columns, from A1 on, and the problems that the user must fix."""
    from python_calamine import (  # lazy: only in the process that reads a workbook
        CalamineWorkbook,
        SheetTypeEnum,
    )

    parts = _Parts(data)
    workbook = CalamineWorkbook.from_filelike(BytesIO(data))
    names = [sheet.name for sheet in workbook.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
    if len(names) > MAX_SHEETS:
        raise Refused("too many sheets", MAX_SHEETS)
    for name in names:
        _check_order(parts.sheet(name))
    sheets = []
    for name in names:
        sheet = workbook.get_sheet_by_name(name)
        if len(names) == 1 or _has_header(sheet, wanted):
            sheets.append(sheet)
    if len(sheets) > 1:
        raise Refused("several sheets", ", ".join(sheet.name for sheet in sheets))
    # if no sheet has the header, use the first, so that the fault names the missing columns
    sheet = sheets[0] if sheets else workbook.get_sheet_by_name(names[0])
    if sheet.total_height > MAX_ROWS:
        raise Refused("too many rows", MAX_ROWS)
    rows = [row[:MAX_COLUMNS] for row in sheet.to_python(skip_empty_area=False)]
    if sum(len(cell) for row in rows for cell in row if isinstance(cell, str)) > MAX_CHARACTERS:
        raise Refused("too large")
    problems: list[tuple[object, ...]] = [
        ("merged", first[0] + 1, f"{_place(first)}:{_place(last)}")
        for first, last in (sheet.merged_cell_ranges or ())[:MAX_PROBLEMS]
    ]
    percent = parts.percent_styles()
    xml = parts.sheet(sheet.name)
    if percent or _NEEDS_CLOSER_LOOK.search(xml):
        problems += _CloserLook(xml, percent, rows).problems
    return {
        "sheet": sheet.name,
        "rows": [[cell if type(cell) is str else _plain(cell) for cell in row] for row in rows],
        "problems": problems[:MAX_PROBLEMS],
    }


class _Parts:
    """The parts of a workbook that are needed in addition to calamine's values."""

    def __init__(self, data: bytes) -> None:
        with ZipFile(BytesIO(data)) as archive:
            members = archive.infolist()
            if len({member.filename for member in members}) < len(members):
                raise Refused("damaged")
            if _OTHER_FORMATS & {member.filename for member in members}:
                raise Refused("other format")
            if sum(member.file_size for member in members) > MAX_UNPACKED:
                raise Refused("unpacks", MAX_UNPACKED // 2**20)
            self._archive = {
                member.filename: archive.read(member)
                for member in members
                if member.filename.startswith("xl/") and member.filename.endswith((".xml", ".rels"))
            }
        self._files = self._sheet_files()

    def sheet(self, name: str) -> bytes:
        """Return the XML of a sheet."""
        return self._archive.get(self._files.get(name, ""), b"")

    def percent_styles(self) -> frozenset[str]:
        """Return the numbers of the cell styles that show 1 as 100 %."""
        data = self._archive.get("xl/styles.xml", b"")
        if not _PERCENT.search(data):
            return frozenset()
        root = _xml(data, most=4 * _SMALL_PART)
        formats = _PERCENT_BUILT_IN | {
            found.get("numFmtId", "")
            for found in root.iterfind(".//{*}numFmts/{*}numFmt")
            if "%" in found.get("formatCode", "")
        }
        styles = root.iterfind("{*}cellXfs/{*}xf")
        return frozenset(str(n) for n, style in enumerate(styles) if style.get("numFmtId") in formats)

    def _sheet_files(self) -> dict[str, str]:
        links = {
            link.get("Id", ""): link.get("Target", "")
            for link in _xml(self._archive.get("xl/_rels/workbook.xml.rels", b"<none/>"))
        }
        files: dict[str, str] = {}
        for sheet in _xml(self._archive.get("xl/workbook.xml", b"<none/>")).iterfind("{*}sheets/{*}sheet"):
            link = next((value for key, value in sheet.attrib.items() if key.endswith("}id")), "")
            target = links.get(link, "")
            files[sheet.get("name", "")] = (
                target[1:] if target.startswith("/") else normpath(join("xl", target))
            )
        if len(set(files.values())) < len(files) or len(files) > MAX_SHEETS:
            raise Refused("damaged")  # a part under several names would be read many times
        return files


def _xml(data: bytes, *, most: int = _SMALL_PART) -> Any:
    if len(data) > most:
        raise Refused("too large")
    return fromstring(data)  # noqa: S314 -- expat refuses entities that grow, and this process is limited


def _check_order(xml: bytes) -> None:
    """Refuse rows that aren't in ascending order: some readers silently drop them."""
    last = 0
    for found in _ROW.finditer(xml):
        number = int(found[1])
        if number <= last:
            raise Refused("row order", number)
        last = number


def _has_header(sheet: Any, wanted: list[frozenset[str]]) -> bool:
    top = sheet.to_python(skip_empty_area=False, nrows=_ABOVE_HEADER)
    header = next((row for row in top if any(cell != "" for cell in row)), ())
    words = {
        "_".join(unicodedata.normalize("NFKC", cell).casefold().split())
        for cell in header
        if isinstance(cell, str)
    }
    return all(names & words for names in wanted)


class _CloserLook:
    """Finds what the values alone don't show: formulas without a value, errors, and percentages."""

    def __init__(self, xml: bytes, percent: frozenset[str], rows: list[list[Any]]) -> None:
        self.problems: list[tuple[object, ...]] = []
        self._percent = percent
        self._rows = rows
        self._cell: dict[str, str] = {}
        self._in = ""
        self._has_formula = self._has_value = False
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.CharacterDataHandler = self._text
        parser.EndElementHandler = self._end
        parser.Parse(xml, True)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._in = tag.rpartition(":")[2]
        if self._in == "c":
            self._cell, self._has_formula, self._has_value = attributes, False, False
        elif self._in == "f":
            self._has_formula = True
        elif self._in == "v" and self._cell.get("t") == "str":
            self._has_value = True  # a formula that comes to no text: =IF(A2="","",...)

    def _text(self, text: str) -> None:
        if self._in == "v" and text.strip():
            self._has_value = True

    def _end(self, tag: str) -> None:
        self._in = ""
        if tag.rpartition(":")[2] != "c":
            return
        place = self._cell.get("r", "")
        found = _CELL.fullmatch(place)
        if found is None:
            return
        line, column = int(found[2]), ord(found[1]) - ord("A")
        if self._cell.get("t") == "e":
            self.problems.append(("error", line, place))
        elif self._has_formula and not self._has_value:
            self.problems.append(("formula", line, place))
        elif self._cell.get("s") in self._percent and line <= len(self._rows):
            row = self._rows[line - 1]
            if column < len(row) and isinstance(row[column], float):
                row[column] = _Percent(row[column])


class _Percent(float):
    """A number that a person sees as a percentage."""


def _plain(value: Any) -> object:
    """Return what a person sees in a cell: text, or a number to be formatted."""
    if isinstance(value, _Percent):
        return {"percent": float(value)}
    if isinstance(value, bool) or not isinstance(value, str | float | int):
        return str(value)
    return value


def _place(at: tuple[int, int]) -> str:
    """Return the spreadsheet's name of (row, column), counted from 0: B3."""
    row, column = at
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return f"{letters}{row + 1}"


if __name__ == "__main__":
    main()

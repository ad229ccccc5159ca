"""The reader of sheets: a workbook gives the same rows as a CSV file, runs nothing, and cannot exhaust the process."""

from collections.abc import Callable
from datetime import date
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from balancebot.domain.balance import Category, WalletName
from balancebot.domain.threshold import OFF, ThresholdBook, ThresholdRow
from balancebot.sheet_writer import write_csv
from balancebot.sheets import InputFault, SheetRow, read_sheet
from balancebot.thresholds.sheet import cells_of, cells_of_all, import_sheet, read_limits, write_limits

KNOWN = [WalletName("acme"), WalletName("acme/checkout")]
ROWS = (
    ThresholdRow(wallet="*", warning_days=1.5, note="=SUM(A1:A9)"),
    ThresholdRow(wallet="acme", category=Category.VOICE, warning_below=2**63 - 1, note="'=x\n+y"),
    ThresholdRow(
        wallet="acme/checkout", warning_below=12_345, critical_below=OFF, lead_time_days=2, note="找采购"
    ),
)


def workbook(fill: Callable[[Workbook], None]) -> bytes:
    book = Workbook()
    fill(book)
    out = BytesIO()
    book.save(out)
    return out.getvalue()


def test_a_written_workbook_is_read_back_unchanged() -> None:
    for table in (cells_of(ROWS), cells_of_all(ThresholdBook(ROWS), KNOWN)):
        sheet, faults = read_limits(write_limits(table))
        edited = import_sheet(sheet, ROWS, KNOWN)
        assert ((), (), ()) == (faults, edited.faults, edited.changes)
    assert set(ROWS) == set(import_sheet(read_limits(write_limits(cells_of(ROWS)))[0], [], KNOWN).rows)


def test_no_text_of_a_workbook_is_a_formula_and_numbers_are_numbers() -> None:
    sheet = load_workbook(BytesIO(write_limits(cells_of(ROWS)))).worksheets[0]
    assert ["*", "*", None, None, 1.5, None, None, "=SUM(A1:A9)"] == [cell.value for cell in sheet[2]]
    assert "f" not in {cell.data_type for row in sheet for cell in row}
    assert sheet["H2"].quotePrefix
    assert 12_345 == sheet["C4"].value


def test_a_csv_file_is_recognized_by_its_content() -> None:
    data = write_csv(cells_of(ROWS)).encode()
    assert set(ROWS) == set(import_sheet(read_limits(data)[0], [], KNOWN).rows)


def test_cells_are_read_as_people_see_them() -> None:
    def fill(book: Workbook) -> None:
        book.active.append(["wallet", 1000.0, 0.5, True, date(2026, 7, 1), None, 0.1 + 0.2])
        book.active["C1"].number_format = "0%"

    assert (
        (SheetRow(line=1, cells=("wallet", "1000", "50%", "True", "2026-07-01", "", "0.3")),),
        (),
    ) == (read_limits(workbook(fill)))


def test_blank_rows_are_skipped_and_line_numbers_are_those_of_the_spreadsheet() -> None:
    def fill(book: Workbook) -> None:
        book.active["A3"], book.active["A6"] = "wallet", "acme"

    assert (3, 6) == tuple(row.line for row in read_limits(workbook(fill))[0])


def test_a_formula_has_its_last_value_and_one_without_a_value_is_refused_with_its_row() -> None:
    def fill(book: Workbook) -> None:
        book.active.append(["wallet", "=1+1"])
        book.active.append(["acme", "=2+2"])

    data = workbook(fill)
    message = "the formula in B{} has no value: save the file in a spreadsheet first, or write the number"
    assert [f"line {line}: {message.format(line)}" for line in (1, 2)] == refused(data)[1]

    calculated = BytesIO()
    with ZipFile(BytesIO(data)) as old, ZipFile(calculated, "w", ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"<f>1+1</f><v />", b"<f>1+1</f><v>2</v>"))
    assert [2] == [fault.line for fault in read_limits(calculated.getvalue())[1]]


HEADER = ["wallet", "category", "warning_below"]


def test_merged_cells_are_refused_since_all_but_the_first_are_empty() -> None:
    def fill(book: Workbook) -> None:
        book.active.append(HEADER)
        book.active.append(["acme", "voice", 100])
        book.active.append(["acme", "market"])
        book.active.merge_cells("C2:C3")

    assert ["line 2: the cells C2:C3 are merged: split them and fill in each"] == refused(workbook(fill))[1]


def test_the_sheet_with_limits_is_read_among_several_sheets() -> None:
    def fill(book: Workbook) -> None:
        book.active.append(["What this is for"])
        book.active.merge_cells("A1:F1")
        book.create_sheet("limits").append(HEADER)

    assert ((SheetRow(line=1, cells=tuple(HEADER)),), ()) == read_limits(workbook(fill))


def test_several_sheets_with_limits_are_refused() -> None:
    def fill(book: Workbook) -> None:
        for name in ("October", "November"):
            book.create_sheet(name).append(["钱包", "类型", "预警余量"])

    message = "more than one sheet has these columns (October, November): keep only one"
    assert ((), [message]) == refused(workbook(fill))


def refused(data: bytes) -> tuple[object, list[str]]:
    """Return the rows of a file and its faults, in English."""
    rows, faults = read_limits(data)
    return rows, [str(fault) for fault in faults]


def bomb() -> bytes:
    out = BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"\0" * (65 * 2**20))
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xd0\xcf\x11\xe0rest", "the file is an old .xls or has a password: save it as .xlsx or CSV"),
        (b"PK\x03\x04rest", "the file is damaged, or not a workbook"),
        (write_limits(cells_of(ROWS))[:-200], "the file is damaged, or not a workbook"),
        (bomb(), "the file unpacks to more than 64 MB"),
    ],
    ids=["old", "garbage", "cut off", "bomb"],
)
def test_a_file_that_is_not_a_sheet_is_refused_with_the_reason(data: bytes, message: str) -> None:
    assert ((), [message]) == refused(data)


def test_a_zip_file_that_is_not_a_workbook_is_refused() -> None:
    out = BytesIO()
    with ZipFile(out, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types")
    assert ((), ["the file is damaged, or not a workbook"]) == refused(out.getvalue())


def test_a_row_far_below_exceeds_the_number_of_rows() -> None:
    def fill(book: Workbook) -> None:
        book.active["A1"], book.active["A200000"] = "wallet", "acme"

    assert "the sheet has more than 100,000 rows" == str(read_limits(workbook(fill))[1][0].message)


def test_a_cell_with_an_error_is_refused_with_its_position() -> None:
    def fill(book: Workbook) -> None:
        book.active.append(HEADER)
        book.active.append(["acme", "voice", "#N/A"])

    assert ["line 2: the cell C2 contains an error such as #N/A"] == [
        str(fault) for fault in read_limits(workbook(fill))[1]
    ]


def with_part(name: str, change: Callable[[bytes], bytes]) -> bytes:
    """Return a valid workbook with one changed part."""
    changed = BytesIO()
    with (
        ZipFile(BytesIO(write_limits(cells_of(ROWS)))) as old,
        ZipFile(changed, "w", ZIP_DEFLATED) as new,
    ):
        for part in old.namelist():
            data = old.read(part)
            new.writestr(part, change(data) if part == name else data)
    return changed.getvalue()


SHEET = "xl/worksheets/sheet1.xml"


def test_rows_in_the_wrong_order_are_refused() -> None:
    data = with_part(SHEET, lambda xml: xml.replace(b'<row r="2"', b'<row r="9"'))
    assert ["line 3: the rows of the file are out of order: save it again in a spreadsheet"] == [
        str(fault) for fault in read_limits(data)[1]
    ]


def _far(book: Workbook) -> None:
    book.active["A1"], book.active["XFD90000"] = "wallet", "x"


def _doubled() -> bytes:
    out = BytesIO(write_limits(cells_of(ROWS)))
    with ZipFile(out, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(SHEET, "<worksheet/>")
    return out.getvalue()


HOSTILE = {
    "merged cells that never end": lambda: with_part(
        SHEET,
        lambda xml: xml.replace(b"</worksheet>", b"<!--" + b"<mergeCell\t" * 90_000 + b"--></worksheet>"),
    ),
    "one sheet 300 times": lambda: with_part(
        "xl/workbook.xml",
        lambda xml: xml.replace(
            b"<sheets>", b"<sheets>" + b'<sheet name="x" sheetId="7" r:id="rId1"/>' * 300
        ),
    ),
    "a million styles": lambda: with_part(
        "xl/styles.xml", lambda xml: xml.replace(b"</cellXfs>", b"<xf/>" * 1_000_000 + b"%</cellXfs>")
    ),
    "a million shared strings": lambda: with_part(
        "xl/sharedStrings.xml", lambda xml: xml.replace(b"</sst>", b"<si/>" * 9_000_000 + b"</sst>")
    ),
    "a row of two million cells": lambda: with_part(
        SHEET,
        lambda xml: xml.replace(
            b"</sheetData>", b'<row r="99">' + b"<c><v>1</v></c>" * 2_000_000 + b"</row></sheetData>"
        ),
    ),
    "a formula of 400 KB, shared": lambda: with_part(
        SHEET,
        lambda xml: xml.replace(
            b"</sheetData>",
            b'<row r="99"><c r="A99"><f t="shared" ref="A99:Z99" si="0">'
            + b"A1+" * 130_000
            + b"1</f></c>"
            + b'<c r="B99"><f t="shared" si="0"/></c>' * 28
            + b"</row></sheetData>",
        ),
    ),
    "110 KB of defined names": lambda: with_part(
        "xl/workbook.xml",
        lambda xml: xml.replace(
            b"</workbook>",
            b"<definedNames>"
            + b'<definedName name="a">1</definedName>' * 900_000
            + b"</definedNames></workbook>",
        ),
    ),
    "a cell far away": lambda: workbook(_far),
    "entities that grow": lambda: with_part(
        SHEET,
        lambda xml: (
            b'<!DOCTYPE x [<!ENTITY a "'
            + b"x" * 60_000
            + b'"><!ENTITY b "'
            + b"&a;" * 5_000
            + b'">]>'
            + xml.replace(b"</sheetData>", b'<row r="99"><c t="str"><v>&b;</v></c></row></sheetData>')
        ),
    ),
    "one long text in a million cells": lambda: with_part(
        SHEET,
        lambda xml: xml.replace(
            b"</sheetData>",
            b"".join(
                b'<row r="%d">' % line + b'<c t="s"><v>0</v></c>' * 26 + b"</row>"
                for line in range(99, 40_000)
            )
            + b"</sheetData>",
        ),
    ),
    "two parts of one name": _doubled,
    "an encrypted part": lambda: write_limits(cells_of(ROWS)).replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"
    ),
    "an unknown compression": lambda: write_limits(cells_of(ROWS)).replace(
        b"\x14\x00\x00\x00\x08\x00", b"\x14\x00\x00\x00\x63\x00"
    ),
}
"""Workbooks that once needed a minute or 1 GB, or ended in a traceback."""


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_workbook_is_read_or_refused_with_a_fault_within_the_limits(name: str) -> None:
    rows, faults = read_limits(HOSTILE[name]())
    assert rows or faults
    assert all(fault.message for fault in faults)


def csv_rows(data: bytes) -> list[SheetRow | InputFault]:
    return list(read_sheet(BytesIO(data), ()))


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"a,b\n1,2\n", [(1, ("a", "b")), (2, ("1", "2"))]),
        (b"sep=;\r\na;b\r\n1,5;2\r\n", [(2, ("a", "b")), (3, ("1,5", "2"))]),
        (b'"sep=,"\na,b\n', [(2, ("a", "b"))]),
        ("sep=\t\r\na\tb\r\n".encode("utf-16"), [(2, ("a", "b"))]),
        (b"\n;;\n\na;b\n", [(4, ("a", "b"))]),
        (b"a\tb,c\td\n", [(1, ("a", "b,c", "d"))]),
        (b'a,"b_x000D_\nc_x000d_"\nd,e\n', [(1, ("a", "b\nc\n")), (3, ("d", "e"))]),
        ("\ufeffa,备注\n".encode(), [(1, ("a", "备注"))]),
        ("a\t备注\r\n".encode("utf-16"), [(1, ("a", "备注"))]),
        ("a\t备注\r\n".encode("utf-16-le"), [(1, ("a", "备注"))]),
        ("钱包,类型,备注\n一,二,请联系采购部，谢谢！\n".encode("gbk"), [
            (1, ("钱包", "类型", "备注")), (2, ("一", "二", "请联系采购部，谢谢！")),
        ]),
        (b"", []),
        (b"\n\n", []),
    ],
)  # fmt: skip
def test_csv_files_of_all_programs_are_read(data: bytes, rows: list[tuple[int, tuple[str, ...]]]) -> None:
    assert rows == [tuple(row)[:2] for row in csv_rows(data)]  # type: ignore[arg-type] # a fault is no row


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (
            "wallet,note\nacme,Müller fragen\n".encode("cp1252"),
            "line 2: the file isn't UTF-8, and this line can be read as 'Müller' or 'M黮ler': save it as UTF-8 "
            "(in Excel: CSV UTF-8)",
        ),
        (
            "note\nGröße\n".encode("cp1252"),
            "line 2: the file isn't UTF-8, and this line can be read as 'Größe' or 'Gr鲞e': save it as UTF-8 "
            "(in Excel: CSV UTF-8)",
        ),
        (
            "note\nà vérifier\n".encode("cp1252"),
            "line 2: the file isn't UTF-8, and this line can be read as 'à': save it as UTF-8 "
            "(in Excel: CSV UTF-8)",
        ),
        (b"\xef\xbb\xbfwallet,\xff\n", "the file is not text in UTF-8, UTF-16 or GBK"),
        (
            b"a,b\n1,\0\n",
            "line 2: the row that begins here can't be read: it holds a NUL character, which no text has",
        ),
        (
            b"<html><table><tr><td>wallet</td></tr></table></html>",
            "line 1: the row that begins here can't be read: it is HTML or XML; save the file as .xlsx or CSV",
        ),
        (b"a\n" + b"x" * 2**21, "line 2: the row that begins here can't be read: the line is too long"),
        (b"a" + b",b" * 300, "line 1: has more than 200 cells, or more than 32,767 characters in one"),
        (b"a\n" * 100_002, "line 100001: the sheet has more than 100,000 rows"),
        ("备注".encode("utf-16")[:-1], "the file is not text in UTF-8, UTF-16 or GBK"),
    ],
    ids=["gbk for western", "even run", "western only", "bad bom", "nul", "html", "line", "cells", "rows", "half"],
)  # fmt: skip
def test_an_ambiguous_csv_file_is_refused_with_the_reason(data: bytes, fault: str) -> None:
    assert fault == str(csv_rows(data)[-1])


@settings(max_examples=300)
@given(
    st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_any_bytes_give_rows_or_one_fault(data: bytes) -> None:
    found = csv_rows(data) if not data.startswith(b"PK\x03\x04") else []
    assert len([row for row in found if isinstance(row, InputFault)]) <= 1


@pytest.mark.parametrize(
    ("separator", "column", "text", "write"),
    [
        (";", "warning_days", "1,500", "write 1.5 or 1500"),
        (";", "warning_days", "1.500", "write 1.5 or 1500"),
        (";", "warning_below", "12,000", "write 12 or 12000"),
        (",", "warning_days", '"0,500"', "write 1.5 for a fraction, 1,500 for thousands"),
    ],
)
def test_a_comma_that_may_be_a_decimal_point_is_refused_with_both_meanings(
    separator: str, column: str, text: str, write: str
) -> None:
    lines = ("wallet", "category", column), ("acme", "voice", text)
    sheet, _ = read_limits("\n".join(separator.join(line) for line in lines).encode())
    shown = text.strip('"')
    assert [f"line 2, {column}: '{shown}' can be read in two ways: {write}"] == [
        str(found) for found in import_sheet(sheet, [], KNOWN).faults
    ]


def test_thousands_separators_are_accepted() -> None:
    sheet, _ = read_limits(b'wallet,category,warning_below\nacme,voice,"1,500"\n')
    assert [1500] == [row.warning_below for row in import_sheet(sheet, [], KNOWN).rows]


def test_a_sheet_of_unknown_wallets_is_refused_without_reading_it_completely() -> None:
    rows = "".join(f"acme/app{number},voice,5\n" for number in range(99_000))
    sheet, _ = read_limits(f"wallet,category,warning_below\n{rows}".encode())
    faults = import_sheet(sheet, [], KNOWN).faults
    assert (1_001, "line 1002: the rows below were not checked") == (len(faults), str(faults[-1]))


def test_more_patterns_than_can_be_compared_with_every_wallet_are_refused() -> None:
    rows = "".join(f"*{number}*,voice,5\n" for number in range(20_000))
    sheet, _ = read_limits(f"wallet,category,warning_below\n{rows}".encode())
    assert ["at most 1,000 rows may have a pattern as their wallet"] == [
        str(fault) for fault in import_sheet(sheet, [], KNOWN).faults
    ]


@pytest.mark.slow
def test_a_workbook_may_have_five_thousand_rows() -> None:
    known = [WalletName(f"acme/app{index}") for index in range(5000)]
    rows = [
        ThresholdRow(wallet=name, warning_below=1000, critical_below=10, note="call sales") for name in known
    ]
    data = write_limits(cells_of(rows))
    sheet, _ = read_limits(data)
    edited = import_sheet(sheet, [], known)
    assert 5000 == len(edited.changes)

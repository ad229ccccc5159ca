"""Threshold sheets as files: a workbook says the same as the CSV file, and nothing in it runs."""

from collections.abc import Callable
from datetime import date
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from openpyxl import Workbook, load_workbook

from balancebot.domain.balance import Category, WalletName
from balancebot.domain.threshold import OFF, ThresholdBook, ThresholdRow
from balancebot.thresholds.edit import EditFault
from balancebot.thresholds.files import read_sheet_file, write_xlsx
from balancebot.thresholds.sheet import SheetRow, cells_of, cells_of_all, import_sheet, write_csv

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


def test_a_workbook_goes_out_and_comes_back_as_it_was() -> None:
    for table in (cells_of(ROWS), cells_of_all(ThresholdBook(ROWS), KNOWN)):
        sheet, faults = read_sheet_file(write_xlsx(table))
        edited = import_sheet(sheet, ROWS, KNOWN)
        assert ((), (), ()) == (faults, edited.faults, edited.changes)
    assert set(ROWS) == set(import_sheet(read_sheet_file(write_xlsx(cells_of(ROWS)))[0], [], KNOWN).rows)


def test_no_text_of_a_workbook_is_a_formula_and_numbers_are_numbers() -> None:
    sheet = load_workbook(BytesIO(write_xlsx(cells_of(ROWS)))).worksheets[0]
    assert ["*", "*", None, None, 1.5, None, None, "=SUM(A1:A9)"] == [cell.value for cell in sheet[2]]
    assert "f" not in {cell.data_type for row in sheet for cell in row}
    assert sheet["H2"].quotePrefix
    assert 12_345 == sheet["C4"].value


def test_a_csv_file_is_known_by_what_it_holds() -> None:
    data = write_csv(cells_of(ROWS)).encode()
    assert set(ROWS) == set(import_sheet(read_sheet_file(data)[0], [], KNOWN).rows)


def test_cells_count_as_what_a_person_sees_in_them() -> None:
    def fill(book: Workbook) -> None:
        book.active.append(["wallet", 1000.0, 0.5, True, date(2026, 7, 1), None, 0.1 + 0.2])
        book.active["C1"].number_format = "0%"

    assert (
        (SheetRow(line=1, cells=("wallet", "1000", "50%", "True", "2026-07-01 00:00:00", "", "0.3")),),
        (),
    ) == (read_sheet_file(workbook(fill)))


def test_blank_rows_are_let_pass_and_lines_are_those_of_the_spreadsheet() -> None:
    def fill(book: Workbook) -> None:
        book.active["A3"], book.active["A6"] = "wallet", "acme"

    assert (3, 6) == tuple(row.line for row in read_sheet_file(workbook(fill))[0])


def test_a_formula_counts_as_its_last_value_and_one_without_is_refused_by_its_row() -> None:
    def fill(book: Workbook) -> None:
        book.active.append(["wallet", "=1+1"])
        book.active.append(["acme", "=2+2"])

    data = workbook(fill)
    message = (
        "the formula in B{} has no value: save the file in a spreadsheet first, or write the number itself"
    )
    assert (
        EditFault(message=message.format(1), line=1),
        EditFault(message=message.format(2), line=2),
    ) == read_sheet_file(data)[1]

    calculated = BytesIO()
    with ZipFile(BytesIO(data)) as old, ZipFile(calculated, "w", ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"<f>1+1</f><v />", b"<f>1+1</f><v>2</v>"))
    rows, faults = read_sheet_file(calculated.getvalue())
    assert (("wallet", "2"), [2]) == (rows[0].cells, [fault.line for fault in faults])


HEADER = ["wallet", "category", "warning_below"]


def test_merged_cells_are_refused_since_all_but_the_first_are_empty() -> None:
    def fill(book: Workbook) -> None:
        book.active.append(HEADER)
        book.active.append(["acme", "voice", 100])
        book.active.append(["acme", "market"])
        book.active.merge_cells("C2:C3")

    assert (
        EditFault(message="the cells C2:C3 are merged: split them, and fill in each", line=2),
    ) == read_sheet_file(workbook(fill))[1]


def test_of_several_sheets_the_one_with_limits_is_read() -> None:
    def fill(book: Workbook) -> None:
        book.active.append(["What this is for"])
        book.active.merge_cells("A1:F1")
        book.create_sheet("limits").append(HEADER)

    assert ((SheetRow(line=1, cells=tuple(HEADER)),), ()) == read_sheet_file(workbook(fill))


def test_several_sheets_with_limits_are_refused() -> None:
    def fill(book: Workbook) -> None:
        for name in ("October", "November"):
            book.create_sheet(name).append(["钱包", "类型", "预警余量"])

    message = "more than one sheet holds limits (October, November): leave one of them"
    assert ((), (EditFault(message=message),)) == read_sheet_file(workbook(fill))


def bomb() -> bytes:
    out = BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"\0" * (65 * 2**20))
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xd0\xcf\x11\xe0rest", "the file is an old .xls or has a password: save it as .xlsx or CSV"),
        (b"PK\x03\x04rest", "the file is damaged, or no workbook"),
        (write_xlsx(cells_of(ROWS))[:-200], "the file is damaged, or no workbook"),
        (bomb(), "the file unpacks to more than 64 MB"),
    ],
    ids=["old", "garbage", "cut off", "bomb"],
)
def test_a_file_that_is_no_sheet_says_why(data: bytes, message: str) -> None:
    assert ((), (EditFault(message=message),)) == read_sheet_file(data)


def test_a_zip_file_that_is_no_workbook_says_so() -> None:
    out = BytesIO()
    with ZipFile(out, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types")
    assert ((), (EditFault(message="the file is damaged, or no workbook"),)) == read_sheet_file(
        out.getvalue()
    )


def test_a_row_far_below_is_more_rows_than_allowed() -> None:
    def fill(book: Workbook) -> None:
        book.active["A1"], book.active["A200000"] = "wallet", "acme"

    assert "the sheet has more than 100,000 rows" == read_sheet_file(workbook(fill))[1][0].message


@pytest.mark.slow
def test_five_thousand_rows_go_through_a_workbook() -> None:
    known = [WalletName(f"acme/app{index}") for index in range(5000)]
    rows = [
        ThresholdRow(wallet=name, warning_below=1000, critical_below=10, note="call sales") for name in known
    ]
    data = write_xlsx(cells_of(rows))
    sheet, _ = read_sheet_file(data)
    edited = import_sheet(sheet, [], known)
    assert 5000 == len(edited.changes)

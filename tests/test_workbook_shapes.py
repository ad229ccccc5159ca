"""Workbooks as Excel, WPS and LibreOffice save them: each cell is read as people see it, or refused with its position."""

from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from balancebot.domain.balance import WalletName
from balancebot.thresholds.sheet import import_sheet, read_limits

_TRANSITIONAL = (
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
    "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
)
_STRICT = (
    "http://purl.oclc.org/ooxml/spreadsheetml/main",
    "http://purl.oclc.org/ooxml/officeDocument/relationships",
)
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_BOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
_MACRO_BOOK = "application/vnd.ms-excel.sheet.macroEnabled.main+xml"


def _text(place: str, text: str) -> str:
    return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'


HEADER = (
    '<row r="1">'
    + "".join(map(_text, ("A1", "B1", "C1", "D1"), ("wallet", "category", "warning_below", "note")))
    + "</row>"
)


def limits(cell: str, below: str = "") -> str:
    """Return the rows of a sheet with one limit, whose count is `cell` in C2."""
    names = _text("A2", "acme/checkout") + _text("B2", "industry")
    return f'{HEADER}<row r="2" spans="1:9">{names}{cell}{_text("D2", "n")}</row>{below}'


def workbook(
    rows: str,
    *,
    shared: str = "",
    namespaces: tuple[str, str] = _TRANSITIONAL,
    kind: str = _BOOK,
    begins_1904: bool = False,
) -> bytes:
    """Return a workbook of these parts; style 1 is Excel's date, 2 a date of WPS, 3 a percentage."""
    main, office = namespaces
    links = "".join(
        f'<Relationship Id="rId{number}" Type="{office}/{name}" Target="{target}"/>'
        for number, (name, target) in enumerate(
            [
                ("worksheet", "worksheets/sheet1.xml"),
                ("sharedStrings", "sharedStrings.xml"),
                ("styles", "styles.xml"),
            ],
            start=1,
        )
    )
    styles = "".join(f'<xf numFmtId="{number}"/>' for number in (0, 14, 176, 9))
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}">'
        f'<workbookPr date1904="{int(begins_1904)}"/>'
        '<sheets><sheet name="限值" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">{links}</Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>',
        "xl/styles.xml": f'<styleSheet xmlns="{main}">'
        '<numFmts><numFmt numFmtId="176" formatCode="yyyy/m/d;@"/></numFmts>'
        f"<cellXfs>{styles}</cellXfs></styleSheet>",
        "xl/sharedStrings.xml": f'<sst xmlns="{main}">{shared}</sst>',
    }
    out = BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as archive:
        for name, xml in parts.items():
            archive.writestr(name, f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>{xml}')
    return out.getvalue()


def result_of(data: bytes) -> list[object]:
    """Return the counts that were accepted, or the faults."""
    rows, faults = read_limits(data)
    if faults:
        return [str(fault) for fault in faults]
    edited = import_sheet(rows, [], [WalletName("acme/checkout")])
    return [str(fault) for fault in edited.faults] or [row.warning_below for row in edited.rows]


NO_NUMBER = "line 2, warning_below: must be a number, `off` or `inherit`, not "
NO_VALUE = "line 2: the formula in C2 has no value: save the file in a spreadsheet first, or write the number"
EMPTIES = (
    '<row r="3"><c r="A3" s="1"/><c r="C3" s="2"/></row><row r="4" s="1" customFormat="1"/>'
    '<row r="900"><c r="J900" s="3"/></row>'
)
CELLS: dict[str, tuple[str, object]] = {
    "a number": ('<c r="C2"><v>60000</v></c>', 60_000),
    "a number with noise": ('<c r="C2"><v>59999.999999999993</v></c>', 60_000),
    "a number with an exponent": ('<c r="C2"><v>6.0E4</v></c>', 60_000),
    "a number as text": (_text("C2", "60,000"), 60_000),
    "a number of a Chinese keyboard": (_text("C2", "６０，０００"), 60_000),
    "a number in ten thousands": (_text("C2", "6 万"), 60_000),
    "text in two fonts": (
        '<c r="C2" t="inlineStr"><is><r><t>60</t></r><r><rPr><b/></rPr><t>000</t></r></is></c>',
        60_000,
    ),
    "a formula with its value": ('<c r="C2"><f>A9*2</f><v>60000</v></c>', 60_000),
    "a formula that comes to text": ('<c r="C2" t="str"><f>"60"&amp;"000"</f><v>60000</v></c>', 60_000),
    "a formula that comes to nothing": ('<c r="C2" t="str"><f>""</f><v></v></c>', None),
    "a formula without a value": ('<c r="C2"><f t="shared" si="0"/></c>', NO_VALUE),
    "an empty cell with a date's format": ('<c r="C2" s="1"/>', None),
    "a date": ('<c r="C2" s="1"><v>45000</v></c>', f"{NO_NUMBER}'2023-03-15'"),
    "a date of WPS": ('<c r="C2" s="2"><v>45000</v></c>', f"{NO_NUMBER}'2023-03-15'"),
    "a date in ISO": ('<c r="C2" t="d"><v>2026-11-05</v></c>', f"{NO_NUMBER}'2026-11-05'"),
    "true": ('<c r="C2" t="b"><v>1</v></c>', f"{NO_NUMBER}'True'"),
    "a percentage": (
        '<c r="C2" s="3"><v>0.05</v></c>',
        "line 2, warning_below: must be a whole number of messages, not '5%'",
    ),
    "an error": (
        '<c r="C2" t="e"><v>#DIV/0!</v></c>',
        "line 2: the cell C2 contains an error such as #N/A",
    ),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_is_read_as_people_see_it_or_refused_with_its_position(name: str) -> None:
    cell, expected = CELLS[name]
    assert [expected] == result_of(workbook(limits(cell)))


@pytest.mark.parametrize(
    "data",
    [
        workbook(limits('<c r="C2"><v>60000</v></c>'), namespaces=_STRICT),
        workbook(limits('<c r="C2"><v>60000</v></c>'), kind=_MACRO_BOOK),
        workbook(limits('<c r="C2"><v>60000</v></c>', EMPTIES)),
        workbook(limits("<c><v>60000</v></c>").replace(' r="D2"', "")),
    ],
    ids=["strict", "xlsm", "rows and cells that are formatted and empty", "cells without a place"],
)
def test_workbooks_of_all_programs_are_read(data: bytes) -> None:
    assert [60_000] == result_of(data)


@pytest.mark.parametrize("part", ["mimetype", "xl/workbook.bin"], ids=["ods", "xlsb"])
def test_a_workbook_in_another_format_is_refused(part: str) -> None:
    out = BytesIO(workbook(limits('<c r="C2"><v>60000</v></c>')))
    with ZipFile(out, "a") as archive:
        archive.writestr(part, "application/vnd.oasis.opendocument.spreadsheet")
    assert ["the file is an .ods or .xlsb: save it as .xlsx or CSV"] == result_of(out.getvalue())


def test_dates_count_from_1904_if_the_workbook_says_so() -> None:
    data = workbook(limits('<c r="C2" s="1"><v>45000</v></c>'), begins_1904=True)
    assert [f"{NO_NUMBER}'2027-03-16'"] == result_of(data)


def test_shared_texts_may_have_several_fonts_and_phonetic_hints() -> None:
    shared = (
        '<si><t>wallet</t></si><si><t xml:space="preserve"> category </t></si>'
        '<si><r><t>warning</t></r><r><rPr><sz val="9"/></rPr><t>_below</t></r></si>'
        '<si><r><t xml:space="preserve">acme/</t></r><r><t>checkout</t></r><rPh sb="0" eb="1"><t>ア</t></rPh></si>'
        '<si><t>行业短信</t><phoneticPr fontId="1"/></si>'
    )
    rows = (
        '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c><c r="C1" t="s"><v>2</v></c></row>'
        '<row r="2"><c r="A2" t="s"><v>3</v></c><c r="B2" t="s"><v>4</v></c><c r="C2"><v>60000</v></c></row>'
    )
    assert [60_000] == result_of(workbook(rows, shared=shared))

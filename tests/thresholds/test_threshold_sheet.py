"""Threshold sheets: an export is imported unchanged, and an import is applied completely or refused completely."""

import csv
from io import StringIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balancebot.domain.balance import Category, WalletName
from balancebot.domain.threshold import OFF, ThresholdBook, ThresholdRow
from balancebot.domain.threshold_cell import read_note
from balancebot.sheet_writer import guarded, unguarded, write_csv
from balancebot.sheets import SheetRow
from balancebot.thresholds.edit import RowChange
from balancebot.thresholds.sheet import (
    HEADER,
    cells_of,
    cells_of_all,
    import_sheet,
    in_language,
    read_limits,
    write_limits,
)

KNOWN = [WalletName(name) for name in ("acme", "acme/checkout", "-acme", " acme/x ")]
VOICE = Category.VOICE
FULL = ThresholdRow(
    wallet="acme/checkout",
    category=VOICE,
    warning_below=1000,
    critical_below=0,
    warning_days=7.5,
    critical_days=OFF,
    lead_time_days=3.0,
    note="call sales",
)


def applied(text: str | bytes, rows: list[ThresholdRow] | None = None) -> tuple[ThresholdRow, ...]:
    sheet, unreadable = read_limits(text.encode() if isinstance(text, str) else text)
    edited = import_sheet(sheet, rows or [], KNOWN)
    assert ((), ()) == (unreadable, edited.faults)
    return edited.rows


def refused(text: str | bytes, rows: list[ThresholdRow] | None = None) -> list[str]:
    sheet, unreadable = read_limits(text.encode() if isinstance(text, str) else text)
    return [str(fault) for fault in unreadable or import_sheet(sheet, rows or [], KNOWN).faults]


def test_a_row_is_written_in_the_order_of_the_columns() -> None:
    assert (
        "wallet,category,warning_below,critical_below,warning_days,critical_days,lead_time_days,note\n"
        "*,*,,,,,,all\n"
        "acme/checkout,voice,1000,0,7.5,off,3,call sales\n"
    ) == write_csv(cells_of([FULL, ThresholdRow(wallet="*", note="all")]))


def test_columns_may_be_in_any_order_with_chinese_names_and_values() -> None:
    text = (
        "备注,类型,钱包,预警余量,严重余量,预警天数,严重天数,采购天数\n"
        'call sales,语音短信, acme/checkout ,"1,000",0,7.5,off,3\n'
    )
    assert (FULL,) == applied(text)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gbk", "utf-16"])
def test_the_encodings_of_spreadsheets_are_supported(encoding: str) -> None:
    text = "钱包,类型,备注\r\nacme,*,找采购\r\n"
    assert (ThresholdRow(wallet="acme", note="找采购"),) == applied(text.encode(encoding))


@pytest.mark.parametrize("separator", [";", "\t"])
def test_semicolons_and_tabs_are_separators_too(separator: str) -> None:
    text = "wallet,category,warning_below\nacme,voice,5\n".replace(",", separator)
    assert (ThresholdRow(wallet="acme", category=VOICE, warning_below=5),) == applied(text)


def test_each_row_in_the_sheet_is_replaced_and_the_others_stay() -> None:
    other = ThresholdRow(wallet="acme", warning_below=9)
    text = "wallet,category,critical_below,note\nacme/checkout,voice,4,\n"
    sheet, _ = read_limits(text.encode())
    edited = import_sheet(sheet, [FULL, other], KNOWN)
    after = ThresholdRow(wallet="acme/checkout", category=VOICE, critical_below=4)
    assert (RowChange(scope=FULL.scope, before=FULL, after=after),) == edited.changes
    assert {after, other} == set(edited.rows)


def test_a_missing_column_that_removes_a_value_is_a_warning() -> None:
    sheet, _ = read_limits(b"wallet,category,warning_below,critical_below,warning_days,critical_days,lead_time_days\n"
                        b"acme/checkout,voice,1000,0,7.5,off,3\n")  # fmt: skip
    assert ["line 2, note: the sheet has no such column: acme/checkout:voice loses its value"] == [
        str(warning) for warning in import_sheet(sheet, [FULL], KNOWN).warnings
    ]


def test_every_fault_has_its_line_and_column_even_if_rows_span_several_lines() -> None:
    text = (
        "wallet,category,warning_below,critical_days,note\n"
        'acme,voice,50%,-1,"first\nsecond"\n'
        "\n"
        "acme/chekout,vioce,,,\n"
        "acme/chekout,voice,1,,\n"
        "acme,market,1,,\n"
        "acme,market,2,,\n"
        "acme,voice,,,,stray\n"
    )
    assert [
        "line 2, warning_below: must be a whole number of messages, not '50%'",
        "line 2, critical_days: '-1' is below 0",
        "line 5, wallet: no wallet acme/chekout is configured; did you mean acme/checkout?",
        "line 5, category: there is no category 'vioce'; did you mean voice?",
        "line 6, wallet: no wallet acme/chekout is configured; did you mean acme/checkout?",
        "line 8, wallet: acme:market is already in line 7",
        "line 9: has a cell that is under no column",
    ] == refused(text)


def test_an_inversion_names_the_line_that_causes_it() -> None:
    text = "wallet,category,critical_below\nacme,voice,1\nacme,market,50\n"
    assert [
        "line 3, critical_below: acme:market: critical_below 50 (from acme:market) is looser than warning_below 10 "
        "(from acme:*)"
    ] == refused(text, [ThresholdRow(wallet="acme", warning_below=10)])


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", [f"line 1: the sheet is empty: its header is {','.join(HEADER)}"]),
        (
            "wallet,warning_belov,wallet\n",
            [
                "line 1: the column 'warning_belov' is unknown; did you mean warning_below?",
                "line 1, wallet: the column wallet occurs twice",
                "line 1, category: the column category is missing",
            ],
        ),
        (
            'wallet,category\nacme,*\nacme,"*\n',
            ["line 3: the row that begins here can't be read: unexpected end of data"],
        ),
    ],
)
def test_a_file_that_is_not_a_sheet_is_refused_with_the_reason(text: str | bytes, faults: list[str]) -> None:
    assert faults == refused(text)


def test_an_export_shows_the_effective_limits_and_changes_nothing_when_imported() -> None:
    rows = [ThresholdRow(wallet="*", warning_below=5, note="=all"), FULL]
    table = write_csv(cells_of_all(ThresholdBook(rows), KNOWN))
    lines = {(line["wallet"], line["category"]): line for line in csv.DictReader(StringIO(table))}
    assert 1 + 4 * len(KNOWN) == len(lines)
    assert {
        **dict.fromkeys(HEADER, ""),
        "wallet": "acme",
        "category": "voice",
        "effective_warning_below": "5",
        "effective_critical_below": "",
        "effective_warning_days": "7",
        "effective_critical_days": "3",
        "effective_lead_time_days": "3",
        "effective_note": "'=all",
    } == lines["acme", "voice"]
    sheet, _ = read_limits(table.encode())
    edited = import_sheet(sheet, rows, KNOWN)
    assert ((), (), ()) == (edited.changes, edited.faults, edited.warnings)


_LIMITS = st.none() | st.just(OFF) | st.integers(0, 2**63 - 1)
_DAYS = st.none() | st.just(OFF) | st.floats(0.001, 365).map(lambda days: round(days, 6))
_NOTES = (
    st.tuples(st.sampled_from(["", "=", "+", "-", "@", "'", "''=", "＝", "\t=", "\r@"]), st.text(max_size=30))
    .map("".join)
    .map(read_note)
    .filter(lambda note: isinstance(note, str))
)


@settings(max_examples=50)
@given(
    st.builds(
        ThresholdRow,
        wallet=st.sampled_from([*KNOWN, "*", "acme/*", "-*"]),
        category=st.sampled_from([None, *Category]),
        warning_below=_LIMITS,
        critical_below=st.sampled_from([None, OFF]),
        warning_days=_DAYS,
        critical_days=st.just(OFF),
        lead_time_days=st.none() | st.floats(0, 365).map(lambda days: round(days, 6)),
        note=_NOTES,
    )
)
def test_an_exported_row_is_imported_unchanged_and_no_cell_is_a_formula(row: ThresholdRow) -> None:
    table = write_csv(cells_of([row]))
    assert (row,) == applied(table)
    for cells in csv.reader(StringIO(table, newline="")):
        assert not any(
            cell.startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")) for cell in cells
        )


@given(st.text())
def test_only_the_apostrophe_added_by_the_export_is_removed(text: str) -> None:
    assert text == unguarded(guarded(text))


def test_five_thousand_rows_are_read_and_checked_together() -> None:
    known = [WalletName(f"acme/app{index}") for index in range(5000)]
    rows = [
        ThresholdRow(wallet=name, category=VOICE, warning_below=index) for index, name in enumerate(known)
    ]
    data = write_csv(cells_of(rows)).encode()
    edited = import_sheet(read_limits(data)[0], [], known)
    assert 5000 == len(edited.changes)


def test_a_row_may_be_shorter_than_the_header() -> None:
    sheet = [SheetRow(line=1, cells=("wallet", "category", "note")), SheetRow(line=2, cells=("acme", "*"))]
    assert ((), ()) == (import_sheet(sheet, [], KNOWN).faults, import_sheet(sheet, [], KNOWN).rows)


def test_a_chinese_workbook_has_chinese_headers_and_values_and_can_be_imported() -> None:
    rows = [
        ThresholdRow(
            wallet="acme", category=Category.VOICE, warning_below=OFF, critical_days=1.5, note="off 找采购部"
        ),
        ThresholdRow(wallet="*", lead_time_days=2),
    ]
    table = list(in_language(cells_of_all(ThresholdBook(rows), KNOWN, ()), "zh-CN"))
    assert ("钱包", "类型", "预警余量", "严重余量", "预警天数", "严重天数", "采购天数", "备注") == table[0][
        :8
    ]
    assert {"全类型短信", "语音短信", "行业短信", "营销短信", "*"} == {row[1] for row in table[1:]}
    assert ("关闭", "", "", 1.5, "", "off 找采购部") == next(
        row[2:8] for row in table if row[:2] == ("acme", "语音短信")
    )
    sheet, faults = read_limits(write_limits(table))
    edited = import_sheet(sheet, rows, KNOWN)
    assert ((), (), ()) == (edited.changes, faults, edited.faults)

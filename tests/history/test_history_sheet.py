"""Past readings as CSV."""

from io import BytesIO

import pytest

from balancebot.domain.balance import Absent, BalanceKey, Category, WalletName
from balancebot.history.files import COLUMNS, HistoryRow, open_history, read_history
from balancebot.sheet_writer import write_xlsx
from balancebot.sheets import InputFault
from tests.history.lines import sheet_of

KEY = BalanceKey(WalletName("acme/checkout"), Category.INDUSTRY)
HEADER = "observed_at,wallet,category,balance"


def read(*lines: str) -> list[HistoryRow | InputFault]:
    return list(read_history(sheet_of(lines)))


def test_columns_may_be_in_any_order_with_bom_and_chinese_names() -> None:
    assert [
        HistoryRow(1795326900.0, KEY, 1234, 2),
        HistoryRow(1795326900.0, KEY, Absent.UNALLOCATED, 4),
    ] == read(
        "\ufeff余量,类型,钱包,observed_at",
        '"1,234",行业短信,acme/checkout,2026-11-22T13:55:00+08:00',
        "",
        ",industry,acme/checkout,2026-11-22T05:55:00Z",
    )


@pytest.mark.parametrize(
    ("row", "column", "message"),
    [
        ("2026-11-22T05:55:00,acme,voice,1", "observed_at", "no instant with its offset"),
        ("yesterday,acme,voice,1", "observed_at", "no instant with its offset"),
        ("2026-11-22T05:55:00Z,,voice,1", "wallet", "is empty"),
        ("2026-11-22T05:55:00Z,acme,industri,1", "category", "did you mean industry?"),
        ("2026-11-22T05:55:00Z,acme,voice,-1", "balance", "is below 0"),
        ("2026-11-22T05:55:00Z,acme,voice,1.5", "balance", "must be a whole number"),
        ("2026-11-22T05:55:00Z,acme,voice,off", "balance", "must be a whole number"),
        (
            "2026-11-22T05:55:00Z,acme,voice,9223372036854775808",
            "balance",
            "must be at most 9223372036854775807",
        ),
        ("2026-11-22T05:55:00Z,acme,voice,1,5", "", "has 5 cells, the header has 4"),
        ("9999-12-31T23:59:59+00:00,acme,voice,1", "observed_at", "between the years 2000 and 2100"),
        ("0001-01-01T00:00:00+14:00,acme,voice,1", "observed_at", "between the years 2000 and 2100"),
    ],
)
def test_a_bad_row_names_its_line_and_column(row: str, column: str, message: str) -> None:
    (fault,) = read(HEADER, row)
    assert isinstance(fault, InputFault)
    assert (2, column) == (fault.line, fault.column)
    assert message in str(fault.message)


def test_a_missing_column_is_reported_once_with_the_nearest_name() -> None:
    (fault,) = read("observed_at,walet,category,balance", "x,y,z,1")
    assert str(fault) == "line 1, wallet: the column is missing; did you mean walet?"


def test_an_empty_file_is_refused_for_its_missing_header() -> None:
    assert 4 == len(read())


def test_a_quote_that_never_ends_is_a_fault() -> None:
    (fault,) = read(HEADER, '2026-11-22T05:55:00Z,"acme' + "x" * 200_000, "")
    assert "line 2: the row that begins here can't be read: field larger than field limit (131072)" == str(
        fault
    )


@pytest.mark.parametrize("encoding", ["gbk", "utf-16", "utf-8-sig"])
def test_history_is_read_in_every_encoding_and_between_semicolons(encoding: str) -> None:
    text = "observed_at;钱包;类型;余量\r\n;;;\r\n2026-11-22T05:55:00Z;acme/checkout;行业短信;7\r\n"
    found = list(read_history(open_history(BytesIO(text.encode(encoding)))))
    assert [HistoryRow(1795326900.0, KEY, 7, 3)] == found


def test_a_comma_between_semicolons_groups_the_digits_of_a_whole_number() -> None:
    """A balance can't be 1.5 messages, so the number is unambiguous."""
    (row,) = read(HEADER.replace(",", ";"), "2026-11-22T05:55:00Z;acme;voice;1,500")
    assert isinstance(row, HistoryRow)
    assert 1500 == row.reading


def test_history_may_be_a_workbook() -> None:
    rows: list[tuple[str | int, ...]] = [COLUMNS, ("2026-11-22T05:55:00Z", "acme/checkout", "industry", 7)]
    data = write_xlsx(rows, title="history", widths=(30, 30, 10, 10))
    assert [HistoryRow(1795326900.0, KEY, 7, 2)] == list(read_history(open_history(BytesIO(data))))

"""Past readings as CSV."""

import pytest

from balancebot.domain.balance import Absent, BalanceKey, Category, WalletName
from balancebot.history.files import HistoryFault, HistoryRow, read_history

KEY = BalanceKey(WalletName("acme/checkout"), Category.INDUSTRY)
HEADER = "observed_at,wallet,category,balance"


def read(*lines: str) -> list[HistoryRow | HistoryFault]:
    return list(read_history(lines))


def test_rows_are_read_in_any_order_of_columns_with_bom_and_chinese_words() -> None:
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
        ("2026-11-22T05:55:00Z,acme,voice,-1", "balance", "no whole number"),
        ("2026-11-22T05:55:00Z,acme,voice,1.5", "balance", "no whole number"),
        ("2026-11-22T05:55:00Z,acme,voice,9223372036854775808", "balance", "no whole number"),
        ("2026-11-22T05:55:00Z,acme,voice", "", "has 3 cells"),
    ],
)
def test_a_bad_row_names_its_line_and_column(row: str, column: str, message: str) -> None:
    (fault,) = read(HEADER, row)
    assert isinstance(fault, HistoryFault)
    assert (2, column) == (fault.line, fault.column)
    assert message in fault.message


def test_a_missing_column_is_told_once_with_the_nearest_name() -> None:
    (fault,) = read("observed_at,walet,category,balance", "x,y,z,1")
    assert str(fault) == "line 1, wallet: the column is missing; did you mean walet?"


def test_an_empty_file_lacks_its_header() -> None:
    assert 4 == len(read())


def test_a_quote_that_never_ends_is_a_fault() -> None:
    (fault,) = read(HEADER, '2026-11-22T05:55:00Z,"acme' + "x" * 200_000, "")
    assert "line 2: is no CSV: field larger than field limit (131072)" == str(fault)

"""Values that people type into a cell of a threshold sheet."""

import pytest

from balancebot.domain.balance import Category
from balancebot.domain.threshold import OFF, Off
from balancebot.domain.threshold_cell import (
    read_category,
    read_column,
    read_count,
    read_days,
    read_note,
    read_wallet,
    written,
)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1000", 1000),
        (" 1,000 ", 1000),
        ("1 000", 1000),
        ("1\N{NO-BREAK SPACE}000\N{NO-BREAK SPACE}000", 1_000_000),
        ("1\N{NARROW NO-BREAK SPACE}000", 1000),
        ("1'000", 1000),
        ("１，０００", 1000),
        ("+5", 5),
        ("0", 0),
        ("1000.0", 1000),
        ("12,345,678.00", 12_345_678),
        ("1,000,000%", 10_000),
        ("500 ％", 5),
        ("20k", 20_000),
        ("1.5K", 1500),
        ("5万", 50_000),
        ("1.2 萬", 12_000),
        ("３千", 3000),
        ("2m", 2_000_000),
        ("1,000万", 10_000_000),
        ("9223372036854775807", 2**63 - 1),
        ("OFF", OFF),
        ("关闭", OFF),
        ("", None),
        ("  ", None),
        ("inherit", None),
    ],
)
def test_a_count_is_read_the_way_spreadsheets_write_it(text: str, count: int | Off | None) -> None:
    assert count == read_count(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("50%", "must be a whole number of messages, not '50%'"),
        ("50％", "must be a whole number of messages, not '50％'"),
        ("%", "must be a number, `off` or `inherit`, not '%'"),
        ("-1", "'-1' is below 0"),
        ("1.5", "must be a whole number of messages, not '1.5'"),
        ("1.000", "'1.000' can be read in two ways: write thousands as 1,000 or 1000"),
        ("1,5", "'1,5' can be read in two ways: write 1.5 for a fraction, 1,500 for thousands"),
        ("1.250k", "'1.250k' can be read in two ways: write thousands as 1,000 or 1000"),
        ("2,5万", "'2,5万' can be read in two ways: write 1.5 for a fraction, 1,500 for thousands"),
        ("1.2345k", "must be a whole number of messages, not '1.2345k'"),
        ("5kk", "must be a number, `off` or `inherit`, not '5kk'"),
        ("1,0000", "'1,0000' can be read in two ways: write 1.5 for a fraction, 1,500 for thousands"),
        ("1.2E+05", "'1.2E+05' may have lost digits: write all digits of the number"),
        ("1,000 000", "must be a number, `off` or `inherit`, not '1,000 000'"),
        ("=1+1", "must be a number, `off` or `inherit`, not '=1+1'"),
        ("nan", "must be a number, `off` or `inherit`, not 'nan'"),
        ("٣", "must be a number, `off` or `inherit`, not '٣'"),
        ("9223372036854775808", "must be at most 9223372036854775807"),
        ("9" * 41, f"must be a number, `off` or `inherit`, not '{'9' * 41}'"),
    ],
)
def test_an_invalid_or_ambiguous_count_is_refused_with_what_to_write(text: str, message: str) -> None:
    assert message == str(read_count(text))


@pytest.mark.parametrize(
    ("text", "days"),
    [("7", 7.0), ("1.5", 1.5), ("0.25", 0.25), ("50%", 0.5), ("365", 365.0), ("off", OFF), ("", None)],
)
def test_days_may_have_a_fraction(text: str, days: float | Off | None) -> None:
    assert days == read_days(text)


@pytest.mark.parametrize("text", ["0", "0.0", "0.0000001"])
def test_days_must_be_above_zero(text: str) -> None:
    assert "must be above 0 days; `off` means no limit" == str(read_days(text))


@pytest.mark.parametrize("text", ["365.1", "9e9", "400", "9" * 39])
def test_days_are_limited_to_the_longest_estimated_runway(text: str) -> None:
    assert not isinstance(read_days(text), float)


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        ("warning_days", "1,5", 1.5),
        ("warning_days", "0,500", 0.5),
        ("warning_days", "1.5", 1.5),
        ("warning_below", "1,500", 1500),
        ("warning_below", "1.500", 1500),
        ("warning_below", "1.234.567", 1_234_567),
        ("warning_below", "1.000,00", 1000),
        ("warning_below", "2,5k", 2500),
        ("warning_below", "20000", 20_000),
    ],
)
def test_between_semicolons_an_unambiguous_number_is_accepted(column: str, text: str, value: float) -> None:
    assert value == read_column(column, text, comma_is_decimal=True)


@pytest.mark.parametrize(
    ("column", "text", "both"),
    [
        ("warning_days", "1,500", "write 1.5 or 1500"),
        ("critical_days", "2.250", "write 2.25 or 2250"),
        ("lead_time_days", "7,000", "write 7 or 7000"),
        ("warning_below", "12,000", "write 12 or 12000"),
    ],
)
def test_between_semicolons_an_ambiguous_number_is_refused_with_both_meanings(
    column: str, text: str, both: str
) -> None:
    assert f"'{text}' can be read in two ways: {both}" == str(
        read_column(column, text, comma_is_decimal=True)
    )


def test_a_lead_time_may_be_zero_or_empty_but_not_off() -> None:
    assert [0.0, 2.5, None] == [read_column("lead_time_days", text) for text in ("0", "2.5", "")]
    assert "can't be off: write 0, or leave it empty to inherit" == str(read_column("lead_time_days", "off"))
    assert "must be from 0 to 365 days" == str(read_column("lead_time_days", "400"))


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("industry", Category.INDUSTRY),
        (" Market ", Category.MARKET),
        ("行业短信", Category.INDUSTRY),
        ("*", None),
    ],
)
def test_a_category_may_be_written_in_english_or_chinese(text: str, category: Category | None) -> None:
    assert category == read_category(text)


def test_an_unknown_category_is_refused_with_the_nearest() -> None:
    assert "there is no category 'vioce'; did you mean voice?" == str(read_category("vioce"))
    assert "there is no category '行业'; did you mean 行业短信?" == str(read_category("行业"))
    assert "is empty: write one of universal, voice, industry, market, or * for all" == str(
        read_category(" ")
    )


def test_a_wallet_with_its_category_in_one_cell_is_refused_with_advice_to_split_it() -> None:
    assert "contains ':': the category has its own field, so write only 'acme'" == str(
        read_wallet("acme:voice")
    )


def test_a_note_is_trimmed_and_its_line_breaks_are_normalized() -> None:
    assert "call sales\n=then\nwait" == read_note("\tcall sales\r\n=then\rwait \n")
    assert "has 1001 characters: at most 1000 are allowed" == str(read_note("x" * 1001))
    assert "contains a control character" == str(read_note("a\x07b"))


def test_a_written_value_is_read_back_unchanged() -> None:
    assert ["7", "0.125", "0", "off", "", "x"] == [written(v) for v in (7.0, 0.125, 0, OFF, None, "x")]

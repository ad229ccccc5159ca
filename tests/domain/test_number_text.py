"""Numbers as people type them: unambiguous, or refused with what to write instead."""

from decimal import Decimal

import pytest

from balancebot.domain.balance import MAX_BALANCE
from balancebot.domain.number_text import as_count, folded, quoted, read_number, read_quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("20000", 20_000),
        ("20,000", 20_000),
        ("1,234,567", 1_234_567),
        ("20 000", 20_000),
        ("20'000", 20_000),
        ("+7", 7),
        ("20k", 20_000),
        ("20 K", 20_000),
        ("5万", 50_000),
        ("1.5万", 15_000),
        ("2百万", 2_000_000),
        ("2千万", 20_000_000),
        ("3亿", 300_000_000),
        ("3千", 3_000),
        ("2m", 2_000_000),
        ("１２", 12),
        (" 7 ", 7),
        (str(MAX_BALANCE), MAX_BALANCE),
    ],
)
def test_a_quantity_is_read_in_english_and_chinese(text: str, number: int) -> None:
    assert number == read_quantity(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "must be a whole number"),
        ("many", "must be a whole number"),
        ("1,23", "can be read in two ways: write 1.5 for a fraction"),
        ("12,34,567", "must be a whole number"),
        ("1.500", "write thousands as 1,000 or 1000"),
        ("2.5", "must be a whole number of messages"),
        ("-3", "is below 0"),
        ("−3", "is below 0"),
        ("1e5", "may have lost digits"),
        (str(MAX_BALANCE + 1), f"must be at most {MAX_BALANCE}"),
        ("9" * 41, "must be a whole number"),
        ("5 apples", "must be a whole number"),
    ],
)
def test_an_ambiguous_number_is_refused(text: str, fault: str) -> None:
    assert fault in str(read_quantity(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.5", Decimal("1.5")),
        ("1,500", Decimal(1500)),
        ("20k", None),
        ("50%", Decimal("0.5")),
        ("0.125", Decimal("0.125")),
    ],
)
def test_a_number_that_is_not_a_count_may_have_a_fraction_but_no_unit(
    text: str, expected: Decimal | None
) -> None:
    assert expected == read_number(text)


def test_a_unit_may_be_allowed_for_a_number_that_is_not_a_count() -> None:
    assert Decimal(1500) == read_number("1.5k", has_unit=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,5", Decimal("1.5")),
        ("1.500.000", Decimal(1_500_000)),
        ("1500", Decimal(1500)),
        ("1,500", "'1,500' can be read in two ways: write 1.5 or 1500"),
        ("1.250", "'1.250' can be read in two ways: write 1.25 or 1250"),
    ],
)
def test_with_a_comma_for_decimals_both_readings_are_named(text: str, expected: Decimal | str) -> None:
    found = read_number(text, comma_is_decimal=True)
    assert expected == (found if isinstance(found, Decimal) else str(found))


def test_a_count_is_read_as_a_whole_number() -> None:
    assert Decimal(1500) == read_number("1,500", is_count=True, comma_is_decimal=True)


def test_a_count_is_a_whole_number_that_can_be_stored() -> None:
    assert 3 == as_count(Decimal("3.0"), "3.0")
    assert "whole number of messages" in str(as_count(Decimal("3.5"), "3.5"))
    assert MAX_BALANCE == as_count(Decimal(MAX_BALANCE), "")


def test_typed_text_is_quoted_printable_and_short() -> None:
    assert ("'a b'", "'\\x1b'", f"'{'x' * 60}'", f"'{'x' * 60}…'") == (
        quoted(" a b "),
        quoted("\x1b"),
        quoted("x" * 60),
        quoted("x" * 61),
    )
    assert "abc 12" == folded(" ＡＢＣ\u00a0１２ ")

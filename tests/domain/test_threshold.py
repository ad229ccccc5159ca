"""Thresholds: each column comes from the most specific row that sets it."""

from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.threshold import (
    OFF,
    Effective,
    Inversion,
    LimitColumn,
    Limits,
    Origins,
    Scope,
    ThresholdBook,
    ThresholdRow,
)

CHECKOUT = WalletName("acme/checkout")
INDUSTRY, VOICE = Category.INDUSTRY, Category.VOICE


def test_without_rows_the_built_in_days_hold_and_no_counts() -> None:
    assert Effective(
        limits=Limits(warning_days=7, critical_days=3), lead_time_days=3, note="", origins=Origins()
    ) == ThresholdBook([]).effective(CHECKOUT, INDUSTRY)


def test_each_column_comes_from_the_most_specific_row_that_sets_it() -> None:
    book = ThresholdBook(
        [
            ThresholdRow(wallet="*", warning_below=100, critical_below=10, lead_time_days=9, note="all"),
            ThresholdRow(wallet="acme/*", category=INDUSTRY, warning_below=200, warning_days=OFF),
            ThresholdRow(wallet="acme/*", warning_below=300, note="apps"),
            ThresholdRow(wallet="acme/checkout", critical_below=OFF),
            ThresholdRow(wallet="acme/checkout", category=VOICE, warning_below=1),
        ]
    )
    assert Effective(
        limits=Limits(warning_below=200, critical_days=3),
        lead_time_days=9,
        note="apps",
        origins=Origins(
            warning_below=Scope("acme/*", INDUSTRY),
            critical_below=Scope("acme/checkout"),
            warning_days=Scope("acme/*", INDUSTRY),
            lead_time_days=Scope("*"),
            note=Scope("acme/*"),
        ),
    ) == book.effective(CHECKOUT, INDUSTRY)


def test_the_wallet_decides_before_the_category() -> None:
    book = ThresholdBook(
        [
            ThresholdRow(wallet="acme/*", category=INDUSTRY, warning_below=1),
            ThresholdRow(wallet="acme/checkout", warning_below=2),
        ]
    )
    assert 2 == book.effective(CHECKOUT, INDUSTRY).limits.warning_below


def test_of_two_patterns_the_one_with_more_letters_wins_and_then_the_alphabetically_first() -> None:
    rows = [
        ThresholdRow(wallet="*/checkout", warning_below=1),
        ThresholdRow(wallet="acme/*", warning_below=2),
        ThresholdRow(wallet="acme/ch*", warning_below=3),
        ThresholdRow(wallet="acme/*o*", warning_below=4),
    ]
    assert Scope("*/checkout") == ThresholdBook(rows).effective(CHECKOUT, VOICE).origins.warning_below
    assert Scope("acme/ch*") == ThresholdBook(rows[1:]).effective(CHECKOUT, VOICE).origins.warning_below
    tie = [ThresholdRow(wallet=wallet, warning_below=5) for wallet in ("ac*e/*", "acm*/*", "a*me/*")]
    assert Scope("a*me/*") == ThresholdBook(tie).effective(CHECKOUT, VOICE).origins.warning_below


def test_a_zero_is_a_limit_and_does_not_inherit() -> None:
    book = ThresholdBook(
        [
            ThresholdRow(wallet="*", warning_below=100, lead_time_days=9),
            ThresholdRow(wallet="acme/checkout", warning_below=0, lead_time_days=0),
        ]
    )
    effective = book.effective(CHECKOUT, VOICE)
    assert (0, 0) == (effective.limits.warning_below, effective.lead_time_days)


def test_a_name_that_is_shorter_than_a_pattern_is_matched_once() -> None:
    book = ThresholdBook(
        [ThresholdRow(wallet="ac*", warning_below=1), ThresholdRow(wallet="acme/checkout*", warning_below=2)]
    )
    assert 1 == book.effective(WalletName("ac"), VOICE).limits.warning_below


def test_a_row_that_only_has_off_counts_as_set_by_people() -> None:
    book = ThresholdBook(
        [
            ThresholdRow(wallet="*", category=VOICE, warning_days=OFF),
            ThresholdRow(wallet="*", note="who acts"),
        ]
    )
    assert [True, False] == [book.effective(CHECKOUT, c).set_by_people for c in (VOICE, INDUSTRY)]


def test_a_critical_limit_looser_than_the_warning_one_is_an_inversion_and_names_both_rows() -> None:
    book = ThresholdBook(
        [
            ThresholdRow(wallet="acme/*", critical_below=500),
            ThresholdRow(wallet="acme/checkout", warning_below=300, warning_days=2),
        ]
    )
    counts, days = book.inversions([BalanceKey(CHECKOUT, VOICE)])
    assert (
        Inversion(
            balance=BalanceKey(CHECKOUT, VOICE),
            critical_column=LimitColumn.CRITICAL_BELOW,
            critical=500,
            critical_from=Scope("acme/*"),
            warning_column=LimitColumn.WARNING_BELOW,
            warning=300,
            warning_from=Scope("acme/checkout"),
        )
        == counts
    )
    assert (
        "acme/checkout:voice: critical_days 3 (built in) is looser than warning_days 2 (from acme/checkout:*)"
        == str(days.sentence)
    )


def test_equal_limits_and_limits_that_are_off_or_unset_are_no_inversion() -> None:
    book = ThresholdBook(
        [
            ThresholdRow(wallet="*", category=VOICE, warning_below=5, critical_below=5, warning_days=OFF),
            ThresholdRow(wallet="*", category=INDUSTRY, critical_below=5, critical_days=7),
        ]
    )
    assert [] == list(book.inversions(BalanceKey(CHECKOUT, category) for category in Category))


def test_rows_with_the_same_limits_are_equal_whoever_set_them() -> None:
    assert ThresholdRow(wallet="*", note="x", updated_by="cli") == ThresholdRow(wallet="*", note="x")

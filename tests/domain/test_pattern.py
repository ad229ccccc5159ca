"""Patterns: what they match, and the faults of invalid ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancebot.domain.balance import Category, WalletName
from balancebot.domain.pattern import Pattern, WalletPattern, name_fault
from tests.patterns import pattern_from

POOL, CHECKOUT = WalletName("acme"), WalletName("acme/checkout")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("acme", {"acme"}),
        ("acme/*", {"acme/checkout", "acme/a b"}),
        ("acme*", {"acme", "acme/checkout", "acme/a b", "acme2/shop"}),
        ("*", {"acme", "acme/checkout", "acme/a b", "acme2/shop", "ACME"}),
        ("*/*o*", {"acme/checkout", "acme2/shop"}),
        ("acme/checkout", {"acme/checkout"}),
        ("**check**", {"acme/checkout"}),
        ("acme/checkoutcheckout*", set()),
        ("*acme/checkout*out", set()),
    ],
)
def test_a_star_matches_any_characters_including_a_slash_and_case_matters(text: str, meant: set[str]) -> None:
    wallets = ["acme", "acme/checkout", "acme/a b", "acme2/shop", "ACME"]
    assert meant == {wallet for wallet in wallets if pattern_from(text).matches(WalletName(wallet), None)}


def test_a_category_narrows_a_pattern_and_excludes_alerts_of_the_wallet() -> None:
    assert [False, True] == [pattern_from("*:voice").matches(CHECKOUT, c) for c in (None, Category.VOICE)]
    assert not pattern_from("*:voice").matches(CHECKOUT, Category.MARKET)
    assert [False, True, True] == [
        pattern_from("acme:*").matches(POOL, c) for c in (None, Category.VOICE, Category.MARKET)
    ]


def test_without_a_category_a_pattern_matches_all_categories_and_alerts_of_the_wallet() -> None:
    assert all(pattern_from("acme").matches(POOL, category) for category in (None, *Category))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is empty: write a wallet such as acme/checkout, or * for all"),
        (":voice", "is empty: write a wallet such as acme/checkout, or * for all"),
        ("acme:vioce", "there is no category 'vioce'; did you mean voice?"),
        ("acme:", "there is no category '': write one of universal, voice, industry, market"),
        ("acme/[a-z]", "contains '[', which no name has"),
        ("a/b/c", "has more than one '/': an app is written account/app"),
        ("a" * 129 + "*", "has 130 characters: at most 129 are allowed"),
    ],
)
def test_an_invalid_pattern_is_refused_with_the_reason(text: str, fault: str) -> None:
    assert fault == str(Pattern.parse(text))


def test_patterns_rank_by_exactness_then_length_without_stars_then_alphabet() -> None:
    texts = ["*", "a*c", "*bc", "acme/*", "acme**/", "zz", "acme"]
    ranked = sorted((WalletPattern(text=text) for text in texts), key=lambda pattern: pattern.rank)
    assert ["acme", "zz", "acme**/", "acme/*", "*bc", "a*c", "*"] == [pattern.text for pattern in ranked]


@given(st.text("ab/*", max_size=8), st.text("ab/", max_size=8))
def test_matching_agrees_with_a_simple_recursive_implementation(pattern: str, name: str) -> None:
    def fits(left: str, right: str) -> bool:
        if not left:
            return not right
        if left[0] == "*":
            return fits(left[1:], right) or (bool(right) and fits(left, right[1:]))
        return bool(right) and left[0] == right[0] and fits(left[1:], right[1:])

    assert fits(pattern, name) == WalletPattern(text=pattern).matches(name)


@pytest.mark.parametrize("name", ["checkout", "验证码 2", "a_b-c.d", "हिन्दी", "x" * 64])
def test_a_name_may_use_letters_of_any_writing_system(name: str) -> None:
    assert name_fault(name) is None


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "is empty: a name has 1 to 64 characters"),
        ("x" * 65, "has 65 characters: a name has 1 to 64"),
        ("a/b", "holds '/': a name has letters, digits, space, '_', '.' and '-'"),
        ("a\nb", r"holds '\n': a name has letters, digits, space, '_', '.' and '-'"),
        ("<!channel>", "holds '<': a name has letters, digits, space, '_', '.' and '-'"),
    ],
)
def test_an_invalid_name_is_refused_with_the_reason(name: str, fault: str) -> None:
    assert fault == name_fault(name)

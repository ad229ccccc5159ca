"""Names of wallets, and suspicious readings that are read again."""

import pytest

from balancebot.domain.balance import (
    NEVER_READ,
    UNALLOCATED_EVERYWHERE,
    Absent,
    BalanceKey,
    Category,
    Reading,
    Readings,
    WalletName,
    account_of,
    app_of,
    is_suspect,
    wallet_name,
)


def test_a_wallet_is_a_pool_or_an_app_of_an_account() -> None:
    pool, app = wallet_name("acme"), wallet_name("acme", "shop/eu")
    assert ("acme", "acme/shop/eu") == (pool, app)
    assert [("acme", None), ("acme", "shop/eu")] == [(account_of(name), app_of(name)) for name in (pool, app)]
    assert "acme:voice" == str(BalanceKey(WalletName("acme"), Category.VOICE))


def test_readings_are_named_by_their_category() -> None:
    readings = Readings(universal=1, industry=0, market=Absent.UNALLOCATED)
    assert [1, Absent.UNREAD, 0, Absent.UNALLOCATED] == [reading for _, reading in readings.items()]
    assert [readings.of(category) for category in Category] == [reading for _, reading in readings.items()]


@pytest.mark.parametrize(
    ("before", "now", "suspect"),
    [
        (1, 0, True),
        (0, 0, False),
        (0, 1_000_000, False),  # an app without quota gets some
        (Absent.UNREAD, 0, False),
        (Absent.UNALLOCATED, 0, False),
        (1_000, 8_000, True),
        (1_000, 7_999, False),
        (8_000, 1_000, True),
        (125, 1_125, False),  # nine times as much, but by no more than 1,000
        (125, 1_126, True),
        (5_000, 4_999, False),
        (5_000, Absent.UNALLOCATED, False),
    ],
)
def test_a_fall_to_zero_or_an_unusually_large_change_is_read_again(
    before: Reading, now: Reading, suspect: bool
) -> None:
    others: dict[str, Reading] = {"market": 70, "universal": Absent.UNALLOCATED}
    assert suspect is is_suspect(Readings(voice=before, **others), Readings(voice=now, **others))


def test_a_wallet_that_loses_the_quota_of_all_categories_is_read_again() -> None:
    assert is_suspect(UNALLOCATED_EVERYWHERE._replace(voice=5), UNALLOCATED_EVERYWHERE)
    assert not is_suspect(NEVER_READ, UNALLOCATED_EVERYWHERE)
    assert not is_suspect(UNALLOCATED_EVERYWHERE, UNALLOCATED_EVERYWHERE)
    assert not is_suspect(Readings(voice=5), UNALLOCATED_EVERYWHERE._replace(market=Absent.UNREAD))

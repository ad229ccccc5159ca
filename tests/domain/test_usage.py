"""Changes between two readings are booked as usage, top-ups, transfers or refunds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancebot.domain.balance import Absent, BalanceKey, Category, Reading, Readings, WalletName
from balancebot.domain.usage import (
    BalanceChange,
    Booked,
    Hour,
    Seen,
    book_category,
    book_history,
    book_round,
    is_considerable,
    is_refund,
    is_taken_back,
    spread,
)

POOL, APP, OTHER = WalletName("acme"), WalletName("acme/checkout"), WalletName("acme/login")
GONE, UNREAD = Absent.UNALLOCATED, Absent.UNREAD


def booked(*, seconds: float = 300.0, **readings: tuple[Reading, Reading]) -> list[Booked]:
    """Book one poll cycle of one category; `pool`, `app`, `other` are (before, after)."""
    wallets = {"pool": POOL, "app": APP, "other": OTHER}
    changes = [BalanceChange(wallets[name], 0.0, seconds, *ends) for name, ends in readings.items()]
    return [part for _, part in book_category(changes)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(900, 880, Booked(use=20, exposure=300.0), id="a fall is use"),
        pytest.param(900, 900, Booked(exposure=300.0), id="no change is exposure without use"),
        pytest.param(900, 5900, Booked(topped_up=5000), id="a rise is a top-up, and hides the use in it"),
        pytest.param(900, 903, Booked(refunded=3, exposure=300.0), id="a rise by a few is a refund"),
        pytest.param(2, 7, Booked(topped_up=5), id="a small rise of a small balance is a top-up"),
        pytest.param(100_000, 100_100, Booked(topped_up=100), id="a hundred is more than fails at once"),
        pytest.param(0, 0, Booked(), id="at zero nobody can send: no exposure"),
        pytest.param(40, 0, Booked(use=40, exposure=150.0), id="what runs dry counts its use"),
        pytest.param(0, 5000, Booked(topped_up=5000), id="bought after running dry"),
        pytest.param(GONE, 5000, Booked(topped_up=5000), id="first allocation, from where we can't see"),
        pytest.param(500, GONE, Booked(transferred_out=500), id="taken back to where we can't see"),
    ],
)
def test_changes_of_a_single_wallet_are_booked(before: Reading, after: Reading, expected: Booked) -> None:
    assert [expected] == booked(app=(before, after))


@pytest.mark.parametrize(
    ("before", "after"), [(GONE, GONE), (UNREAD, 5), (5, UNREAD), (UNREAD, UNREAD), (GONE, UNREAD)]
)
def test_nothing_is_booked_without_two_readings(before: Reading, after: Reading) -> None:
    assert [] == booked(app=(before, after))


def test_nothing_is_booked_if_no_time_has_passed() -> None:
    assert [] == booked(seconds=0.0, app=(9, 5))


@pytest.mark.parametrize(
    ("pool", "app", "expected"),
    [
        pytest.param(
            (9000, 4000), (100, 5100), [Booked(transferred_out=5000), Booked(transferred_in=5000)], id="alone"
        ),
        pytest.param(
            (9000, 3997),
            (100, 5087),
            [Booked(use=3, transferred_out=5000), Booked(use=13, transferred_in=5000)],
            id="with use on either side: people move round numbers",
        ),
        pytest.param(
            (9000, 4000),
            (GONE, 5000),
            [Booked(transferred_out=5000), Booked(transferred_in=5000)],
            id="first allocation",
        ),
        pytest.param(
            (9000, 9500), (500, GONE), [Booked(transferred_in=500), Booked(transferred_out=500)], id="return"
        ),
        pytest.param(
            (9000, 9990),
            (1000, GONE),
            [Booked(transferred_in=990), Booked(use=10, transferred_out=990)],
            id="return, after some use",
        ),
        pytest.param(
            (9000, 9500),
            (2000, 1490),
            [Booked(transferred_in=500), Booked(use=10, transferred_out=500)],
            id="return of a part",
        ),
        pytest.param(
            (9000, 19_000),
            (2000, 1490),
            [Booked(topped_up=10_000), Booked(use=510, exposure=300.0)],
            id="a purchase beside use is no transfer",
        ),
        pytest.param(
            (9000, 14_000),
            (100, 5100),
            [Booked(topped_up=5000), Booked(topped_up=5000)],
            id="bought and handed on at once: the total rose by both",
        ),
        pytest.param(
            (9000, 8700),
            (1000, 1003),
            [Booked(use=300, exposure=300.0), Booked(refunded=3, exposure=300.0)],
            id="a refund beside use is no transfer",
        ),
    ],
)
def test_the_pool_and_an_app(
    pool: tuple[Reading, Reading], app: tuple[Reading, Reading], expected: list[Booked]
) -> None:
    assert expected == booked(pool=pool, app=app)


def test_quota_does_not_move_from_app_to_app() -> None:
    assert [Booked(use=5000, exposure=300.0), Booked(topped_up=5000)] == booked(
        app=(9000, 4000), other=(100, 5100)
    )


def test_a_fall_of_the_pool_is_split_among_two_apps() -> None:
    assert [
        Booked(use=20, transferred_out=3000),
        Booked(transferred_in=1000),
        Booked(transferred_in=2000),
    ] == booked(pool=(9000, 5980), app=(0, 1000), other=(0, 2000))


def test_usage_in_a_gap_is_spread_over_its_hours_and_adds_up() -> None:
    parts = list(spread(1800.0, 3600.0 * 4 + 1800.0, Booked(use=10, exposure=14_400.0, refunded=1)))
    assert [
        (0, Booked(use=1, exposure=1800.0)),
        (1, Booked(use=2, exposure=3600.0)),
        (2, Booked(use=3, exposure=3600.0)),
        (3, Booked(use=2, exposure=3600.0)),
        (4, Booked(use=2, exposure=1800.0, refunded=1)),
    ] == [(hour, part._replace(after=0)) for hour, part in parts]


def test_usage_in_a_gap_is_spread_in_proportion_to_usual_usage() -> None:
    gap = Booked(use=100, exposure=14_400.0)
    parts = list(spread(1800.0, 3600.0 * 4 + 1800.0, gap, [1.0, 1.0, 0.0, 4.0, 2.0]))
    assert [7, 16, 0, 61, 16] == [part.use for _, part in parts]
    assert [1800.0, 3600.0, 3600.0, 3600.0, 1800.0] == [part.exposure for _, part in parts]
    nothing_usual = spread(1800.0, 3600.0 * 4 + 1800.0, gap, [0.0] * 5)
    assert [12, 25, 25, 25, 13] == [part.use for _, part in nothing_usual]


def test_an_interval_that_ends_on_the_hour_belongs_to_the_hour_before() -> None:
    part = Booked(use=3, exposure=300.0)
    assert [(0, part._replace(after=-3))] == list(spread(3300.0, 3600.0, part))


def test_a_poll_cycle_books_each_changed_balance() -> None:
    before = Seen(7200.0, Readings(industry=100, market=0, universal=GONE))
    after = Seen(7500.0, Readings(industry=90, market=0, universal=GONE))
    change = BalanceChange(APP, 7200.0, 7500.0, 100, 90)
    assert {BalanceKey(APP, Category.INDUSTRY): (change, Booked(use=10, exposure=300.0))} == book_round(
        {APP: (before, after)}
    )


READING = st.one_of(st.integers(0, 20_000), st.just(GONE))


@given(
    st.lists(st.tuples(READING, READING), min_size=1, max_size=5),
    st.booleans(),
    st.none() | st.lists(st.floats(0, 1e6), min_size=3, max_size=3),
)
def test_booked_amounts_add_up_to_the_readings(
    ends: list[tuple[Reading, Reading]], with_pool: bool, usual: list[float] | None
) -> None:
    wallets = [POOL if with_pool and not i else WalletName(f"acme/app{i}") for i in range(len(ends))]
    changes = [BalanceChange(wallet, 0.0, 9000.0, *pair) for wallet, pair in zip(wallets, ends, strict=True)]
    for change, part in book_category(changes):
        parts = [piece for _, piece in spread(change.since, change.until, part, usual)]
        before, after = (end if isinstance(end, int) else 0 for end in (change.before, change.after))
        came = sum(p.topped_up + p.transferred_in + p.refunded for p in parts)
        went = sum(p.use + p.transferred_out for p in parts)
        assert after - before == came - went
        assert min(min(part._replace(after=0)) for part in parts) >= 0


@pytest.mark.parametrize("wrong", [60_000, 7_000, 3_000, 0])
def test_imported_history_books_nothing_for_a_wrong_reading(wrong: int) -> None:
    balance = BalanceKey(APP, Category.INDUSTRY)
    course = [6000, 5990, wrong, 5970, 5960]

    hours = book_history((300.0 * i, balance, reading) for i, reading in enumerate(course))

    assert {Hour(0, balance): Booked(use=40, exposure=1200.0)} == hours


def test_imported_history_books_quota_moved_to_an_app_and_back_as_transfers() -> None:
    pool, app = BalanceKey(POOL, Category.INDUSTRY), BalanceKey(APP, Category.INDUSTRY)
    rounds = [(9000, 1000), (4000, 6000), (9000, 1000)]

    hours = book_history(
        (300.0 * i, key, reading)
        for i, readings in enumerate(rounds)
        for key, reading in zip((pool, app), readings, strict=True)
    )

    assert (5000, 5000) == (hours[Hour(0, app)].transferred_in, hours[Hour(0, app)].transferred_out)


@pytest.mark.parametrize(
    ("before", "rise", "refund"),
    [
        (10_000, 0, False),
        (10_000, 1, True),
        (10_000, 50, True),
        (10_000, 51, False),
        (3_000, 30, True),
        (3_000, 31, False),
    ],
)
def test_a_rise_is_a_refund_if_it_is_smaller_than_any_purchase(before: int, rise: int, refund: bool) -> None:
    assert refund is is_refund(before, rise)


@pytest.mark.parametrize(
    ("before", "after", "considerable"),
    [
        (1_000, 1_050, False),
        (1_000, 1_051, True),
        (1_000, 949, True),
        (10_000, 10_100, False),
        (10_000, 9_899, True),
        (0, 5_000, False),  # a balance is filled
    ],
)
def test_a_change_is_considerable_if_it_is_larger_than_any_refund(
    before: int, after: int, considerable: bool
) -> None:
    assert considerable is is_considerable(before, after)


@pytest.mark.parametrize(
    ("before", "between", "after", "wrong"),
    [
        (1_000, 0, 1_000, True),
        (1_000, 0, 900, True),  # 100 were used meanwhile
        (1_000, 0, 899, False),
        (1_000, 0, 1_001, False),  # a top-up
        (1_000, 9_000, 500, True),
        (1_000, 9_000, 499, False),
        (1_000, 960, 1_000, False),
        (0, 5_000, 0, False),
    ],
)
def test_a_reading_is_wrong_if_the_next_one_reverts_it(
    before: int, between: int, after: int, wrong: bool
) -> None:
    assert wrong is is_taken_back(before, between, after)

"""The page of one wallet: its past, what is to come, what limits it, and what was told of it."""

import pytest

from balancebot.domain.user import Role
from tests.web.conftest import Desk
from tests.web.showcase import fill


@pytest.fixture
def watched(desk: Desk) -> Desk:
    desk.world.limit("acme/checkout", "industry", warning_below=60_000, critical_below=20_000)
    fill(desk.world)
    return desk


def test_a_balance_is_shown_with_its_past_its_future_and_its_limits(watched: Desk) -> None:
    with watched.user(Role.FINANCE) as browser:
        text = browser.get("/wallets/acme/checkout?category=industry").text
    for drawn in (
        'class="history"',
        'class="fan"',
        'class="median"',
        'class="top-up"',
        'class="limit warning"',
    ):
        assert 2 <= text.count(drawn), drawn
    assert "set for this balance" in text
    assert "Order " in text
    assert 'href="/thresholds/edit?wallet=acme%2Fcheckout&amp;category=industry"' in text


def test_without_a_choice_the_worst_balance_is_shown(watched: Desk) -> None:
    with watched.user(Role.VIEWER) as browser:
        text = browser.get("/wallets/acme/checkout").text
    assert 'aria-label="acme/checkout industry: the last 30 days, and what is to come"' in text


def test_a_transfer_is_marked_apart_from_a_top_up(watched: Desk) -> None:
    with watched.user(Role.VIEWER) as browser:
        text = browser.get("/wallets/acme/checkout?category=universal").text
    assert "transfer +25,000</title>" in text
    assert 'class="top-up"' not in text.split('<ul class="legend">')[0]


def test_an_unknown_wallet_is_no_page(watched: Desk) -> None:
    with watched.user(Role.VIEWER) as browser:
        answer = browser.get("/wallets/acme/nothing")
    assert (404, True) == (answer.status_code, "There is no such wallet." in answer.text)

"""The overview lists all balances worst first, and filters them by name, pattern, category and severity."""

import re
from collections.abc import Callable

import pytest

from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import Category, WalletName
from balancebot.domain.threshold import Scope
from balancebot.domain.user import Role
from tests.web.conftest import Desk
from tests.world import SHOP, WEB, industry


@pytest.fixture
def watched(desk: Desk) -> Desk:
    world = desk.world
    world.configure(SHOP, WEB)
    world.limit("acme/shop", "industry", warning_below=1000, critical_below=500)
    world.shows(industry(300, market=9000), wallet=SHOP)
    world.shows(industry(0), wallet=WEB)
    world.poll()
    return desk


def rows(text: str) -> list[tuple[str, str]]:
    """Return (severity, wallet) of each line."""
    found = re.findall(
        r'<span class="badge (\w+)">[^<]*</span></td>\s*<td[^>]*><a class="wallet"[^>]*>([^<]*)<', text
    )
    return [(severity, wallet) for severity, wallet in found]


def test_the_worst_balance_is_first_and_unallocated_ones_are_hidden_and_counted(watched: Desk) -> None:
    with watched.user(Role.VIEWER) as browser:
        text = browser.get("/").text
        hidden = browser.get("/?group=unallocated").text
    assert [("critical", "acme/shop"), ("ok", "acme/web"), ("ok", "acme/shop")] == rows(text)
    assert "<b>3</b> balances" in text
    assert "<b>5</b> unallocated, hidden" in text
    assert 5 == len(rows(hidden))


def test_a_search_that_only_finds_unallocated_balances_says_so(watched: Desk) -> None:
    with watched.user(Role.VIEWER) as browser:
        text = browser.get("/?q=*:voice").text
    assert "The matching balances are unallocated" in text
    assert 'href="/?q=%2A%3Avoice&amp;group=unallocated"' in text


@pytest.mark.parametrize(
    ("query", "wallets"),
    [
        ("q=SHOP", ["acme/shop"] * 2),
        ("q=acme/*:industry", ["acme/shop", "acme/web"]),
        ("q=*:market&group=unallocated", ["acme/web"]),
        ("q=shop&category=industry", ["acme/shop"]),
        ("group=critical", ["acme/shop"]),
        ("order=balance&group=ok", ["acme/web", "acme/shop"]),
        ("q=nothing", []),
    ],
)
def test_a_search_finds_balances(watched: Desk, query: str, wallets: list[str]) -> None:
    with watched.user(Role.VIEWER) as browser:
        assert wallets == [wallet for _, wallet in rows(browser.get(f"/?{query}").text)]


def test_changed_limits_show_immediately_and_a_reading_at_the_next_request(watched: Desk) -> None:
    with watched.user(Role.VIEWER) as browser:
        browser.get("/")
        watched.app.edit_thresholds.set(
            Scope(SHOP, Category.INDUSTRY), {"critical_below": "200"}, by=Actor(name="finance", via=Via.CLI)
        )
        assert ("warning", "acme/shop") == rows(browser.get("/").text)[0]

        watched.world.shows(industry(150), wallet=SHOP)
        watched.world.clock.pass_by(minutes=5)
        watched.world.poll()
        assert ("critical", "acme/shop") == rows(browser.get("/").text)[0]


def test_a_reading_that_is_too_old_is_unknown(watched: Desk) -> None:
    watched.world.clock.pass_by(minutes=31)
    with watched.user(Role.VIEWER) as browser:
        assert ("unknown", "acme/shop") in rows(browser.get("/?group=unknown").text)


def test_a_page_has_fifty_lines_and_a_link_to_the_next(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    names = [WalletName(f"acme/app{number:03d}") for number in range(30)]
    desk.world.configure(*names)
    for name in names:
        desk.world.shows(industry(1000), wallet=name)
    desk.world.poll()
    with desk.user(Role.VIEWER) as browser:
        first, last = browser.get("/?group=unallocated").text, browser.get("/?group=unallocated&page=2").text
        assert len(rows(browser.get("/?group=unallocated&page=99").text)) == len(rows(last)) == 40
    assert 50 == len(rows(first))
    assert "1–50 of 90" in first
    assert "?page=2&amp;group=unallocated" in first


def test_without_configured_wallets_the_page_shows_what_to_do(desk: Desk) -> None:
    with desk.user(Role.VIEWER) as browser:
        assert "No wallet is configured" in browser.get("/").text


def test_names_are_escaped(desk: Desk) -> None:
    name = WalletName("acme/营 销.x_1-")
    desk.world.configure(name)
    desk.world.shows(industry(5), wallet=name)
    desk.world.poll()
    with desk.user(Role.VIEWER) as browser:
        link = re.search(r'href="(/wallets/acme/[^"]+)"', browser.get("/?q=<b>").text + browser.get("/").text)
        assert link
        assert "<h1>acme/营 销.x_1-</h1>" in browser.get(link[1]).text
        assert "<b>" not in re.findall('name="q" value="([^"]*)"', browser.get("/?q=<b>").text)[0]

"""Each user has their own language and time zone; without a log-in the language of the browser is used."""

from collections.abc import Callable

import pytest

from balancebot.domain.user import Role
from balancebot.people import users
from balancebot.store import users as store
from tests.web.conftest import Desk, csrf_token
from tests.world import SHOP, industry


@pytest.fixture
def alert(desk: Desk) -> Desk:
    desk.world.configure(SHOP)
    desk.world.limit("acme/shop", "industry", warning_below=1000)
    desk.world.shows(industry(300))
    desk.world.poll()
    return desk


def test_a_user_chooses_language_and_time_zone(alert: Desk) -> None:
    with alert.user(Role.VIEWER) as browser, alert.user(Role.FINANCE) as other:
        assert "Tue 24 Nov, 17:00" in browser.get("/alerts").text
        answer = browser.post(
            "/me/preferences",
            data={"csrf_token": csrf_token(browser), "language": "zh-CN", "time_zone": "America/New_York"},
        )
        assert "/me?done=preferences_set" == answer.headers["location"]
        page = browser.get("/alerts").text
        assert '<html lang="zh-CN">' in page
        assert "11月24日周二 04:00" in page
        for address in ("/", "/thresholds", "/plans", "/audit", "/me", f"/wallets/{SHOP}", "/alerts/1"):
            assert '<html lang="zh-CN">' in browser.get(address).text
        assert "找不到" in browser.get("/nothing").text or 'lang="zh-CN"' in browser.get("/nothing").text
        assert '<html lang="en">' in other.get("/alerts").text


def test_the_chosen_time_zone_applies_to_input(alert: Desk) -> None:
    with alert.user(Role.FINANCE) as browser:
        token = csrf_token(browser)
        browser.post("/me/preferences", data={"csrf_token": token, "time_zone": "America/New_York"})
        browser.post(
            "/alerts/1/acknowledge", data={"csrf_token": token, "expects_by": "2026-11-25T12:00", "note": ""}
        )
        assert "2026-11-25T17:00:00Z" in browser.get("/alerts/1").text


def test_a_user_can_return_to_the_configured_language_and_time_zone(desk: Desk) -> None:
    users.set_preferences(desk.app.database, name="viewer", language="zh-CN", time_zone="Asia/Tokyo")
    users.set_preferences(desk.app.database, name="viewer", language="klingon", time_zone="../etc/passwd")
    with desk.app.database.read() as conn:
        found = store.find(conn, "viewer")
    assert found is not None
    assert ("", "") == (found[0].language, found[0].time_zone)


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("zh", "zh-CN"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("fr,zh;q=0.5,en;q=0.4", "zh-CN"),
        ("fr", "en"),
        ("zh;q=0", "en"),
        ("zh;q=high", "en"),
        (";;,,=" * 500, "en"),
        ("", "en"),
    ],
)
def test_without_a_log_in_pages_are_in_the_language_of_the_browser(
    desk: Desk, asked: str, language: str
) -> None:
    with desk.visitor() as visitor:
        for address in ("/login", "/setup", "/static/nothing.css"):
            page = visitor.get(address, headers={"Accept-Language": asked}).text
            assert f'<html lang="{language}">' in page


def test_the_configured_language_is_used_if_the_browser_requests_none(open_desk: Callable[..., Desk]) -> None:
    with open_desk(language="zh-CN").visitor() as visitor:
        assert '<html lang="zh-CN">' in visitor.get("/login").text
        assert '<html lang="en">' in visitor.get("/login", headers={"Accept-Language": "en"}).text

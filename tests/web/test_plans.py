"""The page of planned sends."""

from datetime import UTC, datetime

import pytest

from balancebot.domain.balance import BalanceKey, Category
from balancebot.domain.user import Role
from tests.web.conftest import Desk, csrf_token
from tests.web.showcase import CAMPAIGN
from tests.world import World


@pytest.fixture
def world(watching: World) -> World:
    return watching


def send(**change: str) -> dict[str, str]:
    usual = {
        "wallet": CAMPAIGN,
        "category": "market",
        "messages": "50,000",
        "starts_at": "2026-11-27T20:00",
        "hours": "3",
        "note": "Black Friday",
    }
    return usual | change


def test_a_planned_send_is_announced_in_local_time_and_removed(desk: Desk) -> None:
    with desk.user(Role.FINANCE) as browser:
        token = {"csrf_token": csrf_token(browser)}
        assert "/plans?done=plan_added" == browser.post("/plans/add", data=token | send()).headers["location"]
        (plan,) = desk.app.planned_sends.standing()
        assert (BalanceKey(CAMPAIGN, Category.MARKET), 50_000, "finance") == (
            plan.balance,
            plan.messages,
            plan.created_by,
        )
        # times on the page are local: Asia/Shanghai
        assert datetime(2026, 11, 27, 12, tzinfo=UTC) == plan.starts_at
        assert "Black Friday" in browser.get("/plans").text
        assert "Black Friday" in browser.get(f"/wallets/{CAMPAIGN}").text

        browser.post(f"/plans/{plan.id}/remove", data=token)
    assert () == desk.app.planned_sends.standing()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"messages": "many"}, "The number of messages must be a whole number."),
        ({"starts_at": "soon"}, "The start must be a time"),
        ({"starts_at": "9999-12-31T20:00:00+00:00"}, "it must be between 1970 and 2028-11-2"),
        ({"hours": "9223372036854775807"}, "a send lasts longer than 0"),
        ({"wallet": "acme/chekout"}, "did you mean acme/checkout?"),
        ({"hours": "0"}, "a send lasts longer than 0"),
    ],
)
def test_a_fault_is_shown_and_the_input_is_kept(desk: Desk, change: dict[str, str], message: str) -> None:
    with desk.user(Role.FINANCE) as browser:
        answer = browser.post("/plans/add", data={"csrf_token": csrf_token(browser)} | send(**change))
    assert (422, True) == (answer.status_code, message in answer.text)
    assert 'value="Black Friday"' in answer.text


def test_a_viewer_cannot_announce_a_send(desk: Desk) -> None:
    with desk.user(Role.VIEWER) as browser:
        fields = {"csrf_token": csrf_token(browser)} | send()
        assert 403 == browser.post("/plans/add", data=fields).status_code
        assert "Plan a send" not in browser.get("/plans").text

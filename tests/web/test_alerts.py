"""Alerts on the pages: visible to everyone, acknowledged and silenced with permission, with all notifications."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import update

from balancebot.domain.alert import Alert
from balancebot.domain.balance import WalletName
from balancebot.domain.user import Role
from balancebot.store import alerts, silences, tables
from balancebot.store.tables import deliveries
from tests.web.conftest import Desk, csrf_token
from tests.world import SHOP, industry


@pytest.fixture
def alert(desk: Desk) -> Alert:
    """The alert of a shop below both limits."""
    world = desk.world
    world.configure(SHOP)
    world.limit("acme/shop", "industry", warning_below=1000, critical_below=500)
    world.shows(industry(300))
    world.poll()
    with world.database.read() as conn:
        return alerts.all_open(conn)[0].alert


def test_an_open_alert_is_listed_with_its_reason_and_its_notifications(desk: Desk, alert: Alert) -> None:
    with desk.user(Role.VIEWER) as browser:
        listed = browser.get("/alerts").text
        story = browser.get(f"/alerts/{alert.id}").text
    assert "300 messages, below the critical limit of 500" in listed
    assert "#ops: waiting" in story
    assert "finance@example.com: waiting" in story
    assert "Acknowledge</button>" not in story


def test_an_open_alert_has_advice(desk: Desk, alert: Alert) -> None:
    """Messages link to this page, which is often opened on a phone."""
    with desk.user(Role.VIEWER) as browser:
        story = browser.get(f"/alerts/{alert.id}").text
    assert "What to do" in story
    assert "Buy quota, or move some here from the account&#39;s shared pool." in story


def test_a_delivery_of_a_further_channel_shows_the_name_of_the_channel(desk: Desk, alert: Alert) -> None:
    with desk.world.database.write() as conn:
        conn.execute(
            update(deliveries)
            .where(deliveries.c.channel == "slack")
            .values(channel="ops-feishu", destination="feishu")
        )
    with desk.user(Role.VIEWER) as browser:
        answer = browser.get(f"/alerts/{alert.id}")
    assert 200 == answer.status_code
    assert "ops-feishu" in answer.text


def test_all_open_alerts_are_counted_and_listed_worst_first(desk: Desk) -> None:
    world = desk.world
    names = [WalletName(f"acme/app{number:03}") for number in range(60)]
    world.limit("*", "industry", warning_below=1000, critical_below=500)
    for number, name in enumerate(names):
        world.shows(industry(300 if number == 58 else 900), wallet=name)
    world.configure(*names)
    world.poll()
    with desk.user(Role.VIEWER) as browser:
        first, last, some = (browser.get(f"/alerts?{query}").text for query in ("", "page=9", "q=APP05"))

    def listed(text: str) -> list[str]:
        return re.findall(r'<a class="wallet" href="/alerts/\d+">(\S+) ', text)

    assert "<b>60</b> open" in first
    assert ["acme/app058", "acme/app000", "acme/app001"] == listed(first)[:3]
    assert 50 == len(listed(first))
    assert [f"acme/app0{number}" for number in (49, 50, *range(51, 58), 59)] == listed(last)
    assert ["acme/app058", *(f"acme/app05{number}" for number in (0, 1, 2, 3, 4, 5, 6, 7, 9))] == listed(some)


def test_finance_acknowledges_with_a_note_and_an_expected_time(desk: Desk, alert: Alert) -> None:
    with desk.user(Role.FINANCE) as browser:
        fields = {"csrf_token": csrf_token(browser), "note": "ordered", "expects_by": "2026-11-25T12:00"}
        answer = browser.post(f"/alerts/{alert.id}/acknowledge", data=fields)
        assert (303, f"/alerts/{alert.id}?done=acknowledged") == (
            answer.status_code,
            answer.headers["location"],
        )
        listed = browser.get("/alerts").text
    assert "acknowledged by finance" in listed
    assert "<b>1</b> acknowledged (no reminders)" in listed
    assert alert.id is not None
    with desk.world.database.read() as conn:
        found = alerts.get(conn, alert.id)
    assert found is not None
    assert ("finance", "ordered") == (found.alert.acknowledged_by, found.alert.acknowledged_note)
    # times on the page are local: Asia/Shanghai
    assert "2026-11-25T04:00:00+00:00" == found.alert.expects_by.isoformat()


def test_a_flapping_alert_shows_since_when_the_balance_is_ok(desk: Desk, alert: Alert) -> None:
    since = desk.world.clock.now()
    with desk.world.database.write() as conn:
        conn.execute(update(tables.alerts).values(flaps=3, calm_since=since))
    with desk.user(Role.VIEWER) as browser:
        listed = " ".join(browser.get("/alerts").text.split())
        story = browser.get(f"/alerts/{alert.id}").text
    assert f'waiting, normal since <time datetime="{since:%Y-%m-%dT%H:%M:%SZ}"' in listed
    assert "<b>1</b> flapping" in listed
    assert "Triggered 3 times within 24 hours: recovers after 1 h without a new one." in story


def test_a_pattern_is_silenced_and_the_silence_is_ended(desk: Desk, alert: Alert) -> None:
    with desk.user(Role.FINANCE) as browser:
        fields = {"csrf_token": csrf_token(browser), "pattern": "acme/*", "for": "4h", "reason": "test"}
        assert "/alerts?done=silenced" == browser.post("/silences/add", data=fields).headers["location"]
        with desk.world.database.read() as conn:
            (silence,) = silences.active(conn, desk.world.clock.now())
        assert ("acme/*", desk.world.clock.now() + timedelta(hours=4)) == (
            silence.pattern.text,
            silence.until,
        )
        assert "silenced" in browser.get("/alerts").text

        browser.post(f"/silences/{silence.id}/end", data=fields)
        with desk.world.database.read() as conn:
            assert silences.active(conn, desk.world.clock.now()) == ()


def test_an_order_is_recorded_with_its_quantity(desk: Desk, alert: Alert) -> None:
    with desk.user(Role.FINANCE) as browser:
        fields = {"csrf_token": csrf_token(browser), "quantity": "60k", "note": "PO 4711"}
        address = f"/alerts/{alert.id}/acknowledge"
        refused = browser.post(address, data=fields)
        assert 422 == refused.status_code
        assert 'id="h-expects_by"><span class="fault">Say by when the top-up is expected.' in refused.text
        assert 'value="60k"' in refused.text
        assert () == desk.app.operate_orders.listed()
        fields |= {"expects_by": "2026-12-01T12:00", "once": "shown once"}
        for _ in range(2):  # a double click
            answer = browser.post(address, data=fields)
            assert "done=acknowledged_and_ordered" in answer.headers["location"]
        assert "recorded an order" in browser.get(f"/alerts/{alert.id}").text
    (order,) = desk.app.operate_orders.listed()
    assert (60_000, "PO 4711") == (order.quantity, order.note)


def test_an_invalid_pattern_is_refused_in_the_form(desk: Desk) -> None:
    with desk.user(Role.FINANCE) as browser:
        fields = {"csrf_token": csrf_token(browser), "pattern": "acme:indstry", "for": "1h"}
        answer = browser.post("/silences/add", data=fields)
    assert 422 == answer.status_code
    assert "did you mean industry?" in answer.text
    assert 'value="acme:indstry"' in answer.text


def test_a_viewer_changes_nothing(desk: Desk, alert: Alert) -> None:
    with desk.user(Role.VIEWER) as browser:
        fields = {"csrf_token": csrf_token(browser), "pattern": "*", "for": "1h"}
        assert 403 == browser.post(f"/alerts/{alert.id}/acknowledge", data=fields).status_code
        assert 403 == browser.post("/silences/add", data=fields).status_code


def test_past_alerts_show_when_and_why_they_closed(desk: Desk, alert: Alert) -> None:
    desk.world.shows(industry(5000))
    desk.world.clock.pass_by(minutes=5)
    desk.world.poll()
    with desk.user(Role.VIEWER) as browser:
        assert "No alert is open." in browser.get("/alerts").text
        past, page = browser.get("/alerts?show=past").text, browser.get(f"/alerts/{alert.id}").text
    assert "<div>the balance is above its limits again</div>" in page
    for text in (past, page):
        assert "300 messages, below the critical limit of 500" in text
        assert "the balance is above its limits again" in text
    with desk.user(Role.VIEWER) as browser:
        assert 404 == browser.get("/alerts/999").status_code


def test_a_given_up_delivery_is_sent_again_with_one_click(desk: Desk, alert: Alert) -> None:
    with desk.world.database.write() as conn:
        conn.execute(update(deliveries).values(state="gave_up", settled_at=desk.world.clock.now()))
    with desk.user(Role.FINANCE) as browser:
        action = re.search(
            r'action="(/alerts/\d+/deliveries/\w+/resend)"', browser.get(f"/alerts/{alert.id}").text
        )
        assert action
        answer = browser.post(action[1], data={"csrf_token": csrf_token(browser)})
        assert f"/alerts/{alert.id}?done=resent" == answer.headers["location"]
        assert 1 == browser.get(f"/alerts/{alert.id}").text.count("/resend")

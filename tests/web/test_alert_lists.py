"""Alerts are filtered, and several are acknowledged and silenced together; every list is also a CSV file."""

import csv
import re
from datetime import timedelta
from io import StringIO

import httpx
import pytest

from balancebot.domain.alert import AlertKind
from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import BalanceKey, Category
from balancebot.domain.pattern import Pattern
from balancebot.domain.user import Role
from balancebot.ports import SourceErrorKind
from balancebot.store import alerts
from tests.web.conftest import Desk, csrf_token
from tests.world import SHOP, WEB, industry

SILENCED = Pattern.parse("acme/quiet")
BY = Actor(name="finance", via=Via.PAGE)


@pytest.fixture
def alerting(desk: Desk) -> Desk:
    """A shop with a critical alert, and a web app with a warning and rejected credentials."""
    world = desk.world
    world.configure(SHOP, WEB)
    world.limit("*", "industry", warning_below=1000)
    world.limit(SHOP, "industry", critical_below=600)
    for wallet, left in ((SHOP, 500), (WEB, 900)):
        world.shows(industry(left), wallet=wallet)
    world.poll()
    for _ in range(2):
        world.clock.pass_by(minutes=5)
        world.shows(SourceErrorKind.CREDENTIALS, wallet=WEB)
        world.shows(industry(500), wallet=SHOP)
        world.poll()
    return desk


def listed(browser: httpx.Client, query: str = "") -> list[str]:
    return re.findall(r'<a class="wallet" href="/alerts/(\d+)"', browser.get(f"/alerts{query}").text)


def ids(desk: Desk) -> dict[tuple[str, AlertKind], str]:
    with desk.world.database.read() as conn:
        return {
            (last.alert.subject.wallet, last.alert.subject.kind): last.alert_id
            for last in alerts.all_open(conn)
        }


def test_alerts_are_filtered_by_severity_kind_and_state(alerting: Desk) -> None:
    found = ids(alerting)
    shop, web = found[SHOP, AlertKind.LOW_BALANCE], found[WEB, AlertKind.LOW_BALANCE]
    keys = found[WEB, AlertKind.CREDENTIALS_REJECTED]
    alerting.app.operate_alerts.acknowledge(web, by=BY)
    with alerting.user(Role.VIEWER) as browser:
        assert {shop, web, keys} == set(listed(browser))
        assert [web] == listed(browser, "?severity=warning")
        assert [keys] == listed(browser, "?kind=credentials_rejected")
        assert {shop, keys} == set(listed(browser, "?state=unseen"))
        assert [web] == listed(browser, "?state=acknowledged&q=web")
        assert [] == listed(browser, "?state=silenced")
        page = browser.get("/").text
    assert "<title>(3) Overview" in page
    assert "icon-alert.svg" in page
    assert re.search(r'id="num-alerts">.*</span> 3</span>', page)


def test_selected_alerts_are_acknowledged_and_silenced_together(alerting: Desk) -> None:
    shop, web = (ids(alerting)[wallet, AlertKind.LOW_BALANCE] for wallet in (SHOP, WEB))
    with alerting.user(Role.FINANCE) as browser:
        token = csrf_token(browser)
        done = browser.post("/alerts/acknowledge", data={"csrf_token": token, "alert": [shop, web]})
        assert "/alerts?done=acknowledged" == done.headers["location"]
        assert {shop, web} == set(listed(browser, "?state=acknowledged"))
        again = browser.post("/alerts/acknowledge", data={"csrf_token": token, "alert": [shop]})
        assert 422 == again.status_code
        form = {"csrf_token": token, "alert": [shop, web], "for": "4h"}
        assert "/alerts?done=silenced" == browser.post("/alerts/silence", data=form).headers["location"]
        assert {shop, web} == set(listed(browser, "?state=silenced"))
        assert 422 == browser.post("/alerts/silence", data={"csrf_token": token, "for": "4h"}).status_code
        overview = browser.get("/").text
    assert 1 == overview.count('<span class="mark">acknowledged</span>')


def test_a_wallet_with_rejected_credentials_is_never_green(alerting: Desk) -> None:
    alerting.world.limit(WEB, "industry", warning_below=5)
    with alerting.user(Role.VIEWER) as browser:
        page = browser.get("/", params={"q": "acme/web:industry"}).text
    assert 'class="mark bad" href="/alerts/' in page
    assert '<span class="badge ok">' not in page
    assert '<span class="badge unknown">' in page


def test_the_page_of_an_alert_shows_both_measurements_and_who_did_what(alerting: Desk) -> None:
    shop = ids(alerting)[SHOP, AlertKind.LOW_BALANCE]
    alerting.app.operate_alerts.acknowledge(shop, by=BY, note="ordered")
    alerting.world.clock.pass_by(minutes=5)
    alerting.world.shows(industry(450), wallet=SHOP)
    alerting.world.poll()
    with alerting.user(Role.VIEWER) as browser:
        page = re.sub(r"\s+", " ", browser.get(f"/alerts/{shop}").text)
    assert '<td role="cell" class="num">500</td><td role="cell" class="num"><strong>450</strong></td>' in page
    assert "<strong>finance</strong> acknowledged it" in page


@pytest.mark.parametrize(
    ("path", "columns", "num_rows"),
    [
        ("/alerts.csv", ["id", "kind", "severity", "wallet"], 3),
        ("/alerts.csv?severity=critical&kind=low_balance", ["id", "kind", "severity", "wallet"], 1),
        ("/alerts.csv?show=past", ["id", "kind", "severity", "wallet"], 0),
        ("/balances.csv", ["wallet", "category", "state", "balance"], 2),
        ("/balances.csv?q=acme/shop:industry", ["wallet", "category", "state", "balance"], 1),
        ("/audit.csv?topic=user", ["at", "who", "way", "act"], 3),
        ("/plans.csv", ["id", "wallet", "category", "messages"], 1),
        ("/users.csv", ["name", "role", "single_sign_on", "created_at"], 3),
        ("/silences.csv", ["id", "pattern", "begins_at", "until"], 1),
        ("/channels.csv", ["channel", "destination", "default", "last_delivered_at"], 2),
    ],
)
def test_every_list_is_a_csv_file(alerting: Desk, path: str, columns: list[str], num_rows: int) -> None:
    now, app = alerting.world.clock.at, alerting.app
    app.planned_sends.announce(
        BalanceKey(SHOP, Category.INDUSTRY),
        messages=700,
        starts_at=now + timedelta(days=1),
        over=timedelta(hours=2),
        note="",
        by=BY,
    )
    assert isinstance(SILENCED, Pattern)
    app.operate_alerts.silence(SILENCED, until=now + timedelta(hours=4), reason="", by=BY)
    with alerting.user(Role.ADMIN) as browser:
        answer = browser.get(path)
    rows = list(csv.reader(StringIO(answer.content.decode("utf-8-sig"))))
    assert (200, columns, num_rows) == (answer.status_code, rows[0][:4], len(rows) - 1)
    assert "attachment" in answer.headers["content-disposition"]

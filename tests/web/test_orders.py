"""Pages of orders and statements: record, cancel and match; a month by wallet, owner and day, and its files."""

import re
from datetime import timedelta
from io import BytesIO

import openpyxl
import pytest

from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import BalanceKey, Category
from balancebot.domain.user import Role
from tests.web.conftest import Desk, csrf_token
from tests.web.showcase import CHECKOUT
from tests.world import World


@pytest.fixture
def world(watching: World) -> World:
    return watching


def order(**different: str) -> dict[str, str]:
    usual = {"wallet": CHECKOUT, "category": "industry", "quantity": "6万", "expected": "2026-12-01"}
    return usual | {"price": "2,700", "reference": "PO 4711", "note": ""} | different


def test_a_purchase_is_recorded_shown_and_cancelled(desk: Desk) -> None:
    with desk.user(Role.FINANCE) as browser:
        token = {"csrf_token": csrf_token(browser)}
        assert (
            "/orders?done=order_added"
            == browser.post("/orders/add", data=token | order()).headers["location"]
        )
        page = browser.get("/orders").text
        assert "60,000" in page
        assert "PO 4711" in page
        assert "PO 4711" in browser.get("/orders/1").text
        browser.post("/orders/1/cancel", data=token)
        assert "cancelled" in browser.get("/orders").text
        assert 422 == browser.post("/orders/1/cancel", data=token).status_code


def test_an_order_that_does_not_exist_is_not_found(desk: Desk) -> None:
    with desk.user(Role.VIEWER) as browser:
        assert 404 == browser.get("/orders/99").status_code


def test_a_fault_is_shown_and_the_input_is_kept(desk: Desk) -> None:
    with desk.user(Role.FINANCE) as browser:
        token = {"csrf_token": csrf_token(browser)}
        for field, value in (
            ("quantity", "many"),
            ("expected", "soon"),
            ("price", "cheap"),
            ("wallet", "nobody"),
        ):
            answer = browser.post("/orders/add", data=token | order(**{field: value}))
            assert (422, True) == (answer.status_code, "PO 4711" in answer.text), field
            assert re.search(rf'id="h-{field}"><span class="fault">[^<]*{value}', answer.text), field
        answer = browser.post("/orders/add", data=token | order(quantity="many", price="cheap"))
        assert 2 == answer.text.count('class="fault"')


def test_a_viewer_sees_orders_and_changes_none(desk: Desk) -> None:
    with desk.user(Role.VIEWER) as browser:
        assert "Record a purchase" not in browser.get("/orders").text
        assert (
            403 == browser.post("/orders/add", data={"csrf_token": csrf_token(browser)} | order()).status_code
        )


@pytest.mark.parametrize("by", ["wallet", "owner", "day"])
def test_a_month_is_shown_and_has_files(desk: Desk, by: str) -> None:
    with desk.user(Role.VIEWER) as browser:
        answer = browser.get(f"/statements?month=2026-11&by={by}")
        assert 200 == answer.status_code
        assert "Statement 2026-11" in answer.text
        book = browser.get(f"/statements.xlsx?month=2026-11&by={by}")
        assert "Statement 2026-11" == openpyxl.load_workbook(BytesIO(book.content)).sheetnames[0]
        assert "opening,bought" in browser.get(f"/statements.csv?month=2026-11&by={by}").text


def test_by_day_each_account_and_category_is_a_collapsed_list_of_days(desk: Desk) -> None:
    with desk.user(Role.VIEWER) as browser:
        page = browser.get("/statements?month=2026-11&by=day").text
    assert 4 == page.count('<details class="fold">')
    industry = page.split("<strong>acme</strong> industry", 2)[2].split("</details>")[0]
    assert 24 == industry.count('<tr role="row"><td')
    assert "Sun 1 Nov" in industry


def test_an_order_is_expected_on_a_working_day_after_the_lead_time(desk: Desk) -> None:
    with desk.user(Role.FINANCE) as browser:
        page = browser.get("/orders/advice?until=2027-01-31&q=*:market").text
    # five days after Tuesday the 24th is a Sunday
    assert ["2026-11-30"] == re.findall(r'name="expected" value="([^"]*)"', page)


def test_order_advice_and_the_editor_show_planned_sends(desk: Desk) -> None:
    begins = desk.world.clock.now() + timedelta(days=2)
    for days in (0, 7):
        desk.app.planned_sends.announce(
            BalanceKey(CHECKOUT, Category.INDUSTRY),
            messages=20_000,
            starts_at=begins + timedelta(days=days),
            over=timedelta(hours=2),
            by=Actor(name="lin", via=Via.CLI),
        )
    planned = "Planned: 20,000 messages from Thu 26 Nov, 17:07; 1 more until Thu 3 Dec: 20,000 messages"
    with desk.user(Role.FINANCE) as browser:
        assert planned in browser.get("/orders/advice").text
        assert planned in browser.get(f"/thresholds/edit?wallet={CHECKOUT}&category=industry").text


def test_without_a_month_the_statement_is_of_the_last_complete_month(desk: Desk) -> None:
    with desk.user(Role.VIEWER) as browser:
        assert "Statement 2026-10" in browser.get("/statements").text
        assert 200 == browser.get("/statements?month=9999-99&account=nobody").status_code


def test_order_advice_lists_every_balance_per_account_and_has_files(desk: Desk) -> None:
    with desk.user(Role.VIEWER) as browser:
        page = browser.get("/orders/advice?until=2026-12-31").text
        assert "Per account" in page
        assert CHECKOUT in page
        assert 'name="once"' not in page  # a viewer records nothing
        csv = browser.get("/orders/advice.csv?until=2026-12-31").text
        assert CHECKOUT in csv
        book = openpyxl.load_workbook(BytesIO(browser.get("/orders/advice.xlsx?until=2026-12-31").content))
        assert ["What to order", "Balances"] == book.sheetnames
        only = browser.get("/orders/advice?until=2026-12-31&q=login").text
        assert f"/wallets/{CHECKOUT}" not in only


def test_one_click_records_the_order_once_and_it_counts(desk: Desk) -> None:
    with desk.user(Role.FINANCE) as browser:
        address = "/orders/advice?until=2026-12-31&q=*:industry"
        page = browser.get(address).text
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
        assert ("acme", "industry", "advice") == (fields["wallet"], fields["category"], fields["from"])
        for _ in range(2):  # a double click is one order
            answer = browser.post("/orders/add", data=fields)
            assert "/orders/advice?done=order_added" == answer.headers["location"]
        assert 1 == browser.get("/orders.csv").text.count(f"acme,industry,open,{fields['quantity']},0,")
        after = browser.get(address).text
        assert f">{int(fields['quantity']):,}<" not in after
        assert ">ordered<" in after


@pytest.mark.parametrize("asked", ["until=soon", "until=2020-01-01", "q=acme/$", "certainty=200", "page=x"])
def test_an_invalid_query_is_reported_or_ignored(desk: Desk, asked: str) -> None:
    with desk.user(Role.VIEWER) as browser:
        assert 200 == browser.get(f"/orders/advice?{asked}").status_code


def test_a_higher_confidence_and_a_later_date_need_more(desk: Desk) -> None:
    def ordered(text: str) -> int:
        found = re.search(r'"Buy"><strong>([\d,]+)</strong>', text, re.DOTALL)
        return int(found[1].replace(",", "")) if found else 0

    with desk.user(Role.VIEWER) as browser:
        usual, sure, later = (
            ordered(
                browser.get(f"/orders/advice?until={day}&certainty={certainty}&q={CHECKOUT}:industry").text
            )
            for day, certainty in (("2026-12-20", 50), ("2026-12-20", 95), ("2027-01-20", 50))
        )
        assert "must be ahead" in browser.get("/orders/advice?until=2020-01-01").text
    assert 0 < usual < sure
    assert usual < later

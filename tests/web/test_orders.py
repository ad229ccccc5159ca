"""Orders and statements as pages: record, cancel, match; a month by wallet, owner and day, and its files."""

from io import BytesIO

import openpyxl
import pytest

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


def test_what_is_wrong_is_said_and_what_was_typed_stays(desk: Desk) -> None:
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


def test_without_a_month_it_is_the_last_that_ended(desk: Desk) -> None:
    with desk.user(Role.VIEWER) as browser:
        assert "Statement 2026-10" in browser.get("/statements").text
        assert 200 == browser.get("/statements?month=9999-99&account=nobody").status_code

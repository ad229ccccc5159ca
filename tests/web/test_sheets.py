"""Spreadsheets: exported and imported without a change, previewed before they are applied, and applied completely or not."""

import re
from io import BytesIO

import httpx
import pytest
from openpyxl import load_workbook

from balancebot.domain.audit import Act, Actor, Via
from balancebot.domain.balance import Category, WalletName
from balancebot.domain.threshold import Scope, ThresholdRow
from balancebot.domain.user import Role
from balancebot.store import audit
from tests.web.conftest import Desk, csrf_token
from tests.world import SHOP, WEB, industry

SCOPE = Scope(SHOP, Category.INDUSTRY)
HEADER = "wallet,category,warning_below,critical_below,warning_days,critical_days,lead_time_days,note\n"


@pytest.fixture
def watched(desk: Desk) -> Desk:
    for wallet in (SHOP, WEB):
        desk.world.shows(industry(800), wallet=wallet)
    desk.world.configure(SHOP, WEB)
    desk.world.limit(SHOP, "industry", warning_below=500, note="=1+1")
    desk.world.poll()
    return desk


def upload(browser: httpx.Client, data: bytes, name: str = "limits.csv") -> httpx.Response:
    fields = {"csrf_token": csrf_token(browser)}
    return browser.post("/thresholds/sheet", data=fields, files={"sheet": (name, data)})


def apply(browser: httpx.Client, preview: str) -> httpx.Response:
    """Click the button of a preview."""
    fields = dict(re.findall(r'name="(csrf_token|changes|seen|name)" value="([^"]*)"', preview))
    return browser.post("/thresholds/sheet/apply", data=fields)


def row(desk: Desk, scope: Scope = SCOPE) -> ThresholdRow | None:
    return desk.app.edit_thresholds.look(scope)


def test_a_sheet_is_previewed_and_applied_with_one_click(watched: Desk) -> None:
    data = HEADER + "acme/shop,industry,900,850,,,,call Ops\nacme/*,voice,,,off,off,,\n"
    with watched.user(Role.FINANCE) as browser:
        preview = upload(browser, data.encode())
        assert 200 == preview.status_code
        assert "2 rows would change" in preview.text
        assert "<del>500</del>" in preview.text
        assert "<ins>900</ins>" in preview.text
        assert "opening <strong>1</strong>" in preview.text
        assert 500 == row(watched).warning_below

        done_page = apply(browser, preview.text).headers["location"]
        assert "/thresholds?done=imported&effects=opened-1" == done_page
        page = browser.get(done_page).text
        assert "opened a critical alert for acme/shop industry" in page
    assert (900, 850, "call Ops") == (
        row(watched).warning_below,
        row(watched).critical_below,
        row(watched).note,
    )
    with watched.world.database.read() as conn:
        entries = audit.newest(conn, limit=2)
    assert {("finance", Via.SHEET, Act.SET_THRESHOLD)} == {
        (entry.actor, entry.via, entry.act) for entry in entries
    }


def test_every_fault_is_shown_at_its_cell_and_nothing_is_applied(watched: Desk) -> None:
    data = HEADER + "acme/shop,industry,9%,,,,,\nacme/shp,voice,5,,,,,\nacme/web,industry,1,,,,,\n"
    with watched.user(Role.FINANCE) as browser:
        answer = upload(browser, data.encode())
    assert 422 == answer.status_code
    text = re.sub(r"\s+", " ", answer.text)
    assert re.search(
        r'class="num">2</th>.*<td role="cell" class="wrong">9%<span class="origin fault">[^<]*whole number',
        text,
    )
    assert re.search(
        r'<td role="cell" class="wrong">acme/shp<span class="origin fault">no wallet acme/shp', text
    )
    assert "acme/web" not in text
    assert 500 == row(watched).warning_below


def test_gbk_reordered_columns_and_chinese_headers_are_accepted(watched: Desk) -> None:
    data = '备注,类型,钱包,预警余量\n联系财务, 行业短信 ,acme/shop,"1,200"\n'.encode("gbk")
    with watched.user(Role.FINANCE) as browser:
        apply(browser, upload(browser, data).text)
    assert (1200, "联系财务") == (row(watched).warning_below, row(watched).note)


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
@pytest.mark.parametrize("every", ["", "?all=1"])
def test_uploading_a_downloaded_sheet_changes_nothing(watched: Desk, kind: str, every: str) -> None:
    with watched.user(Role.FINANCE) as browser:
        data = browser.get(f"/thresholds/sheet.{kind}{every}").content
        assert "Nothing would change" in upload(browser, data, f"limits.{kind}").text


def test_a_downloaded_sheet_contains_no_formula(watched: Desk) -> None:
    with watched.user(Role.VIEWER) as browser:
        assert "\n\ufeff" not in browser.get("/thresholds/sheet.csv").text
        assert ",'=1+1" in browser.get("/thresholds/sheet.csv").text
        cells = load_workbook(BytesIO(browser.get("/thresholds/sheet.xlsx").content)).active[2]
    assert "f" not in {cell.data_type for cell in cells}


def test_changes_between_the_preview_and_the_click_are_shown_first(watched: Desk) -> None:
    data = HEADER + "acme/shop,industry,900,,,,,\n"
    with watched.user(Role.FINANCE) as browser:
        preview = upload(browser, data.encode()).text
        watched.app.edit_thresholds.set(
            SCOPE, {"critical_below": "100"}, by=Actor(name="finance", via=Via.CLI)
        )
        answer = apply(browser, preview)
        assert 409 == answer.status_code
        assert "Somebody changed thresholds in the meantime." in answer.text
        assert 500 == row(watched).warning_below

        assert 303 == apply(browser, answer.text).status_code
    assert (900, None) == (row(watched).warning_below, row(watched).critical_below)


def test_a_file_that_is_not_a_sheet_and_a_missing_file_are_refused_with_a_message(watched: Desk) -> None:
    with watched.user(Role.FINANCE) as browser:
        assert "old .xls" in upload(browser, b"\xd0\xcf\x11\xe0rest", "limits.xls").text
        assert "damaged" in upload(browser, b"PK\x03\x04rest", "limits.xlsx").text
        nothing = browser.post("/thresholds/sheet", data={"csrf_token": csrf_token(browser)})
        assert (422, True) == (nothing.status_code, "Choose a file first." in nothing.text)
        forged = {"csrf_token": csrf_token(browser), "changes": "!!", "seen": "0"}
        assert 422 == browser.post("/thresholds/sheet/apply", data=forged).status_code


def test_a_viewer_downloads_and_can_not_upload(watched: Desk) -> None:
    with watched.user(Role.VIEWER) as browser:
        assert 200 == browser.get("/thresholds/sheet.csv").status_code
        assert 'type="file"' not in browser.get("/thresholds/sheet").text
        assert 403 == upload(browser, HEADER.encode()).status_code


@pytest.mark.slow
def test_five_thousand_rows_are_previewed_and_applied(desk: Desk) -> None:
    names = [WalletName(f"acme/app{number:04d}") for number in range(1250)]
    desk.world.configure(*names)
    for name in names:
        desk.world.shows(industry(800), wallet=name)
    data = HEADER + "".join(
        f'{name},{category},"{10_000 + number:,}",{number},,,,row {number}\n'
        for number, name in enumerate(names)
        for category in Category
    )
    with desk.user(Role.FINANCE) as browser:
        preview = upload(browser, data.encode())
        answer = apply(browser, preview.text)
    assert "5,000 rows would change" in preview.text
    assert 200_000 > len(preview.content)
    assert 303 == answer.status_code

"""The pages in a real browser: with the keyboard, on a phone, in both languages, light and dark."""

from collections.abc import Callable

import pytest
from playwright.sync_api import FilePayload, Page, expect

from balancebot.domain.balance import Category, WalletName
from balancebot.domain.threshold import Scope, ThresholdRow
from balancebot.domain.user import Role
from tests.web.browser import PASSWORD, log_in
from tests.web.conftest import Desk
from tests.web.showcase import CHECKOUT
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Open = Callable[..., Page]
SCOPE = Scope(CHECKOUT, Category.INDUSTRY)


@pytest.fixture
def world(watching: World) -> World:
    return watching


def open_editor(page: Page, wallet: str) -> None:
    page.goto("/thresholds")
    page.get_by_role("link", name=f"Edit {wallet}:").click()
    expect(page.locator("#e-warning_below")).to_be_focused()


def row(desk: Desk) -> ThresholdRow:
    found = desk.app.edit_thresholds.look(SCOPE)
    assert found is not None
    return found


def test_a_wrong_password_is_refused_and_the_right_one_leads_to_the_linked_page(
    desk: Desk, open_page: Open
) -> None:
    page = open_page(desk.address)
    page.goto("/alerts")
    page.locator("#name").fill("viewer")
    page.locator("#password").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("is wrong")
    expect(page.locator("#name")).to_have_value("viewer")

    page.locator("#password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{desk.address}/alerts")


def test_a_limit_is_edited_in_place_with_the_keyboard_after_a_preview(desk: Desk, open_page: Open) -> None:
    page = log_in(open_page(desk.address), Role.FINANCE)
    open_editor(page, "acme/checkout")
    expect(page.locator(".effect")).to_contain_text("No effect: these are the current settings.")

    page.keyboard.press("Control+a")
    page.keyboard.type("70,000")
    expect(page.locator(".effect")).to_contain_text("1 balance would get different limits.")
    expect(page.locator(".effect")).to_contain_text("before it was topped up")
    page.keyboard.press("Enter")

    expect(page.locator("#rows")).to_contain_text("Saved, and judged by the latest readings.")
    expect(page.get_by_role("link", name="Edit acme/checkout:industry")).to_be_focused()
    assert 70_000 == row(desk).warning_below


def test_escape_closes_the_editor_and_changes_nothing(desk: Desk, open_page: Open) -> None:
    page = log_in(open_page(desk.address), Role.FINANCE)
    open_editor(page, "acme/checkout")
    page.locator("#e-warning_below").fill("5")
    page.keyboard.press("Escape")
    expect(page.locator("#e-warning_below")).to_have_count(0)
    assert 60_000 == row(desk).warning_below


def test_a_fault_is_shown_at_its_field_and_the_editor_stays_open(desk: Desk, open_page: Open) -> None:
    page = log_in(open_page(desk.address), Role.FINANCE)
    open_editor(page, "acme/checkout")
    page.locator("#e-critical_below").fill("90000")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".field", has=page.locator("#e-critical_below"))).to_contain_text("is looser than")
    expect(page.locator("#e-critical_below")).to_be_focused()
    assert 20_000 == row(desk).critical_below


def test_the_second_of_two_editors_is_asked_before_anything_is_overwritten(
    desk: Desk, open_page: Open
) -> None:
    first, second = (log_in(open_page(desk.address), role) for role in (Role.FINANCE, Role.ADMIN))
    for page in (first, second):
        open_editor(page, "acme/checkout")
    first.locator("#e-warning_below").fill("70000")
    first.get_by_role("button", name="Save").click()
    expect(first.locator("#rows")).to_contain_text("70,000")

    second.locator("#e-warning_below").fill("80000")
    second.get_by_role("button", name="Save").click()
    expect(second.locator(".editor .notice")).to_contain_text(
        "finance changed this row while you were editing it."
    )
    assert 70_000 == row(desk).warning_below
    second.get_by_role("button", name="Save").click()
    expect(second.locator("#rows")).to_contain_text("80,000")
    assert 80_000 == row(desk).warning_below


def test_a_faulty_sheet_is_marked_at_its_cells_and_a_valid_one_is_applied_and_undone(
    desk: Desk, open_page: Open
) -> None:
    page = log_in(open_page(desk.address), Role.FINANCE)

    def upload(text: str) -> None:
        page.goto("/thresholds/sheet")
        sheet: FilePayload = {
            "name": "limits.csv",
            "mimeType": "text/csv",
            "buffer": text.encode("utf-8-sig"),
        }
        page.locator("#sheet").set_input_files(files=[sheet])
        page.get_by_role("button", name="Show the changes").click()

    upload("wallet,category,warning_below\nacme/checkout,industry,12%\n")
    expect(page.locator("td.wrong")).to_contain_text("must be a whole number of messages")

    upload('wallet,category,warning_below,critical_below\nacme/checkout,industry,"90,000",30000\n')
    expect(page.locator("h2").first).to_have_text("1 row would change")
    page.get_by_role("button", name="Apply 1 change").click()
    expect(page.get_by_role("status").filter(has_text="The sheet was applied")).to_be_visible()
    assert (90_000, 30_000) == (row(desk).warning_below, row(desk).critical_below)

    page.goto("/audit")
    page.get_by_role("button", name="Undo the change of acme/checkout:industry").first.click()
    expect(page.get_by_role("status").filter(has_text="Undone")).to_be_visible()
    assert (60_000, 20_000) == (row(desk).warning_below, row(desk).critical_below)


def test_balances_are_found_while_typing_and_the_url_keeps_the_search(desk: Desk, open_page: Open) -> None:
    page = log_in(open_page(desk.address), Role.VIEWER)
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("acme/*")
    expect(page.locator("table.balances tbody tr")).to_have_count(7)
    page.keyboard.type(":voice")
    expect(page.locator("table.balances tbody tr")).to_have_count(1)
    page.locator(".chip.critical").click()
    expect(page.locator("table.balances tbody tr")).to_have_count(1)
    page.reload()
    expect(page.locator("#q")).to_have_value("acme/*:voice")
    page.locator("table.balances a.wallet").click()
    expect(page.locator("h1")).to_have_text("acme/checkout")


def test_the_focus_moves_to_the_new_list_when_the_page_is_turned_with_the_keyboard(
    desk: Desk, open_page: Open
) -> None:
    desk.world.configure(*(WalletName(f"acme/app{number:02}") for number in range(30)))
    page = log_in(open_page(desk.address), Role.VIEWER)
    page.get_by_role("link", name="Next", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".pager")).to_contain_text("51–100 of")
    expect(page.locator("#balances")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator(".chip").first).to_be_focused()


def test_each_role_sees_only_its_actions(desk: Desk, open_page: Open) -> None:
    permissions = {}
    for role in Role:
        page = log_in(open_page(desk.address), role)
        page.goto("/thresholds")
        edits = page.get_by_role("link", name="Edit").count() > 0
        page.goto("/alerts/1")
        acknowledges = page.get_by_role("button", name="Acknowledge").count() > 0
        permissions[role] = (edits, acknowledges, page.get_by_role("link", name="Users").count() > 0)
    assert {
        Role.VIEWER: (False, False, False),
        Role.FINANCE: (True, True, False),
        Role.ADMIN: (True, True, True),
    } == permissions


def test_an_alert_is_acknowledged_and_silenced(desk: Desk, open_page: Open) -> None:
    page = log_in(open_page(desk.address), Role.FINANCE)
    page.goto("/alerts/1")
    page.locator("#note").fill("ordered 200,000")
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.locator("main")).to_contain_text("ordered 200,000")

    page.get_by_text("Silence this alert").click()
    page.get_by_role("button", name="Silence", exact=True).click()
    expect(page.locator("#silences")).to_contain_text("acme/")


def test_an_open_page_shows_when_the_bot_does_not_answer(
    desk: Desk, open_page: Open, stop_serving: Callable[[], None]
) -> None:
    page = log_in(open_page(desk.address), Role.VIEWER)
    stop_serving()
    page.locator("#q").fill("x")
    expect(page.locator("#trouble")).to_contain_text("The server doesn't answer.")


def test_a_chart_shows_its_values_with_the_arrow_keys_and_the_pointer(desk: Desk, open_page: Open) -> None:
    page = log_in(open_page(desk.address), Role.VIEWER)
    page.goto("/wallets/acme/checkout?category=industry")
    chart = page.locator(".chart.wide")
    chart.focus()
    last = chart.get_attribute("aria-valuenow")
    page.keyboard.press("ArrowLeft")
    assert int(last or "0") - 1 == int(chart.get_attribute("aria-valuenow") or "0")
    expect(chart.locator(".chart-value")).to_contain_text("messages")
    chart.hover(position={"x": 300, "y": 100})
    expect(chart).not_to_have_attribute("aria-valuenow", str(int(last or "0") - 1))


def test_several_rows_are_selected_and_saved_after_a_preview(desk: Desk, open_page: Open) -> None:
    page = log_in(open_page(desk.address), Role.FINANCE)
    page.goto("/thresholds")
    page.get_by_label("Tick all on this page").check()
    page.get_by_role("button", name="Edit the ticked rows").click()
    page.locator("#b-lead_time_days").fill("6")
    page.get_by_role("button", name="Show the changes").click()
    page.get_by_role("button", name="Apply 3 changes").click()
    expect(page.get_by_role("status").filter(has_text="Saved")).to_be_visible()
    assert 6 == row(desk).lead_time_days
    page.goto("/audit")
    page.get_by_role("button", name="Undo all 3").click()
    expect(page.get_by_role("status").filter(has_text="Undone")).to_be_visible()
    assert row(desk).lead_time_days is None

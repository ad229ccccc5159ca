"""Finance edits limits in place: origins are shown, faults appear at their field, and no change is overwritten unseen."""

import re

import httpx
import pytest

from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import Category
from balancebot.domain.threshold import OFF, Scope, ThresholdRow
from balancebot.domain.user import Role
from tests.web import showcase
from tests.web.conftest import Desk, csrf_token
from tests.world import SHOP, WEB, industry

SCOPE = Scope(SHOP, Category.INDUSTRY)


@pytest.fixture
def watched(desk: Desk) -> Desk:
    for wallet in (SHOP, WEB):
        desk.world.shows(industry(800), wallet=wallet)
    desk.world.configure(SHOP, WEB)
    desk.world.limit("acme/*", "*", warning_below=5000)
    return desk


def editor(browser: httpx.Client, wallet: str = SHOP, category: str = "industry") -> dict[str, str]:
    """Return the fields of the form, as a browser sends them."""
    text = browser.get("/thresholds/edit", params={"wallet": wallet, "category": category}).text
    fields = dict(re.findall(r'<input[^>]*? name="(\w+)" value="([^"]*)"', text))
    note = re.search(r"<textarea[^>]*>([^<]*)</textarea>", text)
    assert note
    return fields | {"note": note[1]}


def row(desk: Desk, scope: Scope = SCOPE) -> ThresholdRow | None:
    return desk.app.edit_thresholds.look(scope)


def test_inherited_limits_are_shown_with_their_origin(watched: Desk) -> None:
    with watched.user(Role.VIEWER) as browser:
        rows = browser.get("/thresholds").text
        every = re.sub(r"\s+", " ", browser.get("/thresholds?view=balances&q=shop").text)
    assert ">acme/*<" in rows
    assert '5,000<span class="origin">from acme/*</span>' in every
    assert '7<span class="origin">built in</span>' in every
    assert "Edit</a>" not in rows


def test_a_row_is_saved_with_values_as_people_write_them(watched: Desk) -> None:
    with watched.user(Role.FINANCE) as browser:
        fields = editor(browser) | {"warning_below": "1,000", "critical_below": "off", "note": "call Ops"}
        answer = browser.post("/thresholds/save", data=fields)
    assert (303, "/thresholds?done=saved") == (answer.status_code, answer.headers["location"])
    saved = ThresholdRow(
        wallet=SHOP, category=Category.INDUSTRY, warning_below=1000, critical_below=OFF, note="call Ops"
    )
    assert saved == row(watched)


def test_a_fault_is_shown_at_its_field_and_nothing_is_saved(watched: Desk) -> None:
    with watched.user(Role.FINANCE) as browser:
        answer = browser.post("/thresholds/save", data=editor(browser) | {"warning_below": "many<b>"})
    assert 422 == answer.status_code
    assert "must be a number, `off` or `inherit`, not &#39;many&lt;b&gt;&#39;" in answer.text
    assert 'value="many&lt;b&gt;"' in answer.text
    assert row(watched) is None


def test_a_critical_limit_looser_than_its_warning_is_refused_with_the_row_of_the_warning(
    watched: Desk,
) -> None:
    with watched.user(Role.FINANCE) as browser:
        answer = browser.post("/thresholds/save", data=editor(browser) | {"critical_below": "6000"})
    assert 422 == answer.status_code
    assert "from acme/*:*" in answer.text


def test_the_second_of_two_editors_sees_the_change_and_is_asked(watched: Desk) -> None:
    with watched.user(Role.FINANCE) as first, watched.user(Role.ADMIN) as second:
        mine, theirs = editor(first), editor(second)
        first.post("/thresholds/save", data=mine | {"warning_below": "1000"})

        answer = second.post("/thresholds/save", data=theirs | {"warning_below": "2000"})
        assert 409 == answer.status_code
        assert "finance changed this row while you were editing it." in answer.text
        assert "<ins>1,000</ins>" in answer.text
        assert "<del>2000</del>" in answer.text
        assert 1000 == row(watched).warning_below

        seen = re.search('name="seen" value="([^"]+)"', answer.text)
        assert seen
        second.post("/thresholds/save", data=theirs | {"warning_below": "2000", "seen": seen[1]})
    assert 2000 == row(watched).warning_below


def test_a_new_row_for_a_wallet_that_is_not_configured_names_the_nearest(watched: Desk) -> None:
    with watched.user(Role.FINANCE) as browser:
        fields = editor(browser, wallet="") | {"wallet": "acme/shp", "category": "*", "warning_below": "5"}
        answer = browser.post("/thresholds/save", data=fields)
    assert 422 == answer.status_code
    assert "no wallet acme/shp is configured; did you mean acme/shop?" in answer.text


def test_a_saved_row_is_returned_as_part_of_the_open_page(watched: Desk) -> None:
    with watched.user(Role.FINANCE) as browser:
        htmx = {"HX-Request": "true", "HX-Current-URL": f"{watched.address}/thresholds?q=shop&view=balances"}
        answer = browser.post(
            "/thresholds/save", data=editor(browser) | {"warning_below": "77"}, headers=htmx
        )
    assert (200, "#rows") == (answer.status_code, answer.headers["hx-retarget"])
    assert ">77</td>" in re.sub(r"\s", "", answer.text)
    assert "acme/web" not in answer.text


def test_a_viewer_can_not_save(watched: Desk) -> None:
    with watched.user(Role.VIEWER) as browser:
        fields = {"csrf_token": csrf_token(browser), "wallet": SHOP, "category": "*", "warning_below": "1"}
        assert 403 == browser.post("/thresholds/save", data=fields).status_code
        assert 403 == browser.get("/thresholds/edit").status_code


def test_the_editor_previews_which_alerts_would_open(watched: Desk) -> None:
    watched.world.poll()
    with watched.user(Role.FINANCE) as browser:
        fields = editor(browser) | {"warning_below": "900", "critical_below": "850", "warning_days": "off"}
        text = browser.post("/thresholds/preview", data=fields).text
    assert "1 balance would get different limits." in text
    assert 'worsens to</strong> <span class="badge critical">' in text
    assert "800 messages, below the critical limit of 850" in text
    assert row(watched) is None


def test_a_preview_of_an_incomplete_value_shows_a_quiet_hint(watched: Desk) -> None:
    with watched.user(Role.FINANCE) as browser:
        text = browser.post("/thresholds/preview", data=editor(browser) | {"warning_below": "9x"}).text
    assert "must be a number" in text


def test_the_backtest_is_shown_beside_that_of_todays_limits(desk: Desk) -> None:
    showcase.fill(desk.world)
    with desk.user(Role.FINANCE) as browser:
        fields = editor(browser, "acme/checkout") | {"warning_below": "70000", "warning_days": "off"}
        text = browser.post("/thresholds/backtest", data=fields).text
    assert "before it was topped up" in text
    assert "With the current limits" in text or "With the current limits" in text


def test_undo_needs_one_click_and_asks_only_after_another_change(watched: Desk) -> None:
    with watched.user(Role.FINANCE) as browser:
        for limit in ("1000", "2000"):
            browser.post("/thresholds/save", data=editor(browser) | {"warning_below": limit})
        token = csrf_token(browser)
        links = re.findall(r'action="(/audit/\d+/undo)"', browser.get("/audit").text)

        answer = browser.post(links[1], data={"csrf_token": token})
        assert 409 == answer.status_code
        assert "This was changed again since then." in answer.text
        assert 2000 == row(watched).warning_below

        assert "/audit?done=undone" == browser.post(links[0], data={"csrf_token": token}).headers["location"]
    assert 1000 == row(watched).warning_below


def test_a_viewer_can_not_undo(watched: Desk) -> None:
    with watched.user(Role.VIEWER) as browser:
        assert 403 == browser.post("/audit/1/undo", data={"csrf_token": csrf_token(browser)}).status_code
        assert "undo" not in browser.get("/audit").text


def test_the_editor_of_an_invalid_scope_shows_the_fault(watched: Desk) -> None:
    with watched.user(Role.FINANCE) as browser:
        answer = browser.get("/thresholds/edit", params={"wallet": "acme", "category": "vioce"})
    assert 422 == answer.status_code
    assert "did you mean voice?" in answer.text


def test_the_editor_shows_the_balance_and_a_count_converted_to_days(desk: Desk) -> None:
    showcase.set_limits(desk.world)
    showcase.fill(desk.world)
    with desk.user(Role.FINANCE) as browser:
        form = editor(browser) | {"wallet": "acme/checkout", "category": "industry", "warning_below": "3万"}
        answer = browser.post("/thresholds/preview", data=form, headers={"HX-Request": "true"}).text
        opened = browser.get("/thresholds/edit?wallet=acme/checkout&category=industry").text
        table = browser.get("/thresholds").text
    assert re.search(
        r'id="m-warning_below"[^>]*hx-swap-oob[^>]*>\s*<span class="meaning">3万: ≈ [\d.]+ days', answer
    )
    assert re.search(r"Now</span> [\d,]+ messages", opened)
    assert re.search(r"60,000: ≈ [\d.]+ days", opened)
    assert re.search(r"\d balances, first to run out:", table)


def test_a_fault_is_shown_at_its_field_while_typing(watched: Desk) -> None:
    with watched.user(Role.FINANCE) as browser:
        form = editor(browser) | {"warning_below": "many"}
        answer = browser.post("/thresholds/preview", data=form, headers={"HX-Request": "true"}).text
    assert re.search(r'id="m-warning_below"[^>]*>\s*<span class="fault">must be a number', answer)


def test_a_row_is_removed_unless_it_was_changed_meanwhile(watched: Desk) -> None:
    with watched.user(Role.FINANCE) as browser:
        form = editor(browser)
        browser.post("/thresholds/save", data=form | {"warning_below": "70"})
        late = browser.post("/thresholds/remove", data=form)
        assert (409, True) == (late.status_code, "changed this row" in late.text)
        removed = browser.post("/thresholds/remove", data=editor(browser))
        assert (303, "/thresholds?done=removed") == (
            removed.status_code,
            removed.headers["location"].partition("&")[0],
        )
    assert watched.app.edit_thresholds.look(SCOPE) is None


def test_several_rows_are_selected_previewed_saved_and_undone_together(watched: Desk) -> None:
    edit = watched.app.edit_thresholds
    scopes = [Scope(SHOP, category) for category in Category]
    with watched.user(Role.FINANCE) as browser:
        token = csrf_token(browser)
        chosen = {"csrf_token": token, "scope": [str(scope) for scope in scopes]}
        assert "Edit 4 rows" in browser.post("/thresholds/bulk", data=chosen).text
        wrong = browser.post("/thresholds/bulk/preview", data=chosen | {"warning_below": "x"})
        assert (422, True) == (wrong.status_code, "must be a number" in wrong.text)
        shown = browser.post(
            "/thresholds/bulk/preview", data=chosen | {"warning_below": "20k", "note": "ask Lin"}
        )
        assert "4 rows would change" in shown.text
        fields = dict(re.findall(r'name="(changes|seen|via)" value="([^"]*)"', shown.text))
        saved = browser.post("/thresholds/sheet/apply", data=fields | {"csrf_token": token})
        assert "done=saved" in saved.headers["location"]
        assert [20_000] * 4 == [row.warning_below for scope in scopes if (row := edit.look(scope))]

        audited = browser.get("/audit").text
        assert "Undo all 4" in audited
        entry = re.search(r"/audit/(\d+)/undo-all", audited)
        assert entry
        edit.set(scopes[0], {"warning_below": "5"}, by=Actor(name="root", via=Via.CLI))
        asked = browser.post(f"/audit/{entry[1]}/undo-all", data={"csrf_token": token})
        assert (409, True) == (asked.status_code, "Undo the other 3" in asked.text)
        undone = browser.post(f"/audit/{entry[1]}/undo-all", data={"csrf_token": token, "skip": "yes"})
        assert "done=undone" in undone.headers["location"]
    assert [5] == [
        row.warning_below for scope in scopes if (row := edit.look(scope)) and row.note == "ask Lin"
    ]


def test_the_effects_of_saving_on_alerts_are_shown_with_links(watched: Desk) -> None:
    watched.world.limit(SHOP, "industry", warning_below=5)
    watched.world.poll()
    with watched.user(Role.FINANCE) as browser:
        saved = browser.post("/thresholds/save", data=editor(browser) | {"warning_below": "2m"})
        page = browser.get(saved.headers["location"]).text
    assert re.search(r'<a href="/alerts/\d+">opened a warning alert for acme/shop industry</a>', page)

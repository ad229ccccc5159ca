"""Accessibility of every page and state: light and English on a desktop, dark and Chinese on a phone."""

from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import FilePayload, Page, expect

from balancebot.config import LANGUAGES
from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import Category
from balancebot.domain.threshold import Scope
from balancebot.domain.user import Role
from tests.web.browser import log_in
from tests.web.conftest import Desk
from tests.web.showcase import CHECKOUT
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WIDTHS = (390, 768, 1024, 1180, 1280)
PHONE, DESK = 390, 1024
LOOKS: dict[str, tuple[Literal["light", "dark"], int]] = {
    "en": ("light", 1280),
    "zh-CN": ("dark", PHONE),
}
"""Colours and sizes don't depend on the language, so each language is checked in one colour scheme."""
BY = Actor(name="finance", via=Via.PAGE)
SCOPE = Scope(CHECKOUT, Category.INDUSTRY)
OPEN_TO_ALL = {"log-in": "/login", "missing": "/nothing"}
PAGES = {
    "overview": "/",
    "unallocated": "/?group=unallocated",
    "nothing found": "/?q=nothing",
    "wallet": "/wallets/acme/checkout?category=industry",
    "wallet, nothing allocated": "/wallets/acme/checkout?category=market",
    "thresholds": "/thresholds",
    "every balance": "/thresholds?view=balances",
    "new row": "/thresholds/edit",
    "sheet": "/thresholds/sheet",
    "alerts": "/alerts",
    "past alerts": "/alerts?show=past",
    "alert": "/alerts/1",
    "plans": "/plans",
    "orders": "/orders",
    "advice": "/orders/advice",
    "statement": "/statements?month=2026-11",
    "statement by day": "/statements?month=2026-11&by=day",
    "channels": "/channels",
    "who would be told": "/channels?about=acme/checkout:industry&severity=warning",
    "audit": "/audit",
    "users": "/users",
    "me": "/me",
    "missing, logged in": "/nothing",
}
BAD_SHEET = "wallet,category,warning_below,note\nacme/chekout,industry,12%,who\nacme/login,indstry,5,\n"
GOOD_SHEET = 'wallet,category,warning_below,note\nacme/checkout,industry,"290,000",Finance\nacme/x*,*,5,\n'


@pytest.fixture
def world(watching: World) -> World:
    return watching


@pytest.mark.parametrize("part", ["pages", "states"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_and_state_is_accessible(
    open_desk: Callable[..., Desk], open_page: Callable[..., Page], language: str, part: str
) -> None:
    desk, axe = open_desk(language=language), Axe()
    scheme, wide = LOOKS[language]
    found: dict[str, list[object]] = {}
    page = open_page(desk.address)
    page.emulate_media(color_scheme=scheme)
    for name in pages(page) if part == "pages" else states(desk, page):
        found[name] = []
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                found[name].append(f"wider than {width}")
            if width >= DESK:
                found[name] += [f"{cut} at {width}" for cut in page.evaluate(CUT)]
            if width == PHONE:
                found[name] += page.evaluate(SMALL)
            if width == wide:
                found[name] += serious(axe, page)
    assert {} == {name: faults for name, faults in found.items() if faults}


def pages(page: Page) -> Iterator[str]:
    """Open every page."""
    for name, address in OPEN_TO_ALL.items():
        page.goto(address)
        yield name
    page.goto("/login")
    for _ in range(6):
        page.locator("#name").fill("nobody")
        page.locator("#password").fill("wrong")
        with page.expect_navigation():
            page.locator("button.primary").click()
    yield "log-in, throttled"

    log_in(page, Role.ADMIN)
    for name, address in PAGES.items():
        page.goto(address)
        yield name


def states(desk: Desk, page: Page) -> Iterator[str]:
    """Bring the pages into every state."""
    log_in(page, Role.ADMIN)
    page.goto("/users")
    page.locator("summary").first.click()
    yield "users, one opened"
    page.goto("/alerts/1")
    page.locator("summary").first.click()
    yield "alert, to be silenced"

    for name, text in {"bad sheet": BAD_SHEET, "good sheet": GOOD_SHEET, "empty sheet": ""}.items():
        page.goto("/thresholds/sheet")
        sheet: FilePayload = {"name": "limits.csv", "mimeType": "text/csv", "buffer": text.encode()}
        page.locator("#sheet").set_input_files(files=[sheet])
        with page.expect_navigation():
            page.locator("form[enctype] button").click()
        yield name

    def open_editor(value: str) -> None:
        page.goto("/thresholds")
        page.locator("a.button[href*='wallet=acme%2Fcheckout']").click()
        page.locator("#e-warning_below").fill(value)

    open_editor("150,000")
    expect(page.locator(".compare")).to_be_visible()
    yield "editor"
    open_editor("x")
    page.locator(".editor button.primary").click()
    expect(page.locator(".editor [aria-invalid]")).to_be_visible()
    yield "editor, refused"
    open_editor("80,000")
    desk.app.edit_thresholds.set(SCOPE, {"warning_below": "70,000"}, by=BY)
    page.locator(".editor button.primary").click()
    expect(page.locator(".editor .notice")).to_be_visible()
    yield "editor, conflict"

    desk.app.edit_thresholds.set(SCOPE, {"warning_below": "71,000"}, by=BY)
    page.goto("/audit")
    with page.expect_navigation():
        page.locator("form[action$='/undo'] button").last.click()
    yield "undo, conflict"


CUT = """() => [...document.querySelectorAll("nav, section, .scroll")]
  .filter(part => part.scrollWidth > part.clientWidth + 1)
  .map(part => `${part.tagName} ${part.className} is cut`)"""
SMALL = """() => [...document.querySelectorAll("a, button, input, select, textarea, summary")]
  .filter(one => one.checkVisibility() && one.type !== "hidden" && !one.closest("thead, .skip"))
  .filter(one => one.getBoundingClientRect().height < 43.9)
  .map(one => `too small for a finger: ${one.outerHTML.slice(0, 120)}`)"""


def serious(axe: Axe, page: Page) -> list[str]:
    """Return the serious findings of axe."""
    return [
        f"{violation['id']}: {violation['nodes'][0]['html'][:120]}"
        for violation in axe.run(page).response["violations"]
        if violation["impact"] in {"serious", "critical"}
    ]

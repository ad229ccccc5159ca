"""The system's headless Chromium, with pages that fail on policy violations, script errors and foreign requests."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit  # noqa: TID251 -- a test may fail by what it raises

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from balancebot.domain.user import Role
from tests.patience import PATIENCE

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUIETLY = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


PASSWORD = "a long secret"
"""The password of every user in the tests of the pages."""


def log_in(page: Page, role: Role) -> Page:
    """Log in the user of a role; the user has the name of the role."""
    page.goto("/login")
    page.locator("#name").fill(role.value)
    page.locator("#password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("nav.sections")).to_be_visible()
    page.wait_for_load_state()  # the scripts are loaded
    return page


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser; without one the tests that need it are skipped, but never under CI."""
    path = next((found for name in _CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is not installed, and under CI no test of the pages is skipped")
        pytest.skip("Chromium is not installed")
    expect.set_options(timeout=PATIENCE * 1000)
    with started() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(QUIETLY))
        yield browser
        browser.close()


@contextmanager
def started() -> Iterator[Playwright]:
    """Playwright's driver, without the event loop that it leaves in this thread."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """A function that opens pages; policy violations, script errors and requests to other hosts fail the test at its end."""
    contexts = []
    problems: list[str] = []

    def open_(address: str, *, width: int = 1280, height: int = 900, scheme: str = "light") -> Page:
        context = chromium.new_context(
            base_url=address,
            viewport={"width": width, "height": height},
            color_scheme=scheme,  # type: ignore[arg-type]
            reduced_motion="reduce",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on(
            "console",
            lambda message: (
                problems.append(message.text)
                if "Content Security Policy" in message.text or "Refused to" in message.text
                else None
            ),
        )
        page.on(
            "request",
            lambda request: (
                problems.append(f"asked {request.url}")
                if urlsplit(request.url).netloc != urlsplit(address).netloc
                else None
            ),
        )
        return page

    yield open_
    for context in contexts:
        context.close()
    assert problems == []

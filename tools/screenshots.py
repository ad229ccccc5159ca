"""Takes the pictures of the pages in the README: `PYTHONPATH=. python tools/screenshots.py` from the root.

They show the account of the pages' tests, in the system's headless Chromium.
"""

import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from balancebot.domain.audit import Actor, Via
from balancebot.domain.user import Role
from balancebot.people.users import add_user
from balancebot.store.database import Database
from balancebot.web.app import create_pages
from balancebot.web.server import serve
from tests.web import showcase
from tests.web.browser import QUIETLY
from tests.web.conftest import pages_of
from tests.world import HandClock, World

IMAGES = Path(__file__).parents[1] / "docs" / "images"
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
NAME, PASSWORD = "demo", "a long secret"


def edit(page: Page) -> None:
    """Open a row, enter another limit, and wait for the preview of its effects."""
    page.get_by_role("link", name="Edit acme/checkout:industry").click()
    page.locator("#e-warning_below").fill("150,000")
    page.locator(".compare").wait_for()


def nothing(page: Page) -> None:
    """Show the page as it opens."""


CAMPAIGN = f"/wallets/{showcase.CAMPAIGN}?category=market"
PICTURES: tuple[tuple[str, str, tuple[int, int], str, Callable[[Page], None]], ...] = (
    ("overview", "/", (1280, 860), "en", nothing),
    ("wallet", CAMPAIGN, (1280, 860), "en", nothing),
    ("thresholds", "/thresholds", (1280, 1180), "en", edit),
    ("phone", CAMPAIGN, (390, 860), "zh-CN", nothing),
)


def main() -> None:
    """Take all pictures."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        database = Database(f"sqlite:///{folder}/balancebot.db")
        database.upgrade()
        by = Actor(name="root", via=Via.CLI)
        add_user(database, name=NAME, role=Role.FINANCE, password=PASSWORD, by=by, now=NOW)
        world = World(database, clock=HandClock(NOW))
        showcase.set_limits(world)
        showcase.fill(world)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(QUIETLY))
        for name, address, (width, height), language, act in PICTURES:
            server = serve(
                create_pages(pages_of(world, language=language), metrics=bytes), host="127.0.0.1", port=0
            )
            page = browser.new_page(
                base_url=f"http://127.0.0.1:{server.port}", viewport={"width": width, "height": height}
            )
            page.goto("/login")
            page.locator("#name").fill(NAME)
            page.locator("#password").fill(PASSWORD)
            page.keyboard.press("Enter")
            page.locator("nav.sections").wait_for()
            page.goto(address)
            act(page)
            page.screenshot(path=IMAGES / f"{name}.png")
            page.close()
            server.stop()
        browser.close()
        database.dispose()


if __name__ == "__main__":
    main()

"""Draws docs/images/alert.gif, an alert's life in six pictures: `PYTHONPATH=. python tools/alert_life.py` from the
root.

The pages are the real ones in the system's headless Chromium. The Slack messages are drawn from the blocks that Slack
would get.
"""

import html
import io
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright
from sqlalchemy import select

from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import BalanceKey, Category
from balancebot.domain.message import MessageRef, OutgoingMessage
from balancebot.domain.user import Role
from balancebot.jsms.simulator.ledger import Ledger
from balancebot.jsms.simulator.scenario import Event, EventKind, Quota, Scenario, simulated_wallet
from balancebot.notify.slack.blocks import SlackMessage, buttons_for, message_of
from balancebot.people.users import add_user
from balancebot.ports import ChannelError
from balancebot.store import tables
from balancebot.store.database import Database
from balancebot.web.app import create_pages
from balancebot.web.server import serve
from tests.outbox_bench import Room
from tests.web import showcase
from tests.web.browser import QUIETLY
from tests.web.conftest import pages_of
from tests.world import HandClock, World
from tools.screenshots import NAME, NOW, PASSWORD

FILE = Path(__file__).parents[1] / "docs" / "images" / "alert.gif"
SIZE = (860, 560)
SECONDS, COLORS = 3.2, 96
CHECKOUT = showcase.CHECKOUT
SCENARIO = Scenario(
    wallets=(
        simulated_wallet("acme", universal=Quota(start=900_000, per_day=400)),
        simulated_wallet("acme", "checkout", industry=Quota(start=497_000, per_day=9_500)),
        simulated_wallet("acme", "login", industry=Quota(start=460_000, per_day=4_200)),
    ),
    seed=7,
    history=timedelta(days=45),
)
BY = Actor(name="finance", via=Via.SLACK)

_FRAME = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; font: 15px/1.45 "Noto Sans", "DejaVu Sans", sans-serif; color: #1d1c1d; background: #fff }}
.room {{ padding: 10px 22px; border-bottom: 1px solid #ddd; font-weight: 700 }}
.message {{ padding: 10px 22px 4px; display: flex; gap: 12px }}
.below {{ padding-left: 74px; font-size: 14px }}
.icon {{ flex: none; width: 38px; height: 38px; border-radius: 8px; background: #2b59c3; color: #fff; font-weight: 700 }}
.icon {{ text-align: center; line-height: 38px }}
h3 {{ margin: 2px 0 4px; font-size: 17px }} p {{ margin: 3px 0; white-space: pre-line }}
.quiet {{ color: #616061; font-size: 12px }}
.fields {{ display: grid; grid-template-columns: 1fr 1fr; gap: 2px 18px }} a {{ color: #1264a3 }}
button {{ font: 600 13px sans-serif; background: #fff; border: 1px solid #bbb; border-radius: 4px; padding: 3px 9px }}
</style><div class="room"># ops-alerts</div>{messages}"""
_CAPTION = """(text) => {
  const note = document.createElement("div");
  note.textContent = text;
  note.style.cssText = "position:fixed;left:0;right:0;bottom:0;padding:10px 22px;background:#111827;color:#fff;z-index:99;"
    + "font:600 17px 'DejaVu Sans',sans-serif";
  document.body.append(note);
}"""


class Recorder(Room):
    """A channel that records its messages."""

    outgoing: list[OutgoingMessage]

    def put(self, outgoing: OutgoingMessage) -> MessageRef | ChannelError:
        """Record the message."""
        self.outgoing = [*getattr(self, "outgoing", []), outgoing]
        return super().put(outgoing)


def main() -> None:
    """Simulate the alert and draw it."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        database = Database(f"sqlite:///{folder}/balancebot.db")
        database.upgrade()
        add_user(
            database,
            name=NAME,
            role=Role.FINANCE,
            password=PASSWORD,
            by=Actor(name="root", via=Via.CLI),
            now=NOW,
        )
        world = World(database, clock=HandClock(NOW))
        world.slack = Recorder("slack", world.clock)
        world.app = world.another_app()
        world.limit(
            CHECKOUT, "industry", warning_below=60_000, critical_below=20_000, note="Buy, then tell #finance"
        )
        ledger = showcase.fill(world, scenario=SCENARIO)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(QUIETLY))
        server = serve(create_pages(pages_of(world), metrics=bytes), host="127.0.0.1", port=0)
        view: dict[str, Any] = {"viewport": {"width": SIZE[0], "height": SIZE[1]}}
        page = browser.new_page(base_url=f"http://127.0.0.1:{server.port}", **view)
        frames = list(_story(world, ledger, page, browser.new_page(**view)))
        frames[0].save(
            FILE, save_all=True, append_images=frames[1:], duration=int(SECONDS * 1000), loop=0, optimize=True
        )
        browser.close()
        server.stop()
        database.dispose()
    print(f"{FILE}: {FILE.stat().st_size:,} bytes")


def _story(world: World, ledger: Ledger, page: Page, slack: Page) -> Iterator[Image.Image]:
    wallet = f"/wallets/{CHECKOUT}?category=industry"
    _log_in(page)
    page.goto(wallet)
    yield _picture(page, "1 · Every balance is watched, with how long it lasts")
    _reads(world, ledger, hours=24)
    slack.set_content(_room(world))
    yield _picture(slack, "2 · It runs low: one message, with what to do")
    _log_in(page)
    page.goto(wallet)
    yield _picture(page, "3 · The page shows the past, the limits and what may come")
    with world.database.read() as conn:
        (alert,) = conn.scalars(select(tables.alerts.c.id).where(tables.alerts.c.wallet == CHECKOUT))
    world.app.operate_alerts.acknowledge(str(alert), by=BY, note="ordered 250,000")
    world.deliver()
    slack.set_content(_room(world))
    yield _picture(slack, "4 · Somebody takes it: the same message says so, nobody is reminded")
    top_up = Event(
        kind=EventKind.TOP_UP, balance=BalanceKey(CHECKOUT, Category.INDUSTRY), at=timedelta(), amount=250_000
    )
    ledger.happen(top_up, world.clock.now())
    _reads(world, ledger, hours=20)
    slack.set_content(_room(world))
    yield _picture(slack, "5 · Topped up: the message turns green, the thread says it, too")
    _log_in(page)
    page.goto(f"/alerts/{alert}")
    yield _picture(page, "6 · And all of it stays on record")


def _log_in(page: Page) -> None:
    page.goto("/login")
    if page.locator("#password").count():
        page.locator("#name").fill(NAME)
        page.locator("#password").fill(PASSWORD)
        page.keyboard.press("Enter")
    page.locator("nav.sections").wait_for()


def _reads(world: World, ledger: Ledger, *, hours: int) -> None:
    """Let time pass with a reading every half hour, and deliver the resulting messages."""
    for _ in range(2 * hours):
        world.clock.pass_by(minutes=30)
        for name in world.source.script:
            world.shows(ledger.readings(name, world.clock.now()), wallet=name)
        world.poll()
        world.app.operate_alerts.tick()
        world.deliver()


def _room(world: World) -> str:
    """Draw the channel of checkout's alert: its message in the present version, and the replies below."""
    slack = world.slack
    assert isinstance(slack, Recorder)
    ours = [outgoing for outgoing in slack.outgoing if str(CHECKOUT) in repr(outgoing.message)]
    living = [outgoing for outgoing in ours if outgoing.action.value in {"post", "edit"}][-1]
    answers = [outgoing for outgoing in ours if outgoing.action.value == "reply"]
    renderer = world.app.renderer
    buttons = buttons_for(living.message, renderer.words_for(living.message))
    parts = [_message(message_of(renderer, living, buttons=buttons))]
    parts += [f'<div class="below">{_message(message_of(renderer, answer))}</div>' for answer in answers]
    return _FRAME.format(messages="".join(parts))


def _message(message: SlackMessage) -> str:
    body = "".join(_block(block) for block in message.blocks)
    return f'<div class="message"><div class="icon">b</div><div><b>balancebot</b>{body}</div></div>'


def _block(block: Mapping[str, Any]) -> str:
    match block["type"]:
        case "header":
            return f"<h3>{html.escape(block['text']['text'])}</h3>"
        case "section" if "fields" in block:
            fields = "".join(f"<p>{_mrkdwn(field['text'])}</p>" for field in block["fields"])
            return f'<div class="fields">{fields}</div>'
        case "section":
            return f"<p>{_mrkdwn(block['text']['text'])}</p>"
        case "context":
            return (
                f'<p class="quiet">{" ".join(_mrkdwn(element["text"]) for element in block["elements"])}</p>'
            )
        case "actions":
            labels = [
                (element.get("text") or element.get("placeholder"))["text"] for element in block["elements"]
            ]
            return "<p>" + " ".join(f"<button>{html.escape(label)}</button>" for label in labels) + "</p>"
        case _:
            return ""


def _mrkdwn(text: str) -> str:
    text = text.replace("`", "")
    text = re.sub(r"<(?!!)[^|>]+\|([^>]+)>", r"<a>\1</a>", text)
    return re.sub(r"(?<!\w)\*([^*\n]+)\*(?!\w)", r"<b>\1</b>", text)


def _picture(page: Page, caption: str) -> Image.Image:
    page.evaluate(_CAPTION, caption)
    page.wait_for_timeout(300)
    taken = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return taken.quantize(COLORS, dither=Image.Dither.NONE)


if __name__ == "__main__":
    main()

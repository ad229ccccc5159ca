"""Hostile text from people and servers is harmless on every page, in every file and in the API."""

import csv
import json
import re
from datetime import timedelta
from html.parser import HTMLParser
from io import BytesIO, StringIO

import openpyxl
import pytest
from starlette.routing import Route

from balancebot.config import Secret
from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import BalanceKey, Category
from balancebot.domain.user import Role
from balancebot.people import tokens
from tests.hostile_text import HOSTILE_TEXTS, write_everywhere
from tests.patterns import pattern_from
from tests.web.conftest import Desk
from tests.web.showcase import CHECKOUT
from tests.world import World

BY = Actor(name="finance", via=Via.PAGE)
IN_PATHS = {"id": "1", "delivery": "1", "name": CHECKOUT, "month": "2026-11"}
_RUNS = re.compile(r"[=+\-@\t\r]")


@pytest.fixture
def world(watching: World) -> World:
    return watching


def _fill(desk: Desk) -> None:
    """Add one object of every kind that contains text."""
    app, now = desk.app, desk.world.clock.now()
    key = BalanceKey(CHECKOUT, Category.INDUSTRY)
    app.operate_orders.add(key, quantity=5, expected_at=now + timedelta(days=3), by=BY)
    app.planned_sends.announce(
        key, messages=5, starts_at=now + timedelta(days=1), over=timedelta(hours=1), by=BY
    )
    pattern = pattern_from("acme/*")
    app.operate_alerts.silence(pattern, until=now + timedelta(hours=4), reason="x", by=BY)


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag in {"script", "img", "iframe"} and not (found.get("src") or "").startswith("/static/"):
            self.wrong.append(f"<{tag}>")
        self.wrong += [name for name in found if name.startswith("on")]
        self.wrong += [value for value in found.values() if value and value.startswith("https://evil")]


def _wrong_in(kind: str, content: bytes) -> list[str]:
    match kind.partition(";")[0]:
        case "text/html":
            return _Page(content.decode()).wrong
        case "text/csv":
            cells = [cell for row in csv.reader(StringIO(content.decode("utf-8-sig"))) for cell in row]
            return [cell for cell in cells if _RUNS.match(cell) and not re.fullmatch(r"-?[\d.]+", cell)]
        case "application/json" | "application/problem+json":
            json.loads(content)
            return []
        case other if "spreadsheetml" in other:
            book = openpyxl.load_workbook(BytesIO(content))
            return [
                str(cell.value)
                for sheet in book
                for row in sheet.iter_rows()
                for cell in row
                if cell.data_type == "f"
                and not re.fullmatch(r"=S(UM|UBTOTAL)\([\w:,;.$]+\)", str(cell.value))
            ]
        case _:
            return []


ALL = "\n".join(sorted(HOSTILE_TEXTS.values(), key=lambda hostile: not hostile.startswith("=")))


@pytest.mark.parametrize("hostile", [ALL, HOSTILE_TEXTS["at"]], ids=["all", "at"])
def test_hostile_text_is_harmless_on_every_page_in_every_file_and_answer(desk: Desk, hostile: str) -> None:
    _fill(desk)
    with desk.world.database.write() as conn:
        write_everywhere(conn, hostile)
    token = tokens.add_token(
        desk.app.database, name="ci", role=Role.FINANCE, expires_at=None, by=BY, now=desk.world.clock.now()
    )
    assert isinstance(token, Secret)
    bearer = {"Authorization": f"Bearer {token.reveal()}"}
    paths = [
        re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: IN_PATHS[found[1]], route.path)
        for route in desk.pages.routes
        if isinstance(route, Route) and "GET" in (route.methods or ()) and not route.path.startswith("/log")
    ]
    assert len(paths) > 30
    kinds = set()
    with desk.user(Role.ADMIN) as browser, desk.visitor() as program:
        for path in [*paths, f"/wallets/{CHECKOUT}?category=industry"]:
            answer = program.get(path, headers=bearer) if path.startswith("/api/") else browser.get(path)
            assert answer.status_code < 500, path
            kind = answer.headers.get("content-type", "")
            kinds.add(kind.partition(";")[0])
            assert (path, []) == (path, _wrong_in(kind, answer.content))
    assert {"text/html", "text/csv", "application/json"} <= kinds

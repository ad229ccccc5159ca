"""Dates at the end of the calendar, stored by an older version, break no page and no message."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update

from balancebot.config import LANGUAGES
from balancebot.domain.audit import Act, Actor, Via
from balancebot.domain.balance import BalanceKey, Category
from balancebot.domain.message import AlertMessage
from balancebot.domain.user import Role
from balancebot.i18n import Wording
from balancebot.notify.render import Renderer
from balancebot.store import audit, planned_sends
from balancebot.store.planned_sends import PlannedSend
from balancebot.store.tables import alerts
from tests.web.conftest import NOW, Desk
from tests.world import SHOP, World, industry

FAR = datetime(9999, 12, 31, 23, 0, tzinfo=UTC)


@pytest.fixture
def world(world: World) -> World:
    world.configure(SHOP)
    world.limit(warning_below=500, critical_below=100)
    world.shows(industry(1000))
    world.poll()
    world.clock.pass_by(minutes=30)
    world.reads(300)
    by = Actor(name="finance", via=Via.PAGE)
    with world.database.write() as conn:
        conn.execute(update(alerts).values(expects_by=FAR, acknowledged_by="finance", acknowledged_at=NOW))
        audit.record_change(
            conn, by, Act.ACKNOWLEDGE, "alert 1", after={"expects_by": FAR.isoformat()}, now=NOW
        )
        audit.record_change(conn, by, Act.SET_ROLE, "viewer", after={"role": "emperor"}, now=NOW)
        planned_sends.add(
            conn,
            PlannedSend(
                balance=BalanceKey(SHOP, Category.INDUSTRY),
                messages=9,
                starts_at=FAR,
                ends_at=FAR,
                note="never",
                created_by="finance",
                created_at=NOW,
            ),
        )
    return world


def test_every_page_with_far_dates_is_shown(desk: Desk) -> None:
    with desk.user(Role.FINANCE) as browser:
        pages = {
            path: browser.get(path)
            for path in ("/audit", "/plans", f"/wallets/{SHOP}?category=industry", "/alerts/1", "/alerts")
        }
    assert dict.fromkeys(pages, 200) == {path: answer.status_code for path, answer in pages.items()}
    assert "can&#39;t be shown" in pages["/audit"].text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_message_with_far_dates_is_sent(world: World, language: str) -> None:
    world.reads(50)
    renderer = Renderer(words=Wording(language=language, zone=ZoneInfo("Asia/Shanghai")))
    message = world.mail.messages[-1].message
    assert isinstance(message, AlertMessage)
    assert ["worsened"] == [message.reason]
    assert "never" in renderer.render("email/alert.txt.j2", message)
    for template in ("slack/alert.j2", "slack/reply.j2", "email/alert.html.j2"):
        assert "50" in renderer.render(template, message)

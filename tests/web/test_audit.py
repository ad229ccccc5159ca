"""The audit page describes each change in the reader's language."""

from balancebot.domain.audit import Act, Actor, AuditEntry, Via
from balancebot.domain.balance import Category
from balancebot.domain.threshold import Scope
from balancebot.domain.user import Role
from balancebot.i18n import Wording
from balancebot.store import audit
from balancebot.web.audit import AuditDifference, differences, subject
from tests.web.conftest import NOW, Desk
from tests.world import SHOP


def test_a_change_is_described_completely_in_chinese() -> None:
    chinese = Wording(language="zh-CN")
    entry = AuditEntry(
        at=NOW,
        actor="finance",
        via=Via.PAGE,
        act=Act.SET_THRESHOLD,
        subject="acme/shop:industry",
        before={"warning_below": "60000"},
        after={"warning_below": "off"},
    )
    assert (AuditDifference(label="预警余量", before="60,000", after="关闭"),) == differences(entry, chinese)


def test_a_subject_without_a_name_is_shown_by_kind_and_id() -> None:
    chinese = Wording(language="zh-CN")
    for act, stored, shown in (
        (Act.ACKNOWLEDGE, "alert 7 acme/shop:industry", "告警 7 acme/shop:industry"),
        (Act.END_SILENCE, "silence 3", "静默 3"),
        (Act.SET_THRESHOLD, "acme/shop:industry", "acme/shop:industry"),
    ):
        entry = AuditEntry(
            at=NOW, actor="finance", via=Via.PAGE, act=act, subject=stored, before=None, after=None
        )
        assert shown == subject(entry, chinese)


def test_every_interface_of_a_change_has_a_name(desk: Desk) -> None:
    for via in Via:
        desk.app.edit_thresholds.set(
            Scope(SHOP + "*", Category.VOICE), {"note": via.value}, by=Actor(name="finance", via=via)
        )
    with desk.user(Role.VIEWER) as browser:
        text = browser.get("/audit").text
    for name in ("command line", "page", "sheet", "Slack", "API", "reading"):
        assert f'data-label="Via">{name}</td>' in text
    with desk.app.database.read() as conn:
        assert [Via.POLL, Via.API, Via.SLACK, Via.SHEET, Via.PAGE, Via.CLI] == [
            entry.via for entry in audit.newest(conn, limit=6, acts=(Act.SET_THRESHOLD,))
        ]

"""The content of messages: within Slack's limits, safe, and never lost because of a template."""

import logging
import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from balancebot.config import LANGUAGES
from balancebot.domain.balance import WalletName
from balancebot.domain.message import Action, DigestMessage, MessageRef
from balancebot.i18n import Wording
from balancebot.notify.digest_view import digest_view
from balancebot.notify.email.compose import address, compose
from balancebot.notify.render import Renderer
from balancebot.notify.slack.blocks import message_of
from tests.messages import changed
from tests.notify.every_message import ALL_MESSAGES
from tests.notify.examples import CRITICAL, DIGEST, HOSTILE, NOW, WORSENED, outgoing

WHOLE_IN_GMAIL = 102 * 1024
"""Bytes of HTML beyond which Gmail cuts a mail."""
THREAD = MessageRef(channel_id="C1", message_id="1.0", subject="the first")


def renderer_of(language: str, user_dir: Path | None = None) -> Renderer:
    return Renderer(
        words=Wording(language=language), public_url="https://balances.example.com", user_dir=user_dir
    )


def test_a_name_or_a_note_can_neither_mention_a_channel_nor_make_a_link() -> None:
    message = message_of(renderer_of("en"), outgoing(HOSTILE))
    shown = f"{message.text}{message.blocks}{message.plain}"
    assert "<!" not in shown
    assert "<@" not in shown
    assert "&lt;!channel&gt; &amp; *co*" in shown
    assert shown.count("<http") == shown.count("<https://balances.example.com/wallets/acme/") == 2


def test_only_people_named_by_the_route_are_mentioned_and_not_in_an_edit() -> None:
    sent = outgoing(replace(HOSTILE, route_mentions=("U1A", "here", "wecom:ann")))
    message = message_of(renderer_of("en"), sent)
    shown = f"{message.text}{message.blocks}"
    assert (2, 2) == (shown.count("<@U1A> <!here>"), shown.count("<@") + shown.count("<!") - 2)
    edited = message_of(renderer_of("en"), replace(sent, action=Action.EDIT))
    assert "<@" not in f"{edited.text}{edited.blocks}{edited.plain}"


def test_a_merged_opening_and_recovery_is_a_first_message_with_its_title() -> None:
    message = message_of(renderer_of("en"), outgoing(ALL_MESSAGES["unheard"]))
    assert message.plain.startswith("🟢 Recovered · acme/checkout industry")


def test_a_posted_change_begins_with_a_line_that_later_edits_remove() -> None:
    def shown(action: Action) -> str:
        message = message_of(renderer_of("en"), outgoing(WORSENED, action=action, thread=THREAD))
        return message.plain

    first_line = "🔴 Worse: acme/checkout industry is now critical (was warning)"
    assert [True, False] == [shown(action).startswith(first_line) for action in (Action.POST, Action.EDIT)]
    assert [
        "Limit: 312 messages, below the critical limit of 5,000 (set for acme/*)" in shown(action)
        for action in (Action.POST, Action.EDIT)
    ] == [True, True]


def test_a_digest_uses_its_own_language() -> None:
    chinese = message_of(renderer_of("en"), outgoing(replace(DIGEST, language="zh-CN")))
    assert chinese.text.startswith("📊 2026年11月24日 短信余量 — 6 项余量中有 3 项需要处理")


def test_a_custom_template_replaces_the_built_in_one_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "slack").mkdir()
    (tmp_path / "slack" / "alert.j2").write_text("# {{ m.wallet }}\n\nOnly {{ m.balance }} left & <b>")
    message = message_of(renderer_of("en", tmp_path), outgoing(CRITICAL))
    assert message.plain == "acme/checkout\nOnly 312 left & <b>"
    reply = message_of(renderer_of("en", tmp_path), outgoing(CRITICAL, action=Action.REPLY))
    assert reply.text.startswith("🔴 Critical: acme/checkout industry")


@pytest.mark.parametrize(
    "broken",
    [
        "{% if %}",
        "{{ m.nothing_of_the_sort }}",
        "{{ m.wallet.__class__.__mro__ }}",
        "{% include 'not/there.j2' %}",
        "{{ 1 // 0 }}",
        "   ",
        b"\xff\xfe broken",
    ],
)
def test_a_broken_custom_template_is_replaced_by_the_built_in_one_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: str | bytes
) -> None:
    (tmp_path / "slack").mkdir()
    (tmp_path / "slack" / "alert.j2").write_bytes(broken if isinstance(broken, bytes) else broken.encode())
    renderer = renderer_of("en", tmp_path)
    with caplog.at_level(logging.WARNING):
        messages = [message_of(renderer, outgoing(CRITICAL)) for _ in range(2)]
    assert messages == [message_of(renderer_of("en"), outgoing(CRITICAL))] * 2
    assert [record.getMessage().split(" fault=")[0] for record in caplog.records] == [
        "template_failed template=slack/alert.j2"
    ]


@pytest.mark.parametrize("template", ["slack/alert.j2", "email/alert.html.j2"])
def test_a_message_that_no_template_can_render_is_sent_as_a_plain_line(template: str) -> None:
    hostile = changed(HOSTILE, burn_per_day=math.nan)
    assert (
        "critical: acme/&lt;!channel&gt; &amp; *co* industry, 312 messages"
        " (alert 17, opened; this message can't be shown in full)"
    ) == Renderer(words=Wording()).render(template, hostile)


def test_a_broken_custom_text_is_replaced_in_every_template_that_needs_it(tmp_path: Path) -> None:
    (tmp_path / "words.j2").write_text("{% macro title(m) %}")
    assert message_of(renderer_of("en", tmp_path), outgoing(CRITICAL)) == message_of(
        renderer_of("en"), outgoing(CRITICAL)
    )


def test_a_custom_template_may_translate_and_may_have_its_own_text(tmp_path: Path) -> None:
    (tmp_path / "email").mkdir()
    (tmp_path / "email" / "alert.subject.j2").write_text(
        "{% trans %}All balances{% endtrans %}, {{ _('All alerts') }}, {% trans name=m.wallet %}see {{ name }}{% endtrans %}"
    )
    subjects = [
        renderer_of(language, tmp_path).render("email/alert.subject.j2", CRITICAL) for language in LANGUAGES
    ]
    assert [
        "All balances, All alerts, see acme/checkout",
        "全部余量, 全部告警, see acme/checkout",
    ] == subjects


def test_a_transfer_from_the_shared_pool_is_not_the_first_purchase() -> None:
    """A digest names the date of the first purchase, not that of a transfer."""
    line = DIGEST.lines[1]
    assert line.advice is not None
    moved = replace(line.advice, messages=0, move=44_000, order_by=NOW + timedelta(days=1))
    bought = replace(line.advice, messages=77_000, order_by=NOW + timedelta(days=8))
    other = replace(line, wallet=WalletName("acme/other"), advice=bought)
    digest = replace(DIGEST, lines=(replace(line, advice=moved), other))
    view = digest_view(digest, Wording(), public_url="")
    assert "Buy in total about 77,000 industry SMS, the first of it by Tue 1 Dec" == view["advice_total"]


@pytest.mark.parametrize(
    ("now", "before", "shown"),
    [(112, 100, "+12 %"), (1_200, 100, "× 12"), (1e308, 1e-5, ""), (math.nan, 1.0, "")],
)
def test_the_change_between_two_weeks_is_shown_for_any_usage(now: float, before: float, shown: str) -> None:
    line = replace(DIGEST.lines[3], burn_week=now, burn_week_before=before)
    view = digest_view(replace(DIGEST, lines=(line,)), Wording(), public_url="")
    change = str(view["lines"][0]["burn_change"])
    assert change[:4] == shown[:4]


def crowded(num_bad: int) -> DigestMessage:
    """Return a digest of many bad balances with long names, notes and alerts, and of some without alerts."""
    names = [
        WalletName(f"{'a' * 50}-{number:03d}/{'检' * 50}-{number:03d}") for number in range(num_bad + 20)
    ]
    bad, well = DIGEST.lines[1], DIGEST.lines[3]
    return replace(
        DIGEST,
        lines=(
            *(replace(bad, wallet=name) for name in names[:num_bad]),
            *(replace(well, wallet=name) for name in names[num_bad:]),
        ),
        open_alerts=tuple(
            changed(CRITICAL, wallet=name, note="who acts " * 60, acknowledged_by="finance")
            for name in names[:num_bad]
        ),
    )


def test_a_digest_that_is_too_long_leaves_out_balances_without_alerts_first() -> None:
    view = digest_view(crowded(35), Wording(), public_url="")
    assert (35, {"critical"}, 20) == (
        len(view["lines"]),
        {line["severity"] for line in view["lines"]},
        view["more"]["lines"],
    )
    assert ([], 20, []) == (view["quota_moved"], view["more"]["quota_moved"], view["alerts"])
    usual = digest_view(crowded(5), Wording(), public_url="")
    assert (25, 12) == (len(usual["lines"]), len(usual["quota_moved"]))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_long_digest_is_complete_in_gmail_and_fits_into_slack(language: str) -> None:
    digest = replace(crowded(300), language=language)
    mail = compose(
        outgoing(digest, destination="finance@example.com"),
        renderer_of(language),
        sender=address("balances@example.com"),
    )
    html = mail.message.get_body(("html",))
    assert html is not None
    assert len(html.get_content().encode()) < WHOLE_IN_GMAIL
    blocks = message_of(renderer_of(language), outgoing(digest)).blocks
    assert blocks is not None
    assert len(blocks) <= 50


def test_a_line_of_a_digest_shows_the_owner_and_since_when() -> None:
    acknowledged = changed(CRITICAL, acknowledged_by="finance", acknowledged_note="ordered 30,000")
    mail = compose(
        outgoing(replace(DIGEST, open_alerts=(acknowledged,)), destination="finance@example.com"),
        renderer_of("en"),
        sender=address("balances@example.com"),
    )
    text = mail.message.get_body(("plain",))
    assert text is not None
    assert "acknowledged by finance (ordered 30,000) · Finance buys" in text.get_content().replace("\n", " ")
    assert "ordered by finance on 19 Nov 2026 (PO 4711), 20,000 have arrived, overdue" in text.get_content()

"""The explanation of a balance, read from the database, and as text in both languages."""

import math
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from balancebot.config import load
from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import Category
from balancebot.domain.next_reading import NextReading, ReadReason
from balancebot.domain.runway import Estimate, Runway
from balancebot.domain.sentence import Sentence
from balancebot.domain.threshold import Scope, ThresholdBook
from balancebot.explain.explain import Explanation, explain, read_target
from balancebot.explain.render import Face, render
from balancebot.i18n import Wording
from balancebot.ports import SourceErrorKind
from balancebot.store import alerts, thresholds, wallets
from tests.patterns import pattern_from
from tests.world import POOL, SHOP, World, industry

ONCALL = Actor(name="oncall (U17)", via=Via.SLACK)


@pytest.fixture
def world(database) -> World:
    world = World(database)
    world.configure(POOL, SHOP)
    world.shows(industry(50_000), wallet=POOL)
    world.limit("acme/*", "industry", warning_below=1000, critical_below=100)
    return world


@pytest.fixture
def settings(tmp_path):
    file = tmp_path / "balancebot.toml"
    file.write_text(
        """\
[slack]
bot_token = "xoxb"
channel = "#ops"
[email]
host = "localhost"
from = "bot@example.com"
to = ["finance@example.com"]
[[accounts]]
name = "acme"
dev_key = "key"
dev_secret = "secret"
apps = [{ name = "shop", app_key = "key2", master_secret = "secret" }]
"""
    )
    return load(file, environ={}, resolve_secrets=False)


@pytest.fixture
def explained(world, settings):
    def explained(wallet=SHOP, category=Category.INDUSTRY) -> Explanation:
        with world.database.read() as conn:
            return explain(
                conn,
                wallet,
                category,
                settings=settings,
                book=ThresholdBook(thresholds.load(conn)),
                figures=world.app.figures,
                now=world.clock.now(),
            )

    return explained


def text(explanation: Explanation, language: str = "en") -> str:
    """Return each line with its topic, without the headings."""
    shown = render(explanation, Wording(language=language, zone=ZoneInfo("UTC")), Face.TEXT)
    lines, topic = [], ""
    for line in shown.splitlines():
        if line.startswith("  "):
            topic = line[2:10].strip() or topic
            lines.append(f"{topic}: {line[11:]}")
    return "\n".join(lines)


def test_the_next_reading_is_explained(world, explained):
    world.shows(industry(5000))
    world.poll()
    with world.database.write() as conn:
        wallet = wallets.find(conn, SHOP)
        soon = NextReading(world.clock.now() + timedelta(minutes=2), ReadReason.NEAR, Category.INDUSTRY)
        wallets.read_no_later(conn, wallet.id, soon)

    assert "Next reading in 2 min: industry could soon cross a limit." in text(explained())
    assert "2 分钟后再次读取：行业短信可能很快低于限值。" in text(explained(), "zh-CN")


def test_an_open_alert_is_explained_from_its_reading_to_its_recovery(world, explained):
    world.shows(industry(500))
    world.poll()
    world.clock.pass_by(minutes=3)

    assert """\
Reading: 500 messages, read 3 min ago (Mon 23 Nov, 12:00).
Reading: Next reading in 2 min.
Usage: Unknown: less than one hour of readings, no usage seen, or only one burst.
Limits: warning below 1,000 messages (set for acme/*:industry): crossed, 500 messages.
Limits: critical below 100 messages (set for acme/*:industry): not crossed, 500 messages.
Limits: warning below 7 days of runway (built in): can't be judged.
Limits: critical below 3 days of runway (built in): can't be judged.
Verdict: warning: 500 messages, below the warning limit of 1,000.
Alert: 1: low balance, warning, open since Mon 23 Nov, 12:00 (3 min).
Sent: Mon 23 Nov, 12:00, opened, warning: e-mail finance@example.com waiting to be sent; Slack #ops waiting to be sent.
Outlook: Alerts as critical when fewer than 100 messages are left.
Outlook: Limits in days can't be crossed yet: the runway is unknown.
Outlook: If nothing changes, a reminder is sent Tue 24 Nov, 12:00.
Outlook: Recovers at 1,050 messages.
Outlook: It would be sent to Slack #ops and e-mail finance@example.com.""" == text(explained())


def test_an_open_alert_is_explained_in_chinese(world, explained):
    world.shows(industry(500))
    world.poll()

    assert """\
读数: 500 条，几秒前读取（11月23日周一 12:00）。
读数: 5 分钟后再次读取。
用量: 未知：读数不足一小时、尚无用量，或只见过一次突发用量。
限值: 预警：低于 1,000 条（按 acme/*:industry 的设置）：已低于，现为 500 条。
限值: 严重：低于 100 条（按 acme/*:industry 的设置）：未低于，现为 500 条。
限值: 预警：可用时间低于 7 天（内置）：无法判定。
限值: 严重：可用时间低于 3 天（内置）：无法判定。
判定: 预警：500 条，低于预警余量 1,000。
告警: 1：余量不足，预警，自 11月23日周一 12:00 起（几秒）。
通知: 11月23日周一 12:00，新告警，预警：邮件 finance@example.com 等待发送；Slack #ops 等待发送。
接下来: 余量少于 100 条时告警（严重）。
接下来: 天数限值暂时无法判定：可用时间未知。
接下来: 如无变化，11月24日周二 12:00 再次提醒。
接下来: 恢复条件：1,050 条以上。
接下来: 届时通知 Slack #ops、邮件 finance@example.com。""" == text(explained(), "zh-CN")


def test_an_acknowledged_and_silenced_alert_shows_why_nothing_is_sent(world, explained):
    world.shows(industry(500))
    world.poll()
    with world.database.read() as conn:
        alert = alerts.listed(conn)[0].alert
    until = world.clock.now() + timedelta(hours=4)
    world.app.operate_alerts.acknowledge(str(alert.id), by=ONCALL, note="ordered", expects_by=until)
    world.app.operate_alerts.silence(pattern_from("acme/shop"), until=until, reason="moving house", by=ONCALL)

    shown = text(explained()).splitlines()
    assert [
        "Alert: Acknowledged by oncall (U17), Mon 23 Nov, 12:00: ordered.",
        "Alert: Silenced until Mon 23 Nov, 16:00 by oncall (U17) (acme/shop): moving house.",
    ] == [line for line in shown if line.startswith("Alert: ")][1:]
    assert "Outlook: Silenced until Mon 23 Nov, 16:00; above warning it alerts anyway." in shown


def test_a_flapping_alert_shows_how_long_it_waits(world, explained):
    world.limit(SHOP, warning_days=-1, critical_days=-1)
    for balance in (500, 5000) * 3:
        world.shows(industry(balance))
        world.poll()
        world.clock.pass_by(minutes=10)

    def shown(language: str) -> list[str]:
        return [
            line
            for line in text(explained(), language).splitlines()
            if line[:2] in {"Al", "Ou", "告警", "接下"}
        ]

    assert [
        "Alert: 3: low balance, warning, open since Mon 23 Nov, 12:40 (20 min).",
        "Alert: Triggered 3 times within 24 h, so it is flapping: only worse news is sent, and the recovery after 1 h "
        "without a new one.",
        "Alert: Above its limits since Mon 23 Nov, 12:50, waiting.",
        "Outlook: Alerts as critical when fewer than 100 messages are left.",
        "Outlook: Recovers Mon 23 Nov, 13:50 if it keeps 1,050 messages until then.",
        "Outlook: It would be sent to Slack #ops and e-mail finance@example.com.",
    ] == shown("en")
    assert [
        "告警: 3：余量不足，预警，自 11月23日周一 12:40 起（20 分钟）。",
        "告警: 24 小时内触发 3 次，属于反复波动：只在恶化时通知，持续正常 1 小时后通知恢复。",
        "告警: 自 11月23日周一 12:50 起已高于限值，观察中。",
        "接下来: 余量少于 100 条时告警（严重）。",
        "接下来: 保持 1,050 条，将于 11月23日周一 13:50 恢复。",
        "接下来: 届时通知 Slack #ops、邮件 finance@example.com。",
    ] == shown("zh-CN")

    world.shows(industry(500))
    world.poll()
    assert [
        "Alert: Fell back 1 time since it opened, without a message.",
        "Outlook: Recovers after 1 h at 1,050 messages.",
    ] == [line for line in shown("en") if "Fell back" in line or "Recovers" in line]


def test_a_wallet_that_cannot_be_read_shows_the_consequences(world, explained):
    world.shows(industry(5000), SourceErrorKind.NETWORK)
    world.poll()
    world.clock.pass_by(minutes=20)
    world.poll()
    assert "Outlook: Alerts as warning if there is no valid reading until Mon 23 Nov, 12:30." in text(
        explained()
    )
    world.clock.pass_by(minutes=20)
    world.poll()
    story = explained()

    assert ["acme/shop"] == [alert.alert.subject.wallet for alert in story.alerts]
    shown = text(story)
    assert "Reading: The latest attempt, a few seconds ago, failed: acme/shop: network." in shown
    assert "Verdict: unknown: there is no fresh reading." in shown
    assert "Outlook: While it can't be read it keeps its last value" in shown


def test_the_explanation_of_a_wallet_shows_each_allocated_balance(world, explained):
    world.shows(industry(500, market=9000))
    world.poll()
    shown = render(explained(category=None), Wording(), Face.TEXT).splitlines()

    assert [
        "acme/shop",
        "acme/shop:industry: warning, 500 messages",
        "acme/shop:market: ok, 9,000 messages",
    ] == [line for line in shown if line and not line.startswith(" ")]
    assert "           Unallocated: universal, voice." in shown


def test_a_wallet_that_was_never_read_is_shown_as_unread(world, explained):
    assert "Never read." in text(explained())
    assert "Nothing is judged before the first reading." in text(explained())


def test_a_wallet_removed_from_the_configuration_is_still_explained(world, explained, settings):
    world.shows(industry(500))
    world.poll()
    with world.database.read() as conn:
        gone = explain(
            conn,
            SHOP,
            Category.INDUSTRY,
            settings=replace(settings, accounts=()),
            book=ThresholdBook(()),
            figures=world.app.figures,
            now=world.clock.now(),
        )

    assert "No longer in the configuration, so it isn't read." in text(gone)


def test_a_runway_without_a_range_is_shown_once(world, explained):
    world.shows(industry(5000))
    world.poll()
    (story,) = explained().balances
    endless = Runway(p10=math.inf, p50=math.inf, p90=math.inf, judged=math.inf)
    view = replace(story.view, estimate=Estimate(burn_per_day=3.0, runway=endless))
    changed = replace(explained(), balances=(replace(story, view=view),))

    assert "Usage: 3 a day; lasts more than a year." in text(changed).splitlines()


def test_the_owner_is_shown_with_the_row_that_names_it(world, explained):
    world.limit("acme/*", "*", note="Finance buys.")
    world.shows(industry(500))
    world.poll()

    assert "Limits: Who acts (set for acme/*:*): Finance buys." in text(explained()).splitlines()


def test_each_limit_names_its_row(world, explained):
    world.shows(industry(500))
    world.poll()
    (story,) = explained().balances

    assert [Scope("acme/*", Category.INDUSTRY)] * 2 + [None] * 2 == [check.origin for check in story.limits]
    assert [True, False, False, False] == [check.is_crossed for check in story.limits]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("acme/shop:industry", (SHOP, Category.INDUSTRY)),
        (" acme/shop : 行业短信 ", (SHOP, Category.INDUSTRY)),
        ("acme/shop", (SHOP, None)),
        ("acme/shop:*", (SHOP, None)),
        ("acme/shp", "there is no wallet acme/shp; did you mean acme/shop?"),
        ("acme/shop:indstry", "acme/shop:indstry: there is no category 'indstry'; did you mean industry?"),
    ],
)
def test_an_explanation_is_of_a_balance_or_a_wallet(world, settings, asked, expected):
    with world.database.read() as conn:
        found = read_target(conn, asked, configured=settings.wallets)
    assert expected == (str(found) if isinstance(found, Sentence) else found)


def test_slack_and_pages_show_the_same_sentences_and_escape_text_from_outside(world, explained):
    world.limit(SHOP, "industry", note="<!channel> & buy's")
    world.shows(industry(500))
    world.poll()
    slack, page = (render(explained(), Wording(), face) for face in (Face.SLACK, Face.PAGE))

    assert "*acme/shop:industry: warning, 500 messages*\n\n*Reading*\n500 messages, read" in slack
    assert "&lt;!channel&gt; &amp; buy's." in slack
    assert "<dt>Reading</dt><dd><div>500 messages, read a few seconds ago" in page
    assert "&lt;!channel&gt; &amp; buy&#39;s." in page

"""The chain behind a balance, from the database, and the same in plain words in both languages."""

import math
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from balancebot.config import Language, load
from balancebot.domain.audit import Actor, Way
from balancebot.domain.balance import Category
from balancebot.domain.pattern import Pattern
from balancebot.domain.runway import Estimate, Runway
from balancebot.domain.sentence import Sentence
from balancebot.domain.threshold import Scope, ThresholdBook
from balancebot.explain.explain import Explanation, explain, read_target
from balancebot.explain.text import sections
from balancebot.i18n import Wording
from balancebot.ports import SourceErrorKind
from balancebot.store import alerts, thresholds
from tests.world import POOL, SHOP, World, industry

ONCALL = Actor(who="oncall (U17)", way=Way.SLACK)


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
                now=world.clock.now(),
            )

    return explained


def text(explanation: Explanation, language: Language = Language.ENGLISH) -> str:
    said = sections(explanation, Wording(language=language, zone=ZoneInfo("UTC")))
    return "\n".join(
        f"{paragraph.topic}: {line}"
        for passage in said
        for paragraph in passage.paragraphs
        for line in paragraph.lines
    )


def test_the_chain_of_an_open_alert_is_told_from_its_reading_to_its_recovery(world, explained):
    world.shows(industry(500))
    world.poll()
    world.clock.pass_by(minutes=3)

    assert """\
Reading: 500 messages, read 3 min ago, Mon 23 Nov, 12:00.
Reading: The next reading is in 2 min.
Use: Unknown: there is less than an hour of readings, or no use was seen.
Limits: warning below 1,000 messages (set for acme/*:industry): crossed, 500 messages.
Limits: critical below 100 messages (set for acme/*:industry): met, 500 messages.
Limits: warning below 7 days of runway (built in): can't be judged.
Limits: critical below 3 days of runway (built in): can't be judged.
Verdict: warning: 500 messages, below the warning limit of 1,000.
Alert: 1: low balance, warning, open since Mon 23 Nov, 12:00 (3 min).
Told: Mon 23 Nov, 12:00, opened, warning: e-mail finance@example.com waits to be sent; Slack #ops waits to be sent.
Outlook: It speaks as critical when fewer than 100 messages are left.
Outlook: Limits in days can't be crossed yet: the runway is unknown.
Outlook: If it stays like this, it reminds Tue 24 Nov, 12:00.
Outlook: It recovers with 1,050 messages or more.
Outlook: Slack #ops and e-mail finance@example.com would be told.""" == text(explained())


def test_it_is_told_in_chinese_as_well(world, explained):
    world.shows(industry(500))
    world.poll()

    assert """\
读数: 500 条，几秒前读取（11月23日周一 12:00）。
读数: 5 分钟后再次读取。
用量: 未知：读数不足一小时，或未见用量。
限值: 预警：低于 1,000 条（按 acme/*:industry 的设置）：已越过，500 条。
限值: 严重：低于 100 条（按 acme/*:industry 的设置）：未越过，500 条。
限值: 预警：可用时长低于 7 天（内置）：无法判定。
限值: 严重：可用时长低于 3 天（内置）：无法判定。
判定: 预警：500 条，低于预警余量 1,000。
告警: 1：余量不足，预警，自 11月23日周一 12:00 起（几秒）。
通知: 11月23日周一 12:00，新告警，预警：邮件 finance@example.com 等待发送；Slack #ops 等待发送。
接下来: 余量少于 100 条时通知（严重）。
接下来: 天数限值暂时无法判定：可用时长未知。
接下来: 如无变化，11月24日周二 12:00 再次提醒。
接下来: 达到 1,050 条时恢复。
接下来: 届时通知 Slack #ops、邮件 finance@example.com。""" == text(explained(), Language.CHINESE)


def test_an_acknowledged_and_silenced_alert_says_why_it_stays_silent(world, explained):
    world.shows(industry(500))
    world.poll()
    with world.database.read() as conn:
        alert = alerts.listed(conn)[0].alert
    until = world.clock.now() + timedelta(hours=4)
    world.app.operate_alerts.acknowledge(str(alert.id), by=ONCALL, note="ordered", expects_by=until)
    world.app.operate_alerts.silence(
        Pattern.parse("acme/shop"), until=until, reason="moving house", by=ONCALL
    )

    said = text(explained()).splitlines()
    assert [
        "Alert: Acknowledged by oncall (U17), Mon 23 Nov, 12:00: ordered.",
        "Alert: Silenced until Mon 23 Nov, 16:00 by oncall (U17) (acme/shop): moving house.",
    ] == [line for line in said if line.startswith("Alert: ")][1:]
    assert (
        "Outlook: It stays silent until Mon 23 Nov, 16:00, when the silence ends; "
        "above warning it speaks all the same." in said
    )


def test_what_flaps_says_that_it_waits_and_for_how_long(world, explained):
    world.limit(SHOP, warning_days=-1, critical_days=-1)
    for balance in (500, 5000) * 3:
        world.shows(industry(balance))
        world.poll()
        world.clock.pass_by(minutes=10)

    def said(language: Language) -> list[str]:
        return [
            line
            for line in text(explained(), language).splitlines()
            if line[:2] in {"Al", "Ou", "告警", "接下"}
        ]

    assert [
        "Alert: 3: low balance, warning, open since Mon 23 Nov, 12:40 (20 min).",
        "Alert: It went wrong 3 times within 24 h, so it flaps: only what is worse is told, and that it has recovered once "
        "it has stayed well for 1 h.",
        "Alert: It has been past its limits since Mon 23 Nov, 12:50, and waits.",
        "Outlook: It speaks as critical when fewer than 100 messages are left.",
        "Outlook: It recovers Mon 23 Nov, 13:50 if it keeps 1,050 messages or more until then.",
        "Outlook: Slack #ops and e-mail finance@example.com would be told.",
    ] == said(Language.ENGLISH)
    assert [
        "告警: 3：余量不足，预警，自 11月23日周一 12:40 起（20 分钟）。",
        "告警: 24 小时内触发 3 次，属于反复波动：只在恶化时通知，持续正常 1 小时后才通知恢复。",
        "告警: 自 11月23日周一 12:50 起已高于限值，等待中。",
        "接下来: 余量少于 100 条时通知（严重）。",
        "接下来: 保持 1,050 条，将于 11月23日周一 13:50 恢复。",
        "接下来: 届时通知 Slack #ops、邮件 finance@example.com。",
    ] == said(Language.CHINESE)

    world.shows(industry(500))
    world.poll()
    assert [
        "Alert: It has fallen back 1 × since it opened, which was told to nobody.",
        "Outlook: It recovers after 1 h with 1,050 messages or more.",
    ] == [line for line in said(Language.ENGLISH) if "fallen" in line or "recovers" in line]


def test_a_wallet_that_cannot_be_read_says_what_that_keeps_from_happening(world, explained):
    world.shows(industry(5000), SourceErrorKind.NETWORK)
    world.poll()
    world.clock.pass_by(minutes=20)
    world.poll()
    assert "Outlook: If no reading is good until Mon 23 Nov, 12:30, that is told as warning." in text(
        explained()
    )
    world.clock.pass_by(minutes=20)
    world.poll()
    story = explained()

    assert ["acme/shop"] == [one.alert.subject.wallet for one in story.alerts]
    said = text(story)
    assert "Reading: The latest attempt, a few seconds ago, failed: acme/shop: network." in said
    assert "Verdict: unknown: there is no fresh reading." in said
    assert "Outlook: While it can't be read it keeps its last value" in said


def test_a_wallet_as_a_whole_tells_of_each_allocated_balance(world, explained):
    world.shows(industry(500, market=9000))
    world.poll()
    said = sections(explained(category=None), Wording())

    assert [
        "acme/shop",
        "acme/shop:industry: warning, 500 messages",
        "acme/shop:market: ok, 9,000 messages",
    ] == [passage.heading for passage in said]
    assert "No quota of its own: universal, voice." in said[0].paragraphs[0].lines


def test_a_wallet_that_was_never_read_says_so(world, explained):
    assert "It was never read." in text(explained())
    assert "Nothing is judged before the first reading." in text(explained())


def test_a_wallet_that_left_the_configuration_is_still_explained(world, explained, settings):
    world.shows(industry(500))
    world.poll()
    with world.database.read() as conn:
        gone = explain(
            conn,
            SHOP,
            Category.INDUSTRY,
            settings=replace(settings, accounts=()),
            book=ThresholdBook(()),
            now=world.clock.now(),
        )

    assert "It is no longer in the configuration, so it isn't read." in text(gone)


def test_a_runway_without_a_range_is_said_once(world, explained):
    world.shows(industry(5000))
    world.poll()
    (story,) = explained().balances
    endless = Runway(p10=math.inf, p50=math.inf, p90=math.inf, judged=math.inf)
    view = replace(story.view, estimate=Estimate(burn_per_day=3.0, runway=endless))
    told = replace(explained(), balances=(replace(story, view=view),))

    assert "Use: 3 a day; more than a year." in text(told).splitlines()


def test_who_acts_is_told_with_the_row_that_says_so(world, explained):
    world.limit("acme/*", "*", note="Finance buys.")
    world.shows(industry(500))
    world.poll()

    assert "Limits: Who acts (set for acme/*:*): Finance buys." in text(explained()).splitlines()


def test_each_limit_names_the_row_it_comes_from(world, explained):
    world.shows(industry(500))
    world.poll()
    (story,) = explained().balances

    assert [Scope("acme/*", Category.INDUSTRY)] * 2 + [None] * 2 == [check.origin for check in story.limits]
    assert [True, False, False, False] == [check.is_crossed for check in story.limits]


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("acme/shop:industry", (SHOP, Category.INDUSTRY)),
        (" acme/shop : 行业短信 ", (SHOP, Category.INDUSTRY)),
        ("acme/shop", (SHOP, None)),
        ("acme/shop:*", (SHOP, None)),
        ("acme/shp", "there is no wallet acme/shp; did you mean acme/shop?"),
        ("acme/shop:indstry", "acme/shop:indstry: there is no category 'indstry'; did you mean industry?"),
    ],
)
def test_what_is_asked_about_is_a_balance_or_a_wallet(world, settings, asked, meant):
    with world.database.read() as conn:
        found = read_target(conn, asked, configured=settings.wallets)
    assert meant == (str(found) if isinstance(found, Sentence) else found)

"""A message that is too old to be edited: changes are sent as replies, once, and the reason is reported once."""

from datetime import timedelta
from pathlib import Path

import pytest

from balancebot.app import App, build_app
from balancebot.config import Settings, load
from balancebot.domain.alert import Reason
from balancebot.domain.audit import Actor, Via
from balancebot.domain.message import NoticeMessage
from balancebot.domain.threshold import ThresholdBook, ThresholdRow
from balancebot.overview.balances import system_status
from balancebot.ports import ChannelErrorKind
from balancebot.store import channel_failures, thresholds
from balancebot.store.database import Database
from tests.outbox_bench import Bench, HandClock, fails
from tests.standins.slack_api import SlackStandIn
from tests.standins.smtp import SmtpStandIn
from tests.world import NOON, SHOP, ScriptedSource, industry

TOO_OLD = fails(ChannelErrorKind.NOT_EDITABLE)


@pytest.fixture
def alert(bench: Bench) -> int:
    """An alert whose message arrived a day ago."""
    alert_id = bench.open()
    bench.run()
    bench.clock.pass_by(days=1)
    return alert_id


def standing(bench: Bench) -> list[str]:
    with bench.database.read() as conn:
        return [str(failure.message) for failure in channel_failures.current(conn)]


def test_an_edit_is_sent_as_a_reply_without_a_mention(bench: Bench, alert: int) -> None:
    bench.slack.outcomes["#ops"] = [TOO_OLD]
    bench.edit(alert, acknowledged_by="ops")

    bench.run(seconds=1)

    _, reply = bench.slack.messages
    assert (bench.slack.messages[0].ref, False) == (reply.below, reply.broadcast)
    assert "ops" == getattr(reply.message, "alert").acknowledged_by  # noqa: B009 -- any type of message has arrived
    assert ["delivered", "delivered", "delivered"] == bench.states()


def test_several_edits_are_one_reply_with_the_latest_state(bench: Bench, alert: int) -> None:
    bench.slack.outcomes["#ops"] = [TOO_OLD]
    bench.edit(alert)
    bench.edit(alert, acknowledged_by="ops")

    bench.run(seconds=1)

    _, reply = bench.slack.messages
    assert "ops" == getattr(reply.message, "alert").acknowledged_by  # noqa: B009 -- ditto


def test_the_end_of_an_alert_is_sent_once_as_a_broadcast_reply(bench: Bench, alert: int) -> None:
    bench.slack.outcomes["#ops"] = [TOO_OLD]
    bench.enqueue(alert, Reason.RECOVERED, closed_at=bench.clock.now())

    bench.run(seconds=1)
    bench.run(seconds=60)

    assert ["opened", "> recovered"] == bench.slack.received()
    assert [False, True] == [message.broadcast for message in bench.slack.messages]


def test_a_reminder_is_only_a_reply(bench: Bench, alert: int) -> None:
    bench.slack.outcomes["#ops"] = [TOO_OLD]
    bench.enqueue(alert, Reason.REMINDER)

    bench.run(seconds=1)

    assert ["opened", "> reminder"] == bench.slack.received()
    assert [False, False] == [message.broadcast for message in bench.slack.messages]


def test_a_reply_sent_before_its_failed_edit_is_not_repeated(bench: Bench, alert: int) -> None:
    bench.slack.outcomes["#ops"] = [fails(ChannelErrorKind.RATE_LIMITED, timedelta(seconds=30))]
    bench.enqueue(alert, Reason.REMINDER)
    bench.run(seconds=1)
    assert ["opened", "> reminder"] == bench.slack.received()
    bench.slack.outcomes["#ops"] = [TOO_OLD]

    for _ in range(4):
        bench.run(seconds=30)

    assert ["opened", "> reminder"] == bench.slack.received()


def test_changes_of_the_members_of_a_group_are_replies_too(bench: Bench) -> None:
    alerts = [bench.open() for _ in range(6)]
    bench.run()
    assert ["GroupMessage"] == bench.slack.received()
    bench.clock.pass_by(days=1)
    bench.slack.outcomes["#ops"] = [TOO_OLD]
    for alert in alerts[:2]:
        bench.edit(alert, acknowledged_by="ops")
    bench.enqueue(alerts[2], Reason.RECOVERED, closed_at=bench.clock.now())

    for _ in range(3):
        bench.run(seconds=1)

    root, *replies = bench.slack.messages
    assert {root.ref} == {reply.below for reply in replies}
    assert {f"{alerts[0]}": False, f"{alerts[1]}": False, f"{alerts[2]}": True} == {
        reply.alert_id: reply.broadcast for reply in replies
    }


def test_the_notice_is_sent_once_even_if_newer_messages_can_be_edited(bench: Bench, alert: int) -> None:
    for _ in range(3):
        bench.slack.outcomes["#ops"] = [TOO_OLD]
        bench.edit(alert)
        bench.run(hours=1)
        young = bench.open()
        bench.run(seconds=1)
        bench.edit(young)
        bench.run(seconds=1)

    assert ["NoticeMessage"] == bench.mail.received("finance@example.com")
    (notice,) = [message.message for message in bench.mail.messages]
    assert isinstance(notice, NoticeMessage)
    assert "Older messages in #ops can't be edited" == str(notice.title)
    assert ["not_editable"] == standing(bench)
    with bench.database.read() as conn:
        status = system_status(
            conn, book=ThresholdBook(()), stale_after=timedelta(hours=1), now=bench.clock.now()
        )
    assert () == status.refusals


def test_the_failure_ends_when_a_message_of_the_same_age_is_edited(bench: Bench, alert: int) -> None:
    bench.slack.outcomes["#ops"] = [TOO_OLD]
    bench.edit(alert)
    bench.run(seconds=1)

    bench.edit(alert)
    bench.run(hours=1)

    assert [] == standing(bench)


class Shop:
    """A bot that watches one wallet and sends to a Slack workspace and a mail server."""

    def __init__(self, database: Database, folder: Path, slack: SlackStandIn, mail: SmtpStandIn) -> None:
        self.clock = HandClock()
        self._source = ScriptedSource(self.clock)
        file = folder / "balancebot.toml"
        file.write_text(f"""\
[slack]
bot_token = "{slack.token}"
channel = "#ops"
api_url = "{slack.api_url}"
proxy = "direct"
[email]
host = "{mail.host}"
port = {mail.port}
security = "none"
from = "balances@example.com"
to = ["finance@example.com"]
[[accounts]]
name = "acme"
apps = [{{ name = "shop", app_key = "key", master_secret = "secret" }}]
""")
        settings = load(file, environ={}, resolve_secrets=True)
        assert isinstance(settings, Settings), settings
        self.app: App = build_app(settings, database, clock=self.clock, source=self._source)
        self.app.sync_wallets()
        with database.write() as conn:
            row = ThresholdRow(wallet="*", warning_below=1000, critical_below=100)
            thresholds.put(conn, [row], by="test", now=NOON)

    def reads(self, balance: int, **later: float) -> None:
        """Read a balance later, and send what is due."""
        self.clock.pass_by(**later)
        self._source.script[SHOP] = [industry(balance)]
        self.app.worker_heartbeat("run").show()
        self.app.poll_cycle.run_all([SHOP])
        self.app.deliver_outbox.run()


def test_a_workspace_that_allows_no_edits_gets_every_change_as_a_reply(
    database: Database, tmp_path: Path, slack: SlackStandIn, smtp: SmtpStandIn
) -> None:
    slack.add_channel("ops")
    slack.lets_edit = False
    shop = Shop(database, tmp_path, slack, smtp)

    shop.reads(50)
    shop.app.operate_alerts.acknowledge("1", by=Actor(name="ops", via=Via.PAGE))
    shop.app.deliver_outbox.run()
    shop.reads(500, hours=1)
    shop.reads(5000, hours=1)

    (root,) = slack.messages("ops")
    assert root["text"].startswith("🔴 Critical · acme/shop industry")
    assert [
        ("🔴 acme/shop industry: critical, 50 messages left, acknowledged by ops", None),
        ("🟡 acme/shop industry: warning, 500 messages left, acknowledged by ops", None),
        (
            "🟢 Recovered from warning after 2 h: acme/shop industry, 5,000 messages left; the balance is above its "
            "limits again",
            "thread_broadcast",
        ),
    ] == [(reply["text"], reply.get("subtype")) for reply in slack.messages("ops", thread=root["ts"])]
    assert [
        "[critical] acme/shop industry: 50 messages left",
        "Older messages in #ops can't be edited",
        "Re: [critical] acme/shop industry: 50 messages left",
    ] == [str(mail.message["Subject"]) for mail in smtp.mails]

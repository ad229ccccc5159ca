"""Each further channel tells a whole story once over a kill in the middle, and a storm in a handful of messages."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from balancebot.app import App, build_app
from balancebot.config import Settings, load
from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import WalletName
from balancebot.domain.message import NoticeMessage
from balancebot.domain.routing import Destination
from balancebot.domain.sentence import sentence
from balancebot.domain.threshold import ThresholdRow
from balancebot.store import channel_failures, outbox, queues, thresholds, workers
from balancebot.store.database import Database
from tests.outbox_bench import HandClock
from tests.standins.bots import KEY, SECRET, Service, serving
from tests.world import NOON, SHOP, ScriptedSource, industry

KINDS = ("feishu", "dingtalk", "wecom", "webhook", "pagerduty", "apprise")


def config_of(service: Service, *, apps: int = 1) -> str:
    secret = {"webhook": KEY, "wecom": "", "apprise": ""}.get(service.kind, SECRET)
    shops = "".join(
        f'[[accounts.apps]]\nname = "{name}"\napp_key = "key{name}"\nmaster_secret = "secret"\n'
        for name in ("shop", *(f"shop{number}" for number in range(1, apps)))
    )
    return f"""\
[[channels]]
name = "ops"
kind = "{service.kind}"
url = "{service.url}"
{f'secret = "{secret}"' if secret else ""}
default = true
[[routes]]
match = "*"
mention = {{ critical = ["13800000000", "ou_0123456789abcdef", "wecom:zhangsan", "U024BE7LH"] }}
[web]
public_url = "https://balances.example.com"
[[accounts]]
name = "acme"
{shops}"""


class Story:
    """An app whose one further channel posts to a stand-in."""

    def __init__(
        self, database: Database, folder: Path, service: Service, clock: HandClock, apps: int = 1
    ) -> None:
        self.database, self.clock, self.service = database, clock, service
        file = folder / "balancebot.toml"
        file.write_text(config_of(service, apps=apps))
        settings = load(file, environ={}, resolve_secrets=True)
        assert isinstance(settings, Settings), settings
        self.settings = settings
        self.source = ScriptedSource(clock)
        self.app = self.begin("first")
        self.app.sync_wallets()
        with database.write() as conn:
            thresholds.put(
                conn, [ThresholdRow(wallet="*", warning_below=100, critical_below=50)], by="test", now=NOON
            )

    def begin(self, worker: str) -> App:
        app = build_app(self.settings, self.database, clock=self.clock, source=self.source, worker_id=worker)
        self.app = app
        app.worker_heartbeat("run").show()
        return app

    def reads(self, balance: int, *wallets: WalletName, **later: float) -> None:
        """Turn the clock, read this balance and judge it; nothing is sent."""
        self.clock.at += timedelta(**later)
        self.app.worker_heartbeat("run").show()
        for wallet in wallets or (SHOP,):
            self.source.script[wallet] = [industry(balance)]
        self.app.poll_cycle.run_all(list(wallets or (SHOP,)))
        self.app.operate_alerts.tick()

    def deliver(self) -> None:
        self.app.worker_heartbeat("run").show()
        self.app.deliver_outbox.run()

    def dies_while_sending(self) -> None:
        """The process claims the next message and is killed before it has written anything."""
        dest = Destination("ops", self.service.kind)
        with self.database.write() as conn:
            workers.register(conn, "dead", kind="run", now=self.clock.now())
            plan = queues.open_queue(
                conn,
                dest,
                worker_id="dead",
                group_over=5,
                can_edit=False,
                has_threads=False,
                now=self.clock.now(),
            )
            assert plan is not None
            (step,) = [step for step in plan.ready(self.clock.now()) if step.method == "send"]
            assert queues.claim(conn, dest, step, worker_id="dead", now=self.clock.now()) is not None
        self.clock.at += timedelta(seconds=20)
        self.begin("second")

    @property
    def sent(self) -> list[dict[str, Any]]:
        return [taken.document for taken in self.service.taken]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(params=KINDS)
def story(
    request: pytest.FixtureRequest, database: Database, tmp_path: Path, clock: HandClock
) -> Iterator[Story]:
    with serving(Service(request.param, clock.now, per_minute=20)) as service:
        yield Story(database, tmp_path, service, clock)


def test_a_whole_story_arrives_once_over_a_kill_in_the_middle(story: Story) -> None:
    story.reads(80)
    story.deliver()
    story.reads(40, minutes=5)
    story.dies_while_sending()
    story.deliver()
    story.reads(40, hours=25)
    story.deliver()
    story.reads(500, minutes=5)
    story.deliver()
    story.deliver()

    assert ([], 4) == (story.service.refused, len(story.sent))
    text = [str(document) for document in story.sent]
    assert all("acme/shop" in shown for shown in text[:3])
    match story.service.kind:
        case "webhook":
            assert [
                "balancebot.alert.opened",
                "balancebot.alert.worsened",
                "balancebot.alert.reminder",
                "balancebot.alert.recovered",
            ] == [document["type"] for document in story.sent]
            assert 4 == len({taken.headers["webhook-id"] for taken in story.service.taken})
        case "pagerduty":
            assert ["trigger"] * 3 + ["resolve"] == [document["event_action"] for document in story.sent]
            assert {"1"} == {document["dedup_key"] for document in story.sent}
            assert ["warning", "critical", "critical"] == [
                document["payload"]["severity"] for document in story.sent[:3]
            ]
        case "feishu":
            assert ["orange", "red", "red", "green"] == [
                document["card"]["header"]["template"] for document in story.sent
            ]
            mentions = ["<at id=ou_0123456789abcdef></at>" in shown for shown in text]
            assert [False, True, True, False] == mentions
        case "dingtalk":
            kinds = [document["msgtype"] for document in story.sent]
            assert ["actionCard", "markdown", "markdown", "actionCard"] == kinds
            assert ["13800000000"] == story.sent[1]["at"]["atMobiles"]
            assert "@13800000000" in story.sent[1]["markdown"]["text"]
        case "wecom":
            assert ["markdown", "text", "text", "markdown"] == [
                document["msgtype"] for document in story.sent
            ]
            assert (["zhangsan"], ["13800000000"]) == (
                story.sent[1]["text"]["mentioned_list"],
                story.sent[1]["text"]["mentioned_mobile_list"],
            )
        case _:
            assert all(document["title"] and document["message"] for document in story.sent)
    if story.service.kind not in {"webhook", "pagerduty"}:
        assert all("https://balances.example.com/alerts/1" in shown for shown in text)


def test_pagerduty_acknowledges_with_the_alert(database: Database, tmp_path: Path, clock: HandClock) -> None:
    with serving(Service("pagerduty", clock.now)) as service:
        story = Story(database, tmp_path, service, clock)
        story.reads(40)
        story.deliver()
        story.app.operate_alerts.acknowledge("1", by=Actor(name="ops", via=Via.CLI))
        story.deliver()
        story.reads(500, minutes=5)
        story.deliver()

    assert [("trigger", "1"), ("acknowledge", "1"), ("resolve", "1")] == [
        (document["event_action"], document["dedup_key"]) for document in story.sent
    ]
    assert ("acme/shop", "https://balances.example.com/alerts/1") == (
        story.sent[0]["payload"]["source"],
        story.sent[0]["client_url"],
    )


def test_an_alert_acknowledged_before_pagerduty_got_it_is_acknowledged_there_at_once(
    database: Database, tmp_path: Path, clock: HandClock
) -> None:
    with serving(Service("pagerduty", clock.now)) as service:
        story = Story(database, tmp_path, service, clock)
        story.reads(40)
        story.app.operate_alerts.acknowledge("1", by=Actor(name="ops", via=Via.CLI))
        story.deliver()

    assert ["trigger", "acknowledge"] == [document["event_action"] for document in story.sent]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "database_url"), [("dingtalk", "postgresql"), ("wecom", "sqlite")], indirect=["database_url"]
)
def test_a_storm_of_300_alerts_is_a_handful_of_messages_below_the_limit_of_20_a_minute(
    kind: str, database: Database, tmp_path: Path, clock: HandClock
) -> None:
    names = [WalletName("acme/shop"), *(WalletName(f"acme/shop{number}") for number in range(1, 300))]
    with serving(Service(kind, clock.now, per_minute=20)) as service:
        story = Story(database, tmp_path, service, clock, apps=300)
        for start in range(0, 300, 10):  # the storm lasts for a minute
            story.reads(40, *names[start : start + 10], seconds=2)
            story.deliver()
        for _ in range(20):
            story.clock.at += timedelta(seconds=3)
            story.deliver()
        opened = len(service.taken)
        story.reads(500, *names, minutes=5)
        for _ in range(20):
            story.clock.at += timedelta(seconds=3)
            story.deliver()

    assert [] == service.refused
    assert opened <= 15
    assert len(service.taken) - opened <= 5
    states = Counter(
        delivery.state for delivery in story.app.operate_deliveries.listed(every=True, limit=5000)
    )
    assert set(states) <= {"delivered", "superseded"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('kind = "apprise"\nurl = "nonsense://HIDDEN"', "url: is no address that Apprise can read"),
        ('kind = "apprise"\nurl = "json://HIDDEN"\nsecret = "s"', "secret: has no use here"),
        ('kind = "wecom"\nurl = "https://HIDDEN"\nsecret = "s"', "secret: has no use here"),
        ('kind = "pagerduty"', "secret: is missing"),
    ],
)
def test_what_cannot_work_is_refused_at_start_without_showing_it(
    tmp_path: Path, text: str, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "balancebot.toml"
    file.write_text(
        f'[[channels]]\nname = "ops"\n{text}\n[[accounts]]\nname = "acme"\ndev_key = "k"\ndev_secret = "s"\n'
    )
    faults = load(file, environ={}, resolve_secrets=True)

    assert "HIDDEN" not in caplog.text
    assert isinstance(faults, tuple)
    assert (1, True) == (len(faults), str(faults[0].message).startswith(expected.partition(": ")[2]))
    assert ("channels[0]." + expected.partition(":")[0], False) == (faults[0].key, "HIDDEN" in str(faults[0]))


def test_a_digest_is_no_incident(tmp_path: Path) -> None:
    file = tmp_path / "balancebot.toml"
    file.write_text(
        '[[channels]]\nname = "pager"\nkind = "pagerduty"\nsecret = "s"\n'
        '[[digests]]\nname = "day"\ncron = "0 9 * * *"\nchannels = ["pager"]\n'
        '[[accounts]]\nname = "acme"\ndev_key = "k"\ndev_secret = "s"\n'
    )
    faults = load(file, environ={}, resolve_secrets=True)

    assert isinstance(faults, tuple)
    assert ["digests[0].channels"] == [fault.key for fault in faults]


@pytest.mark.parametrize(("is_trouble", "severities"), [(True, ["error"]), (False, [])])
def test_a_notice_is_an_incident_only_if_somebody_must_act(
    database: Database, tmp_path: Path, clock: HandClock, is_trouble: bool, severities: list[str]
) -> None:
    with serving(Service("pagerduty", clock.now)) as service:
        story = Story(database, tmp_path, service, clock)
        notice = NoticeMessage(at=NOON, title=sentence("The database is damaged"), is_trouble=is_trouble)
        with database.write() as conn:
            outbox.enqueue_plain(
                conn, message=notice, destinations=[Destination("ops", "pagerduty")], now=NOON
            )
        story.deliver()

        assert severities == [document["payload"]["severity"] for document in story.sent]
        with database.read() as conn:
            assert ((), 0) == (channel_failures.current(conn), outbox.num_pending(conn))

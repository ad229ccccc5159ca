"""Each further channel sends every change of an alert once despite a kill, and many alerts in a few messages."""

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


class Scenario:
    """An app whose only further channel posts to a stand-in."""

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
        """Move the clock, read this balance and judge it; nothing is sent."""
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
def scenario(
    request: pytest.FixtureRequest, database: Database, tmp_path: Path, clock: HandClock
) -> Iterator[Scenario]:
    with serving(Service(request.param, clock.now, per_minute=20)) as service:
        yield Scenario(database, tmp_path, service, clock)


def test_every_change_of_an_alert_arrives_once_despite_a_kill(scenario: Scenario) -> None:
    scenario.reads(80)
    scenario.deliver()
    scenario.reads(40, minutes=5)
    scenario.dies_while_sending()
    scenario.deliver()
    scenario.reads(40, hours=25)
    scenario.deliver()
    scenario.reads(500, minutes=5)
    scenario.deliver()
    scenario.deliver()

    assert ([], 4) == (scenario.service.refused, len(scenario.sent))
    text = [str(document) for document in scenario.sent]
    assert all("acme/shop" in shown for shown in text[:3])
    match scenario.service.kind:
        case "webhook":
            assert [
                "balancebot.alert.opened",
                "balancebot.alert.worsened",
                "balancebot.alert.reminder",
                "balancebot.alert.recovered",
            ] == [document["type"] for document in scenario.sent]
            assert 4 == len({taken.headers["webhook-id"] for taken in scenario.service.taken})
        case "pagerduty":
            assert ["trigger"] * 3 + ["resolve"] == [document["event_action"] for document in scenario.sent]
            assert {"1"} == {document["dedup_key"] for document in scenario.sent}
            assert ["warning", "critical", "critical"] == [
                document["payload"]["severity"] for document in scenario.sent[:3]
            ]
        case "feishu":
            assert ["orange", "red", "red", "green"] == [
                document["card"]["header"]["template"] for document in scenario.sent
            ]
            mentions = ["<at id=ou_0123456789abcdef></at>" in shown for shown in text]
            assert [False, True, True, False] == mentions
        case "dingtalk":
            kinds = [document["msgtype"] for document in scenario.sent]
            assert ["actionCard", "markdown", "markdown", "actionCard"] == kinds
            assert ["13800000000"] == scenario.sent[1]["at"]["atMobiles"]
            assert "@13800000000" in scenario.sent[1]["markdown"]["text"]
        case "wecom":
            assert ["markdown", "text", "text", "markdown"] == [
                document["msgtype"] for document in scenario.sent
            ]
            assert (["zhangsan"], ["13800000000"]) == (
                scenario.sent[1]["text"]["mentioned_list"],
                scenario.sent[1]["text"]["mentioned_mobile_list"],
            )
        case _:
            assert all(document["title"] and document["message"] for document in scenario.sent)
    if scenario.service.kind not in {"webhook", "pagerduty"}:
        assert all("https://balances.example.com/alerts/1" in shown for shown in text)


def test_pagerduty_acknowledges_with_the_alert(database: Database, tmp_path: Path, clock: HandClock) -> None:
    with serving(Service("pagerduty", clock.now)) as service:
        scenario = Scenario(database, tmp_path, service, clock)
        scenario.reads(40)
        scenario.deliver()
        scenario.app.operate_alerts.acknowledge("1", by=Actor(name="ops", via=Via.CLI))
        scenario.deliver()
        scenario.reads(500, minutes=5)
        scenario.deliver()

    assert [("trigger", "1"), ("acknowledge", "1"), ("resolve", "1")] == [
        (document["event_action"], document["dedup_key"]) for document in scenario.sent
    ]
    assert ("acme/shop", "https://balances.example.com/alerts/1") == (
        scenario.sent[0]["payload"]["source"],
        scenario.sent[0]["client_url"],
    )


def test_an_alert_acknowledged_before_it_reached_pagerduty_is_acknowledged_there_immediately(
    database: Database, tmp_path: Path, clock: HandClock
) -> None:
    with serving(Service("pagerduty", clock.now)) as service:
        scenario = Scenario(database, tmp_path, service, clock)
        scenario.reads(40)
        scenario.app.operate_alerts.acknowledge("1", by=Actor(name="ops", via=Via.CLI))
        scenario.deliver()

    assert ["trigger", "acknowledge"] == [document["event_action"] for document in scenario.sent]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "database_url"), [("dingtalk", "postgresql"), ("wecom", "sqlite")], indirect=["database_url"]
)
def test_300_openings_within_a_minute_are_a_few_messages_below_the_rate_limit(
    kind: str, database: Database, tmp_path: Path, clock: HandClock
) -> None:
    names = [WalletName("acme/shop"), *(WalletName(f"acme/shop{number}") for number in range(1, 300))]
    with serving(Service(kind, clock.now, per_minute=20)) as service:
        scenario = Scenario(database, tmp_path, service, clock, apps=300)
        for start in range(0, 300, 10):  # they open within a minute
            scenario.reads(40, *names[start : start + 10], seconds=2)
            scenario.deliver()
        for _ in range(20):
            scenario.clock.at += timedelta(seconds=3)
            scenario.deliver()
        opened = len(service.taken)
        scenario.reads(500, *names, minutes=5)
        for _ in range(20):
            scenario.clock.at += timedelta(seconds=3)
            scenario.deliver()

    assert [] == service.refused
    assert opened <= 15
    assert len(service.taken) - opened <= 5
    states = Counter(
        delivery.state for delivery in scenario.app.operate_deliveries.listed(every=True, limit=5000)
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
def test_an_invalid_channel_is_refused_at_the_start_without_showing_secrets(
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


def test_a_digest_is_no_incident_in_pagerduty(tmp_path: Path) -> None:
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
def test_a_notice_is_an_incident_in_pagerduty_only_if_a_person_must_act(
    database: Database, tmp_path: Path, clock: HandClock, is_trouble: bool, severities: list[str]
) -> None:
    with serving(Service("pagerduty", clock.now)) as service:
        scenario = Scenario(database, tmp_path, service, clock)
        notice = NoticeMessage(at=NOON, title=sentence("The database is damaged"), is_trouble=is_trouble)
        with database.write() as conn:
            outbox.enqueue_plain(
                conn, message=notice, destinations=[Destination("ops", "pagerduty")], now=NOON
            )
        scenario.deliver()

        assert severities == [document["payload"]["severity"] for document in scenario.sent]
        with database.read() as conn:
            assert ((), 0) == (channel_failures.current(conn), outbox.num_pending(conn))

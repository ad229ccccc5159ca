"""A third channel needs a section and one registration, and nothing else. This one exists only here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from balancebot.app import App, build_app
from balancebot.cli.check import _channels, _from_database
from balancebot.cli.notify import _send
from balancebot.config import Settings, load, remarks, values
from balancebot.config.declare import ChannelConfig, ChannelSection, key
from balancebot.config.settings import CHANNELS
from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import Category
from balancebot.domain.message import MessageRef, OutgoingMessage
from balancebot.domain.routing import Destination
from balancebot.domain.sentence import verbatim
from balancebot.domain.threshold import ThresholdRow
from balancebot.explain.explain import explain
from balancebot.explain.render import Face, render
from balancebot.metrics import Metrics
from balancebot.notify.channel import ChannelContext, RedactedChannel, RegisteredChannel, Show
from balancebot.notify.registry import REGISTERED
from balancebot.ports import Capabilities, Channel, ChannelError, ChannelErrorKind, Finding
from balancebot.store import thresholds
from balancebot.store.database import Database
from tests.world import SHOP, HandClock, ScriptedSource, industry


@dataclass(frozen=True, slots=True, kw_only=True)
class PagerConfig(ChannelSection):
    """Pagers, by number."""

    numbers: tuple[str, ...] = key(
        values.list_of(values.text, "numbers"), "whom alerts reach", default=[], example='["17"]'
    )

    @property
    def default_destinations(self) -> tuple[str, ...]:
        return self.numbers


class Pager:
    """A channel that can only post; `pages` has the posted messages."""

    capabilities = Capabilities()

    def __init__(self, name: str) -> None:
        self.name = name
        self.pages: list[tuple[str, str]] = []
        self.refuses: set[str] = set()

    def send(
        self, outgoing: OutgoingMessage, *, holds_claim: Callable[[], bool]
    ) -> MessageRef | ChannelError:
        address = outgoing.destination.address
        if not holds_claim():
            return ChannelError(kind=ChannelErrorKind.LEASE_LOST, message=verbatim("taken over"))
        if address in self.refuses:
            return ChannelError(
                kind=ChannelErrorKind.NO_SUCH_DESTINATION, message=verbatim(f"no pager {address}")
            )
        reason = getattr(outgoing.message, "reason", None)
        self.pages.append((address, str(reason or type(outgoing.message).__name__)))
        return MessageRef(channel_id="", message_id="")

    def find(
        self, outgoing: OutgoingMessage, *, after: MessageRef | None
    ) -> Sequence[MessageRef] | ChannelError:
        raise AssertionError("it can't find, so nobody asks")

    def delete(self, ref: MessageRef) -> ChannelError | None:
        raise AssertionError("it can't search, so it never finds a duplicate")

    def check(self, destinations: Sequence[str]) -> list[Finding]:
        return [Finding(ok=True, words=f"reaches {', '.join(destinations)}")]

    def close(self) -> None:
        pass


def _build(name: str, pager: PagerConfig, context: ChannelContext) -> Channel:
    return Pager(name)


def _preview(pager: PagerConfig, context: ChannelContext, show: Show) -> Channel:
    return Pager("preview")


SECTION = ChannelConfig(
    name="pager",
    section=PagerConfig,
    destination=values.text,
    destinations="pagers",
    example='["17"]',
    digest_key="pagers",
)
REGISTRATION = RegisteredChannel(section=PagerConfig, build=_build, preview=_preview)

TEXT = """\
[pager]
numbers = ["17", "18"]
[email]
host = "127.0.0.1"
port = 9
from = "bot@example.com"
to = []
[[routes]]
match = "*"
severity = "critical"
pager = ["911"]
[[digests]]
name = "weekday"
cron = "0 9 * * *"
pagers = ["17"]
[[accounts]]
name = "acme"
apps = [{ name = "shop", app_key = "key", master_secret = "secret" }]
"""


def read(folder: Path, text: str = TEXT) -> Settings:
    file = folder / "balancebot.toml"
    file.write_text(text)
    settings = load(file, environ={}, resolve_secrets=True, channels=(*CHANNELS, SECTION))
    assert isinstance(settings, Settings), settings
    return settings


@pytest.fixture
def app(database: Database, tmp_path: Path) -> App:
    clock = HandClock()
    app = build_app(
        read(tmp_path),
        database,
        clock=clock,
        source=ScriptedSource(clock),
        registered=(*REGISTERED, REGISTRATION),
    )
    app.sync_wallets()
    with database.write() as conn:
        thresholds.put(
            conn,
            [ThresholdRow(wallet="*", warning_below=1000, critical_below=100)],
            by="test",
            now=clock.now(),
        )
    return app


def pager_of(app: App) -> Pager:
    redacted = app.channels["pager"]
    assert isinstance(redacted, RedactedChannel)
    assert isinstance(redacted.channel, Pager)
    return redacted.channel


def reads(app: App, balance: int) -> None:
    assert isinstance(app.source, ScriptedSource)
    app.source.script[SHOP] = [industry(balance)]
    app.poll_cycle.run_all([SHOP])
    app.worker_heartbeat("run").show()
    app.deliver_outbox.run()
    app.source.clock.pass_by(minutes=10)


def test_each_change_is_sent_once_as_a_separate_message(app: App) -> None:
    reads(app, 500)
    reads(app, 50)
    reads(app, 5000)

    assert {("17", "opened"), ("18", "opened"), ("911", "worsened"), ("17", "recovered")} <= {
        *pager_of(app).pages
    }
    assert len(pager_of(app).pages) == len({*pager_of(app).pages})


def test_digests_are_sent_to_the_third_channel(app: App) -> None:
    assert app.send_digest.send("weekday")
    app.worker_heartbeat("run").show()
    app.deliver_outbox.run()

    assert [("17", "DigestMessage")] == pager_of(app).pages


def test_notify_test_and_check_accept_the_name_of_the_third_channel(
    app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    app.worker_heartbeat("run").show()
    assert [] == _send(app, ["pager"], by=Actor(name="ann", via=Via.CLI))

    assert [("17", "TestMessage"), ("18", "TestMessage")] == sorted(pager_of(app).pages)
    assert "pager 17: sent\npager 18: sent\n" == capsys.readouterr().out
    assert "pager: reaches 17, 18, 911" in [str(line)[6:] for line in _channels(app)]


def test_a_refusal_of_the_third_channel_shows_in_check_and_in_the_metrics(app: App) -> None:
    pager_of(app).refuses.add("18")
    reads(app, 500)

    assert ["FAIL  pager 18"] == [str(line).split(":")[0] for line in _from_database(app)]
    text = Metrics(app.system_status, channels=app.settings.channel_sections).text().decode()
    assert 'balancebot_channel_refusals{channel="pager"} 1.0' in text


def test_why_names_the_third_channel(app: App) -> None:
    reads(app, 500)
    with app.database.read() as conn:
        explanation = explain(
            conn,
            SHOP,
            Category.INDUSTRY,
            settings=app.settings,
            book=app.thresholds.book(conn),
            figures=app.figures,
            now=app.clock.now(),
        )

    assert Destination("pager", "17") in explanation.balances[0].destinations
    assert "pager 17" in render(explanation, app.words, Face.TEXT)


def test_deliveries_list_the_destinations_of_the_third_channel(app: App) -> None:
    reads(app, 500)

    listed = app.operate_deliveries.listed(every=True)
    assert {("pager", "17"), ("pager", "18")} == {
        (delivery.channel, delivery.destination) for delivery in listed
    }


def test_a_route_to_the_third_channel_is_remarked_on_if_it_is_not_configured(tmp_path: Path) -> None:
    settings = read(tmp_path, TEXT.replace('[pager]\nnumbers = ["17", "18"]\n', ""))

    keys = [remark.key for remark in remarks(settings, channels=(*CHANNELS, SECTION))]
    assert {"routes[0].pager", "digests[0].pagers"} <= {*keys}

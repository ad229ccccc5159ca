"""A Slack listener in a test world, connected to the Slack stand-in by a real WebSocket."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from balancebot.app import build_app
from balancebot.config import load
from balancebot.domain.alert import Alert
from balancebot.notify.slack.listener import HEARTBEAT, SlackApp, slack_app_of
from balancebot.store import alerts
from balancebot.store.database import Database
from tests.standins.slack_api import SlackStandIn
from tests.world import SHOP, World, industry


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The world of a listener: the bot, the stand-in of Slack, and one alert."""

    world: World
    slack: SlackStandIn
    folder: Path

    @contextmanager
    def listening(self, extra: str = "", *, heartbeat: timedelta = HEARTBEAT) -> Iterator[SlackApp]:
        """Run a listener; `extra` is TOML below `[slack]`."""
        file = self.folder / "balancebot.toml"
        file.write_text(
            f"""\
timezone = "Asia/Shanghai"
{"" if "language" not in extra else 'language = "zh-CN"'}
[slack]
bot_token = "{self.slack.token}"
app_token = "{self.slack.app_token}"
channel = "#ops"
api_url = "{self.slack.api_url}"
proxy = "direct"
{extra.replace("language", "")}
[[accounts]]
name = "acme"
dev_key = "key"
dev_secret = "secret"
apps = [{{ name = "shop", app_key = "key2", master_secret = "secret" }}]
"""
        )
        settings = load(file, environ={}, resolve_secrets=True)
        assert not isinstance(settings, tuple), settings
        bot = build_app(settings, self.world.database, clock=self.world.clock)
        app = slack_app_of(bot, on_done=lambda: None, heartbeat=heartbeat)
        assert app is not None
        opened = self.slack.socket.num_opened
        app.start()
        try:
            self.slack.socket.wait_for_sockets(opened + 1)
            yield app
        finally:
            assert app.stop(timedelta(seconds=8))

    @property
    def alert(self) -> Alert:
        """Return the only alert."""
        with self.world.database.read() as conn:
            return alerts.listed(conn, closed=True)[0].alert

    @property
    def alert_id(self) -> str:
        """Return the id of the only alert."""
        return str(self.alert.id)


@pytest.fixture
def desk(sqlite_url: str, tmp_path: Path) -> Iterator[Desk]:
    """A shop that has fallen below its warning limit."""
    database = Database(sqlite_url)
    database.upgrade()
    world = World(database)
    world.configure(SHOP)
    world.limit("acme/shop", "industry", warning_below=1000, critical_below=100)
    world.shows(industry(500))
    world.poll()
    with SlackStandIn() as slack:
        slack.add_channel("ops")
        yield Desk(world=world, slack=slack, folder=tmp_path)
    database.dispose()

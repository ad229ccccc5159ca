"""From a bot to its listener in Slack."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from balancebot.notify.slack.handlers import SlackHandlers
from balancebot.notify.slack.queries import SlackQueries
from balancebot.notify.slack.responses import SlackWorkspace
from balancebot.notify.slack.roles import Roles
from balancebot.notify.slack.socket import HEARTBEAT, SocketMode

if TYPE_CHECKING:
    from balancebot.app import App


class SlackApp:
    """The listener: begins, and ends in order."""

    def __init__(self, clerk: SlackHandlers, connection: SocketMode) -> None:
        self._clerk = clerk
        self._connection = connection

    def start(self) -> None:
        """Begin to listen."""
        self._connection.start()

    def stop(self, patience: timedelta) -> bool:
        """Take nothing new and finish what is under way; tell whether it was in time."""
        self._clerk.stopping.set()
        return self._connection.stop(patience)


def slack_app_of(
    bot: "App", *, on_done: Callable[[], None], heartbeat: timedelta = HEARTBEAT
) -> SlackApp | None:
    """Return the listener of a bot; None where no app token is configured."""
    slack = bot.settings.slack
    if slack is None or slack.app_token is None or slack.bot_token is None:
        return None
    workspace = SlackWorkspace(
        bot_token=slack.bot_token.reveal(),
        app_token=slack.app_token.reveal(),
        api_url=slack.api_url,
        proxy=slack.proxy,
    )
    clerk = SlackHandlers(
        database=bot.database,
        clock=bot.clock,
        operate_alerts=bot.operate_alerts,
        telling=SlackQueries(
            database=bot.database,
            clock=bot.clock,
            settings=lambda: bot.settings,
            thresholds=bot.thresholds,
            words=bot.words,
        ),
        roles=Roles(slack.roles, members=workspace.members, clock=bot.clock),
        workspace=workspace,
        on_done=on_done,
    )
    connection = SocketMode(
        open_url=workspace.open_url, answer=clerk.answer, proxy=slack.proxy, heartbeat=heartbeat
    )
    return SlackApp(clerk, connection)

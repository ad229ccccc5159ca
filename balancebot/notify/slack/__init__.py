"""Everything about Slack: posting, editing and finding messages; buttons, the top-up form and `/balance` over Socket Mode.

Open `channel.py` for what is sent and `handlers.py` for what people do there.
"""

from balancebot.config import SlackConfig
from balancebot.notify.channel import ChannelContext, RegisteredChannel, Show
from balancebot.ports import Channel


def _build(name: str, slack: SlackConfig, context: ChannelContext) -> Channel:
    """Make the channel for a webhook or a bot token. Buttons need an app token too, with which clicks are received."""
    from balancebot.notify.slack.channel import SlackChannel  # lazy: only a configured channel
    from balancebot.notify.slack.webhook import SlackWebhook  # lazy: only a configured channel

    if slack.webhook_url is not None:
        return SlackWebhook(url=slack.webhook_url.reveal(), renderer=context.renderer, proxy=slack.proxy)
    assert slack.bot_token is not None  # noqa: S101 -- the configuration has one of the two
    return SlackChannel(
        token=slack.bot_token.reveal(),
        renderer=context.renderer,
        api_url=slack.api_url,
        proxy=slack.proxy,
        app_token=None if slack.app_token is None else slack.app_token.reveal(),
        names_groups=slack.roles.names_groups,
        recall=lambda: context.known_ids(name),
    )


def _preview(slack: SlackConfig, context: ChannelContext, show: Show) -> Channel:
    from balancebot.notify.preview import PreviewSlack  # lazy: only the demo shows messages

    del slack
    return PreviewSlack(context.renderer, show)


SLACK = RegisteredChannel(section=SlackConfig, build=_build, preview=_preview)

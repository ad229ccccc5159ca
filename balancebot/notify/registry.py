"""The kinds of channel. Each is a folder with one registration; only this file lists them.

A registration says how a section of the configuration (balancebot/config/) becomes a channel. The channel's
`capabilities` say what it can do (edit, threads, find its messages).
"""

from collections.abc import Mapping, Sequence

from balancebot.config.declare import ChannelSection
from balancebot.notify.apprise import APPRISE
from balancebot.notify.channel import ChannelContext, RedactedChannel, RegisteredChannel, Show
from balancebot.notify.dingtalk import DINGTALK
from balancebot.notify.email import EMAIL
from balancebot.notify.feishu import FEISHU
from balancebot.notify.pagerduty import PAGERDUTY
from balancebot.notify.slack import SLACK
from balancebot.notify.webhook import WEBHOOK
from balancebot.notify.wecom import WECOM
from balancebot.ports import Channel

REGISTERED: tuple[RegisteredChannel, ...] = (
    SLACK,
    EMAIL,
    FEISHU,
    DINGTALK,
    WECOM,
    WEBHOOK,
    PAGERDUTY,
    APPRISE,
)


def build_channels(
    sections: Mapping[str, ChannelSection],
    context: ChannelContext,
    registered: Sequence[RegisteredChannel] = REGISTERED,
    *,
    show: Show | None = None,
) -> dict[str, Channel]:
    """Make the channel of each section, by its configured name; secrets are hidden in its errors.

    With `show` the channels show each message instead of sending it.
    """
    channels: dict[str, Channel] = {}
    for name, section in sections.items():
        kind = next(kind for kind in registered if isinstance(section, kind.section))
        if show is None:
            channels[name] = RedactedChannel(kind.build(name, section, context), context.redact)
        else:
            channels[name] = kind.preview(section, context, show)
    return channels

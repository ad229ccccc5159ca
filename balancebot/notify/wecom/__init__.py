"""WeCom: Markdown by a group robot."""

from balancebot.config.further_channels import WeComConfig
from balancebot.notify.channel import ChannelContext, RegisteredChannel, posting_preview
from balancebot.ports import Channel


def _build(name: str, section: WeComConfig, context: ChannelContext) -> Channel:
    from balancebot.notify.wecom.channel import WeComChannel  # lazy: only a configured channel

    return WeComChannel(
        name,
        url=section.url.reveal(),
        secret=None if section.secret is None else section.secret.reveal(),
        renderer=context.renderer.speaking(section.language),
        clock=context.clock,
    )


WECOM = RegisteredChannel(section=WeComConfig, build=_build, preview=posting_preview)

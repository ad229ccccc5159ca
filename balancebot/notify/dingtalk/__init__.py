"""DingTalk: action cards by a custom robot."""

from balancebot.config.further_channels import DingTalkConfig
from balancebot.notify.channel import ChannelContext, RegisteredChannel, posting_preview
from balancebot.ports import Channel


def _build(name: str, section: DingTalkConfig, context: ChannelContext) -> Channel:
    from balancebot.notify.dingtalk.channel import DingTalkChannel  # lazy: only a configured channel

    return DingTalkChannel(
        name,
        url=section.url.reveal(),
        secret=None if section.secret is None else section.secret.reveal(),
        renderer=context.renderer.speaking(section.language),
        clock=context.clock,
    )


DINGTALK = RegisteredChannel(section=DingTalkConfig, build=_build, preview=posting_preview)

"""Feishu and Lark: cards by a custom bot."""

from balancebot.config.further_channels import FeishuConfig
from balancebot.notify.channel import ChannelContext, RegisteredChannel, posting_preview
from balancebot.ports import Channel


def _build(name: str, section: FeishuConfig, context: ChannelContext) -> Channel:
    from balancebot.notify.feishu.channel import FeishuChannel  # lazy: only a configured channel

    return FeishuChannel(
        name,
        url=section.url.reveal(),
        secret=None if section.secret is None else section.secret.reveal(),
        renderer=context.renderer.speaking(section.language),
        clock=context.clock,
    )


FEISHU = RegisteredChannel(section=FeishuConfig, build=_build, preview=posting_preview)

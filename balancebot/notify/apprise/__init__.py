"""The services that Apprise supports, by URL."""

from balancebot.config.further_channels import AppriseConfig
from balancebot.notify.channel import ChannelContext, RegisteredChannel, posting_preview
from balancebot.ports import Channel


def _build(name: str, section: AppriseConfig, context: ChannelContext) -> Channel:
    from balancebot.notify.apprise.channel import AppriseChannel  # lazy: only a configured channel

    return AppriseChannel(
        name, url=section.url.reveal(), renderer=context.renderer.speaking(section.language)
    )


APPRISE = RegisteredChannel(section=AppriseConfig, build=_build, preview=posting_preview)

"""PagerDuty: incidents by the Events API v2."""

from balancebot.config.further_channels import PagerDutyConfig
from balancebot.notify.channel import ChannelContext, RegisteredChannel, posting_preview
from balancebot.ports import Channel


def _build(name: str, section: PagerDutyConfig, context: ChannelContext) -> Channel:
    from balancebot.notify.pagerduty.channel import (  # lazy: only a configured channel
        EVENTS_URL,
        PagerDutyChannel,
    )

    return PagerDutyChannel(
        name,
        url=EVENTS_URL if section.url is None else section.url.reveal(),
        secret=section.secret.reveal(),
        renderer=context.renderer.speaking(section.language),
        clock=context.clock,
    )


PAGERDUTY = RegisteredChannel(section=PagerDutyConfig, build=_build, preview=posting_preview)

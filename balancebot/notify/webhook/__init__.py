"""JSON to your own URL, by the Standard Webhooks specification."""

from balancebot.config.further_channels import WebhookConfig
from balancebot.notify.channel import ChannelContext, RegisteredChannel, posting_preview
from balancebot.ports import Channel


def _build(name: str, section: WebhookConfig, context: ChannelContext) -> Channel:
    from balancebot.notify.webhook.channel import WebhookChannel  # lazy: only a configured channel

    return WebhookChannel(
        name,
        url=section.url.reveal(),
        secret=None if section.secret is None else section.secret.reveal(),
        renderer=context.renderer.speaking(section.language),
        clock=context.clock,
    )


WEBHOOK = RegisteredChannel(section=WebhookConfig, build=_build, preview=posting_preview)

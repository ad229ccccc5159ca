"""`[[channels]]`: what all further channels share, and each kind with what it needs."""

import base64
import binascii
from dataclasses import dataclass

from balancebot.config import values
from balancebot.config.declare import ChannelKind, ChannelSection, key
from balancebot.config.secrets import Secret
from balancebot.config.sections import language
from balancebot.config.toml_table import UnfitError


def _signing_key(value: str) -> None:
    """Refuse a Standard Webhooks key that is no base64."""
    if value.startswith("whsec_"):
        try:
            base64.b64decode(value.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            raise UnfitError("must be base64 behind whsec_") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherChannelConfig(ChannelSection):
    """Further channels, each of one kind."""

    name: str = key(
        values.name, "what routes and digests call it; unique", example='"ops-feishu"', unique=True
    )
    kind: str = key(values.text, "one of the kinds above", example='"feishu"')
    url: Secret | None = key(
        values.secret(), "where its messages are sent", default=None, example='"env:FEISHU_URL"'
    )
    secret: Secret | None = key(
        values.secret(), "what messages are signed with", default=None, example='"env:FEISHU_SECRET"'
    )
    default: bool = key(values.flag, "whether it is told where a route names no channels", default=False)
    language: str = key(
        language,
        "the language of its messages",
        default="en",
        default_note="the top-level `language`",
        example='"zh-CN"',
        inherited=True,
    )

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return its one destination, which goes by its kind: the address itself is a secret."""
        return (self.kind,)

    @property
    def default_destinations(self) -> tuple[str, ...]:
        """Return its destination if it is told where a route names no channels."""
        return self.addresses if self.default else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeishuConfig(FurtherChannelConfig):
    """`url` is the custom bot's address, `secret` its signing secret, if it has one."""

    url: Secret = key(values.secret_url, "the custom bot's address", example='"env:FEISHU_URL"')


@dataclass(frozen=True, slots=True, kw_only=True)
class DingTalkConfig(FurtherChannelConfig):
    """`url` is the custom bot's address, `secret` its signing secret, if it has one."""

    url: Secret = key(values.secret_url, "the custom bot's address", example='"env:DINGTALK_URL"')


@dataclass(frozen=True, slots=True, kw_only=True)
class WeComConfig(FurtherChannelConfig):
    """`url` is the group bot's address."""

    url: Secret = key(values.secret_url, "the group bot's address", example='"env:WECOM_URL"')


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookConfig(FurtherChannelConfig):
    """Standard Webhooks to `url`; `secret` is the signing key: "whsec_" and base64, or any text."""

    url: Secret = key(values.secret_url, "where to post", example='"env:WEBHOOK_URL"')
    secret: Secret | None = key(
        values.secret(_signing_key), "the signing key", default=None, example='"env:WEBHOOK_SECRET"'
    )


CHANNEL_KINDS = (
    ChannelKind(kind="feishu", section=FeishuConfig),
    ChannelKind(kind="dingtalk", section=DingTalkConfig),
    ChannelKind(kind="wecom", section=WeComConfig),
    ChannelKind(kind="webhook", section=WebhookConfig),
)

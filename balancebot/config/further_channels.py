"""`[[channels]]`: the keys that all further channels share, and the kinds with what each needs."""

import base64
import binascii
import logging
from dataclasses import dataclass
from typing import ClassVar

from balancebot.config import addresses, values
from balancebot.config.declare import ChannelKind, ChannelSection, key
from balancebot.config.secrets import ConfigContext, Secret
from balancebot.config.sections import language
from balancebot.config.toml_table import TomlTable, UnfitError


def _signing_key(value: str) -> None:
    """Refuse a Standard Webhooks key that isn't base64."""
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
    default: bool = key(values.flag, "whether it gets alerts whose route names no channels", default=False)
    language: str = key(
        language,
        "the language of its messages",
        default="en",
        default_note="the top-level `language`",
        example='"zh-CN"',
        inherited=True,
    )

    takes_secret: ClassVar[bool] = True
    takes_digests: ClassVar[bool] = True

    def checked(self, table: TomlTable, context: ConfigContext) -> "FurtherChannelConfig":  # noqa: ARG002
        """Refuse a secret if the kind has no use for one."""
        if not self.takes_secret and table.has("secret"):
            table.fault("secret", "has no use here: all that is secret is in `url`")
        return self

    @property
    def own_destinations(self) -> tuple[str, ...]:
        """Return its one destination, named after its kind: the address itself is a secret."""
        return (self.kind,)

    @property
    def default_destinations(self) -> tuple[str, ...]:
        """Return its destination if it gets alerts whose route names no channels."""
        return self.own_destinations if self.default else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeishuConfig(FurtherChannelConfig):
    """`url` is the custom bot's address, `secret` its signing secret, if it has one."""

    url: Secret = key(addresses.secret_url, "the custom bot's address", example='"env:FEISHU_URL"')


@dataclass(frozen=True, slots=True, kw_only=True)
class DingTalkConfig(FurtherChannelConfig):
    """`url` is the custom bot's address, `secret` its signing secret, if it has one."""

    url: Secret = key(addresses.secret_url, "the custom bot's address", example='"env:DINGTALK_URL"')


@dataclass(frozen=True, slots=True, kw_only=True)
class WeComConfig(FurtherChannelConfig):
    """`url` is the group bot's address; there is no signing secret."""

    takes_secret = False

    url: Secret = key(addresses.secret_url, "the group bot's address", example='"env:WECOM_URL"')


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookConfig(FurtherChannelConfig):
    """Standard Webhooks to `url`; `secret` is the signing key: "whsec_" and base64, or any text."""

    url: Secret = key(addresses.secret_url, "where to post", example='"env:WEBHOOK_URL"')
    secret: Secret | None = key(
        values.secret(_signing_key), "the signing key", default=None, example='"env:WEBHOOK_SECRET"'
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PagerDutyConfig(FurtherChannelConfig):
    """`secret` is the routing key of an Events API v2 integration. It takes alerts only, no digests."""

    takes_digests = False

    url: Secret | None = key(
        addresses.secret_url,
        "the events address",
        default=None,
        default_note="https://events.pagerduty.com/v2/enqueue",
        example='"https://events.eu.pagerduty.com/v2/enqueue"',
    )
    secret: Secret = key(values.secret(), "the routing key", example='"env:PAGERDUTY_KEY"')

    @property
    def can_edit(self) -> bool:
        """Return true: acknowledging an alert acknowledges its incident."""
        return True


def _apprise_url(value: str) -> None:
    """Refuse an address that Apprise can't read, and report that Apprise isn't installed."""
    try:
        import apprise  # lazy: it is optional, and takes long to import
    except ImportError:
        raise UnfitError('needs Apprise: pip install "balancebot[apprise]"') from None
    log = logging.getLogger("apprise")
    log.disabled = True  # it would log the address
    service = apprise.Apprise.instantiate(value)
    log.disabled = False
    if service is None:
        raise UnfitError("is no address that Apprise can read")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppriseConfig(FurtherChannelConfig):
    """`url` is an Apprise URL, such as "tgram://TOKEN/CHAT" or "ntfys://HOST/TOPIC". Needs the extra `apprise`."""

    takes_secret = False

    url: Secret = key(
        values.secret(_apprise_url, label="Apprise URL, secret"),
        "an Apprise URL",
        example='"env:APPRISE_URL"',
    )


CHANNEL_KINDS = (
    ChannelKind(kind="feishu", section=FeishuConfig),
    ChannelKind(kind="dingtalk", section=DingTalkConfig),
    ChannelKind(kind="wecom", section=WeComConfig),
    ChannelKind(kind="webhook", section=WebhookConfig),
    ChannelKind(kind="pagerduty", section=PagerDutyConfig),
    ChannelKind(kind="apprise", section=AppriseConfig),
)

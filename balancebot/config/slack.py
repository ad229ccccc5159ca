"""The `[slack]` section: a bot token or a webhook, and the roles of Slack users."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from balancebot.config import addresses, values
from balancebot.config.declare import ChannelConfig, ChannelSection, ConfigSection, key, table
from balancebot.config.secrets import ConfigContext, Secret
from balancebot.config.toml_table import TomlTable, UnfitError

WEBHOOK_CHANNEL = "webhook"
"""The destination of an incoming webhook that has no `channel`."""

_SLACK_ID = re.compile(r"[UWS][A-Z0-9]{1,30}")


@values.kind("id of a user (U…) or user group (S…), or *")
def slack_member(value: object) -> str:
    """Read the id of a Slack user or user group, or `*` for everybody."""
    written = values.text(value)
    if written != "*" and not _SLACK_ID.fullmatch(written):
        raise UnfitError(f"must be the id of a user (U…) or user group (S…), or *, not {written!r}")
    return written


@values.kind("web address")
def _api_url(value: object) -> str:
    """Read the address of Slack's API; the result ends with a slash."""
    return addresses.base_url(value) + "/"


_MEMBERS = values.set_of(slack_member, 'ids, or "*"')


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackRoles(ConfigSection):
    """Who may do what from Slack: IDs of users (U…) and user groups (S…); "*" is every member, never a guest."""

    viewer: frozenset[str] = key(
        _MEMBERS,
        "may ask; every member may acknowledge, and silence one wallet for at most 24 hours",
        default=["*"],
    )
    finance: frozenset[str] = key(
        _MEMBERS, "may also silence many wallets, and for up to 30 days", default=[]
    )
    admin: frozenset[str] = key(_MEMBERS, "may do everything", default=[])

    @property
    def names_groups(self) -> bool:
        """Return whether Slack must be asked for the members of a user group."""
        return any(member.startswith("S") for member in self.viewer | self.finance | self.admin)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackConfig(ChannelSection):
    """Slack. With a bot token messages are edited, answered in threads and have buttons. A webhook only posts."""

    bot_token: Secret | None = key(
        values.secret(),
        "with the scopes chat:write, channels:read, groups:read, channels:history, groups:history",
        default=None,
        example='"env:SLACK_BOT_TOKEN"',
    )
    webhook_url: Secret | None = key(
        addresses.secret_url,
        "only posts, to its one channel: no updates, threads or buttons",
        default=None,
        example='"env:SLACK_WEBHOOK_URL"',
        instead_of="bot_token",
    )
    app_token: Secret | None = key(
        values.secret(),
        "buttons and /balance over Socket Mode; works with a bot token only, which then wants users:read, too",
        default=None,
        example='"env:SLACK_APP_TOKEN"',
    )
    channel: str = key(
        values.text,
        "a name or an ID; required with a bot token, only a label with a webhook",
        default=WEBHOOK_CHANNEL,
        example='"#ops-alerts"',
    )
    api_url: str = key(_api_url, "the address of Slack's API", default="https://slack.com/api/")
    proxy: addresses.Proxy | None = key(
        addresses.proxy,
        'the way out; "direct" = none',
        default=None,
        default_note="as HTTPS_PROXY and NO_PROXY say",
        example='"direct"',
    )
    roles: SlackRoles = table(SlackRoles)

    def checked(self, table: TomlTable, context: ConfigContext) -> "SlackConfig":  # noqa: ARG002
        """Refuse both or neither of bot token and webhook, and keys that need a bot token."""
        by_token, by_webhook = table.has("bot_token"), table.has("webhook_url")
        if by_token == by_webhook:
            table.fault("", "needs either bot_token or webhook_url" + (", not both" if by_token else ""))
        if by_webhook and table.has("app_token"):
            table.fault("app_token", "works with a bot_token only, not with a webhook")
        if not by_webhook and not table.has("channel"):
            table.fault("channel", "is missing")
        return self

    @property
    def default_destinations(self) -> tuple[str, ...]:
        """Return the one channel."""
        return (self.channel,)

    @property
    def can_edit(self) -> bool:
        """Return whether there is a bot token."""
        return self.bot_token is not None

    @property
    def can_reply(self) -> bool:
        """Return whether there is a bot token."""
        return self.bot_token is not None

    def destination_fault(self, destinations: Sequence[str]) -> str | None:
        """Refuse channels other than the webhook's own."""
        if self.webhook_url is not None and set(destinations) - {self.channel}:
            return "names a channel, but a webhook posts to its own channel only"
        return None


SLACK = ChannelConfig(
    name="slack",
    section=SlackConfig,
    destination=values.text,
    destinations="Slack channels",
    example='["#marketing"]',
    digest_key="slack",
)

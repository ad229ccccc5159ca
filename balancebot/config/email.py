"""The `[email]` section: the mail server, and where alerts go."""

from dataclasses import dataclass
from enum import StrEnum

from balancebot.config import addresses, values
from balancebot.config.declare import ChannelConfig, ChannelSection, key
from balancebot.config.secrets import ConfigContext, Secret
from balancebot.config.toml_table import TomlTable


class MailSecurity(StrEnum):
    """How the connection to the mail server is protected."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailConfig(ChannelSection):
    """The mail server, and where alerts go."""

    host: str = key(values.text, "name or address of the mail server", example='"smtp.example.com"')
    port: int = key(values.whole(at_least=1, at_most=65_535), "the mail server's port", default=587)
    security: MailSecurity = key(
        values.one_of(MailSecurity), 'of the connection; "tls" is usually port 465', default="starttls"
    )
    username: str | None = key(values.text, "needs a password beside it", default=None, example='"bot"')
    password: Secret | None = key(
        values.secret(), "needs a username beside it", default=None, example='"env:SMTP_PASSWORD"'
    )
    sender: str = key(
        addresses.sender,
        "the sender of every message",
        name="from",
        example='"SMS balances <balances@example.com>"',
    )
    to: tuple[str, ...] = key(
        values.list_of(addresses.address, "e-mail addresses"),
        "where alerts go; digests have their own lists",
        default=[],
        example='["finance@example.com"]',
    )

    def checked(self, table: TomlTable, context: ConfigContext) -> "EmailConfig":  # noqa: ARG002
        """Refuse a user name without a password, or a password without a user name."""
        for given, other in (("username", "password"), ("password", "username")):
            if table.has(given) and not table.has(other):
                table.fault(other, f"is missing beside {given}")
        return self

    @property
    def default_destinations(self) -> tuple[str, ...]:
        """Return the recipients of alerts."""
        return self.to

    @property
    def can_reply(self) -> bool:
        """Return true: the mails of an alert are one thread."""
        return True


EMAIL = ChannelConfig(
    name="email",
    section=EmailConfig,
    destination=addresses.address,
    destinations="e-mail addresses",
    example='["marketing@example.com"]',
    digest_key="to",
)

"""The `[web]` section: the address of the pages, who may log in and how, and who may read the metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network
from typing import Self

from balancebot.config import addresses, values
from balancebot.config.declare import ConfigSection, key, optional_table
from balancebot.config.secrets import ConfigContext, Secret
from balancebot.config.toml_table import TomlTable, UnfitError
from balancebot.domain.user import Role

_KEY_VARIABLE = "BALANCEBOT_SECRET_KEY"
_LONG_ENOUGH = values.at_least_long(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcConfig(ConfigSection):
    """Log-in by OpenID Connect: authorization code with PKCE."""

    issuer: str = key(addresses.https_url, "the provider's address", example='"https://sso.example.com"')
    """Without a slash at its end."""
    client_id: str = key(values.text, "of this service at the issuer", example='"balancebot"')
    client_secret: Secret = key(values.secret(), "of this service at the issuer", example='"env:OIDC_SECRET"')
    roles: Mapping[str, Role] = key(
        values.table_of(values.one_of(Role), "per value of the claim `groups`", '{ "grp-ops" = "admin" }'),
        "roles of the members of groups; of several the highest counts",
        default={},
        example='{ "grp-finance" = "finance", "grp-ops" = "admin" }',
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig(ConfigSection):
    """The web pages."""

    listen: addresses.ListenAddress = key(
        addresses.listen, "where the pages are served", default="127.0.0.1:8080"
    )
    public_url: str = key(
        addresses.base_url,
        "for links in messages",
        default="http://127.0.0.1:8080",
        default_note="http:// and `listen`",
        example='"https://balances.example.com"',
    )
    """Without a slash at its end."""
    hosts: tuple[str, ...] = key(
        values.list_of(addresses.host_name, "host names"),
        "further host names of the pages, in addition to that of `public_url`; others are refused",
        default=[],
        example='["balancebot.monitoring.svc"]',
    )
    secret_key: Secret | None = key(
        values.secret(_LONG_ENOUGH, label="secret of at least 32 characters"),
        "key of the log-in sessions",
        default=None,
        default_note=f"${_KEY_VARIABLE}, else a random one kept in the database",
        example=f'"env:{_KEY_VARIABLE}"',
    )
    user_header: str | None = key(
        addresses.header_name,
        "log-in by a reverse proxy: the header that names the user; trusted only from trusted_proxies",
        default=None,
        example='"X-Forwarded-User"',
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = key(
        values.list_of(addresses.network, "addresses or networks"),
        "reverse proxies whose headers are trusted",
        default=[],
        example='["127.0.0.1"]',
    )
    default_role: Role | None = key(
        values.one_of(Role),
        "of users that the proxy or OpenID Connect vouches for and that are not in `users`",
        default=None,
        default_note="they are refused",
        example='"viewer"',
    )
    metrics_token: Secret | None = key(
        values.secret(),
        "bearer token that /metrics and /readyz ask for",
        default=None,
        default_note="they are open",
        example='"env:METRICS_TOKEN"',
    )
    oidc: OidcConfig | None = optional_table(OidcConfig)

    def checked(self, table: TomlTable, context: ConfigContext) -> Self:
        """Derive the address of links from `listen`, and read the secret key from the environment."""
        derived = self
        if not table.has("public_url"):
            derived = replace(derived, public_url=f"http://{self.listen}")
        if not table.has("secret_key") and context.resolve and context.environ.get(_KEY_VARIABLE):
            try:
                derived = replace(
                    derived, secret_key=context.read_secret(f"env:{_KEY_VARIABLE}", _LONG_ENOUGH)
                )
            except UnfitError as unfit:
                table.fault("secret_key", f"from {_KEY_VARIABLE} {unfit}")
        if table.has("user_header") and not self.trusted_proxies:
            table.fault("trusted_proxies", "is missing: without it no proxy's user_header is trusted")
        if table.has("default_role") and not table.has_any("user_header", "oidc"):
            table.fault("default_role", "is for users of user_header or [web.oidc], and neither is there")
        return derived

"""The configuration: a file and the environment become one frozen `Settings`, or a list of all faults.

Each key is declared once, on the dataclass of its section (`sections.py`, `accounts.py`, `web.py`, `slack.py`,
`email.py`). Start there, or with `settings.py`, which loads them. Every value is checked here, strictly and once; the
rest of the program relies on it. No fault ever shows a secret.
"""

from balancebot.config.accounts import AccountConfig, AppConfig, AppsWatch, KeyPair, reread_apps
from balancebot.config.addresses import ListenAddress, Proxy
from balancebot.config.email import EmailConfig, MailSecurity
from balancebot.config.live import LiveSettings
from balancebot.config.secrets import Secret, SecretsWatch
from balancebot.config.sections import (
    ENGLISH,
    LANGUAGES,
    AlertsConfig,
    DatabaseConfig,
    DigestConfig,
    DigestKind,
    EscalationConfig,
    HeartbeatConfig,
    LogConfig,
    LogFormat,
    LogLevel,
    OrdersConfig,
    PollConfig,
    QuietConfig,
    RetentionConfig,
    RouteConfig,
    TemplatesConfig,
)
from balancebot.config.settings import Settings, config_path, database_url, load, remarks
from balancebot.config.slack import SlackConfig, SlackRoles
from balancebot.config.toml_table import ConfigFault, UnfitError
from balancebot.config.web import OidcConfig, WebConfig

__all__ = [
    "ENGLISH",
    "LANGUAGES",
    "AccountConfig",
    "AlertsConfig",
    "AppConfig",
    "AppsWatch",
    "ConfigFault",
    "DatabaseConfig",
    "DigestConfig",
    "DigestKind",
    "EmailConfig",
    "EscalationConfig",
    "HeartbeatConfig",
    "KeyPair",
    "ListenAddress",
    "LiveSettings",
    "LogConfig",
    "LogFormat",
    "LogLevel",
    "MailSecurity",
    "OidcConfig",
    "OrdersConfig",
    "PollConfig",
    "Proxy",
    "QuietConfig",
    "RetentionConfig",
    "RouteConfig",
    "Secret",
    "SecretsWatch",
    "Settings",
    "SlackConfig",
    "SlackRoles",
    "TemplatesConfig",
    "UnfitError",
    "WebConfig",
    "config_path",
    "database_url",
    "load",
    "remarks",
    "reread_apps",
]

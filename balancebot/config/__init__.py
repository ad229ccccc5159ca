"""The configuration: a file and the environment become one frozen `Settings`, or all the faults in them at once.

Everything is checked here, strictly and once; nobody checks again inside. No fault ever shows a secret.
"""

from balancebot.config.apps_file import reread_apps
from balancebot.config.loading import config_path, load
from balancebot.config.remarks import remarks
from balancebot.config.shapes import (
    NO_ROOM,
    Account,
    Alerts,
    AppConfig,
    Database,
    Digest,
    Email,
    Heartbeat,
    KeyPair,
    Language,
    Log,
    LogFormat,
    LogLevel,
    MailSecurity,
    Poll,
    Proxy,
    Retention,
    Settings,
    Slack,
    SlackRoles,
    Web,
)
from balancebot.config.table import Fault
from balancebot.config.template import template

__all__ = [
    "NO_ROOM",
    "Account",
    "Alerts",
    "AppConfig",
    "Database",
    "Digest",
    "Email",
    "Fault",
    "Heartbeat",
    "KeyPair",
    "Language",
    "Log",
    "LogFormat",
    "LogLevel",
    "MailSecurity",
    "Poll",
    "Proxy",
    "Retention",
    "Settings",
    "Slack",
    "SlackRoles",
    "Web",
    "config_path",
    "load",
    "remarks",
    "reread_apps",
    "template",
]

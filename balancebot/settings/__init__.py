"""The configuration: a file and the environment become one frozen `Settings`, or all the faults in them at once.

Everything is checked here, strictly and once; nobody checks again inside. No fault ever shows a secret.
"""

from balancebot.settings.apps_file import reread_apps
from balancebot.settings.loading import config_path, load
from balancebot.settings.remarks import remarks
from balancebot.settings.shapes import (
    NO_ROOM,
    Account,
    Alerts,
    App,
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
from balancebot.settings.table import Fault
from balancebot.settings.template import template

__all__ = [
    "NO_ROOM",
    "Account",
    "Alerts",
    "App",
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

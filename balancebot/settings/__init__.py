"""The configuration: a file and the environment become one frozen `Settings`, or all the faults in them at once.

Everything is checked here, strictly and once; nobody checks again inside. No fault ever shows a secret.
"""

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

__all__ = [
    "NO_ROOM",
    "Account",
    "Alerts",
    "App",
    "Database",
    "Digest",
    "Email",
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
]

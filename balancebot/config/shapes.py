"""What the configuration file says, as frozen values: checked once when read, trusted by everybody after.

Durations are `timedelta`, paths are absolute, names and addresses have been looked at. Where secrets were not to be
resolved, each that stands in the file is one that refuses to be revealed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo

from balancebot.domain.balance import Category, WalletName, wallet_name
from balancebot.domain.message import ChannelName
from balancebot.domain.routing import Route, RoutingTable
from balancebot.secret import Secret

NO_ROOM = "webhook"
"""The one Slack destination of an incoming webhook that has no `channel` beside it."""

JSMS_URL = "https://api.sms.jpush.cn"


class Language(StrEnum):
    """The languages that messages, digests and pages are written in."""

    ENGLISH = "en"
    CHINESE = "zh-CN"


class MailSecurity(StrEnum):
    """How the connection to the mail server is protected."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class LogFormat(StrEnum):
    """How log lines look. AUTO is text on a terminal and JSON elsewhere."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """What is logged: this and worse."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """The way out. `url` None: directly, whatever the environment says. (Without a `Proxy` the environment decides.)"""

    url: Secret | None
    """It may hold a password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """Where everything is kept."""

    url: Secret
    """An SQLAlchemy URL, a SQLite path made absolute. It may hold a password; it is resolved for every command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """How wallets are read."""

    every: timedelta = timedelta(minutes=5)
    fastest: timedelta = timedelta(minutes=5)
    """At most `every`."""
    timeout: timedelta = timedelta(seconds=10)
    concurrency: int = 50
    max_rate: float | None = None
    """Requests per second to one base_url; None = no limit."""
    stale_after: timedelta = timedelta(minutes=30)
    """At least `every`."""
    ca_bundle: Path | None = None
    proxy: Proxy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """How alerts behave."""

    remind_every: timedelta = timedelta(hours=24)
    """Zero = never."""
    recovery_margin: float = 0.05
    runway_confidence: float = 0.75
    group_over: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """The two halves of what one wallet is read with: HTTP Basic user and password."""

    key: Secret
    secret: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class AppConfig:
    """One app of an account."""

    name: str
    keys: KeyPair
    from_file: bool = False
    """Whether it stands in `apps_file` and not in the configuration itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A developer account and its apps."""

    name: str
    base_url: str = JSMS_URL
    """Without a slash at its end."""
    keys: KeyPair | None = None
    """None: the shared pool isn't read."""
    apps: tuple[AppConfig, ...] = ()
    """Those of the configuration, then those of `apps_file`."""
    apps_file: Path | None = None

    def wallets(self) -> Iterator[tuple[WalletName, KeyPair]]:
        """Yield every wallet that is read, with its key pair: the shared pool first."""
        if self.keys is not None:
            yield wallet_name(self.name), self.keys
        for app in self.apps:
            yield wallet_name(self.name, app.name), app.keys


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackRoles:
    """Who may do what from Slack: ids of users (`U…`, `W…`) and user groups (`S…`); `*` is everybody."""

    viewer: frozenset[str] = frozenset({"*"})
    """May ask."""
    finance: frozenset[str] = frozenset({"*"})
    """May also acknowledge and silence."""
    admin: frozenset[str] = frozenset()

    @property
    def names_groups(self) -> bool:
        """Whether Slack has to be asked who is in a user group."""
        return any(member.startswith("S") for member in self.viewer | self.finance | self.admin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slack:
    """Slack, by bot token or by webhook: exactly one of the two."""

    bot_token: Secret | None = None
    webhook_url: Secret | None = None
    app_token: Secret | None = None
    channel: str = NO_ROOM
    """A name or an id; with a webhook only a label."""
    api_url: str = "https://slack.com/api/"
    """With a slash at its end."""
    proxy: Proxy | None = None
    roles: SlackRoles = field(default_factory=SlackRoles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Email:
    """The mail server and where alerts go."""

    host: str
    port: int = 587
    security: MailSecurity = MailSecurity.STARTTLS
    username: str | None = None
    password: Secret | None = None
    """None together with `username`."""
    sender: str
    """The key `from`: an address, or `Name <address>`."""
    to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """A scheduled summary."""

    name: str
    cron: str
    to: tuple[str, ...] = ()
    slack: tuple[str, ...] = ()
    language: Language


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """The web pages."""

    host: str
    port: int
    public_url: str
    """Without a slash at its end."""
    secret_key: Secret | None = None
    """None: neither the file nor the environment names one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The dead man's switch."""

    url: Secret
    proxy: Proxy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long readings are kept: all of them, then one an hour, then one a day for ever."""

    raw: timedelta = timedelta(days=35)
    hourly: timedelta = timedelta(days=400)
    """At least `raw`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What the process says about itself."""

    level: LogLevel = LogLevel.INFO
    format: LogFormat = LogFormat.AUTO


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One configuration file with its environment."""

    path: Path
    """The file it came from."""
    resolved: bool
    """Whether secrets were resolved; without them nothing can be asked or sent."""
    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    language: Language = Language.ENGLISH
    database: Database
    poll: Poll = field(default_factory=Poll)
    alerts: Alerts = field(default_factory=Alerts)
    accounts: tuple[Account, ...]
    slack: Slack | None = None
    email: Email | None = None
    routes: tuple[Route, ...] = ()
    digests: tuple[Digest, ...] = ()
    web: Web | None = None
    heartbeat: Heartbeat | None = None
    retention: Retention = field(default_factory=Retention)
    templates_dir: Path | None = None
    package_sizes: Mapping[Category, int] = field(default_factory=lambda: MappingProxyType({}))
    log: Log = field(default_factory=Log)

    @property
    def wallets(self) -> tuple[WalletName, ...]:
        """Every wallet that is read, in the order of the file."""
        return tuple(name for account in self.accounts for name, _ in account.wallets())

    @property
    def routing(self) -> RoutingTable:
        """Who is told of what."""
        defaults: dict[str, tuple[str, ...]] = {}
        if self.slack is not None:
            defaults[ChannelName.SLACK] = (self.slack.channel,)
        if self.email is not None:
            defaults[ChannelName.EMAIL] = self.email.to
        editable = frozenset({"slack"} if self.slack is not None and self.slack.bot_token is not None else ())
        return RoutingTable(routes=self.routes, defaults=MappingProxyType(defaults), editable=editable)

    def destinations(self, channel: str) -> tuple[str, ...]:
        """Return every place on `channel` that may be told of something, each once."""
        told = [*self.routing.defaults.get(channel, ())]
        told += [name for route in self.routes for name in route.destinations.get(channel, ())]
        for digest in self.digests:
            told += digest.slack if channel == ChannelName.SLACK else digest.to
        return tuple(dict.fromkeys(told))

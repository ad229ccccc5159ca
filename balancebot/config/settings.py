"""`Settings`, the frozen value of one configuration file, and `load`, which returns it or all faults of the file.

The fields of `Settings` are in the order of the file and of the reference.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar
from zoneinfo import ZoneInfo

from balancebot.config import values
from balancebot.config.accounts import AccountConfig, read_apps_file
from balancebot.config.declare import (
    ChannelConfig,
    ChannelKind,
    ChannelRegistration,
    ChannelSection,
    ConfigSection,
    SectionReader,
    key,
    optional_table,
    per_channel,
    table,
    tables,
)
from balancebot.config.email import EMAIL, EmailConfig, MailSecurity
from balancebot.config.further_channels import CHANNEL_KINDS, FurtherChannelConfig
from balancebot.config.secrets import NO_SECRET, ConfigContext, FileVersion, Secret, file_version
from balancebot.config.sections import (
    AlertsConfig,
    DatabaseConfig,
    DigestConfig,
    EscalationConfig,
    ForecastConfig,
    HeartbeatConfig,
    LogConfig,
    OrdersConfig,
    PollConfig,
    QuietConfig,
    RetentionConfig,
    RouteConfig,
    TemplatesConfig,
    language,
)
from balancebot.config.slack import SLACK, SlackConfig
from balancebot.config.toml_table import ConfigFault, TomlFile, UnfitError, read_toml
from balancebot.config.web import WebConfig
from balancebot.domain.balance import WalletName, wallet_name
from balancebot.domain.quiet_hours import QuietHours
from balancebot.domain.routing import RoutingTable
from balancebot.domain.sentence import did_you_mean, split_address

C = TypeVar("C", bound=ChannelSection)
E = TypeVar("E", RouteConfig, EscalationConfig, DigestConfig)

DEFAULT_PATH = "balancebot.toml"

CHANNELS: tuple[ChannelRegistration, ...] = (SLACK, EMAIL, *CHANNEL_KINDS)
"""The channels that can be configured."""

SENT_NOWHERE = (
    "alerts that no route matches are sent nowhere: no [slack], no [email].to, no channel with default = true"
)
"""`check` and `run` say this if there are no default destinations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(ConfigSection):
    """Keys at the top of the file."""

    path: Path
    """The file that was read."""
    resolved: bool
    """Whether secrets were resolved. Without them nothing can be fetched or sent."""
    document: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)
    """The parsed file. Secrets are read again from this alone, even if the file has changed since."""
    file_version: FileVersion = field(default=None, compare=False)
    """The version of the file that was read; None if the process still uses a part of an earlier version."""
    secret_files: Mapping[Path, FileVersion] = field(default_factory=dict, repr=False, compare=False)
    """The version of each secret file that was read."""
    timezone: ZoneInfo = key(
        values.timezone,
        "such as Asia/Shanghai: times in messages, digest schedules, hours of the week",
        default="UTC",
    )
    language: str = key(language, "the language of messages, digests and web pages", default="en")
    database: DatabaseConfig = table(DatabaseConfig)
    poll: PollConfig = table(PollConfig)
    alerts: AlertsConfig = table(AlertsConfig)
    accounts: tuple[AccountConfig, ...] = tables(AccountConfig, required=True)
    channel_sections: Mapping[str, ChannelSection] = per_channel(ChannelConfig.table)
    channels: tuple[FurtherChannelConfig, ...] = tables(FurtherChannelConfig, by_kind=True)
    routes: tuple[RouteConfig, ...] = tables(RouteConfig)
    escalations: tuple[EscalationConfig, ...] = tables(EscalationConfig)
    quiet: QuietConfig | None = optional_table(QuietConfig)
    digests: tuple[DigestConfig, ...] = tables(DigestConfig)
    web: WebConfig | None = optional_table(WebConfig)
    heartbeat: HeartbeatConfig | None = optional_table(HeartbeatConfig)
    forecast: ForecastConfig = table(ForecastConfig)
    retention: RetentionConfig = table(RetentionConfig)
    templates: TemplatesConfig = table(TemplatesConfig)
    orders: OrdersConfig = table(OrdersConfig)
    log: LogConfig = table(LogConfig)

    def section(self, section: type[C]) -> C | None:
        """Return the section of one channel, or None if that channel isn't configured."""
        return next((found for found in self.channel_sections.values() if isinstance(found, section)), None)

    @property
    def slack(self) -> SlackConfig | None:
        """Return `[slack]`."""
        return self.section(SlackConfig)

    @property
    def email(self) -> EmailConfig | None:
        """Return `[email]`."""
        return self.section(EmailConfig)

    @property
    def wallets(self) -> tuple[WalletName, ...]:
        """Return every wallet that is read, in the order of the file."""
        return tuple(name for account in self.accounts for name, _ in account.wallets())

    @property
    def owners(self) -> Mapping[WalletName, str]:
        """Return the owner of each wallet; '' = none."""
        return {
            wallet_name(account.name, app.name): app.owner or ""
            for account in self.accounts
            for app in account.apps
        }

    @property
    def channel_by_name(self) -> Mapping[str, ChannelSection]:
        """Return the section of every configured channel: `slack`, `email`, and the names of `[[channels]]`."""
        return {**self.channel_sections, **{channel.name: channel for channel in self.channels}}

    @property
    def routing(self) -> RoutingTable:
        """Return the routes: which destinations get which alert."""
        sections = self.channel_by_name.items()
        defaults = {channel: section.default_destinations for channel, section in sections}
        editable = frozenset(channel for channel, section in sections if section.can_edit)
        threaded = frozenset(channel for channel, section in sections if section.can_reply)
        return RoutingTable(
            routes=self.routes, defaults=MappingProxyType(defaults), editable=editable, threaded=threaded
        )

    @property
    def quiet_hours(self) -> QuietHours | None:
        """Return the quiet hours, or None if there are none."""
        quiet = self.quiet
        if quiet is None:
            return None
        return QuietHours(hours=quiet.hours, days=quiet.days, below=quiet.below, zone=self.timezone)

    def destinations(self, channel: str) -> tuple[str, ...]:
        """Return every destination on `channel` that may get a message, each once."""
        section = self.channel_by_name.get(channel)
        found = [*(() if section is None else section.own_destinations)]
        entries: tuple[RouteConfig | EscalationConfig | DigestConfig, ...]
        entries = (*self.routes, *self.escalations, *self.digests)
        for entry in entries:
            found += entry.destinations.get(channel, ())
        return tuple(dict.fromkeys(found))


def config_path(given: Path | None, *, environ: Mapping[str, str]) -> Path:
    """Return the path of the configuration: `given`, else `$BALANCEBOT_CONFIG`, else `./balancebot.toml`."""
    return given or Path(environ.get("BALANCEBOT_CONFIG") or DEFAULT_PATH)


def load(
    path: Path,
    *,
    environ: Mapping[str, str],
    resolve_secrets: bool,
    channels: Sequence[ChannelRegistration] = CHANNELS,
    document: Mapping[str, object] | None = None,
) -> Settings | tuple[ConfigFault, ...]:
    """Read the configuration, or return all its faults; those of unknown keys and apps files come last.

    `document` is the content of `path` at an earlier time; if it is given, the file isn't read. Without
    `resolve_secrets` no variable and no secret file is read (except the database's), and every secret in the result
    refuses to be revealed. The files and folders that the configuration names must exist in either case.
    """
    file = TomlFile(file=str(path))
    version = file_version(path)
    try:
        parsed = read_toml(path) if document is None else dict(document)
    except UnfitError as unfit:
        file.fault("", str(unfit))
        return tuple(file.faults)
    context = ConfigContext(environ=environ, base=path.absolute().parent, resolve=resolve_secrets)
    reader = SectionReader(context, channels)
    settings = reader.read_root(
        Settings,
        file.root(parsed),
        path=path,
        resolved=resolve_secrets,
        document=parsed,
        file_version=version if document is None else None,
        secret_files=context.secret_files,
    )
    own_sections = {channel.name for channel in channels if isinstance(channel, ChannelConfig)}
    for index, further in enumerate(settings.channels):
        if further.name in own_sections:
            file.fault(
                f"channels[{index}].name",
                f"{further.name!r} is the name of a channel with a section of its own",
            )
    for config, place, destinations in _named_destinations(settings, channels):
        section = settings.channel_sections.get(config.name)
        fault = None if section is None else section.destination_fault(destinations)
        if fault is not None:
            file.fault(place, fault)
    _refuse_unknown_channels(file, settings)
    _refuse_unknown_mentions(file, settings, channels)
    file.note_unknown_keys()
    faults = list(file.faults)
    accounts = tuple(
        _with_listed_apps(account, f"accounts[{index}]", context, faults)
        for index, account in enumerate(settings.accounts)
    )
    return tuple(faults) or _with_further_channels(replace(settings, accounts=accounts))


def database_url(path: Path, *, environ: Mapping[str, str]) -> Secret | None:
    """Return the database's address even if the rest of the file has faults; None if it can't be read."""
    file = TomlFile(file=str(path))
    try:
        table = file.root(read_toml(path)).section("database")
    except UnfitError:
        return None
    context = ConfigContext(environ=environ, base=path.absolute().parent, resolve=False)
    database = SectionReader(context, ()).read_root(DatabaseConfig, table)
    return None if file.faults else database.url


def _with_further_channels(settings: Settings) -> Settings:
    """Add the destinations of `[[channels]]` to routes, escalations and digests that name them.

    A route that names some of these channels excludes the others.
    """

    def named(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
        return {
            channel.name: channel.own_destinations for channel in settings.channels if channel.name in names
        }

    def extended(entry: E, further: Mapping[str, tuple[str, ...]]) -> E:
        return replace(entry, destinations=MappingProxyType({**entry.destinations, **further}))

    excluded = {channel.name: () for channel in settings.channels}
    return replace(
        settings,
        routes=tuple(
            route if route.channels is None else extended(route, {**excluded, **named(route.channels)})
            for route in settings.routes
        ),
        escalations=tuple(extended(rule, named(rule.channels)) for rule in settings.escalations),
        digests=tuple(extended(digest, named(digest.channels)) for digest in settings.digests),
    )


def _refuse_unknown_channels(file: TomlFile, settings: Settings) -> None:
    """Record names of `[[channels]]` that don't exist."""
    known = [channel.name for channel in settings.channels if channel.name]
    without_digests = [channel.name for channel in settings.channels if not channel.takes_digests]
    arrays: tuple[tuple[str, Sequence[RouteConfig | EscalationConfig | DigestConfig]], ...] = (
        ("routes", settings.routes),
        ("escalations", settings.escalations),
        ("digests", settings.digests),
    )
    for array, entries in arrays:
        for index, entry in enumerate(entries):
            for name in entry.channels or ():
                if array == "digests" and name in without_digests:
                    file.fault(f"digests[{index}].channels", f"{name!r} takes alerts only, no digests")
                if name not in known:
                    meant = did_you_mean(name, known)
                    file.fault(f"{array}[{index}].channels", f"no [[channels]] is called {name!r}{meant}")


def _refuse_unknown_mentions(
    file: TomlFile, settings: Settings, channels: Sequence[ChannelRegistration]
) -> None:
    """Record mentions whose prefix is no kind of channel."""
    kinds = [channel.kind for channel in channels if isinstance(channel, ChannelKind)]
    for index, route in enumerate(settings.routes):
        for severity, ids in route.mention.items():
            for written in ids:
                kind, colon, _ = written.partition(":")
                if colon and kind not in kinds:
                    place = f"routes[{index}].mention.{severity.word}"
                    file.fault(place, f"no kind of channel is called {kind!r}{did_you_mean(kind, kinds)}")


def _with_listed_apps(
    account: AccountConfig, place: str, context: ConfigContext, faults: list[ConfigFault]
) -> AccountConfig:
    """Return the account with the apps of its apps file too, and add the faults of that file to `faults`."""
    if account.apps_file is None:
        return account
    listed = read_apps_file(
        account.apps_file,
        context=replace(context, base=account.apps_file.parent),
        taken={app.name: f"{place}.apps[{index}]" for index, app in enumerate(account.apps)},
    )
    if isinstance(listed, list):
        faults += listed
        return account
    return replace(account, apps=account.apps + listed)


def remarks(
    settings: Settings, *, channels: Sequence[ChannelRegistration] = CHANNELS
) -> tuple[ConfigFault, ...]:
    """Return what is allowed but probably a mistake. `check` shows it.

    These are: destinations on a channel that isn't configured, alerts that no destination gets, a key pair that is used
    twice, secrets that are sent unencrypted, and links that lead nowhere.
    """
    found = (
        *_unreachable(settings, channels),
        *_without_destination(settings),
        *_shared_keys(settings),
        *_in_the_clear(settings),
        *_without_an_address(settings),
    )
    return tuple(ConfigFault(file=str(settings.path), key=place, message=message) for place, message in found)


def _named_destinations(
    settings: Settings, channels: Sequence[ChannelRegistration]
) -> Iterator[tuple[ChannelConfig, str, tuple[str, ...]]]:
    """Yield the destinations that routes, escalations and digests name, per channel, with the key that names them."""
    arrays: tuple[tuple[str, Sequence[RouteConfig | EscalationConfig | DigestConfig]], ...] = (
        ("routes", settings.routes),
        ("escalations", settings.escalations),
        ("digests", settings.digests),
    )
    for config in (channel for channel in channels if isinstance(channel, ChannelConfig)):
        for array, entries in arrays:
            name = config.digest_key if array == "digests" else config.name
            for index, entry in enumerate(entries):
                if config.name in entry.destinations:
                    yield config, f"{array}[{index}].{name}", entry.destinations[config.name]


def _unreachable(settings: Settings, channels: Sequence[ChannelRegistration]) -> Iterator[tuple[str, str]]:
    for config, place, destinations in _named_destinations(settings, channels):
        if destinations and config.name not in settings.channel_sections:
            yield place, f"sends nothing: there is no [{config.name}]"


def _without_destination(settings: Settings) -> Iterator[tuple[str, str]]:
    if not any(settings.routing.defaults.values()):
        yield "", SENT_NOWHERE


def _in_the_clear(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the addresses to which secrets are sent unencrypted, except on this machine."""
    addresses: list[tuple[str, object]] = [
        (f"accounts[{index}].base_url", account.base_url) for index, account in enumerate(settings.accounts)
    ]
    for name, section in settings.channel_by_name.items():
        place = name if name in settings.channel_sections else f"channels {name}"
        addresses += [
            (f"{place}.{key}", getattr(section, key, None)) for key in ("url", "webhook_url", "api_url")
        ]
    if settings.heartbeat is not None:
        addresses.append(("heartbeat.url", settings.heartbeat.url))
    if settings.web is not None and not _has_derived_links(settings.web):
        addresses.append(("web.public_url", settings.web.public_url))
    for place, value in addresses:
        address = "" if value is NO_SECRET else value.reveal() if isinstance(value, Secret) else str(value)
        parts = split_address(address)
        if parts and parts.scheme == "http" and not _is_this_machine(parts.hostname or ""):
            yield (
                place,
                "is plain http: others on the network can read the secrets in it; write https://",
            )
    mail = settings.section(EmailConfig)
    if mail and mail.security is MailSecurity.NONE and mail.password and not _is_this_machine(mail.host):
        yield "email.security", 'is "none": the password goes over the line unencrypted'


def _without_an_address(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield a `listen` that means every address of the machine, and so is none that a link can lead to."""
    if settings.web is not None and _has_derived_links(settings.web):
        yield (
            "web.public_url",
            f"is missing: links in messages lead to {settings.web.public_url}, which no other machine can open",
        )


def _has_derived_links(web: WebConfig) -> bool:
    return web.listen.host in {"0.0.0.0", "::"} and web.public_url == f"http://{web.listen}"  # noqa: S104 -- compared, not bound


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _shared_keys(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield keys that read two wallets: they are one wallet, so its quota counts twice. Needs resolved secrets."""
    if not settings.resolved:
        return
    users: dict[tuple[str, str], list[str]] = defaultdict(list)
    for account in settings.accounts:
        for wallet, keys in account.wallets():
            users[account.base_url, keys.key.reveal()].append(wallet)
    for wallets in users.values():
        if len(wallets) > 1:
            yield "accounts", f"the same key reads {', '.join(wallets)}: is one of them a copy?"

"""The sections that belong to no channel: each key with its type, bounds, default and meaning."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import balancebot
from balancebot.config import addresses, values
from balancebot.config.declare import ChannelConfig, ConfigSection, key, per_channel
from balancebot.config.secrets import ConfigContext, Secret
from balancebot.config.toml_table import TomlTable
from balancebot.domain.balance import Category
from balancebot.domain.escalation import Escalation
from balancebot.domain.next_reading import PollIntervals
from balancebot.domain.pattern import Pattern
from balancebot.domain.quiet_hours import DailyHours, Weekday
from balancebot.domain.routing import Route
from balancebot.domain.verdict import Severity

_SECOND, _DAY = timedelta(seconds=1), timedelta(days=1)
_AS_ENVIRONMENT = "as HTTPS_PROXY and NO_PROXY say"


ENGLISH = "en"
"""The language of the source; it needs no catalogue."""
LANGUAGES = (
    ENGLISH,
    *sorted(
        catalogue.parent.parent.name.replace("_", "-")
        for catalogue in Path(balancebot.__file__).parent.glob("locale/*/LC_MESSAGES/balancebot.mo")
    ),
)
"""The languages of messages, digests and pages, as the configuration names them."""
language = values.word_of({name: name for name in LANGUAGES})


class LogFormat(StrEnum):
    """The format of log lines. AUTO is text on a terminal and JSON elsewhere."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """The lowest level that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseConfig(ConfigSection):
    """Where everything is stored."""

    url: Secret = key(
        addresses.database_url,
        "a SQLite file, or postgresql+psycopg://USER:PASSWORD@HOST/NAME (extra `postgres`)",
        default="sqlite:///balancebot.db",
    )
    """An SQLAlchemy URL with an absolute path; resolved for every command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollConfig(ConfigSection):
    """How balances are read."""

    every: timedelta = key(
        values.duration(at_least=_SECOND), "the longest time between two readings of a wallet", default="5m"
    )
    fastest: timedelta = key(
        values.duration(at_least=_SECOND),
        "how soon a wallet near a limit may be read again",
        default="5m",
        default_note="`every`",
    )
    timeout: timedelta = key(
        values.duration(at_least=_SECOND),
        "time limit of one request, whatever the server does",
        default="10s",
    )
    concurrency: int = key(values.whole(at_least=1, at_most=1_000), "requests under way at once", default=50)
    max_rate: float | None = key(
        values.number(at_least=0.001, at_most=1e6),
        "requests per second to one base_url",
        default=None,
        default_note="no limit",
        example="100",
    )
    stale_after: timedelta = key(
        values.duration(),
        "a wallet without a good reading for this long is stale; at least `every`",
        default="30m",
    )
    ca_bundle: Path | None = key(
        values.existing_file,
        "file of the certificates that are trusted",
        default=None,
        default_note="the system's",
        example='"ca.pem"',
    )
    proxy: addresses.Proxy | None = key(
        addresses.proxy,
        'the way out; "direct" = none',
        default=None,
        default_note=_AS_ENVIRONMENT,
        example='"http://proxy:3128"',
    )

    def checked(self, table: TomlTable, context: ConfigContext) -> Self:  # noqa: ARG002
        """Derive absent keys from `every`, and refuse a `stale_after` that is shorter than `every`."""
        stale_after = self.stale_after
        if not table.has("stale_after"):
            stale_after = max(stale_after, self.every)
        if stale_after < self.every:
            table.fault(
                "stale_after",
                f"is {values.shown(stale_after)}, shorter than `every`, {values.shown(self.every)}",
            )
        fastest = min(self.fastest, self.every) if table.has("fastest") else self.every
        return replace(self, fastest=fastest, stale_after=stale_after)

    @property
    def intervals(self) -> PollIntervals:
        """How often wallets are read."""
        return PollIntervals(every=self.every, fastest=self.fastest, stale_after=self.stale_after)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsConfig(ConfigSection):
    """How alerts behave. Limits are set with `balancebot thresholds`, not here."""

    remind_every: timedelta = key(
        values.duration(), 'how often an open alert is sent again; "0s" = never', default="24h"
    )
    recovery_margin: float = key(
        values.number(at_least=0, at_most=1),
        "how far above its limit a balance must be before its alert closes",
        default=0.05,
    )
    runway_confidence: float = key(
        values.number(at_least=0.5, at_most=0.9),
        "runway limits hold with this probability; 0.75 judges by P25",
        default=0.75,
    )
    group_over: int = key(
        values.whole(at_least=1, at_most=10**9),
        "more openings than this at once for one destination become one message",
        default=5,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteConfig(Route, ConfigSection):
    """Which destinations get which alerts. The first match decides; without one, the defaults of each channel."""

    match: Pattern = key(
        values.pattern,
        "acme is the shared pool only, acme/* its apps, * everything",
        example='"acme/*:market"',
    )
    severity: Severity | None = key(
        values.severity, "this severity or worse", default=None, default_note="any", example='"warning"'
    )
    destinations: Mapping[str, tuple[str, ...]] = per_channel(ChannelConfig.route_key)
    mention: Mapping[Severity, tuple[str, ...]] = key(
        values.per_severity(
            values.list_of(values.mention, values.mention.label), '{ critical = ["U024BE7LH"] }'
        ),
        "who is mentioned in messages of this severity or worse that open, worsen, remind or escalate",
        default={},
        default_note="nobody",
        example='{ critical = ["U024BE7LH", "S0614TZR7", "here"] }',
    )
    channels: tuple[str, ...] | None = key(
        values.list_of(values.name, "names"),
        "names of [[channels]] that get the alert; [] = none",
        default=None,
        default_note="those with default = true",
        example='["ops-feishu"]',
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationConfig(Escalation, ConfigSection):
    """Which destinations get an alert that nobody has acknowledged in time. All entries that match apply."""

    match: Pattern = key(values.pattern, "as in [[routes]]", example='"acme/*"')
    severity: Severity | None = key(
        values.severity, "this severity or worse", default=None, default_note="any", example='"critical"'
    )
    after: timedelta = key(
        values.duration(at_least=timedelta(minutes=1)),
        "since it opened or last worsened, not acknowledged and not silenced",
        example='"30m"',
    )
    destinations: Mapping[str, tuple[str, ...]] = per_channel(
        ChannelConfig.escalation_key, needed="has no destination", or_keys=("channels",)
    )
    channels: tuple[str, ...] = key(
        values.list_of(values.name, "names"),
        "names of [[channels]] that get the alert",
        default=[],
        example='["ops-feishu"]',
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietConfig(ConfigSection):
    """Quiet hours: messages below a severity wait until they end."""

    hours: DailyHours | None = key(
        values.daily_hours,
        "every day, in `timezone`; may cross midnight",
        default=None,
        example='"22:00-08:00"',
    )
    days: frozenset[Weekday] = key(
        values.set_of(values.one_of(Weekday), "days"),
        "whole days besides",
        default=[],
        example='["SAT", "SUN"]',
    )
    below: Severity = key(
        values.word_of({"critical": Severity.CRITICAL, "depleted": Severity.DEPLETED}),
        "what is below this severity waits; depleted never does",
        default="critical",
    )

    def checked(self, table: TomlTable, context: ConfigContext) -> Self:  # noqa: ARG002
        """Refuse quiet hours that never begin or never end."""
        if not table.has_any("hours", "days"):
            table.fault("", "is never quiet: it needs `hours` or `days`")
        if len(self.days) == len(Weekday):
            table.fault("days", "is every day: messages below `below` would never be sent")
        return self


class DigestKind(StrEnum):
    """What is sent on a schedule."""

    DIGEST = "digest"
    STATEMENT = "statement"


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestConfig(ConfigSection):
    """Scheduled summaries of the balances, and statements of the past month."""

    name: str = key(values.text, "for `balancebot digest send`", example='"weekday"', unique=True)
    kind: DigestKind = key(
        values.one_of(DigestKind),
        '"statement": the month that ended before, its workbook attached to mails',
        default="digest",
    )
    cron: str = key(
        values.cron,
        "minute, hour, day, month, weekday (0 and 7 are Sunday), in `timezone`",
        example='"0 9 * * MON-FRI"',
    )
    destinations: Mapping[str, tuple[str, ...]] = per_channel(
        ChannelConfig.digest_table_key, needed="goes nowhere", or_keys=("channels",)
    )
    channels: tuple[str, ...] = key(
        values.list_of(values.name, "names"),
        "names of [[channels]] that it is sent to",
        default=[],
        example='["ops-feishu"]',
    )
    language: str = key(
        language,
        "the language of this digest",
        default="en",
        default_note="the top-level `language`",
        example='"zh-CN"',
        inherited=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatConfig(ConfigSection):
    """A dead man's switch: an address that is fetched after every complete poll cycle."""

    url: Secret = key(addresses.secret_url, "what to fetch", example='"https://hc.example.com/ping/…"')
    proxy: addresses.Proxy | None = key(
        addresses.proxy,
        'the way out; "direct" = none',
        default=None,
        default_note=_AS_ENVIRONMENT,
        example='"direct"',
    )


class HolidaysOf(StrEnum):
    """Whose public holidays are known."""

    CHINA = "CN"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastConfig(ConfigSection):
    """What forecasts know beside the past of a balance."""

    holidays: HolidaysOf | None = key(
        values.one_of(HolidaysOf),
        "public holidays: their days off, and weekends that are worked instead (extra `holidays`)",
        default=None,
        default_note="none are known",
        example='"CN"',
    )

    def checked(self, table: TomlTable, context: ConfigContext) -> Self:  # noqa: ARG002
        """Refuse holidays whose calendar isn't installed."""
        if self.holidays is not None and find_spec("chinese_calendar") is None:
            table.fault("holidays", 'needs their calendar: pip install "balancebot[holidays]"')
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionConfig(ConfigSection):
    """How long readings are kept: all of them, then one an hour, then one a day for ever."""

    raw: timedelta = key(values.duration(at_least=_DAY), "every reading", default="35d")
    hourly: timedelta = key(
        values.duration(at_least=_DAY),
        "one reading an hour; at least `raw`",
        default="400d",
    )

    def checked(self, table: TomlTable, context: ConfigContext) -> Self:  # noqa: ARG002
        """Refuse hourly readings that are deleted before the raw ones."""
        if not table.has("hourly"):
            return replace(self, hourly=max(self.hourly, self.raw))
        if self.hourly < self.raw:
            table.fault(
                "hourly", f"is {values.shown(self.hourly)}, shorter than `raw`, {values.shown(self.raw)}"
            )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplatesConfig(ConfigSection):
    """Templates of your own for messages, digests and pages."""

    dir: Path | None = key(
        values.existing_folder,
        "files here replace the built-in ones of the same name",
        default=None,
        example='"my-templates"',
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersConfig(ConfigSection):
    """How quota is bought."""

    package_sizes: Mapping[Category, int] = key(
        values.per_category(values.whole(at_least=1, at_most=10**12), "{ industry = 10000 }"),
        "order advice is rounded up to these",
        default={},
        default_note="no rounding",
        example="{ industry = 10000 }",
    )
    prices: Mapping[Category, Decimal] = key(
        values.per_category(values.price, "{ industry = 0.045 }"),
        "per message, in `currency`: costs in advice, orders and statements",
        default={},
        default_note="no costs are shown",
        example="{ industry = 0.045, market = 0.05 }",
    )
    currency: str = key(values.currency, "of `prices` and of what orders cost", default="CNY")
    console_url: str | None = key(
        addresses.web_url,
        'where quota is bought: a link "Buy or move quota" in messages and pages',
        default=None,
        default_note="no link",
        example='"https://www.jiguang.cn/"',
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig(ConfigSection):
    """What the process logs, on stderr."""

    level: LogLevel = key(values.one_of(LogLevel), "this and worse", default="info")
    format: LogFormat = key(
        values.one_of(LogFormat), "auto = text on a terminal, JSON elsewhere", default="auto"
    )

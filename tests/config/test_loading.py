"""The configuration: values from the file and the environment, and defaults for missing keys."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from balancebot.config import (
    AccountConfig,
    AlertsConfig,
    AppConfig,
    DatabaseConfig,
    DigestConfig,
    DigestKind,
    EmailConfig,
    EscalationConfig,
    HeartbeatConfig,
    ListenAddress,
    LogConfig,
    LogFormat,
    LogLevel,
    MailSecurity,
    OidcConfig,
    OrdersConfig,
    PollConfig,
    Proxy,
    QuietConfig,
    RetentionConfig,
    RouteConfig,
    Secret,
    Settings,
    SlackConfig,
    SlackRoles,
    TemplatesConfig,
    WebConfig,
    config_path,
    load,
)
from balancebot.config.further_channels import WebhookConfig
from balancebot.config.reference import template
from balancebot.config.sections import ForecastConfig, HolidaysOf
from balancebot.domain.balance import Category
from balancebot.domain.digest import latest_slot
from balancebot.domain.quiet_hours import DailyHours, Weekday
from balancebot.domain.user import Role
from balancebot.domain.verdict import Severity
from tests.patterns import pattern_from

SMALLEST = '[[accounts]]\nname = "acme"\ndev_key = "k"\ndev_secret = "s"\n'


@pytest.fixture
def read(tmp_path: Path):
    def read(
        text: str, environ: Mapping[str, str] | None = None, *, resolve_secrets: bool = True
    ) -> Settings:
        path = tmp_path / "balancebot.toml"
        path.write_text(text, encoding="utf-8")
        settings = load(path, environ=environ or {}, resolve_secrets=resolve_secrets)
        assert isinstance(settings, Settings), [str(fault) for fault in settings]
        return settings

    return read


def test_a_name_and_one_key_pair_suffice_and_everything_else_has_defaults(read, tmp_path: Path) -> None:
    assert Settings(
        path=tmp_path / "balancebot.toml",
        resolved=True,
        timezone=ZoneInfo("UTC"),
        language="en",
        database=DatabaseConfig(url=Secret(f"sqlite:///{tmp_path}/balancebot.db")),
        poll=PollConfig(
            every=timedelta(minutes=5),
            fastest=timedelta(minutes=5),
            timeout=timedelta(seconds=10),
            concurrency=50,
            max_rate=None,
            stale_after=timedelta(minutes=30),
            ca_bundle=None,
            proxy=None,
        ),
        alerts=AlertsConfig(
            remind_every=timedelta(hours=24), recovery_margin=0.05, runway_confidence=0.75, group_over=5
        ),
        accounts=(
            AccountConfig(
                name="acme", base_url="https://api.sms.jpush.cn", dev_key=Secret("k"), dev_secret=Secret("s")
            ),
        ),
        retention=RetentionConfig(raw=timedelta(days=35), hourly=timedelta(days=400)),
        log=LogConfig(level=LogLevel.INFO, format=LogFormat.AUTO),
    ) == read(SMALLEST)


def test_every_key_is_loaded(read, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    (tmp_path / "mine").mkdir()
    (tmp_path / "checkout").write_text("m\r\n")
    (tmp_path / "apps.csv").write_text("name,app_key,master_secret\nsignup,k2,env:SIGNUP\n")
    settings = read(
        """
        timezone = "Asia/Shanghai"
        language = "zh-CN"
        database.url = "env:DATABASE"
        poll = { every = "2m", fastest = "10s", timeout = "3s", concurrency = 7, max_rate = 2, stale_after = "1h",
                 ca_bundle = "ca.pem", proxy = "http://u:p@proxy:3128" }
        alerts = { remind_every = "0s", recovery_margin = 0.1, runway_confidence = 0.9, group_over = 2 }
        heartbeat = { url = "https://hc.example.com/ping/x", proxy = "direct" }
        quiet = { hours = "22:00-08:00", days = ["SAT", "SUN"], below = "depleted" }
        forecast.holidays = "CN"
        retention = { raw = "7d", hourly = "70d" }
        templates.dir = "mine"
        orders.package_sizes = { industry = 10000 }
        orders.prices = { industry = 0.045, market = 1 }
        orders.currency = "USD"
        orders.console_url = "https://console.example.com/?page=quota"
        log = { level = "debug", format = "json" }
        [web]
        listen = "[::1]:9000"
        public_url = "https://b.example.com/"
        secret_key = "env:WEB"
        user_header = "X-Forwarded-User"
        trusted_proxies = ["127.0.0.1", "fd00::/8"]
        default_role = "viewer"
        metrics_token = "t"
        [web.oidc]
        issuer = "https://sso.example.com/"
        client_id = "balancebot"
        client_secret = "o"
        roles = { "grp-ops" = "admin" }
        [[accounts]]
        name = "验证 1"
        base_url = "http://127.0.0.1:8000/"
        apps_file = "apps.csv"
        [[accounts.apps]]
        name = "checkout"
        app_key = "k1"
        master_secret = "file:checkout"
        owner = "shop team"
        [slack]
        bot_token = "b"
        app_token = "a"
        channel = "C1"
        api_url = "http://127.0.0.1:1/api"
        proxy = "direct"
        roles = { finance = ["U1", "S2"], admin = ["U1"] }
        [email]
        host = "mail"
        port = 25
        security = "none"
        username = "bot"
        password = "p"
        from = "余额 <balances@example.com>"
        to = ["a@example.com", "a@example.com"]
        [[routes]]
        match = "acme/*:market"
        severity = "critical"
        slack = []
        email = ["m@example.com"]
        mention = { warning = ["U1A"], critical = ["S2B", "here", "ou_12345678", "+86-13800138000", "wecom:ann"] }
        channels = ["hook"]
        [[escalations]]
        match = "acme/*"
        severity = "critical"
        after = "30m"
        slack = ["#oncall"]
        email = ["cto@example.com"]
        channels = ["hook"]
        [[channels]]
        name = "hook"
        kind = "webhook"
        url = "https://hook.example.com/x"
        [[digests]]
        name = "weekday"
        cron = "0 9 * * 7"
        to = ["f@example.com"]
        slack = ["#finance"]
        language = "en"
        kind = "statement"
        channels = ["hook"]
        """.replace("\n                 ", ""),
        {"DATABASE": "postgres://u:p@h/n", "SIGNUP": "s2\n", "WEB": "w" * 32},
    )
    match, anywhere = pattern_from("acme/*:market"), pattern_from("acme/*")
    assert (
        Settings(
            path=tmp_path / "balancebot.toml",
            resolved=True,
            timezone=ZoneInfo("Asia/Shanghai"),
            language="zh-CN",
            database=DatabaseConfig(url=Secret("postgresql+psycopg://u:p@h/n")),
            poll=PollConfig(
                every=timedelta(minutes=2),
                fastest=timedelta(seconds=10),
                timeout=timedelta(seconds=3),
                concurrency=7,
                max_rate=2.0,
                stale_after=timedelta(hours=1),
                ca_bundle=tmp_path / "ca.pem",
                proxy=Proxy(url=Secret("http://u:p@proxy:3128")),
            ),
            alerts=AlertsConfig(
                remind_every=timedelta(0), recovery_margin=0.1, runway_confidence=0.9, group_over=2
            ),
            accounts=(
                AccountConfig(
                    name="验证 1",
                    base_url="http://127.0.0.1:8000",
                    apps=(
                        AppConfig(
                            name="checkout",
                            app_key=Secret("k1"),
                            master_secret=Secret("m"),
                            owner="shop team",
                        ),
                        AppConfig(
                            name="signup", app_key=Secret("k2"), master_secret=Secret("s2"), from_file=True
                        ),
                    ),
                    apps_file=tmp_path / "apps.csv",
                ),
            ),
            channel_sections={
                "slack": SlackConfig(
                    bot_token=Secret("b"),
                    app_token=Secret("a"),
                    channel="C1",
                    api_url="http://127.0.0.1:1/api/",
                    proxy=Proxy(url=None),
                    roles=SlackRoles(finance=frozenset({"U1", "S2"}), admin=frozenset({"U1"})),
                ),
                "email": EmailConfig(
                    host="mail",
                    port=25,
                    security=MailSecurity.NONE,
                    username="bot",
                    password=Secret("p"),
                    sender="余额 <balances@example.com>",
                    to=("a@example.com",),
                ),
            },
            routes=(
                RouteConfig(
                    match=match,
                    severity=Severity.CRITICAL,
                    destinations={"slack": (), "email": ("m@example.com",), "hook": ("webhook",)},
                    mention={
                        Severity.WARNING: ("U1A",),
                        Severity.CRITICAL: ("S2B", "here", "ou_12345678", "+86-13800138000", "wecom:ann"),
                    },
                    channels=("hook",),
                ),
            ),
            channels=(
                WebhookConfig(
                    name="hook",
                    kind="webhook",
                    url=Secret("https://hook.example.com/x"),
                    language="zh-CN",
                ),
            ),
            escalations=(
                EscalationConfig(
                    match=anywhere,
                    severity=Severity.CRITICAL,
                    after=timedelta(minutes=30),
                    destinations={
                        "slack": ("#oncall",),
                        "email": ("cto@example.com",),
                        "hook": ("webhook",),
                    },
                    channels=("hook",),
                ),
            ),
            quiet=QuietConfig(
                hours=DailyHours(time(22), time(8)),
                days=frozenset({Weekday.SAT, Weekday.SUN}),
                below=Severity.DEPLETED,
            ),
            digests=(
                DigestConfig(
                    name="weekday",
                    cron="0 9 * * 7",
                    destinations={"slack": ("#finance",), "email": ("f@example.com",), "hook": ("webhook",)},
                    kind=DigestKind.STATEMENT,
                    channels=("hook",),
                    language="en",
                ),
            ),
            web=WebConfig(
                listen=ListenAddress("::1", 9000),
                public_url="https://b.example.com",
                secret_key=Secret("w" * 32),
                user_header="X-Forwarded-User",
                trusted_proxies=(ip_network("127.0.0.1"), ip_network("fd00::/8")),
                default_role=Role.VIEWER,
                metrics_token=Secret("t"),
                oidc=OidcConfig(
                    issuer="https://sso.example.com",
                    client_id="balancebot",
                    client_secret=Secret("o"),
                    roles={"grp-ops": Role.ADMIN},
                ),
            ),
            heartbeat=HeartbeatConfig(url=Secret("https://hc.example.com/ping/x"), proxy=Proxy(url=None)),
            forecast=ForecastConfig(holidays=HolidaysOf.CHINA),
            retention=RetentionConfig(raw=timedelta(days=7), hourly=timedelta(days=70)),
            templates=TemplatesConfig(dir=tmp_path / "mine"),
            orders=OrdersConfig(
                package_sizes={Category.INDUSTRY: 10_000},
                prices={Category.INDUSTRY: Decimal("0.045"), Category.MARKET: Decimal(1)},
                currency="USD",
                console_url="https://console.example.com/?page=quota",
            ),
            log=LogConfig(level=LogLevel.DEBUG, format=LogFormat.JSON),
        )
        == settings
    )
    assert ("验证 1/checkout", "验证 1/signup") == settings.wallets


def test_missing_intervals_follow_every(read) -> None:
    poll = read('poll.every = "2h"\n' + SMALLEST).poll
    assert (timedelta(hours=2), timedelta(hours=2)) == (poll.fastest, poll.stale_after)


def test_fastest_is_never_longer_than_every(read) -> None:
    settings = read('poll = { every = "1s", fastest = "5m" }\n' + SMALLEST)
    assert timedelta(seconds=1) == settings.poll.fastest


def test_a_digest_uses_the_language_of_the_file_unless_it_has_its_own(read) -> None:
    digest = '[[digests]]\nname = "{}"\ncron = "0 9 * * *"\nto = ["a@example.com"]\n{}\n'
    text = 'language = "zh-CN"\n' + SMALLEST + digest.format("a", "") + digest.format("b", 'language = "en"')
    assert ["zh-CN", "en"] == [digest.language for digest in read(text).digests]


@pytest.mark.parametrize(
    ("days", "weekdays"),
    [("SAT-SUN", {5, 6}), ("Fri-sun", {4, 5, 6}), ("MON-SUN", set(range(7))), ("SUN-MON", {6, 0})],
)
def test_a_range_of_days_may_begin_and_end_on_a_sunday(read, days: str, weekdays: set[int]) -> None:
    digest = f'[[digests]]\nname = "a"\ncron = "0 9 * * {days}"\nto = ["a@example.com"]\n'
    (made,) = read(SMALLEST + digest).digests
    noons = [datetime(2026, 11, day, 12, tzinfo=UTC) for day in range(16, 23)]
    slots = [latest_slot(made.cron, ZoneInfo("UTC"), now=noon) for noon in noons]
    assert weekdays == {noon.weekday() for noon, slot in zip(noons, slots, strict=True) if slot is not None}


def test_links_lead_to_the_listen_address_unless_configured_otherwise(read) -> None:
    assert "http://127.0.0.1:8080" == read("[web]\n" + SMALLEST).web.public_url
    assert "http://[::1]:80" == read('[web]\nlisten = "[::1]:80"\n' + SMALLEST).web.public_url


def test_the_key_of_the_pages_comes_from_the_environment_when_the_file_names_none(read) -> None:
    web = read("[web]\n" + SMALLEST, {"BALANCEBOT_SECRET_KEY": "w" * 32}).web
    assert Secret("w" * 32) == web.secret_key
    assert read("[web]\n" + SMALLEST).web.secret_key is None


def test_alerts_without_a_route_go_to_the_default_destinations_of_the_channels(read) -> None:
    text = (
        SMALLEST
        + '[slack]\nwebhook_url = "http://127.0.0.1:1/x"\n[email]\nhost = "h"\nfrom = "a@b"\nto = ["c@d"]\n'
    )
    assert {"slack": ("webhook",), "email": ("c@d",)} == read(text).routing.defaults


def test_destinations_include_those_of_escalations(read) -> None:
    escalation = (
        '[slack]\nbot_token = "b"\nchannel = "#a"\n[[escalations]]\nmatch = "*"\nafter = "1m"\nslack = ["#b"]'
    )
    assert ("#a", "#b") == read(SMALLEST + escalation).destinations("slack")


def test_without_resolving_secrets_none_is_read_and_none_can_be_revealed(read) -> None:
    text = SMALLEST.replace('"k"', '"env:UNSET"').replace('"s"', '"file:/nowhere"')
    settings = read(text, resolve_secrets=False)
    assert not settings.resolved
    with pytest.raises(RuntimeError, match="without resolving"):
        settings.accounts[0].dev_secret.reveal()


def test_the_database_is_known_to_every_command(read) -> None:
    settings = read(
        'database.url = "env:DB"\n' + SMALLEST, {"DB": "sqlite:////x/y.db"}, resolve_secrets=False
    )
    assert "sqlite:////x/y.db" == settings.database.url.reveal()


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "balancebot.toml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALLEST.replace("\n", "\r\n").encode())
    assert isinstance(load(path, environ={}, resolve_secrets=True), Settings)


def test_the_path_comes_from_the_option_then_the_environment_then_the_default() -> None:
    assert Path("a.toml") == config_path(Path("a.toml"), environ={"BALANCEBOT_CONFIG": "b.toml"})
    assert Path("b.toml") == config_path(None, environ={"BALANCEBOT_CONFIG": "b.toml"})
    assert Path("balancebot.toml") == config_path(None, environ={})


def test_the_template_loads_unchanged_and_equals_the_defaults(read) -> None:
    filled_in = read(template(), {"ACME_DEV_KEY": "k", "ACME_DEV_SECRET": "s"})
    assert read(SMALLEST) == filled_in


def test_the_template_has_every_key_and_loads_with_all_of_them(read, tmp_path: Path) -> None:
    for name in ("ca.pem", "checkout"):
        (tmp_path / name).write_text("x")
    (tmp_path / "apps.csv").write_text("name,app_key,master_secret\n")
    (tmp_path / "my-templates").mkdir()
    text = re.sub(r"(?m)^#(?=[\[a-z])", "", template()).replace("/run/secrets/", "")
    environ = dict.fromkeys(re.findall(r'"env:(\w+)"', text), "https://example.com/" + "x" * 32)
    settings = read(text, environ)
    defaults = read(SMALLEST)
    assert (defaults.alerts, defaults.retention, defaults.log) == (
        settings.alerts,
        settings.retention,
        settings.log,
    )
    assert SlackRoles() == settings.slack.roles
    asked = set(re.findall(r"(?m)^#?([a-z_]+) = ", template()))
    contract = """timezone language url every fastest timeout concurrency max_rate stale_after ca_bundle proxy
        remind_every recovery_margin runway_confidence group_over name base_url dev_key dev_secret apps_file app_key
        master_secret bot_token app_token channel api_url host port security username password from to match severity
        slack email cron listen public_url secret_key raw hourly dir package_sizes level format viewer finance admin"""
    assert set(contract.split()) <= asked

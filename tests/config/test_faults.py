"""All faults of a configuration are reported together, one line each, and never show a secret."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from balancebot.config import load
from balancebot.config.reference import template

SMALLEST = '[[accounts]]\nname = "acme"\ndev_key = "k"\ndev_secret = "s"\n'
EMAIL = '[email]\nhost = "h"\nfrom = "a@b"\n'


@pytest.fixture
def faults(tmp_path: Path):
    def faults(text: str | bytes, environ: Mapping[str, str] | None = None) -> list[str]:
        path = tmp_path / "b.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        found = load(path, environ=environ or {}, resolve_secrets=True)
        assert isinstance(found, tuple), "the file was taken"
        assert all(fault.file == str(path) for fault in found)
        lines = [str(fault).removeprefix(f"{path}: ") for fault in found]
        assert not any("\n" in line for line in lines)
        return lines

    return faults


def test_all_faults_are_listed_together_each_with_its_key(faults) -> None:
    text = """
    timezon = "UTC"
    poll.every = 5
    [[accounts]]
    name = "acme"
    [[accounts.apps]]
    name = "checkout"
    app_key = "k"
    master_secret = "s"
    [[accounts.apps]]
    name = "checkout"
    app_kye = "k"
    master_secret = 7
    """
    assert [
        'poll.every: must be a duration such as "30s", "5m", "36h" or "7d", not a whole number',
        "accounts[0].apps[1].name: 'checkout' is already the name of accounts[0].apps[0]",
        "accounts[0].apps[1].app_key: is missing",
        'accounts[0].apps[1].master_secret: must be a string such as "env:NAME", "file:PATH" or the secret itself, '
        "not a whole number",
        "timezon: is unknown; did you mean timezone?",
        "accounts[0].apps[1].app_kye: is unknown; did you mean app_key?",
    ] == faults(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "accounts: is missing: there must be at least one [[accounts]]"),
        ("accounts = 3", "accounts: must be an array of tables, [[accounts]], not a whole number"),
        ("poll = 3\n" + SMALLEST, "poll: must be a table, [poll], not a whole number"),
        ("[slak]\n" + SMALLEST, "slak: is unknown; did you mean slack?"),
        ('"a\\nb" = 1\n' + SMALLEST, r"'a\nb': is unknown"),
        ('poll.every = "0s"\n' + SMALLEST, "poll.every: is 0s: the shortest is 1s"),
        (
            'poll.every = "5 min"\n' + SMALLEST,
            'poll.every: must be a duration such as "30s", "5m", "36h" or "7d", not \'5 min\'',
        ),
        ('poll.every = "999999999d"\n' + SMALLEST, "poll.every: is 999999999d: the longest is 36500d"),
        ('poll.stale_after = "1m"\n' + SMALLEST, "poll.stale_after: is 1m, shorter than `every`, 5m"),
        ("poll.concurrency = true\n" + SMALLEST, "poll.concurrency: must be a whole number, not true or false"),
        ("poll.concurrency = 0\n" + SMALLEST, "poll.concurrency: must be from 1 to 1000"),
        ("poll.max_rate = 0\n" + SMALLEST, "poll.max_rate: must be from 0.001 to 1e+06"),
        ('poll.ca_bundle = "/no.pem"\n' + SMALLEST, "poll.ca_bundle: is no file: /no.pem"),
        ("alerts.runway_confidence = 0.95\n" + SMALLEST, "alerts.runway_confidence: must be from 0.5 to 0.9"),
        ("alerts.recovery_margin = nan\n" + SMALLEST, "alerts.recovery_margin: must be from 0 to 1"),
        ('retention.hourly = "7d"\n' + SMALLEST, "retention.hourly: is 7d, shorter than `raw`, 35d"),
        ('templates.dir = "/no"\n' + SMALLEST, "templates.dir: is no folder: /no"),
        ('language = "de"\n' + SMALLEST, 'language: must be one of "en", "zh-CN", not \'de\''),
        (
            'timezone = "Asia/Shangai"\n' + SMALLEST,
            "timezone: must be an IANA name such as Asia/Shanghai, not 'Asia/Shangai'; did you mean Asia/Shanghai?",
        ),
        *(
            (
                SMALLEST.replace('"acme"', f'"{name}"'),
                f"accounts[0].name: is {name!r}, which browsers take for a step in an address",
            )
            for name in (".", "..")
        ),
        (
            'timezone = "../etc"\n' + SMALLEST,
            "timezone: must be an IANA name such as Asia/Shanghai, not '../etc'",
        ),
        (
            'web.user_header = "X-User"\n' + SMALLEST,
            "web.trusted_proxies: is missing: without it no proxy's user_header is trusted",
        ),
        (
            'web = { user_header = "X User", trusted_proxies = ["10.0.0.1/8"] }\n' + SMALLEST,
            "web.user_header: must be the name of a header such as X-Forwarded-User, not 'X User'",
        ),
        (
            'web.trusted_proxies = ["10.0.0.1/8"]\n' + SMALLEST,
            "web.trusted_proxies[0]: must be an address or a network such as 10.0.0.0/8, not '10.0.0.1/8'",
        ),
        (
            'web.default_role = "viewer"\n' + SMALLEST,
            "web.default_role: is for users of user_header or [web.oidc], and neither is there",
        ),
        (
            'web.oidc = { issuer = "http://sso", client_id = "b", client_secret = "s" }\n' + SMALLEST,
            "web.oidc.issuer: must begin with https://, not 'http://sso'",
        ),
        ('web.oidc.client_id = "b"\n' + SMALLEST, "web.oidc.client_secret: is missing"),
        (
            'web.oidc.roles = { "grp ops" = "boss" }\n' + SMALLEST,
            "web.oidc.roles.'grp ops': must be one of \"viewer\", \"finance\", \"admin\", not 'boss'",
        ),
        (f'web.secret_key = "{"k" * 31}"\n' + SMALLEST, "web.secret_key: is shorter than 32 characters"),
        ("orders.prices = { market = -0.01 }\n" + SMALLEST, "orders.prices.market: must be from 0 to 1e+06"),
        (
            "orders.prices = { market = 0.1234567891 }\n" + SMALLEST,
            "orders.prices.market: has more than eight decimals: 0.1234567891",
        ),
        (
            'orders.currency = "yuan"\n' + SMALLEST,
            "orders.currency: must be a code of three capitals such as CNY, not 'yuan'",
        ),
        (
            'orders.console_url = "console"\n' + SMALLEST,
            "orders.console_url: must be an address that begins with http:// or https://",
        ),
        (
            "orders.package_sizes = { industri = 3 }\n" + SMALLEST,
            "orders.package_sizes.industri: is no category; did you mean industry?",
        ),
        ('web.listen = "8080"\n' + SMALLEST, 'web.listen: must be a host and a port such as "127.0.0.1:8080", not \'8080\''),
        ('database.url = "sqlite://"\n' + SMALLEST, "database.url: must be sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME"),
        *(
            (f'database.url = "postgresql://{written}"\n' + SMALLEST, f"database.url: {message}")
            for written, message in (
                ("u:x@SECRET@h/db", "has a user or password with an @ or / of its own: write %40 for @ and %2F for /"),
                ("u:x/SECRET@h/db", "has a user or password with an @ or / of its own: write %40 for @ and %2F for /"),
                ("u:x@h SECRET/db", "must end in @HOST:PORT/NAME, with a host of letters, digits, dots and hyphens"),
                ("u:x@h/db?zzzz=SECRET", "has an option behind ? that PostgreSQL doesn't know"),
                ("u:x@h/db?sslmod=1", "has an option behind ? that PostgreSQL doesn't know; did you mean sslmode?"),
                ("u:x@h/db?connect_timeout=SECRET", "has an option connect_timeout that isn't a whole number"),
            )
        ),
        ('database.url = "sqlite:///b.db?mode=ro"\n' + SMALLEST, "database.url: takes no options behind sqlite:///FILE"),
        ('[[accounts]]\nname = "a"', "accounts[0]: needs dev_key and dev_secret, or at least one app with its key pair"),
        ('[[accounts]]\nname = "a"\ndev_key = "k"', "accounts[0].dev_secret: is missing"),
        (SMALLEST + 'base_url = "api.sms.jpush.cn"', "accounts[0].base_url: must be an address that begins with http:// or https://"),
        (SMALLEST + 'base_url = "http://a:b"', "accounts[0].base_url: must be an address that begins with http:// or https://"),
        (SMALLEST + 'apps_file = "/no.csv"', "accounts[0].apps_file: is no file: /no.csv"),
        (SMALLEST + '[slack]\nchannel = "#x"', "slack: needs either bot_token or webhook_url"),
        (SMALLEST + '[slack]\nbot_token = "x"', "slack.channel: is missing"),
        (
            SMALLEST + '[slack]\nbot_token = "x"\nchannel = "#x"\nroles.admin = ["@ann"]',
            "slack.roles.admin[0]: must be the id of a user (U…) or user group (S…), or *, not '@ann'",
        ),
        (
            SMALLEST + '[slack]\nwebhook_url = "https://x/y"\n[[routes]]\nmatch = "*"\nslack = ["#other"]',
            "routes[0].slack: names a channel, but a webhook posts to its own channel only",
        ),
        (SMALLEST + EMAIL + 'username = "bot"', "email.password: is missing beside username"),
        (SMALLEST + EMAIL + 'to = "a@b"', 'email.to: must be a list such as ["…"], not a string'),
        (SMALLEST + EMAIL + 'security = "ssl"', 'email.security: must be one of "starttls", "tls", "none", not \'ssl\''),
        (SMALLEST + '[[routes]]\nslack = []', "routes[0].match: is missing"),
        (SMALLEST + '[[routes]]\nmatch = "a:vioce"', "routes[0].match: there is no category 'vioce'; did you mean voice?"),
        (
            SMALLEST + '[[routes]]\nmatch = "*"\nseverity = "ok"',
            'routes[0].severity: must be one of "warning", "critical", "depleted", not \'ok\'',
        ),
        (
            SMALLEST + '[[routes]]\nmatch = "*"\nmention = { critcal = ["U1"], warning = ["@ann"] }',
            "routes[0].mention.critcal: is no severity; did you mean critical?",
        ),
        (
            SMALLEST + '[[routes]]\nmatch = "*"\nmention = { warning = ["@ann"] }',
            "routes[0].mention.warning[0]: must be the id of a Slack user (U…) or user group (S…), "
            '"here", "channel", a Feishu open id (ou_…), a phone number, or an id behind a kind of channel '
            "such as \"wecom:zhangsan\", not '@ann'",
        ),
        (
            SMALLEST + '[[routes]]\nmatch = "*"\nmention = { critical = ["wecon:zhangsan"] }',
            "routes[0].mention.critical: no kind of channel is called 'wecon'; did you mean wecom?",
        ),
        (SMALLEST + '[[escalations]]\nmatch = "*"\nslack = ["#x"]', "escalations[0].after: is missing"),
        (SMALLEST + '[[escalations]]\nmatch = "*"\nafter = "30s"', "escalations[0].after: is 30s: the shortest is 1m"),
        (
            SMALLEST + '[[escalations]]\nmatch = "*"\nafter = "5m"',
            "escalations[0]: has no destination: it needs `slack` or `email` or `channels`",
        ),
        (
            SMALLEST + '[slack]\nwebhook_url = "https://x/y"\n[[escalations]]\nmatch = "*"\nafter = "5m"\nslack = ["#o"]',
            "escalations[0].slack: names a channel, but a webhook posts to its own channel only",
        ),
        ("[quiet]\n" + SMALLEST, "quiet: is never quiet: it needs `hours` or `days`"),
        (
            'quiet.hours = "22-8"\n' + SMALLEST,
            "quiet.hours: must be two times of day such as \"22:00-08:00\", not '22-8'",
        ),
        (
            'quiet.hours = "22:00-24:00"\n' + SMALLEST,
            "quiet.hours: must be two times of day such as \"22:00-08:00\", not '22:00-24:00'",
        ),
        ('quiet.hours = "08:00-08:00"\n' + SMALLEST, "quiet.hours: begins and ends at the same time"),
        (
            'quiet.days = ["Sat"]\n' + SMALLEST,
            'quiet.days[0]: must be one of "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN", not \'Sat\'; did you mean SAT?',
        ),
        (
            'quiet.days = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]\n' + SMALLEST,
            "quiet.days: is every day: messages below `below` would never be sent",
        ),
        (
            'quiet = { days = ["SAT"], below = "warning" }\n' + SMALLEST,
            'quiet.below: must be one of "critical", "depleted", not \'warning\'',
        ),
        (
            SMALLEST + '[[digests]]\nname = "d"\ncron = "0 9 1 * *"\nkind = "statment"\nto = ["a@b"]',
            'digests[0].kind: must be one of "digest", "statement", not \'statment\'; did you mean statement?',
        ),
        (
            SMALLEST + '[[digests]]\nname = "d"\ncron = "0 9 1 * *"\nchannels = ["x"]',
            "digests[0].channels: no [[channels]] is called 'x'",
        ),
        (
            SMALLEST + '[[digests]]\nname = "d"\ncron = "0 9 * * *"',
            "digests[0]: goes nowhere: it needs `slack` or `to` or `channels`",
        ),
        (SMALLEST + '[heartbeat]\nurl = "SECRET"', "heartbeat.url: must be an address that begins with http:// or https://"),
    ],
)  # fmt: skip
def test_each_fault_says_what_its_key_must_be(faults, text: str, expected: str) -> None:
    assert expected in faults(text)


@pytest.mark.parametrize(
    "cron", ["0 9 * *", "0 9 * * * *", "0 25 * * *", "0 9 * * 8", "0 0 30 2 *", "@daily", "x"]
)
def test_a_schedule_that_cron_could_not_follow_is_refused(faults, cron: str) -> None:
    digest = f'[[digests]]\nname = "d"\ncron = "{cron}"\nto = ["a@b"]'
    (line,) = faults(SMALLEST + digest)
    assert line.startswith("digests[0].cron: ")
    assert repr(cron) in line


@pytest.mark.parametrize("cron", ["0 9 * * MON-FRI", "*/5 8-18 1 jan,JUL 0", "0 9 * * 7", "0 0 29 2 *"])
def test_schedules_use_the_usual_cron_syntax(tmp_path: Path, cron: str) -> None:
    path = tmp_path / "b.toml"
    path.write_text(SMALLEST + f'[[digests]]\nname = "d"\ncron = "{cron}"\nto = ["a@b"]')
    assert not isinstance(load(path, environ={}, resolve_secrets=True), tuple)


def test_the_fault_of_an_unreadable_secret_names_the_variable_or_file_and_never_a_value(
    faults, tmp_path: Path
) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "two").write_text("SECRET\nSECRET\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfeSECRET")
    references = [
        "env:UNSET",
        "env:EMPTY",
        "env:",
        "file:gone",
        "file:empty",
        "file:two",
        "file:binary",
        "file:.",
    ]
    apps = [
        f'[[accounts.apps]]\nname = "a{index}"\napp_key = "k"\nmaster_secret = "{reference}"\n'
        for index, reference in enumerate([*references, "SECRET\\t", "env:A\\nB"])
    ]
    assert [
        f"accounts[0].apps[{index}].master_secret: {message}"
        for index, message in enumerate(
            [
                "the environment variable UNSET isn't set",
                "the environment variable EMPTY is empty",
                "must name a variable behind env:",
                "the file gone can't be read: No such file or directory",
                "the file empty is empty",
                "the file two holds a line break or another character that can't be printed",
                "the file binary isn't UTF-8 text",
                "the file . can't be read: Is a directory",
                "holds a line break or another character that can't be printed",
                "holds a line break or another character that can't be printed",
            ]
        )
    ] == faults('[[accounts]]\nname = "acme"\n' + "".join(apps), {"EMPTY": ""})


def test_a_short_secret_key_in_the_environment_is_refused_with_its_name(faults) -> None:
    assert ["web.secret_key: from BALANCEBOT_SECRET_KEY is shorter than 32 characters"] == faults(
        "[web]\n" + SMALLEST, {"BALANCEBOT_SECRET_KEY": "SECRET"}
    )


def test_literal_values_are_checked_even_if_secrets_are_not_resolved(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_text(
        'poll.proxy = "nonsense"\nheartbeat.url = "env:UNSET"\nslack.webhook_url = ""\n' + SMALLEST
    )
    found = load(path, environ={}, resolve_secrets=False)
    assert isinstance(found, tuple)
    assert ["poll.proxy", "slack.webhook_url"] == sorted(fault.key for fault in found)


def test_secrets_in_wrong_places_are_not_quoted(faults) -> None:
    text = """
    database.url = "SECRET"
    poll.proxy = "SECRET"
    [[accounts]]
    name = "acme"
    dev_key = ["SECRET"]
    dev_secert = "SECRET"
    base_url = "https://SECRET:SECRET@x"
    [slack]
    webhook_url = "SECRET"
    """
    assert not any("SECRET" in line for line in faults(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\nb =\n", "line 2, column 4: is no TOML: "),
        ("a = 1\n\nb = [1,\n", "line 3: is no TOML: "),
        (b"a = 1\nb = '\xff'\n", "line 2: isn't UTF-8 text"),
        ("x = " + "1" * 5000, "holds a number or a nesting that is too large to be read"),
        ("x = " + "[" * 5000, "holds a number or a nesting that is too large to be read"),
    ],
)
def test_the_fault_of_a_file_that_is_not_toml_names_its_line(
    faults, text: str | bytes, expected: str
) -> None:
    (line,) = faults(text)  # the rest of the message comes from Python's parser
    assert line.startswith(expected)


@pytest.mark.parametrize(
    "value",
    [
        "1",
        "nan",
        "true",
        '""',
        '"x"',
        r'"\u0000"',
        "[]",
        "[1]",
        "[[]]",
        "{}",
        "2026-07-01",
        '"http://["',
        '"9d"',
    ],
)
def test_no_value_of_any_key_raises_an_exception(tmp_path: Path, value: str) -> None:
    every_key = re.sub(r"(?m)^#(?=[\[a-z])", "", template())
    path = tmp_path / "b.toml"
    for key in re.finditer(r"(?m)^[a-z_]+ = .*$", every_key):
        name = key[0].partition(" = ")[0]
        path.write_text(
            f"{every_key[: key.start()]}{name} = {value}{every_key[key.end() :]}", encoding="utf-8"
        )
        found = load(path, environ={}, resolve_secrets=True)
        assert isinstance(found, tuple), "the files that it names aren't there"
        assert not any("\n" in str(fault) for fault in found)


def test_a_missing_file_and_a_folder_are_one_fault_each(tmp_path: Path) -> None:
    assert [f"{tmp_path}/no.toml: there is no such file; `balancebot init` writes one"] == [
        str(fault) for fault in load(tmp_path / "no.toml", environ={}, resolve_secrets=True)
    ]
    assert [f"{tmp_path}: can't be read: Is a directory"] == [
        str(fault) for fault in load(tmp_path, environ={}, resolve_secrets=True)
    ]

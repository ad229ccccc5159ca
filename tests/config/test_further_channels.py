"""`[[channels]]`: each kind has required keys, and unknown kinds are refused."""

from pathlib import Path

import pytest

from balancebot.config import Secret, Settings, load
from balancebot.config.further_channels import CHANNEL_KINDS, FeishuConfig, WebhookConfig
from balancebot.config.reference import reference_markdown
from balancebot.domain.balance import WalletName
from balancebot.domain.routing import Destination
from balancebot.domain.verdict import Severity

WATCHED = '[[accounts]]\nname = "acme"\ndev_key = "k"\ndev_secret = "s"\n'


@pytest.fixture
def read(tmp_path: Path):
    def read(text: str) -> Settings | list[str]:
        path = tmp_path / "b.toml"
        path.write_text(f'language = "zh-CN"\n{WATCHED}{text}')
        found = load(path, environ={"URL": "https://bot.example.com/x", "KEY": "s"}, resolve_secrets=True)
        if isinstance(found, Settings):
            return found
        return [str(fault).removeprefix(f"{path}: ") for fault in found]

    return read


def test_a_channel_is_read_as_its_kind_with_the_defaults_of_all(read) -> None:
    settings = read(
        '[[channels]]\nname = "a"\nkind = "feishu"\nurl = "env:URL"\nsecret = "env:KEY"\ndefault = true\n'
        '[[channels]]\nname = "b"\nkind = "webhook"\nurl = "env:URL"\nlanguage = "en"\n'
    )
    assert (
        FeishuConfig(
            name="a",
            kind="feishu",
            url=Secret("https://bot.example.com/x"),
            secret=Secret("s"),
            default=True,
            language="zh-CN",
        ),
        WebhookConfig(
            name="b",
            kind="webhook",
            url=Secret("https://bot.example.com/x"),
            language="en",
        ),
    ) == settings.channels


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'kind = "feisu"\nurl = "env:URL"',
            'kind: must be one of "feishu", "dingtalk", "wecom", "webhook", "pagerduty", "apprise", not \'feisu\'; '
            "did you mean feishu?",
        ),
        ("kind = 3", "kind: must be a string, not a whole number"),
        ('url = "env:URL"', "kind: is missing"),
        ('kind = "wecom"', "url: is missing"),
        (
            'kind = "dingtalk"\nurl = "SECRET"',
            "url: must be an address that begins with http:// or https://",
        ),
        (
            'kind = "webhook"\nurl = "env:URL"\nsecret = "whsec_SECRET!"',
            "secret: must be base64 behind whsec_",
        ),
        (
            'kind = "wecom"\nurl = "env:URL"\ndefault = 1',
            "default: must be true or false, not a whole number",
        ),
        ('kind = "wecom"\nurl = "env:URL"\nsecert = "s"', "secert: is unknown; did you mean secret?"),
    ],
)
def test_each_fault_names_its_key_and_no_secret(read, text: str, expected: str) -> None:
    assert [f"channels[0].{expected}"] == read(f'[[channels]]\nname = "a"\n{text}')


def test_two_channels_of_one_name_are_refused(read) -> None:
    channel = '[[channels]]\nname = "a"\nkind = "webhook"\nurl = "env:URL"\n'
    assert ["channels[1].name: 'a' is already the name of channels[0]"] == read(channel * 2)


def test_a_name_reserved_for_another_channel_is_refused(read) -> None:
    assert ["channels[0].name: 'slack' is the name of a channel with a section of its own"] == read(
        '[[channels]]\nname = "slack"\nkind = "webhook"\nurl = "env:URL"\n'
    )


@pytest.mark.parametrize("kind", CHANNEL_KINDS, ids=lambda kind: kind.kind)
def test_every_kind_is_in_the_reference(kind) -> None:
    assert f"- `{kind.kind}`: " in reference_markdown()


def test_routes_and_digests_select_further_channels_or_use_the_default(read) -> None:
    settings = read(
        '[[channels]]\nname = "a"\nkind = "feishu"\nurl = "env:URL"\ndefault = true\n'
        '[[channels]]\nname = "b"\nkind = "wecom"\nurl = "env:URL"\n'
        '[[routes]]\nmatch = "acme"\nchannels = ["b"]\n'
        '[[digests]]\nname = "d"\ncron = "0 9 * * *"\nchannels = ["b"]\n'
    )
    wallet = WalletName("acme")
    other = WalletName("acme/shop")
    assert {"a": ("feishu",), "b": ()} == settings.routing.defaults
    assert (Destination("b", "wecom"),) == settings.routing.destinations(wallet, None, Severity.WARNING)
    assert (Destination("a", "feishu"),) == settings.routing.destinations(other, None, Severity.WARNING)
    assert ("wecom",) == settings.digests[0].destinations["b"]


def test_an_unknown_channel_name_is_refused_with_the_nearest(read) -> None:
    assert ["routes[0].channels: no [[channels]] is called 'ops-fieshu'; did you mean ops-feishu?"] == read(
        '[[channels]]\nname = "ops-feishu"\nkind = "feishu"\nurl = "env:URL"\n'
        '[[routes]]\nmatch = "*"\nchannels = ["ops-fieshu"]\n'
    )

"""Requests to Slack with and without a proxy."""

import pytest

from balancebot.config import Proxy, Secret
from balancebot.domain.message import MessageRef
from balancebot.notify.render import Renderer
from balancebot.notify.slack.channel import SlackChannel
from balancebot.ports import ChannelError, ChannelErrorKind
from tests.notify.examples import CRITICAL, outgoing
from tests.standins.slack_api import SlackStandIn

ELSEWHERE = "http://slack.invalid/api/"


@pytest.fixture(autouse=True)
def no_proxy_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def sent_by(
    slack: SlackStandIn, renderer: Renderer, api_url: str, proxy: Proxy | None
) -> MessageRef | ChannelError:
    room = slack.add_channel("ops-alerts")
    channel = SlackChannel(token=slack.token, api_url=api_url, renderer=renderer, proxy=proxy)
    return channel.send(outgoing(CRITICAL, destination=room), holds_claim=lambda: True)


def base_of(slack: SlackStandIn) -> str:
    return slack.api_url.removesuffix("/api/")


def test_a_configured_proxy_is_used(slack: SlackStandIn, renderer: Renderer) -> None:
    proxy = Proxy(url=Secret(base_of(slack)))
    assert isinstance(sent_by(slack, renderer, ELSEWHERE, proxy), MessageRef)


def test_the_proxy_of_the_environment_is_used_unless_it_excludes_the_host(
    slack: SlackStandIn, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", base_of(slack))
    assert isinstance(sent_by(slack, renderer, ELSEWHERE, None), MessageRef)
    monkeypatch.setenv("no_proxy", "slack.invalid")
    error = sent_by(slack, renderer, ELSEWHERE, None)
    assert isinstance(error, ChannelError)
    assert (ChannelErrorKind.UNREACHABLE, "Slack can't be reached: no such host") == (
        error.kind,
        str(error.message),
    )


def test_direct_ignores_the_proxy_of_the_environment(
    slack: SlackStandIn, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert isinstance(sent_by(slack, renderer, slack.api_url, Proxy(url=None)), MessageRef)

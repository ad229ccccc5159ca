"""Any answer of a channel's server gives a message ref or an error that is bounded and can be stored in every database."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from balancebot.config import MailSecurity, Proxy, Secret
from balancebot.domain.message import MessageRef
from balancebot.domain.sentence import Sentence
from balancebot.notify.dingtalk.channel import DingTalkChannel
from balancebot.notify.email.smtp import SmtpChannel
from balancebot.notify.feishu.channel import FeishuChannel
from balancebot.notify.heartbeat import Heartbeat
from balancebot.notify.pagerduty.channel import PagerDutyChannel
from balancebot.notify.posting import PostingChannel
from balancebot.notify.render import Renderer
from balancebot.notify.slack.channel import EVENT_TYPE, SlackChannel
from balancebot.notify.slack.responses import SlackWorkspace
from balancebot.notify.slack.webhook import SlackWebhook
from balancebot.notify.webhook.channel import WebhookChannel
from balancebot.notify.wecom.channel import WeComChannel
from balancebot.ports import MAX_RETRY_AFTER, Channel, ChannelError
from tests.notify.examples import CRITICAL, NOW, outgoing
from tests.outbox_bench import HandClock

DIRECT = Proxy(url=None)
WITHIN = timedelta(seconds=5)
KINDS = [FeishuChannel, DingTalkChannel, WeComChannel, WebhookChannel, PagerDutyChannel]
few = settings(max_examples=30)

texts = st.text(max_size=40) | st.sampled_from(
    [
        "ok",
        "C0000000",
        "1795000000.000100",
        "\0",
        "\ud800",
        "\x1b[31m",
        "x" * 5000,
        "missing_scope",
        EVENT_TYPE,
        "d1",
    ]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(
        st.sampled_from(
            [
                "ok", "error", "needed", "channel", "ts", "messages", "channels", "response_metadata", "next_cursor", "id",
                "name", "metadata", "event_type", "event_payload", "delivery", "user", "users", "team", "team_id", "url",
                "errcode", "errmsg", "code", "msg", "message", "status", "StatusCode",
            ]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip
bodies = (
    documents.map(lambda document: json.dumps(document).encode())
    | st.binary(max_size=200)
    | st.sampled_from(
        [b"ok", b"", b"<html>" * 100, b"[" * 60_000, b"9" * 6_000, b'{"code": ' + b"9" * 4_000 + b"}"]
    )
)
waits = (
    st.integers().map(str)
    | st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30)
    | st.sampled_from(
        [
            "1795000000000",
            "9" * 5_000,
            "Fri, 31 Dec 9999 23:59:59 GMT",
            "-1",
            "inf",
            "nan",
            "1e400",
            "0x10",
            "²",
            "3600",
        ]
    )
)
statuses = st.sampled_from(
    [200, 200, 200, 202, 204, 301, 400, 401, 403, 404, 410, 429, 429, 500, 503, 599, 999]
)


@dataclass
class OddServer:
    """A server that sends the same answer to every request."""

    status: int = 200
    retry_after: str = ""
    body: bytes = b""
    url: str = ""
    replies: list[bytes] = field(default_factory=list)
    """The replies of a mail server: its greeting and one per command."""


class _OverHttp(socketserver.StreamRequestHandler):
    odd_server: OddServer

    def handle(self) -> None:
        length = 0
        while (line := self.rfile.readline(65536)).strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        self.rfile.read(length)
        odd_server = self.odd_server
        head = (
            f"HTTP/1.1 {odd_server.status} so\r\nContent-Type: application/json\r\nRetry-After: {odd_server.retry_after}\r\n"
            f"Content-Length: {len(odd_server.body)}\r\nConnection: close\r\n\r\n"
        )
        self.wfile.write(head.encode("latin-1", "replace") + odd_server.body)


class _OverSmtp(socketserver.StreamRequestHandler):
    odd_server: OddServer

    def handle(self) -> None:
        try:
            for reply in self.odd_server.replies:
                self.wfile.write(reply + b"\r\n")
                if not self.rfile.readline(65536):
                    return
        except OSError:
            pass  # the client has closed the connection


@contextmanager
def odd_server_with(handler: type[socketserver.StreamRequestHandler]) -> Iterator[OddServer]:
    odd_server = OddServer()
    own = type("Handler", (handler,), {"odd_server": odd_server})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), own) as server:
        server.daemon_threads = True
        odd_server.url = f"http://127.0.0.1:{server.server_address[1]}/"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield odd_server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def odd_server() -> Iterator[OddServer]:
    with odd_server_with(_OverHttp) as found:
        yield found


@pytest.fixture(scope="module")
def odd_mail_server() -> Iterator[OddServer]:
    with odd_server_with(_OverSmtp) as found:
        yield found


def assert_storable(text: str) -> None:
    """Assert that every database, terminal and protocol accepts the text."""
    assert text.isprintable()
    assert len(text) < 2_200
    text.encode()


def assert_bounded(outcome: object) -> None:
    match outcome:
        case ChannelError():
            assert outcome.wait <= MAX_RETRY_AFTER
            assert_storable(str(outcome.message))
            assert outcome.message == Sentence.restored(outcome.message.stored())
        case MessageRef():
            for text in (outcome.channel_id, outcome.message_id, outcome.subject):
                assert_storable(text)
        case _:
            assert outcome is None


def send(channel: Channel, **more: Any) -> MessageRef | ChannelError:
    return channel.send(outgoing(CRITICAL, **more), holds_claim=lambda: True)


@few
@given(status=statuses, body=bodies, wait=waits)
@pytest.mark.parametrize("kind", KINDS)
def test_any_answer_to_a_post_is_a_ref_or_an_error(
    odd_server: OddServer, renderer: Renderer, kind: type[PostingChannel], status: int, body: bytes, wait: str
) -> None:
    odd_server.status, odd_server.body, odd_server.retry_after = status, body, wait
    channel = kind(
        "ops", url=odd_server.url, secret="s" * 32, renderer=renderer, clock=HandClock(NOW), timeout=WITHIN
    )
    assert_bounded(send(channel))


@few
@given(status=statuses, body=bodies, wait=waits)
@example(status=200, body=b'{"ok": true, "channels": null, "messages": null, "users": null}', wait="")
@example(status=200, body=b'{"ok": true, "channels": [1], "messages": [1], "response_metadata": []}', wait="")
@example(status=200, body=b'{"ok": true, "channels": [{"name": "ops", "id": "\\ud800"}]}', wait="")
@example(status=429, body=b"", wait="1795000000000")
def test_any_answer_of_slack_is_a_ref_or_an_error(
    odd_server: OddServer, renderer: Renderer, status: int, body: bytes, wait: str
) -> None:
    odd_server.status, odd_server.body, odd_server.retry_after = status, body, wait
    channel = SlackChannel(token="t", api_url=odd_server.url, renderer=renderer, proxy=DIRECT, timeout=WITHIN)
    for destination in ("C0000000", "#ops"):
        assert_bounded(send(channel, destination=destination))
        found = channel.find(outgoing(CRITICAL, destination=destination), after=None)
        for outcome in [found] if isinstance(found, ChannelError) else found:
            assert_bounded(outcome)
    assert_bounded(channel.delete(MessageRef(channel_id="C0000000", message_id="1795000000.000100")))
    for finding in channel.check(["#ops", "C0000000"]):
        assert_storable(finding.words)
    workspace = SlackWorkspace(bot_token="t", app_token="t", api_url=odd_server.url, proxy=DIRECT)
    for answer in (workspace.members("S1"), workspace.team(), workspace.profile("U1"), workspace.open_url()):
        if isinstance(answer, ChannelError):
            assert_bounded(answer)


@few
@given(status=statuses, body=bodies, wait=waits)
def test_any_answer_of_a_webhook_and_of_the_heartbeat_is_accepted_or_an_error(
    odd_server: OddServer, renderer: Renderer, status: int, body: bytes, wait: str
) -> None:
    odd_server.status, odd_server.body, odd_server.retry_after = status, body, wait
    assert_bounded(send(SlackWebhook(url=odd_server.url, renderer=renderer, proxy=DIRECT, timeout=WITHIN)))
    assert_storable(Heartbeat(Secret(odd_server.url), proxy=DIRECT).beat())


replies = (
    st.sampled_from(
        [
            b"220 mail", b"250 well", b"250-mail\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME", b"235 in", b"334 VXNlcm5hbWU6",
            b"354 go on", b"450 no\0w busy", b"421 \xff\xfe", b"535 \x1b[31mno", b"550 " + b"x" * 5_000, b"999 what",
            b"-1 no", b"250-no end", b"", b"0", b"99999 many", b"250\r250 ok", b"334 ====", b"\xe2\x80\xae250 ok",
        ]
    )
    | st.binary(max_size=40)
)  # fmt: skip


@few
@given(answers=st.lists(replies, max_size=9), num_usual=st.integers(0, 6))
def test_any_replies_of_a_mail_server_are_a_ref_or_an_error(
    odd_mail_server: OddServer, renderer: Renderer, answers: list[bytes], num_usual: int
) -> None:
    usual = [b"220 mail", b"250-mail\r\n250 AUTH PLAIN", b"235 in", b"250 ok", b"250 ok", b"354 go on"]
    odd_mail_server.replies = [*usual[:num_usual], *answers]
    channel = SmtpChannel(
        host="127.0.0.1",
        port=int(odd_mail_server.url.rstrip("/").rpartition(":")[2]),
        security=MailSecurity.NONE,
        sender="balances@example.com",
        username="bot",
        password="password",
        renderer=renderer,
        timeout=timedelta(seconds=0.2),
    )
    assert_bounded(send(channel, destination="a@example.com"))
    for finding in channel.check([]):
        assert_storable(finding.words)

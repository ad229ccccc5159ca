"""Channels that only post: messages are signed, within the limits of the service, and safe; errors are classified."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit  # noqa: TID251 -- a test may fail by what it raises

import pytest

from balancebot.app import build_app
from balancebot.config import Settings, load
from balancebot.domain.message import Action, Message, MessageRef
from balancebot.domain.threshold import ThresholdRow
from balancebot.notify.apprise.channel import AppriseChannel
from balancebot.notify.dingtalk.channel import DingTalkChannel
from balancebot.notify.feishu.channel import FeishuChannel
from balancebot.notify.posting import PostingChannel
from balancebot.notify.render import Renderer
from balancebot.notify.webhook.channel import WebhookChannel
from balancebot.notify.wecom.channel import WeComChannel
from balancebot.ports import ChannelError, ChannelErrorKind
from balancebot.store import thresholds
from balancebot.store.database import Database
from tests.messages import changed
from tests.notify.examples import CRITICAL, DIGEST, NOW, RECOVERED, TEST, outgoing
from tests.outbox_bench import HandClock
from tests.standins.bots import signature
from tests.world import SHOP, ScriptedSource, industry

SECRET = "SEC-of-the-bot"
KEY = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()


@dataclass
class Receiver:
    """An HTTP server that records its requests."""

    status: int = 200
    answer: bytes = b'{"code": 0, "errcode": 0}'
    headers: dict[str, str] = field(default_factory=dict)
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received = {name.lower(): value for name, value in self.headers.items()}
            receiver.got.append((self.path, received, body))
            self.send_response(receiver.status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(receiver.answer)))
            self.end_headers()
            self.wfile.write(receiver.answer)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}/hook?access_token=HIDDEN"
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield receiver
        server.shutdown()
        thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def channel_of(
    kind: type[PostingChannel], receiver: Receiver, renderer: Renderer, secret: str | None = SECRET
) -> PostingChannel:
    return kind("ops", url=receiver.url, secret=secret, renderer=renderer, clock=HandClock(NOW))


def sent(channel: PostingChannel, message: Message = CRITICAL, **more: Any) -> MessageRef | ChannelError:
    return channel.send(outgoing(message, **more), holds_claim=lambda: True)


ALL = pytest.mark.parametrize("kind", [FeishuChannel, DingTalkChannel, WeComChannel, WebhookChannel])
BOTS = pytest.mark.parametrize("kind", [FeishuChannel, DingTalkChannel, WeComChannel])


def test_the_signature_of_a_webhook_can_be_verified_in_fifteen_lines(
    receiver: Receiver, renderer: Renderer
) -> None:
    channel = channel_of(WebhookChannel, receiver, renderer, KEY)
    for _ in range(2):
        assert isinstance(sent(channel), MessageRef)

    (_, headers, body), (_, again, _) = receiver.got
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(KEY.removeprefix("whsec_"))
    assert f"v1,{signature(key, signed)}" == headers["webhook-signature"]
    assert ("d1", "d1") == (headers["webhook-id"], again["webhook-id"])
    document = json.loads(body)
    assert "balancebot.alert.opened" == document["type"]
    assert {
        "id": "17",
        "wallet": "acme/checkout",
        "severity": "critical",
        "balance": 312,
    }.items() <= document["data"].items()


def test_feishu_gets_a_signed_card(receiver: Receiver, renderer: Renderer) -> None:
    assert isinstance(sent(channel_of(FeishuChannel, receiver, renderer)), MessageRef)

    document = json.loads(receiver.got[0][2])
    assert str(int(NOW.timestamp())) == document["timestamp"]
    assert signature(f"{document['timestamp']}\n{SECRET}".encode(), b"") == document["sign"]
    card = document["card"]
    assert ("interactive", "red") == (document["msg_type"], card["header"]["template"])
    assert "312" in card["header"]["title"]["content"]
    assert card["elements"][1]["actions"][0]["url"].startswith("https://balances.example.com/")


def test_feishu_shows_a_recovery_in_green(receiver: Receiver, renderer: Renderer) -> None:
    sent(channel_of(FeishuChannel, receiver, renderer), RECOVERED)
    assert "green" == json.loads(receiver.got[0][2])["card"]["header"]["template"]


def test_dingtalk_signs_the_address(receiver: Receiver, renderer: Renderer) -> None:
    assert isinstance(sent(channel_of(DingTalkChannel, receiver, renderer)), MessageRef)

    path, _, body = receiver.got[0]
    query = parse_qs(urlsplit(path).query)
    (timestamp,), (sign,) = query["timestamp"], query["sign"]
    assert str(int(NOW.timestamp() * 1000)) == timestamp
    assert signature(SECRET.encode(), f"{timestamp}\n{SECRET}".encode()) == sign
    assert ["HIDDEN"] == query["access_token"]
    assert "actionCard" == json.loads(body)["msgtype"]


def test_wecom_messages_have_at_most_4096_bytes(receiver: Receiver, renderer: Renderer) -> None:
    sent(channel_of(WeComChannel, receiver, renderer), changed(CRITICAL, note="余量不足" * 2000))

    content = json.loads(receiver.got[0][2])["markdown"]["content"]
    assert len(content.encode()) <= 4096


@BOTS
def test_a_note_can_neither_mention_people_nor_make_a_link(
    kind: type[PostingChannel], receiver: Receiver, renderer: Renderer
) -> None:
    sent(
        channel_of(kind, receiver, renderer),
        changed(CRITICAL, note="<at id=all></at> <@all> [x](http://evil)"),
    )

    body = receiver.got[0][2].decode()
    if kind is FeishuChannel:
        assert '"lark_md"' not in body
    else:
        assert ("<at" not in body, "<@all" not in body, "[x](" not in body) == (True, True, True)


@ALL
@pytest.mark.parametrize("message", [DIGEST, TEST], ids=["digest", "test"])
def test_digests_and_tests_are_sent_too(
    kind: type[PostingChannel], message: Message, receiver: Receiver, renderer: Renderer
) -> None:
    assert isinstance(sent(channel_of(kind, receiver, renderer, None), message), MessageRef)
    assert len(receiver.got[0][2]) < 20_000


@ALL
def test_an_edit_sends_nothing_and_neither_does_a_lost_claim(
    kind: type[PostingChannel], receiver: Receiver, renderer: Renderer
) -> None:
    channel = channel_of(kind, receiver, renderer, None)
    assert isinstance(sent(channel, action=Action.EDIT), MessageRef)
    lost = channel.send(outgoing(CRITICAL), holds_claim=lambda: False)
    assert isinstance(lost, ChannelError)
    assert (ChannelErrorKind.LEASE_LOST, []) == (lost.kind, receiver.got)


@pytest.mark.parametrize(
    ("kind", "answer", "expected", "wait"),
    [
        (FeishuChannel, {"code": 19021, "msg": "sign match fail"}, ChannelErrorKind.AUTH, None),
        (FeishuChannel, {"code": 19024, "msg": "Key Words Not Found"}, ChannelErrorKind.AUTH, None),
        (FeishuChannel, {"code": 11232, "msg": "frequency limited"}, ChannelErrorKind.RATE_LIMITED, 60),
        (FeishuChannel, {"code": 9499, "msg": "Bad Request"}, ChannelErrorKind.REJECTED, None),
        (DingTalkChannel, {"errcode": 310000, "errmsg": "sign not match"}, ChannelErrorKind.AUTH, None),
        (DingTalkChannel, {"errcode": 130101, "errmsg": "too fast"}, ChannelErrorKind.RATE_LIMITED, 600),
        (DingTalkChannel, {"errcode": -1, "errmsg": "system busy"}, ChannelErrorKind.SERVER, None),
        (WeComChannel, {"errcode": 93000, "errmsg": "invalid webhook"}, ChannelErrorKind.AUTH, None),
        (WeComChannel, {"errcode": 45009, "errmsg": "freq out of limit"}, ChannelErrorKind.RATE_LIMITED, 60),
        (WeComChannel, {}, ChannelErrorKind.IN_DOUBT, None),
        (DingTalkChannel, {"errcode": "310000", "errmsg": "sign not match"}, ChannelErrorKind.AUTH, None),
        (FeishuChannel, {"code": 19021.0, "msg": "sign match fail"}, ChannelErrorKind.AUTH, None),
    ],
)
def test_an_error_code_in_an_answer_of_200_is_a_failure_with_its_meaning(
    receiver: Receiver,
    renderer: Renderer,
    kind: type[PostingChannel],
    answer: dict[str, object],
    expected: ChannelErrorKind,
    wait: int | None,
) -> None:
    receiver.answer = json.dumps(answer).encode()
    error = sent(channel_of(kind, receiver, renderer))
    assert isinstance(error, ChannelError)
    assert (expected, wait and timedelta(seconds=wait)) == (error.kind, error.retry_after)
    assert str(answer.get("errmsg", answer.get("msg", ""))) in str(error.message)


@BOTS
@pytest.mark.parametrize(
    "answer",
    [
        b"<html>Please log in to the network</html>", b"", b"ok", b"{}", b"[]", b"null", b"0", b'"0"', b"[0]",
        b'{"errcode": null, "code": null}', b'{"errcode": "", "code": ""}', b'{"errcode": true, "code": true}',
        b'{"errcode": [0], "code": {"errcode": 0}}', b'{"errcode": 0.5, "code": NaN}', b"[" * 100_000, b"\xff\xfe",
    ],
)  # fmt: skip
def test_an_unknown_answer_with_status_200_leaves_the_message_in_doubt(
    kind: type[PostingChannel], answer: bytes, receiver: Receiver, renderer: Renderer
) -> None:
    receiver.answer = answer
    error = sent(channel_of(kind, receiver, renderer))
    assert isinstance(error, ChannelError)
    assert (ChannelErrorKind.IN_DOUBT, True) == (error.kind, "proxy" in str(error.message))


@BOTS
def test_a_code_of_0_as_text_is_accepted(
    kind: type[PostingChannel], receiver: Receiver, renderer: Renderer
) -> None:
    receiver.answer = b'{"errcode": "0", "code": "0"}'
    assert isinstance(sent(channel_of(kind, receiver, renderer)), MessageRef)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (302, ChannelErrorKind.REJECTED),
        (400, ChannelErrorKind.REJECTED),
        (401, ChannelErrorKind.AUTH),
        (410, ChannelErrorKind.AUTH),
        (429, ChannelErrorKind.RATE_LIMITED),
        (503, ChannelErrorKind.SERVER),
    ],
)
@ALL
def test_an_http_status_is_classified_without_showing_a_secret(
    kind: type[PostingChannel],
    status: int,
    expected: ChannelErrorKind,
    receiver: Receiver,
    renderer: Renderer,
) -> None:
    receiver.status, receiver.headers = status, {"Retry-After": "7", "Location": "/elsewhere"}
    error = sent(channel_of(kind, receiver, renderer))
    assert isinstance(error, ChannelError)
    assert expected is error.kind
    assert (False, False) == ("HIDDEN" in str(error.message), "127.0.0.1" in str(error.message))
    if status == 429:
        assert timedelta(seconds=7) == error.retry_after


@pytest.mark.parametrize(
    ("status", "expected"),
    [(401, ChannelErrorKind.AUTH), (429, ChannelErrorKind.RATE_LIMITED), (500, ChannelErrorKind.SERVER)],
)
def test_an_error_of_apprise_shows_only_the_status(
    status: int, expected: ChannelErrorKind, receiver: Receiver, renderer: Renderer
) -> None:
    receiver.status = status
    channel = AppriseChannel("phone", url=receiver.url.replace("http:", "json:"), renderer=renderer)
    error = channel.send(outgoing(CRITICAL), holds_claim=lambda: True)

    assert isinstance(error, ChannelError)
    assert (expected, f"Apprise could not send to phone: HTTP {status}") == (error.kind, str(error.message))


def test_a_configured_channel_is_described_in_its_language_without_its_address(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    file = tmp_path / "balancebot.toml"
    file.write_text(
        f"""\
[[channels]]
name = "ops-feishu"
kind = "feishu"
url = "{receiver.url}"
default = true
language = "zh-CN"
[[accounts]]
name = "acme"
apps = [{{ name = "shop", app_key = "key", master_secret = "secret" }}]
"""
    )
    settings = load(file, environ={}, resolve_secrets=True)
    assert isinstance(settings, Settings), settings
    clock = HandClock(NOW)
    source = ScriptedSource(clock, {SHOP: [industry(50)]})
    app = build_app(settings, database, clock=clock, source=source)
    app.sync_wallets()
    with database.write() as conn:
        thresholds.put(conn, [ThresholdRow(wallet="*", critical_below=100)], by="test", now=NOW)

    app.poll_cycle.run_all([SHOP])
    app.worker_heartbeat("run").show()
    app.deliver_outbox.run()

    (delivery,) = app.operate_deliveries.listed(every=True)
    assert ("ops-feishu", "feishu", "delivered") == (delivery.channel, delivery.destination, delivery.state)
    title = json.loads(receiver.got[0][2])["card"]["header"]["title"]["content"]
    assert "严重" in title

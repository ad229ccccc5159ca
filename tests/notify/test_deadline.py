"""No server can delay a request beyond its timeout or fill the memory, however it sends its bytes."""

import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

import pytest
import trustme

from balancebot.config import MailSecurity, Proxy
from balancebot.domain.message import MessageRef
from balancebot.domain.sentence import Sentence, sentence
from balancebot.notify.email.smtp import SmtpChannel
from balancebot.notify.render import Renderer
from balancebot.notify.slack.channel import SlackChannel
from balancebot.notify.slack.webhook import SlackWebhook
from balancebot.ports import ChannelError, ChannelErrorKind
from tests.notify.examples import CRITICAL, outgoing

PATIENCE = timedelta(seconds=1)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n"
GREETING = b"220-"


def no_answer(reason: str) -> Sentence:
    return sentence("%(host)s gave no answer: %(reason)s", host="Slack", reason=Sentence(reason))


NO_ANSWER = ChannelError(kind=ChannelErrorKind.IN_DOUBT, message=no_answer("timed out"))


@contextmanager
def trickling(pieces: Sequence[bytes]) -> Iterator[str]:
    """Send `pieces` immediately, then a byte every tenth of a second for six seconds; yield the address."""
    stopping = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as line:
            if pieces != [GREETING]:
                line.recv(65536)
            for piece in pieces:
                line.sendall(piece)
            for _ in range(60):
                if stopping.wait(0.1):
                    return
                try:
                    line.sendall(b"x")
                except OSError:
                    return

    server = threading.Thread(target=serve)
    server.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        stopping.set()
        server.join()


@pytest.mark.parametrize(
    "pieces", [[b"HTTP/1.1 200 "], [b"HTTP/1.1 200 OK\r\nX-Slow: "], [HEAD]], ids=["status", "header", "body"]
)
def test_a_server_that_trickles_delays_nothing_for_longer_than_the_timeout(
    pieces: list[bytes], renderer: Renderer
) -> None:
    direct = Proxy(url=None)
    with trickling(pieces) as address:
        channel = SlackChannel(token="t", api_url=address, renderer=renderer, proxy=direct, timeout=PATIENCE)
        outcome = channel.send(outgoing(CRITICAL, destination="C0000000"), holds_claim=lambda: True)

    assert NO_ANSWER == outcome


def test_a_mail_server_that_trickles_delays_no_other_destination(renderer: Renderer) -> None:
    with trickling([GREETING]) as address:
        channel = SmtpChannel(
            host="127.0.0.1",
            port=int(address.rstrip("/").rpartition(":")[2]),
            security=MailSecurity.NONE,
            sender="balances@example.com",
            renderer=renderer,
            timeout=PATIENCE / 2,
        )
        outcome = channel.send(outgoing(CRITICAL, destination="a@example.com"), holds_claim=lambda: True)

    assert isinstance(outcome, ChannelError)
    assert (ChannelErrorKind.UNREACHABLE, True) == (outcome.kind, str(outcome.message).endswith("timed out"))


def test_a_webhook_that_trickles_delays_no_other_destination(renderer: Renderer) -> None:
    with trickling([HEAD]) as address:
        channel = SlackWebhook(url=address, renderer=renderer, proxy=Proxy(url=None), timeout=PATIENCE)
        assert NO_ANSWER == channel.send(outgoing(CRITICAL), holds_claim=lambda: True)


@contextmanager
def answering(*pieces: bytes, half_closed: bool = False, tls: bool = False) -> Iterator[str]:
    """Send `pieces` to one request, then close the connection or only its sending half; yield the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    def serve() -> None:
        with listener, listener.accept()[0] as raw, suppress(OSError):
            line = context.wrap_socket(raw, server_side=True) if context else raw
            line.recv(65536)
            for piece in pieces:
                line.sendall(piece)
            if half_closed:
                line.shutdown(socket.SHUT_WR)
                line.settimeout(5)
                while line.recv(65536):
                    pass

    server = threading.Thread(target=serve)
    server.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        server.join()


def posted_to(address: str, renderer: Renderer) -> MessageRef | ChannelError:
    channel = SlackChannel(
        token="t", api_url=address, renderer=renderer, proxy=Proxy(url=None), timeout=PATIENCE
    )
    return channel.send(outgoing(CRITICAL, destination="C0000000"), holds_claim=lambda: True)


@pytest.mark.parametrize("pieces", [[], [b"HTTP/1.1 200 OK\r\n"], [HEAD], [HEAD, b'{"ok": true,']])
def test_a_server_that_half_closes_leaves_the_message_in_doubt(
    pieces: list[bytes], renderer: Renderer
) -> None:
    with answering(*pieces, half_closed=True) as address:
        outcome = posted_to(address, renderer)

    assert isinstance(outcome, ChannelError)
    assert ChannelErrorKind.IN_DOUBT is outcome.kind


def test_an_answer_without_end_is_cut_off_and_in_doubt(renderer: Renderer) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
    with answering(head, *[b"x" * 65536] * 64) as address:
        outcome = posted_to(address, renderer)

    assert (
        ChannelError(kind=ChannelErrorKind.IN_DOUBT, message=no_answer("the answer is too large")) == outcome
    )


def test_an_untrusted_certificate_is_reported(renderer: Renderer) -> None:
    with answering(tls=True) as address:
        outcome = posted_to(address, renderer)

    assert isinstance(outcome, ChannelError)
    assert (ChannelErrorKind.AUTH, True) == (
        outcome.kind,
        "certificate is not trusted" in str(outcome.message),
    )


@pytest.mark.parametrize(
    "answer", [b'{"ok": true}', b'{"ok": true, "ts": "\\ud800"}', b'{"ok": true, "ts": 1}']
)
def test_a_post_without_a_proper_timestamp_is_in_doubt(answer: bytes, renderer: Renderer) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    with answering(head % len(answer) + answer) as address:
        outcome = posted_to(address, renderer)

    assert isinstance(outcome, ChannelError)
    assert ChannelErrorKind.IN_DOUBT is outcome.kind

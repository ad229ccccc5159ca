"""E-mail, against a mail server on loopback."""

import socket
import socketserver
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from threading import Thread

import pytest

from balancebot.config import MailSecurity
from balancebot.domain.message import Action, MessageRef, OutgoingMessage
from balancebot.notify.email.smtp import SmtpChannel, _own_name
from balancebot.notify.render import Renderer
from balancebot.ports import ChannelError, ChannelErrorKind, Finding
from tests.notify.examples import CRITICAL, DIGEST, HOSTILE, NOW, WORSENED, claim_is_held, outgoing, ref_of
from tests.standins.smtp import SmtpStandIn

TO = "finance@example.com"


def channel_of(smtp: SmtpStandIn, renderer: Renderer, **options: object) -> SmtpChannel:
    settings: dict[str, object] = {
        "security": MailSecurity(smtp.security),
        "sender": "SMS balances <balances@example.com>",
        "timeout": timedelta(seconds=2),
        "ssl_context": smtp.client_tls,
        **options,
    }
    return SmtpChannel(host=smtp.host, port=smtp.port, renderer=renderer, **settings)  # type: ignore[arg-type]


def mail(message: object = CRITICAL, **more: object) -> OutgoingMessage:
    return outgoing(message, **{"destination": TO, **more})  # type: ignore[arg-type]


def test_a_first_mail_has_a_complete_subject_text_and_html(smtp: SmtpStandIn, renderer: Renderer) -> None:
    ref = ref_of(channel_of(smtp, renderer).send(mail(), holds_claim=claim_is_held))
    (received,) = smtp.mails
    message = received.message
    assert (received.sender, received.recipients) == ("balances@example.com", (TO,))
    assert message["Subject"] == "[critical] acme/checkout industry: 312 messages left (≈ 9 h)"
    assert (message["From"], message["To"]) == ("SMS balances <balances@example.com>", TO)
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["List-Id"] == "balancebot <balancebot.example.com>"
    assert message["Date"].datetime == NOW
    assert ref == MessageRef(channel_id="", message_id=message["Message-ID"], subject=message["Subject"])
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


def test_a_digest_contains_its_picture(smtp: SmtpStandIn, renderer: Renderer) -> None:
    ref_of(channel_of(smtp, renderer).send(mail(DIGEST), holds_claim=claim_is_held))
    message = smtp.mails[0].message
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
    ]
    picture = list(message.walk())[-1]
    assert (picture["Content-ID"], picture.get_content_disposition()) == ("<balances@balancebot>", "inline")
    html = message.get_body(("html",))
    assert html is not None
    assert 'src="cid:balances@balancebot"' in html.get_content()


def test_replies_are_in_the_thread_of_the_first_mail_and_begin_with_the_change(
    smtp: SmtpStandIn, renderer: Renderer
) -> None:
    channel = channel_of(smtp, renderer)
    first = ref_of(channel.send(mail(), holds_claim=claim_is_held))
    answer = ref_of(
        channel.send(
            mail(WORSENED, action=Action.REPLY, thread=first, delivery_id="d2"), holds_claim=claim_is_held
        )
    )
    message = smtp.mails[1].message
    assert message["Subject"] == f"Re: {first.subject}"
    assert (message["References"], message["In-Reply-To"]) == (first.message_id, first.message_id)
    assert answer.subject == first.subject
    body = message.get_body(("plain",))
    assert body is not None
    assert body.get_content().splitlines()[0] == (
        "Worse: acme/checkout industry is now critical (was warning), 312 messages left (≈ 9 h)"
    )


def test_all_attempts_of_one_delivery_have_the_same_unique_message_id(
    smtp: SmtpStandIn, renderer: Renderer
) -> None:
    channel = channel_of(smtp, renderer)
    attempts = [mail(), replace(mail(), attempt=2), mail(delivery_id="d2"), mail(destination="b@example.com")]
    refs = [ref_of(channel.send(attempt, holds_claim=claim_is_held)).message_id for attempt in attempts]
    assert refs[0] == refs[1]
    assert len(set(refs)) == 3


def test_no_name_injects_a_header_or_markup_into_the_html(smtp: SmtpStandIn, renderer: Renderer) -> None:
    ref_of(channel_of(smtp, renderer).send(mail(HOSTILE), holds_claim=claim_is_held))
    message = smtp.mails[0].message
    assert message["Bcc"] is None
    body = message.get_body(("html",))
    assert body is not None
    html = body.get_content()
    assert "<script>" not in html
    assert "acme/&lt;!channel&gt; &amp; *co*" in html
    assert "{{ 7 * 7 }}" in html
    text = message.get_body(("plain",))
    assert text is not None
    assert '* <!here> buy "now" Bcc: everybody@example.com # not a header' in text.get_content()


@pytest.mark.parametrize(
    ("destination", "envelope", "header"),
    [
        (
            "财务 <finance@例子.example.com>",
            "finance@xn--fsqu00a.example.com",
            "财务 <finance@xn--fsqu00a.example.com>",
        ),
        ("财务@example.com", "财务@example.com", "财务@example.com"),
        (
            "Finance, buying <finance@example.com>",
            "finance@example.com",
            '"Finance, buying" <finance@example.com>',
        ),
        (
            '"Finance, buying" <finance@example.com>',
            "finance@example.com",
            '"Finance, buying" <finance@example.com>',
        ),
    ],
)
def test_names_and_addresses_in_any_writing_system_arrive(
    smtp: SmtpStandIn, renderer: Renderer, destination: str, envelope: str, header: str
) -> None:
    ref_of(channel_of(smtp, renderer).send(mail(destination=destination), holds_claim=claim_is_held))
    (received,) = smtp.mails
    assert received.recipients == (envelope,)
    assert received.message["To"] == header


def test_an_address_that_needs_smtputf8_is_refused_with_a_message_if_the_server_lacks_it(
    renderer: Renderer,
) -> None:
    with SmtpStandIn(smtputf8=False) as smtp:
        error = channel_of(smtp, renderer).send(
            mail(destination="财务@example.com"), holds_claim=claim_is_held
        )
    assert isinstance(error, ChannelError)
    assert (
        ChannelErrorKind.NO_SUCH_DESTINATION,
        "the mail server can't send to 财务@example.com: it doesn't support SMTPUTF8",
    ) == (error.kind, str(error.message))


@pytest.mark.parametrize("destination", ["nobody", "", "a b@example.com", "finance@", "a@b@example.com"])
def test_an_invalid_address_is_not_a_destination(
    smtp: SmtpStandIn, renderer: Renderer, destination: str
) -> None:
    error = channel_of(smtp, renderer).send(mail(destination=destination), holds_claim=claim_is_held)
    assert isinstance(error, ChannelError)
    assert error.kind is ChannelErrorKind.NO_SUCH_DESTINATION


@pytest.mark.parametrize(
    ("stage", "reply", "kind"),
    [
        ("MAIL", "550 no such sender", ChannelErrorKind.AUTH),
        ("MAIL", "451 later", ChannelErrorKind.SERVER),
        ("RCPT", "550 no such mailbox", ChannelErrorKind.NO_SUCH_DESTINATION),
        ("RCPT", "450 greylisted", ChannelErrorKind.SERVER),
        ("DATA", "554 looks like spam", ChannelErrorKind.REJECTED),
        ("DATA", "452 disk full", ChannelErrorKind.SERVER),
    ],
)
def test_a_refusal_is_classified_by_its_stage_and_code(
    smtp: SmtpStandIn, renderer: Renderer, stage: str, reply: str, kind: ChannelErrorKind
) -> None:
    smtp.reply_next(stage, reply)
    error = channel_of(smtp, renderer).send(mail(), holds_claim=claim_is_held)
    assert isinstance(error, ChannelError)
    assert error.kind is kind
    assert smtp.mails == []


def test_a_connection_that_breaks_after_the_message_leaves_it_in_doubt(
    smtp: SmtpStandIn, renderer: Renderer
) -> None:
    smtp.drop_after_data()
    error = channel_of(smtp, renderer).send(mail(), holds_claim=claim_is_held)
    assert isinstance(error, ChannelError)
    assert error.kind is ChannelErrorKind.IN_DOUBT
    assert len(smtp.mails) == 1


def test_a_closed_port_is_unreachable(renderer: Renderer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    channel = SmtpChannel(
        host="127.0.0.1", port=port, security=MailSecurity.NONE, sender="a@example.com", renderer=renderer
    )
    error = channel.send(mail(), holds_claim=claim_is_held)
    assert isinstance(error, ChannelError)
    assert error.kind is ChannelErrorKind.UNREACHABLE


def test_a_server_that_never_ends_its_answer_times_out(renderer: Renderer) -> None:
    sent_bytes = 0

    def babble(server: socket.socket) -> None:
        nonlocal sent_bytes
        connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.sendall(b"220 hello\r\n")
            connection.recv(1000)
            while sent_bytes < 50_000_000:
                sent_bytes += connection.send(b"250-and another thing\r\n" * 1000)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=babble, args=(server,))
        thread.start()
        channel = SmtpChannel(
            host="127.0.0.1",
            port=server.getsockname()[1],
            security=MailSecurity.NONE,
            sender="a@example.com",
            renderer=renderer,
        )
        error = channel.send(mail(), holds_claim=claim_is_held)
        thread.join()

    assert isinstance(error, ChannelError)
    assert (ChannelErrorKind.UNREACHABLE, True) == (error.kind, sent_bytes < 50_000_000)


def test_nothing_is_sent_after_the_claim_was_lost(smtp: SmtpStandIn, renderer: Renderer) -> None:
    error = channel_of(smtp, renderer).send(mail(), holds_claim=lambda: False)
    assert isinstance(error, ChannelError)
    assert error.kind is ChannelErrorKind.LEASE_LOST
    assert smtp.mails == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_the_connection_is_encrypted_before_the_log_in(renderer: Renderer, security: str) -> None:
    with SmtpStandIn(security=security, users={"bot": "geheim"}) as smtp:
        channel = channel_of(smtp, renderer, username="bot", password="geheim")
        ref_of(channel.send(mail(), holds_claim=claim_is_held))
        (received,) = smtp.mails
        assert (received.encrypted, received.username) == (True, "bot")
        assert channel.check() == [
            Finding(ok=True, words=f"localhost:{smtp.port} ({security}), log-in accepted")
        ]


def test_a_refused_log_in_is_logged_without_the_password(renderer: Renderer) -> None:
    with SmtpStandIn(users={"bot": "geheim"}) as smtp:
        channel = channel_of(smtp, renderer, username="bot", password="falsch")
        error = channel.send(mail(), holds_claim=claim_is_held)
        (finding,) = channel.check()
    assert isinstance(error, ChannelError)
    assert error.kind is ChannelErrorKind.AUTH
    assert "falsch" not in str(error.message)
    assert finding == Finding(ok=False, words=str(error.message))


@pytest.mark.parametrize("offered", ["AUTH NTLM GSSAPI", "AUTH XOAUTH2", "SIZE 100"])
def test_a_server_without_a_usable_log_in_method_needs_a_person(renderer: Renderer, offered: str) -> None:
    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 mail.example.com\r\n")
            for line in self.rfile:
                greets = line.upper().startswith(b"EHLO")
                self.wfile.write(
                    f"250-mail.example.com\r\n250 {offered}\r\n".encode() if greets else b"221 bye\r\n"
                )

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        channel = SmtpChannel(
            host="127.0.0.1", port=server.server_address[1], security=MailSecurity.NONE, renderer=renderer,
            sender="balances@example.com", username="bot", password="geheim", timeout=timedelta(seconds=5),
        )  # fmt: skip
        error = channel.send(mail(), holds_claim=claim_is_held)
        server.shutdown()
    assert isinstance(error, ChannelError)
    assert (ChannelErrorKind.AUTH, False) == (error.kind, "geheim" in str(error.message))
    assert "doesn't offer what is configured" in str(error.message)


def test_a_password_in_any_writing_system_is_accepted(renderer: Renderer) -> None:
    with SmtpStandIn(users={"bot": "gehëim"}) as smtp:
        ref_of(
            channel_of(smtp, renderer, username="bot", password="gehëim").send(
                mail(), holds_claim=claim_is_held
            )
        )
    assert "bot" == smtp.mails[0].username


def test_a_mail_has_no_byte_above_127(smtp: SmtpStandIn, renderer: Renderer) -> None:
    ref_of(channel_of(smtp, renderer).send(mail(DIGEST), holds_claim=claim_is_held))
    assert smtp.mails[0].raw.isascii()


def test_a_server_of_another_protocol_is_reported(smtp: SmtpStandIn, renderer: Renderer) -> None:
    error = channel_of(smtp, renderer, security=MailSecurity.TLS).send(mail(), holds_claim=claim_is_held)
    assert isinstance(error, ChannelError)
    assert (ChannelErrorKind.AUTH, True) == (error.kind, "no TLS connection" in str(error.message))


@pytest.mark.parametrize("name", ["sms_bot.corp.local", "机器人.local", "localhost", "-a.example.com"])
def test_an_invalid_host_name_is_not_used_in_ehlo(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    assert "[127.0.0.1]" == _own_name()


def test_a_server_without_starttls_gets_no_mail(smtp: SmtpStandIn, renderer: Renderer) -> None:
    error = channel_of(smtp, renderer, security=MailSecurity.STARTTLS).send(mail(), holds_claim=claim_is_held)
    assert isinstance(error, ChannelError)
    assert error.kind is ChannelErrorKind.AUTH
    assert smtp.mails == []


def test_a_certificate_of_an_unknown_authority_is_not_trusted(renderer: Renderer) -> None:
    with SmtpStandIn(security="tls") as smtp:
        error = channel_of(smtp, renderer, ssl_context=None).send(mail(), holds_claim=claim_is_held)
    assert isinstance(error, ChannelError)
    assert error.kind is ChannelErrorKind.AUTH
    assert "certificate" in str(error.message)

"""A mail server on loopback: it records mails, and can refuse them, not answer, or require TLS and a log-in.

with SmtpStandIn() as smtp:
    SmtpChannel(host=smtp.host, port=smtp.port, security=MailSecurity.NONE, …)
    assert [mail.message["Subject"] for mail in smtp.mails] == […]
"""

import asyncio
import email.policy
import socket
import ssl
import threading
from collections import defaultdict
from dataclasses import dataclass
from email.message import EmailMessage
from email.parser import BytesParser
from functools import cache
from typing import Any, Self

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.patience import PATIENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMail:
    """One mail with its envelope."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage
    raw: bytes
    encrypted: bool
    username: str


@cache
def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the TLS contexts of the server and of a client that trusts it."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


class SmtpStandIn:
    """The server. `security` is `none`, `starttls` or `tls`; with `users` it requires a log-in."""

    def __init__(
        self, *, security: str = "none", users: dict[str, str] | None = None, smtputf8: bool = True
    ) -> None:
        self.mails: list[ReceivedMail] = []
        self.host = "localhost" if security != "none" else "127.0.0.1"
        self.port = 0
        self.security = security
        self.users = users
        self.refusal: str | None = None
        """The reply to a refused log-in; None: the usual reply."""
        self._smtputf8 = smtputf8
        self._refused: dict[str, str] = {}
        self._replies: defaultdict[str, list[str]] = defaultdict(list)
        self._drops = 0
        self._server_tls, self.client_tls = _contexts()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None

    # --- for tests

    def refuse(self, address: str, reply: str = "550 5.1.1 no such mailbox") -> None:
        """Answer RCPT for `address` with `reply` from now on."""
        self._refused[address] = reply

    def reply_next(self, stage: str, *replies: str) -> None:
        """Answer the next `MAIL`, `RCPT` or `DATA` with these replies, one each; no mail is recorded."""
        self._replies[stage].extend(replies)

    def drop_after_data(self, times: int = 1) -> None:
        """Record the next mails and close the connection instead of answering."""
        self._drops += times

    def end_faults(self) -> None:
        """Forget every planned reply and end of a connection."""
        self._replies.clear()
        self._drops = 0

    # --- start and stop

    def __enter__(self) -> Self:
        # The port comes from a bound socket: aiosmtpd's controller doesn't support port 0.
        listening = socket.create_server(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(listening), self._loop).result(PATIENCE)
        return self

    async def _start(self, listening: socket.socket) -> None:
        self._server = await self._loop.create_server(
            self._protocol, sock=listening, ssl=self._server_tls if self.security == "tls" else None
        )

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await asyncio.sleep(0.02)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _protocol(self) -> SMTP:
        return SMTP(
            self,
            hostname="mail.example.com",
            ident="stand-in",
            enable_SMTPUTF8=self._smtputf8,
            tls_context=self._server_tls if self.security == "starttls" else None,
            require_starttls=self.security == "starttls",
            authenticator=self._authenticate if self.users is not None else None,
            auth_require_tls=False,
            loop=self._loop,
        )

    # --- the handlers that aiosmtpd calls

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        name, password = data.login.decode(), data.password.decode()
        good = (self.users or {}).get(name) == password
        message = None if good else self.refusal
        return AuthResult(success=good, handled=False, message=message, auth_data=name if good else None)

    async def handle_MAIL(  # noqa: N802 -- aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.users is not None and not session.authenticated:
            return "530 5.7.0 authentication required"
        if self._replies["MAIL"]:
            return self._replies["MAIL"].pop(0)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 -- aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._replies["RCPT"]:
            return self._replies["RCPT"].pop(0)
        if address in self._refused:
            return self._refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- ditto
        if self._replies["DATA"]:
            return self._replies["DATA"].pop(0)
        raw = envelope.original_content or b""
        self.mails.append(
            ReceivedMail(
                sender=envelope.mail_from or "",
                recipients=tuple(envelope.rcpt_tos),
                message=BytesParser(EmailMessage, policy=email.policy.default).parsebytes(raw),
                raw=raw,
                encrypted=session.ssl is not None or self.security == "tls",
                username=str(session.auth_data or ""),  # type: ignore[redundant-expr] # None without a log-in
            )
        )
        if self._drops:
            self._drops -= 1
            server.transport.abort()
        return "250 OK"

"""E-mail by SMTP: one connection and one recipient per delivery, so that a refusal concerns nobody else.

Until the message's last byte has gone out nothing was sent; from then until the server's answer it is in doubt.
"""

import io
import smtplib
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from balancebot.config import MailSecurity
from balancebot.domain.message import MessageRef, OutgoingMessage
from balancebot.notify.email.compose import Mail, address, compose
from balancebot.notify.http import Answer, within
from balancebot.notify.render import Renderer
from balancebot.ports import Capabilities, ChannelError, ChannelErrorKind, Finding

_WAITS: Final = 3
"""How many time-outs all of a session may take."""
_ACCEPTED: Final = range(200, 300)
_FAULTS: Final = (smtplib.SMTPException, OSError, UnicodeError)


class _Server(smtplib.SMTP):
    """A session whose answers have one deadline together, however slowly they come; in the clear to begin with."""

    def __init__(self, host: str, port: int, *, timeout: float, **options: Any) -> None:
        self._left = within(timeout * _WAITS, each=timeout)
        super().__init__(host, port, timeout=timeout, **options)

    def getreply(self) -> tuple[int, bytes]:
        """Read an answer."""
        if self.file is None and self.sock is not None:
            self.file = io.BufferedReader(Answer(self.sock, self.sock.makefile("rb"), self._left))
        return super().getreply()


class _SecureServer(_Server, smtplib.SMTP_SSL):
    """Likewise, over TLS from its first byte."""


class SmtpChannel:
    """One mail server; destinations are addresses."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        security: MailSecurity,
        sender: str,
        renderer: Renderer,
        username: str | None = None,
        password: str | None = None,
        timeout: timedelta = timedelta(seconds=10),
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """`sender` is an address or `Name <address>`; ValueError if it is neither. Without `username` nobody logs in."""
        self._host = host
        self._port = port
        self._security = security
        self._sender = address(sender)
        self._renderer = renderer
        self._login = (username, password or "") if username is not None else None
        self._timeout = timeout.total_seconds()
        self._ssl_context = ssl_context or ssl.create_default_context()

    capabilities = Capabilities(has_threads=True)

    @property
    def name(self) -> str:
        """E-mail."""
        return "email"

    def send(
        self, outgoing: OutgoingMessage, *, holds_claim: Callable[[], bool]
    ) -> MessageRef | ChannelError:
        """Send one mail; see `Channel`."""
        try:
            mail = compose(outgoing, self._renderer, sender=self._sender)
        except ValueError as fault:
            return ChannelError(kind=ChannelErrorKind.NO_SUCH_DESTINATION, message=str(fault))
        error = self._send(mail, holds_claim)
        return error or MessageRef(channel_id="", message_id=mail.message_id, subject=mail.subject)

    def _send(self, mail: Mail, holds_claim: Callable[[], bool]) -> ChannelError | None:
        handed_over = False
        try:
            with self._session() as server:
                if error := _name_envelope(server, mail):
                    return error
                if not holds_claim():
                    return ChannelError(
                        kind=ChannelErrorKind.LEASE_LOST,
                        message="the claim on this delivery has run out",
                    )
                handed_over = True
                code, words = server.data(mail.raw)
                return None if code in _ACCEPTED else _message_refused(code, words)
        except smtplib.SMTPDataError as fault:
            return _message_refused(fault.smtp_code, fault.smtp_error)
        except _FAULTS as fault:
            return self._fault(fault, handed_over=handed_over)

    @contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        """Connect, secure and log in; say goodbye afterwards, and don't mind if nobody listens any more."""
        server = (
            _SecureServer(self._host, self._port, timeout=self._timeout, context=self._ssl_context)
            if self._security is MailSecurity.TLS
            else _Server(self._host, self._port, timeout=self._timeout)
        )
        try:
            if self._security is MailSecurity.STARTTLS:
                server.starttls(context=self._ssl_context)
            server.ehlo_or_helo_if_needed()
            if self._login is not None:
                server.login(*self._login)
            yield server
        finally:
            _say_goodbye(server)

    def _fault(self, fault: Exception, *, handed_over: bool) -> ChannelError:
        where = f"{self._host}:{self._port}"
        match fault:
            case smtplib.SMTPAuthenticationError():
                return _by_code(fault.smtp_code, f"{where} refuses the log-in: {_say(fault.smtp_error)}")
            case UnicodeError():
                # Its text would hold what couldn't be encoded: the password.
                return ChannelError(
                    kind=ChannelErrorKind.AUTH, message=f"{where} can't be sent a log-in that isn't ASCII"
                )
            case smtplib.SMTPNotSupportedError():
                return ChannelError(
                    kind=ChannelErrorKind.AUTH, message=f"{where} doesn't offer what is configured: {fault}"
                )
            case smtplib.SMTPResponseException():
                return ChannelError(
                    kind=ChannelErrorKind.SERVER,
                    message=f"{where} answers {fault.smtp_code} {_say(fault.smtp_error)}",
                )
        words = str(fault) or type(fault).__name__
        if handed_over:
            return ChannelError(
                kind=ChannelErrorKind.IN_DOUBT, message=f"{where} gave no answer to the message: {words}"
            )
        return ChannelError(kind=ChannelErrorKind.UNREACHABLE, message=f"{where} can't be reached: {words}")

    def find(self, outgoing: OutgoingMessage, *, since: datetime) -> Sequence[MessageRef] | ChannelError:
        """Say that nobody can look into a mailbox."""
        del outgoing, since
        return ChannelError(kind=ChannelErrorKind.REJECTED, message="nobody can look into a mailbox")

    def delete(self, ref: MessageRef) -> ChannelError | None:
        """Say that a mail can't be taken back."""
        del ref
        return ChannelError(kind=ChannelErrorKind.REJECTED, message="a mail can't be taken back")

    def check(self) -> list[Finding]:
        """Connect, secure the line and log in; nothing is sent."""
        try:
            with self._session():
                pass
        except _FAULTS as fault:
            return [Finding(ok=False, words=self._fault(fault, handed_over=False).message)]
        logged_in = "log-in accepted" if self._login is not None else "no log-in"
        return [Finding(ok=True, words=f"{self._host}:{self._port} ({self._security.value}), {logged_in}")]

    def close(self) -> None:
        """Nothing is held open between deliveries."""


def _name_envelope(server: smtplib.SMTP, mail: Mail) -> ChannelError | None:
    options = ["SMTPUTF8", "BODY=8BITMIME"] if mail.needs_smtputf8 else []
    if mail.needs_smtputf8 and not server.has_extn("smtputf8"):
        return ChannelError(
            kind=ChannelErrorKind.NO_SUCH_DESTINATION,
            message=f"the mail server can't write to {mail.recipient}: it doesn't know SMTPUTF8",
        )
    if mail.needs_smtputf8:
        server.command_encoding = "utf-8"
    code, words = server.mail(mail.sender, options)
    if code not in _ACCEPTED:
        # It is the sender that is refused: no recipient will do better.
        return _by_code(code, f"the mail server refuses {mail.sender} as sender: {_say(words)}")
    code, words = server.rcpt(mail.recipient)
    return None if code in _ACCEPTED else _refusal(code, words, mail.recipient)


def _refusal(code: int, words: bytes | str, recipient: str) -> ChannelError:
    return _by_code(
        code,
        f"the mail server refuses {recipient}: {code} {_say(words)}",
        for_good=ChannelErrorKind.NO_SUCH_DESTINATION,
    )


def _message_refused(code: int, words: bytes | str) -> ChannelError:
    return _by_code(
        code,
        f"the mail server refuses this message: {code} {_say(words)}",
        for_good=ChannelErrorKind.REJECTED,
    )


def _by_code(code: int, message: str, *, for_good: ChannelErrorKind = ChannelErrorKind.AUTH) -> ChannelError:
    """A 5xx is for good; anything else passes."""
    permanent = 500 <= code < 600
    return ChannelError(kind=for_good if permanent else ChannelErrorKind.SERVER, message=message)


def _say(words: bytes | str) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return " ".join(text.split())[:200]


def _say_goodbye(server: smtplib.SMTP) -> None:
    try:
        server.quit()
    except (smtplib.SMTPException, OSError):
        server.close()

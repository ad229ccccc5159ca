"""E-mail by SMTP: one connection and one recipient per delivery, so that a refusal doesn't affect other recipients.

Until the data of the message are sent, nothing is delivered; from then until the server's answer it is in doubt.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final

import aiosmtplib

from balancebot.config import MailSecurity
from balancebot.domain.message import MessageRef, OutgoingMessage
from balancebot.domain.sentence import NO_SENTENCE, Sentence, sentence, verbatim
from balancebot.network import run, system_trust
from balancebot.notify.email.compose import Mail, address, compose
from balancebot.notify.render import Renderer
from balancebot.ports import Capabilities, ChannelError, ChannelErrorKind, Finding

_MAX_TIMEOUTS: Final = 3
"""The limit for a whole session, in time-outs of a single step."""
_FAULTS: Final = (aiosmtplib.SMTPException, OSError)
_LABEL: Final = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})+")


_TIMED_OUT = sentence("timed out")


class SmtpChannel:
    """One mail server; destinations are e-mail addresses."""

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
        """`sender` is an address or `Name <address>`, otherwise ValueError. Without `username` there is no log-in."""
        self._host = host
        self._port = port
        self._security = security
        self._sender = address(sender)
        self._renderer = renderer
        self._login = (username, password or "") if username is not None else None
        self._timeout = timeout
        self._ssl_context = ssl_context or system_trust()

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
            return ChannelError(kind=ChannelErrorKind.NO_SUCH_DESTINATION, message=verbatim(str(fault)))
        error = self._send(mail, holds_claim)
        return error or MessageRef(channel_id="", message_id=mail.message_id, subject=mail.subject)

    def _send(self, mail: Mail, holds_claim: Callable[[], bool]) -> ChannelError | None:
        handed_over = False

        async def session() -> ChannelError | None:
            nonlocal handed_over
            async with self._session() as server:
                if error := await _send_envelope(server, mail):
                    return error
                # in a thread, because it reads the database, which blocks
                if not await asyncio.to_thread(holds_claim):
                    return ChannelError(
                        kind=ChannelErrorKind.LEASE_LOST,
                        message=sentence("the claim on this delivery has run out"),
                    )
                handed_over = True
                await server.data(mail.raw)
                return None

        try:
            return run(session, within=self._timeout * _MAX_TIMEOUTS)
        except aiosmtplib.SMTPDataError as fault:
            if fault.code >= 400:
                return _message_refused(fault.code, fault.message)
            return self._fault(fault, handed_over=True)
        except _FAULTS as fault:
            return self._fault(fault, handed_over=handed_over)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[aiosmtplib.SMTP]:
        """Connect, start TLS and log in; at the end QUIT, and ignore a server that no longer answers."""
        server = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            local_hostname=_own_name(),
            timeout=self._timeout.total_seconds(),
            use_tls=self._security is MailSecurity.TLS,
            start_tls=self._security is MailSecurity.STARTTLS,
            tls_context=self._ssl_context,
        )
        try:
            await server.connect()
            if self._login is not None:
                await server.login(*self._login)
            yield server
            with suppress(*_FAULTS):
                await server.quit(timeout=1)
        finally:
            server.close()

    def _fault(self, fault: Exception, *, handed_over: bool) -> ChannelError:
        where = f"{self._host}:{self._port}"
        words = str(fault) or type(fault).__name__
        match fault:
            case aiosmtplib.SMTPAuthenticationError():
                return _by_code(
                    fault.code,
                    sentence("%(host)s refuses the log-in: %(said)s", host=where, said=fault.message),
                )
            case aiosmtplib.SMTPResponseException(code=code) if code >= 400:
                return ChannelError(
                    kind=ChannelErrorKind.SERVER,
                    message=sentence("%(host)s answers %(said)s", host=where, said=f"{code} {fault.message}"),
                )
            case _ if handed_over:
                reason = _TIMED_OUT if isinstance(fault, TimeoutError) else verbatim(words)
                return ChannelError(
                    kind=ChannelErrorKind.IN_DOUBT,
                    message=sentence(
                        "%(host)s gave no answer to the message: %(reason)s", host=where, reason=reason
                    ),
                )
            case TimeoutError():
                return _unreachable(where, _TIMED_OUT)
            case OSError():
                if reason := _tls_reason(fault):
                    # retries don't fix this: AUTH makes it reported through another channel at once
                    return ChannelError(
                        kind=ChannelErrorKind.AUTH,
                        message=sentence("%(host)s can't be reached: %(reason)s", host=where, reason=reason),
                    )
            case aiosmtplib.SMTPException() if not isinstance(fault, aiosmtplib.SMTPResponseException):
                return ChannelError(
                    kind=ChannelErrorKind.AUTH,
                    message=sentence(
                        "%(host)s doesn't offer what is configured: %(said)s", host=where, said=words
                    ),
                )
        return _unreachable(where, verbatim(words))

    def find(
        self, outgoing: OutgoingMessage, *, after: MessageRef | None
    ) -> Sequence[MessageRef] | ChannelError:
        """Return the error that a mailbox can't be searched."""
        del outgoing, after
        return ChannelError(
            kind=ChannelErrorKind.REJECTED, message=sentence("nobody can look into a mailbox")
        )

    def delete(self, ref: MessageRef) -> ChannelError | None:
        """Return the error that a mail can't be deleted."""
        del ref
        return ChannelError(kind=ChannelErrorKind.REJECTED, message=sentence("a mail can't be taken back"))

    def check(self, destinations: Sequence[str] = ()) -> list[Finding]:
        """Connect, start TLS and log in; no mail is sent, and no recipient is checked."""
        del destinations

        async def session() -> None:
            async with self._session():
                pass

        try:
            run(session, within=self._timeout * _MAX_TIMEOUTS)
        except _FAULTS as fault:
            return [Finding(ok=False, words=str(self._fault(fault, handed_over=False).message))]
        logged_in = "log-in accepted" if self._login is not None else "no log-in"
        return [Finding(ok=True, words=f"{self._host}:{self._port} ({self._security.value}), {logged_in}")]

    def close(self) -> None:
        """Do nothing: no connection is kept between deliveries."""


async def _send_envelope(server: aiosmtplib.SMTP, mail: Mail) -> ChannelError | None:
    if mail.needs_smtputf8 and server.is_ehlo_or_helo_needed:
        with suppress(aiosmtplib.SMTPHeloError):
            await server.ehlo()
    if mail.needs_smtputf8 and not server.supports_extension("smtputf8"):
        return ChannelError(
            kind=ChannelErrorKind.NO_SUCH_DESTINATION,
            message=sentence(
                "the mail server can't send to %(address)s: it doesn't support SMTPUTF8",
                address=mail.recipient,
            ),
        )
    encoding = "utf-8" if mail.needs_smtputf8 else "ascii"
    try:
        options = ["SMTPUTF8", "BODY=8BITMIME"] if mail.needs_smtputf8 else []
        await server.mail(mail.sender, options=options, encoding=encoding)
        await server.rcpt(mail.recipient, encoding=encoding)
    except aiosmtplib.SMTPSenderRefused as refusal:
        # The sender is refused, so other recipients would fail too.
        return _by_code(
            refusal.code,
            sentence(
                "the mail server refuses %(address)s as sender: %(said)s",
                address=mail.sender,
                said=refusal.message,
            ),
        )
    except aiosmtplib.SMTPRecipientRefused as refusal:
        return _refusal(refusal.code, refusal.message, mail.recipient)
    return None


def _own_name() -> str:
    """Return the name for EHLO: this machine's host name if it is valid there, otherwise an address."""
    name = socket.gethostname()
    return name if _HOST_NAME.fullmatch(name) else "[127.0.0.1]"


def _tls_reason(fault: BaseException | None) -> Sentence:
    """Return why there is no TLS connection; an empty sentence if TLS isn't the cause."""
    while fault is not None:
        match fault:
            case ssl.SSLCertVerificationError():
                return sentence("its certificate is not trusted (%(reason)s)", reason=fault.verify_message)
            case ssl.SSLError():
                reason = (fault.reason or "").replace("_", " ").lower()
                return sentence("no TLS connection (%(reason)s)", reason=reason)
        fault = fault.__cause__
    return NO_SENTENCE


def _unreachable(where: str, reason: Sentence) -> ChannelError:
    return ChannelError(
        kind=ChannelErrorKind.UNREACHABLE,
        message=sentence("%(host)s can't be reached: %(reason)s", host=where, reason=reason),
    )


def _refusal(code: int, words: str, recipient: str) -> ChannelError:
    return _by_code(
        code,
        sentence("the mail server refuses %(address)s: %(said)s", address=recipient, said=f"{code} {words}"),
        permanent_kind=ChannelErrorKind.NO_SUCH_DESTINATION,
    )


def _message_refused(code: int, words: str) -> ChannelError:
    return _by_code(
        code,
        sentence("the mail server refuses this message: %(said)s", said=f"{code} {words}"),
        permanent_kind=ChannelErrorKind.REJECTED,
    )


def _by_code(
    code: int, message: Sentence, *, permanent_kind: ChannelErrorKind = ChannelErrorKind.AUTH
) -> ChannelError:
    """Return the error for an SMTP code: 5xx is permanent, everything else is temporary."""
    is_permanent = 500 <= code < 600
    return ChannelError(kind=permanent_kind if is_permanent else ChannelErrorKind.SERVER, message=message)

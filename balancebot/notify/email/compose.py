"""Compose an e-mail: headers, text and HTML. The same delivery always gets the same `Message-ID`.

Addresses and subjects come from outside; none of them can inject a header.
"""

import base64
import hashlib
import logging
import re
from dataclasses import dataclass
from email.header import Header
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UniqueUnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import unquote
from typing import Final

from balancebot.domain.alert import Reason
from balancebot.domain.message import (
    Action,
    AlertMessage,
    DigestMessage,
    Message,
    NoticeMessage,
    OutgoingMessage,
)
from balancebot.domain.verdict import Severity
from balancebot.notify.render import Renderer, stem_of
from balancebot.statements.sheet import StatementSheets


class _Subject(UniqueUnstructuredHeader, BaseHeader):  # type: ignore[misc] # HeaderRegistry joins them too
    """A subject with correct folding: Python 3.11's own folding doubles a space next to an encoded word."""

    def fold(self, *, policy: Policy) -> str:
        """Return the header's lines."""
        charset = "us-ascii" if self.isascii() else "utf-8"
        value = Header(str(self), charset, header_name="Subject").encode(linesep=policy.linesep)
        return f"Subject: {value}{policy.linesep}"


log = logging.getLogger(__name__)

_NAMED: Final = re.compile(r"(?P<name>.*?) ?<(?P<spec>[^<>]*)>")
_PICTURE_ID: Final = "balances@balancebot"
_HEADERS = HeaderRegistry()
_HEADERS.map_to_type("subject", _Subject)
_POLICY = SMTP.clone(header_factory=_HEADERS, cte_type="7bit")  # not every mail server takes bytes above 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A composed message with its envelope."""

    message: EmailMessage
    raw: bytes
    """The encoded message, as it is sent."""
    sender: str
    recipient: str
    message_id: str
    subject: str
    """The subject of the first mail of the thread, which replies repeat."""
    needs_smtputf8: bool
    """Whether the part before the @ of an address isn't ASCII; domains never need SMTPUTF8."""


def address(text: str) -> Address:
    """Read `Name <local@domain>`; an international domain is converted to its ASCII form.

    A name may contain commas and colons without quotation marks. Raises ValueError if it isn't an address.
    """
    line = " ".join(text.split())
    named = _NAMED.fullmatch(line)
    name, spec = (unquote(named["name"]), named["spec"]) if named else ("", line)
    local, _, domain = spec.rpartition("@")
    if not local or not domain or " " in spec or "@" in local:
        raise ValueError(f"{text!r} is no e-mail address")
    try:
        ascii_domain = domain.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError(f"{text!r} has no valid domain") from None
    return Address(display_name=name, username=local, domain=ascii_domain)


def compose(outgoing: OutgoingMessage, renderer: Renderer, *, sender: Address) -> Mail:
    """Compose the mail of `outgoing`: a first message, or a reply in its thread.

    Raises ValueError if the destination isn't an address.
    """
    recipient = address(outgoing.destination.address)
    needs_smtputf8 = not (sender.addr_spec + recipient.addr_spec).isascii()
    thread = outgoing.thread if outgoing.action is not Action.POST else None
    subject = thread.subject if thread else _subject(outgoing.message, renderer)
    message = EmailMessage(policy=_POLICY.clone(utf8=needs_smtputf8))
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = f"Re: {subject}" if thread else subject
    message["Date"] = outgoing.created_at
    message["Message-ID"] = own_id = message_id(outgoing, domain=sender.domain)
    if thread:
        message["In-Reply-To"] = thread.message_id
        message["References"] = thread.message_id
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message["List-Id"] = f"balancebot <balancebot.{sender.domain}>"
    if outgoing.alert_id:
        message["X-Balancebot-Alert"] = outgoing.alert_id
    if _is_urgent(outgoing.message):
        message["Importance"] = "high"
    message.set_content(renderer.render(_template(outgoing.message, "txt.j2"), outgoing.message) + "\n")
    _add_html(message, outgoing.message, renderer)
    _attach(message, outgoing.message, renderer)
    return Mail(
        message=message,
        raw=message.as_bytes(),
        sender=sender.addr_spec,
        recipient=recipient.addr_spec,
        message_id=own_id,
        subject=subject,
        needs_smtputf8=needs_smtputf8,
    )


def _subject(content: Message, renderer: Renderer) -> str:
    return " ".join(renderer.render(_template(content, "subject.j2"), content).split())


def message_id(outgoing: OutgoingMessage, *, domain: str) -> str:
    """Return the `Message-ID`: the same for every attempt at one delivery, and globally unique otherwise."""
    seed = "\n".join((outgoing.delivery_id, outgoing.created_at.isoformat(), outgoing.destination.address))
    return f"<{hashlib.sha256(seed.encode()).hexdigest()[:24]}@{domain}>"


def html_page(content: Message, renderer: Renderer) -> str:
    """Return the HTML of a mail as a separate page, with its picture embedded."""
    picture = _picture(content, renderer)
    source = f"data:image/png;base64,{base64.b64encode(picture).decode()}" if picture else ""
    return renderer.render(_template(content, "html.j2"), content, picture=source) + "\n"


def _add_html(message: EmailMessage, content: Message, renderer: Renderer) -> None:
    picture = _picture(content, renderer)
    source = f"cid:{_PICTURE_ID}" if picture else ""
    html = renderer.render(_template(content, "html.j2"), content, picture=source) + "\n"
    message.add_alternative(html, subtype="html")
    part = message.get_body(("html",))
    if picture and part is not None:
        part.add_related(
            picture, "image", "png", cid=f"<{_PICTURE_ID}>", filename="balances.png", disposition="inline"
        )


def _attach(message: EmailMessage, content: Message, renderer: Renderer) -> None:
    """Attach the workbook of a statement."""
    if not isinstance(content, NoticeMessage) or content.statement is None:
        return
    sheets = StatementSheets(words=renderer.words_for(content))
    message.add_attachment(
        sheets.xlsx(content.statement),
        maintype="application",
        subtype="vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        filename=sheets.file_name(content.statement, "xlsx"),
    )


def _picture(content: Message, renderer: Renderer) -> bytes | None:
    if not isinstance(content, DigestMessage):
        return None
    # Only a digest needs the drawing library, whose import takes longer than all the rest of a mail.
    from balancebot.notify.email.picture import digest_picture  # lazy: pillow; only a digest has a picture

    try:
        return digest_picture(content, renderer.words_for(content))
    except Exception:
        # a digest must be sent even if its picture can't be drawn
        log.exception("picture_failed")
        return None


def _template(content: Message, kind: str) -> str:
    return f"email/{stem_of(content)}.{kind}"


def _is_urgent(content: Message) -> bool:
    return (
        isinstance(content, AlertMessage)
        and content.alert.severity >= Severity.CRITICAL
        and content.reason in {Reason.OPENED, Reason.WORSENED, Reason.ESCALATED}
    )

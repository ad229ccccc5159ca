"""Composes an e-mail: headers, text and HTML. The same delivery always gives the same `Message-ID`.

Addresses and subjects come from outside; none of them can bring a header of its own along.
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
    """A subject that is folded where it may be: Python 3.11's own way doubles a space beside an encoded word."""

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
    """The message as it goes over the line."""
    sender: str
    recipient: str
    message_id: str
    subject: str
    """The subject of the first of the thread, which its answers repeat."""
    needs_smtputf8: bool
    """Whether a local part isn't ASCII; domains never need it."""


def address(text: str) -> Address:
    """Read `Name <local@domain>`; an international domain takes its ASCII form.

    A name may hold commas and colons without being quoted. Raises ValueError for what is no address.
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
    """Compose the mail of `outgoing`: a first message, or an answer in its thread.

    Raises ValueError where the destination is no address.
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


def _subject(told: Message, renderer: Renderer) -> str:
    return " ".join(renderer.render(_template(told, "subject.j2"), told).split())


def message_id(outgoing: OutgoingMessage, *, domain: str) -> str:
    """Return the same id for every attempt at one delivery, and another for every other one in the world."""
    seed = "\n".join((outgoing.delivery_id, outgoing.created_at.isoformat(), outgoing.destination.address))
    return f"<{hashlib.sha256(seed.encode()).hexdigest()[:24]}@{domain}>"


def html_page(told: Message, renderer: Renderer) -> str:
    """Return the HTML of a mail as a page of its own, its picture inside."""
    picture = _picture(told, renderer)
    source = f"data:image/png;base64,{base64.b64encode(picture).decode()}" if picture else ""
    return renderer.render(_template(told, "html.j2"), told, picture=source) + "\n"


def _add_html(message: EmailMessage, told: Message, renderer: Renderer) -> None:
    picture = _picture(told, renderer)
    source = f"cid:{_PICTURE_ID}" if picture else ""
    html = renderer.render(_template(told, "html.j2"), told, picture=source) + "\n"
    message.add_alternative(html, subtype="html")
    part = message.get_body(("html",))
    if picture and part is not None:
        part.add_related(
            picture, "image", "png", cid=f"<{_PICTURE_ID}>", filename="balances.png", disposition="inline"
        )


def _attach(message: EmailMessage, told: Message, renderer: Renderer) -> None:
    """Attach the workbook of a statement."""
    if not isinstance(told, NoticeMessage) or told.statement is None:
        return
    sheets = StatementSheets(words=renderer.words_for(told))
    message.add_attachment(
        sheets.xlsx(told.statement),
        maintype="application",
        subtype="vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        filename=sheets.file_name(told.statement, "xlsx"),
    )


def _picture(told: Message, renderer: Renderer) -> bytes | None:
    if not isinstance(told, DigestMessage):
        return None
    # Only a digest needs the drawing library, which takes longer to load than all the rest of a mail.
    from balancebot.notify.email.picture import digest_picture  # lazy: pillow; only a digest has a picture

    try:
        return digest_picture(told, renderer.words_for(told))
    except Exception:
        # a drawing that fails keeps no digest from its reader
        log.exception("picture_failed")
        return None


def _template(told: Message, kind: str) -> str:
    return f"email/{stem_of(told)}.{kind}"


def _is_urgent(told: Message) -> bool:
    return (
        isinstance(told, AlertMessage)
        and told.alert.severity >= Severity.CRITICAL
        and told.reason in {Reason.OPENED, Reason.WORSENED, Reason.ESCALATED}
    )

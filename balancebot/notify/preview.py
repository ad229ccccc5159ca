"""Show messages on a terminal as their reader would see them; for the demo."""

import re
import textwrap
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.message import EmailMessage
from itertools import count
from typing import Any, Final

from balancebot.domain.message import Action, MessageRef, OutgoingMessage
from balancebot.notify.channel import Show
from balancebot.notify.email.compose import address as parse_address
from balancebot.notify.email.compose import compose
from balancebot.notify.posting import content_of
from balancebot.notify.render import Renderer
from balancebot.notify.slack.blocks import message_of, without_links
from balancebot.ports import Capabilities, Finding

_WIDTH: Final = 76
_BOLD = re.compile(r"(?<!\w)\*([^*\n]+)\*(?!\w)")


def slack_preview(payload: Mapping[str, Any], *, width: int = _WIDTH) -> str:
    """Draw a Slack message: its blocks, or its text if it has none."""
    blocks: Sequence[Mapping[str, Any]] = payload.get("blocks") or []
    lines = [line for block in blocks for line in _block(block, width)] if blocks else []
    return _framed(lines or _mrkdwn(str(payload.get("text", "")), width), width)


def mail_preview(message: EmailMessage, *, width: int = _WIDTH) -> str:
    """Draw a mail: the headers that a person sees, and the plain text."""
    body = message.get_body(("plain",))
    text = body.get_content() if body is not None else ""
    head = [f"{name}: {message[name]}" for name in ("From", "To", "Subject") if message[name]]
    lines = [piece for line in (*head, "", *text.strip().splitlines()) for piece in _wrapped(line, width)]
    return _framed(lines, width)


def _block(block: Mapping[str, Any], width: int) -> Iterator[str]:
    match block["type"]:
        case "header":
            yield from _mrkdwn(block["text"]["text"], width)
        case "divider":
            yield "─" * width
        case "section" if "fields" in block:
            for field in block["fields"]:
                label, _, value = _plain(field["text"]).partition("\n")
                yield from _wrapped(f"{label}: {value}", width)
        case "section":
            yield from _mrkdwn(block["text"]["text"], width)
        case "context":
            yield from _mrkdwn(" ".join(element["text"] for element in block["elements"]), width)
        case "actions":
            labels = (element.get("text") or element.get("placeholder") for element in block["elements"])
            yield "  ".join(f"[ {label['text']} ]" for label in labels if label)
        case other:
            yield f"({other})"


def _mrkdwn(text: str, width: int) -> list[str]:
    return [piece for line in _plain(text).splitlines() for piece in _wrapped(line, width)]


def _plain(text: str) -> str:
    shown = _BOLD.sub(r"\1", without_links(text)).replace("`", "")
    return shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _wrapped(line: str, width: int) -> list[str]:
    if _columns(line) <= width:
        return [line]
    # textwrap counts characters, but a Chinese character takes two columns: reduce the width in proportion.
    narrow = width if line.isascii() else width * len(line) // _columns(line)
    return textwrap.wrap(line, narrow, subsequent_indent="  ", break_on_hyphens=False) or [""]


def _framed(lines: Sequence[str], width: int) -> str:
    edge = "─" * (width + 2)
    return "\n".join(
        (f"┌{edge}┐", *(f"│ {line}{' ' * (width - _columns(line))} │" for line in lines), f"└{edge}┘")
    )


def _columns(text: str) -> int:
    """Return how many columns `text` takes on a terminal."""
    return sum(
        0
        if unicodedata.combining(sign) or sign == "\ufe0f"
        else 2
        if unicodedata.east_asian_width(sign) in "WF"
        else 1
        for sign in text
    )


class PreviewChannel(ABC):
    """A channel whose messages are only shown on a terminal."""

    capabilities = Capabilities()

    def __init__(self, name: str, renderer: Renderer, show: Show) -> None:
        self.name = name
        self._renderer = renderer
        self._show = show

    @abstractmethod
    def send(self, outgoing: OutgoingMessage, *, holds_claim: Callable[[], bool]) -> MessageRef:
        """Show a message as its reader would see it."""

    def find(self, outgoing: OutgoingMessage, *, after: MessageRef | None) -> Sequence[MessageRef]:  # noqa: ARG002
        """Return nothing: no delivery is ever in doubt."""
        return ()

    def delete(self, ref: MessageRef) -> None:  # noqa: B027 -- nothing was sent
        """Do nothing: nothing was sent."""

    def check(self, destinations: Sequence[str]) -> list[Finding]:  # noqa: ARG002
        """Return no findings: there is nothing to check."""
        return []

    def close(self) -> None:  # noqa: B027 -- nothing is open
        """Do nothing: nothing is open."""


class PreviewSlack(PreviewChannel):
    """A Slack workspace on the terminal."""

    capabilities = Capabilities(can_edit=True, has_threads=True, can_find=True)

    def __init__(self, renderer: Renderer, show: Show) -> None:
        super().__init__("slack", renderer, show)
        self._numbers = count(1)

    def send(self, outgoing: OutgoingMessage, *, holds_claim: Callable[[], bool]) -> MessageRef:  # noqa: ARG002
        """Show a message and where it appears; an edit only by its headline."""
        message = message_of(self._renderer, outgoing)
        shown = slack_preview({"text": message.text, "blocks": message.blocks})
        address = outgoing.destination.address
        match outgoing.action:
            case Action.POST:
                self._show(f"Slack {address}\n{shown}")
            case Action.REPLY:
                also = ", and to the channel" if outgoing.broadcast else ""
                self._show(f"Slack {address}, in the thread{also}\n{shown}")
            case Action.EDIT:
                self._show(f"Slack {address}, the message is edited: {message.text}")
        return MessageRef(channel_id=address, message_id=f"{next(self._numbers)}.000")


class PreviewMail(PreviewChannel):
    """A mailbox on the terminal: the first mail in full, the others as in a list of mails."""

    capabilities = Capabilities(has_threads=True)

    def __init__(self, renderer: Renderer, show: Show, *, sender: str) -> None:
        super().__init__("email", renderer, show)
        self._sender = parse_address(sender)
        self._numbers = count(1)

    def send(self, outgoing: OutgoingMessage, *, holds_claim: Callable[[], bool]) -> MessageRef:  # noqa: ARG002
        """Show a mail."""
        mail = compose(outgoing, self._renderer, sender=self._sender)
        is_first = next(self._numbers) == 1
        line = f"E-mail to {mail.message['To']}: {mail.message['Subject']}"
        self._show(f"E-mail\n{mail_preview(mail.message)}" if is_first else line)
        return MessageRef(channel_id="", message_id=mail.message_id, subject=mail.subject)


class PreviewPosts(PreviewChannel):
    """A chat on the terminal."""

    def send(self, outgoing: OutgoingMessage, *, holds_claim: Callable[[], bool]) -> MessageRef:  # noqa: ARG002
        """Show title and text."""
        content = content_of(outgoing, self._renderer)
        lines = [*_wrapped(content.title, _WIDTH), "", *_mrkdwn(content.text, _WIDTH)]
        self._show(f"{self.name}\n{_framed(lines, _WIDTH)}")
        return MessageRef(channel_id="", message_id="")
